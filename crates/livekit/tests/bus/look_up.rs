use media::StreamKey;
use serde_json::json;
use sluicegate_livekit::bus::{Encoding, Error, Gone, Input, Post, Refusal};

use super::lab::{Lab, PATIENCE, buffering};

#[tokio::test]
async fn an_ingress_is_found_by_key_and_by_id_with_what_its_owner_set() {
    let lab = Lab::start().await;
    let request = json!({
        "input_type": "RTMP_INPUT", "name": "cam 1", "room_name": "studio", "participant_identity": "cam",
        "participant_name": "Camera", "participant_metadata": "{}", "enabled": true,
        "audio": {"name": "desk", "source": "MICROPHONE", "preset": "OPUS_MONO_64KBS"},
        "video": {"name": "wide", "source": "CAMERA", "preset": "H264_1080P_30FPS_3_LAYERS"},
    });
    let (_, info) = lab.api("CreateIngress", request).await;
    let key = StreamKey::new(info["stream_key"].as_str().unwrap());
    let record = lab.io.ingress_by_key(&key, PATIENCE).await.unwrap();
    assert_eq!(record, lab.io.ingress_by_id(info["ingress_id"].as_str().unwrap(), PATIENCE).await.unwrap());
    assert_eq!(
        (record.room.as_str(), record.identity.as_str(), record.name.as_str()),
        ("studio", "cam", "cam 1")
    );
    assert_eq!((record.participant_name.as_str(), record.participant_metadata.as_str()), ("Camera", "{}"));
    assert_eq!((record.reusable, record.enabled, record.last_started_at), (true, Some(true), Some(0)));
    let media = record.admit(Input::Rtmp).unwrap();
    assert_eq!((media.audio.name.as_str(), media.audio.channels), ("desk", 1));
    assert_eq!(media.video.encoding, Encoding::Preset("H264_1080P_30FPS_3_LAYERS"));
}

#[tokio::test]
async fn custom_layers_arrive_as_they_were_asked_for() {
    let lab = Lab::start().await;
    let options = json!({"video_codec": "VP8", "frame_rate": 25, "layers": [
        {"quality": "HIGH", "width": 640, "height": 480, "bitrate": 800000},
        {"quality": "LOW", "width": 320, "height": 240},
    ]});
    let request = json!({
        "input_type": "RTMP_INPUT", "room_name": "r", "participant_identity": "c", "video": {"options": options},
    });
    let (status, info) = lab.api("CreateIngress", request).await;
    assert_eq!(status, 200, "{info}");
    let record = lab.io.ingress_by_id(info["ingress_id"].as_str().unwrap(), PATIENCE).await.unwrap();
    let Encoding::Custom(ladder) = record.admit(Input::Rtmp).unwrap().video.encoding else {
        panic!("custom options became a preset")
    };
    assert_eq!((ladder.codec, ladder.max_fps_milli), (media::Codec::Vp8, 25_000));
    let sizes: Vec<_> = ladder.layers.iter().map(|layer| (layer.width, layer.bitrate_bps)).collect();
    assert_eq!(sizes, [(320, 257_726), (640, 800_000)]);
}

#[tokio::test]
async fn an_unknown_key_or_id_is_no_ingress() {
    let lab = Lab::start().await;
    for key in ["nobody-has-this", ""] {
        let found = lab.io.ingress_by_key(&StreamKey::new(key), PATIENCE).await;
        assert_eq!(found, Err(Error::NoIngress));
    }
    for id in ["IN_nobody", ""] {
        assert_eq!(lab.io.ingress_by_id(id, PATIENCE).await, Err(Error::NoIngress));
    }
}

#[tokio::test]
async fn a_disabled_ingress_is_found_and_refused() {
    let lab = Lab::start().await;
    let request = json!({
        "input_type": "RTMP_INPUT", "room_name": "r", "participant_identity": "c", "enabled": false,
    });
    let (_, info) = lab.api("CreateIngress", request).await;
    let key = StreamKey::new(info["stream_key"].as_str().unwrap());
    let record = lab.io.ingress_by_key(&key, PATIENCE).await.unwrap();
    assert_eq!(record.admit(Input::Rtmp), Err(Refusal::Disabled));
}

#[tokio::test]
async fn a_record_without_a_state_is_left_alone_and_livekit_server_lives() {
    let lab = Lab::start().await;
    let id = lab.ingress().await.ingress_id;
    assert_eq!(lab.redis(&format!("DEL {{ingress}}_state:{id}")).await, ":1");
    let record = lab.io.ingress_by_id(&id, PATIENCE).await.unwrap();
    assert_eq!(record.last_started_at, None);
    let reporter = lab.reporters.open(&record, "RT_1");
    assert!(!reporter.put(buffering()));
    assert_eq!(reporter.gone().await, Gone::Deleted);
    // A second attempt looks before it posts.
    assert_eq!(lab.io.post(&id, reporter.state(), 2).await, Err(Error::NoIngress));
    assert_eq!(lab.api("ListIngress", json!({})).await.0, 200);
}
