use std::sync::Arc;

use livekit_protocol::IngressState;
use serde_json::json;
use sluicegate_livekit::bus::{Audio, Error, Gone, Outcome, Phase, Reporters, Status, Video};

use super::lab::{Lab, PATIENCE, buffering, publishing, unix_ns};

fn ended(outcome: Outcome) -> Status {
    Status { phase: Phase::Ended(outcome), ..publishing() }
}

#[tokio::test]
async fn users_see_each_state_and_each_webhook_comes_once() {
    let mut lab = Lab::start().await;
    let id = lab.ingress().await.ingress_id;
    assert_eq!(lab.state(&id).await["status"], "ENDPOINT_INACTIVE");
    for (resource, outcome, status, error) in [
        ("RT_1", Outcome::Stopped, "ENDPOINT_INACTIVE", ""),
        ("RT_2", Outcome::Failed("room disconnected".into()), "ENDPOINT_ERROR", "room disconnected"),
    ] {
        let record = lab.io.ingress_by_id(&id, PATIENCE).await.unwrap();
        let reporter = lab.reporters.open(&record, resource);
        reporter.put(buffering());
        assert!(reporter.flush(PATIENCE).await);
        let state = lab.state(&id).await;
        assert_eq!(
            (&state["status"], &state["resource_id"]),
            (&json!("ENDPOINT_BUFFERING"), &json!(resource))
        );
        for bitrate_bps in [0, 2_000_000] {
            reporter.put(with_media(bitrate_bps));
            assert!(reporter.flush(PATIENCE).await);
        }
        see_media(&lab.state(&id).await);
        reporter.put(ended(outcome));
        assert!(reporter.flush(PATIENCE).await);
        let state = lab.state(&id).await;
        assert_eq!((&state["status"], &state["error"]), (&json!(status), &json!(error)));
        let times =
            ["started_at", "updated_at", "ended_at"].map(|name| state[name].as_str().unwrap().to_owned());
        assert!(times[0] < times[1] && times[0] < times[2], "{times:?}");
    }
    for event in ["ingress_started", "ingress_ended", "ingress_started", "ingress_ended"] {
        assert_eq!(lab.webhooks.next().await, (event.to_owned(), id.clone()));
    }
}

fn with_media(bitrate_bps: u32) -> Status {
    let video = Video { mime_type: "video/H264".into(), bitrate_bps, width: 1280, height: 720, fps: 30.0 };
    let audio =
        Audio { mime_type: "audio/AAC".into(), bitrate_bps: 128_000, channels: 2, sample_rate: 48_000 };
    Status { video: Some(video), audio: Some(audio), ..publishing() }
}

fn see_media(state: &serde_json::Value) {
    assert_eq!((&state["status"], &state["room_id"]), (&json!("ENDPOINT_PUBLISHING"), &json!("RM_1")));
    let video = json!({
        "mime_type": "video/H264", "average_bitrate": 2_000_000, "width": 1280, "height": 720, "framerate": 30,
    });
    assert_eq!(state["video"], video);
    let audio =
        json!({"mime_type": "audio/AAC", "average_bitrate": 128_000, "channels": 2, "sample_rate": 48_000});
    assert_eq!(state["audio"], audio);
}

#[tokio::test]
async fn a_refused_publisher_leaves_its_reason() {
    let mut lab = Lab::start().await;
    let record = lab.ingress().await;
    let reporter = lab.reporters.open(&record, "RT_1");
    reporter.put(Status::new(Phase::Ended(Outcome::Failed("server capacity exceeded".into()))));
    drop(reporter);
    assert_eq!(lab.webhooks.next().await, ("ingress_ended".to_owned(), record.ingress_id.clone()));
    let state = lab.state(&record.ingress_id).await;
    assert_eq!(
        (&state["status"], &state["error"]),
        (&json!("ENDPOINT_ERROR"), &json!("server capacity exceeded"))
    );
    assert_eq!(lab.reporters.shutdown(PATIENCE).await, 0);
}

#[tokio::test]
async fn a_session_of_a_deleted_ingress_is_told_so() {
    let lab = Lab::start().await;
    let record = lab.ingress().await;
    let reporter = lab.reporters.open(&record, "RT_1");
    let (status, _) = lab.api("DeleteIngress", json!({"ingress_id": record.ingress_id})).await;
    assert_eq!(status, 200);
    reporter.put(buffering());
    assert_eq!(reporter.gone().await, Gone::Deleted);
}

#[tokio::test]
async fn a_session_that_started_later_on_another_worker_supersedes() {
    let lab = Lab::start().await;
    let record = lab.ingress().await;
    let reporter = lab.reporters.open(&record, "RT_1");
    reporter.put(buffering());
    assert!(reporter.flush(PATIENCE).await);
    let other_worker = Reporters::new(Arc::new(lab.io.clone()), unix_ns);
    let later = other_worker.open(&record, "RT_2");
    later.put(publishing());
    assert!(later.flush(PATIENCE).await);
    reporter.put(publishing());
    assert_eq!(reporter.gone().await, Gone::Superseded);
    assert_eq!(lab.state(&record.ingress_id).await["resource_id"], "RT_2");
    let old = IngressState { started_at: 1, updated_at: 2, ..IngressState::default() };
    assert_eq!(lab.io.update_state(&record.ingress_id, old).await, Err(Error::Superseded));
}
