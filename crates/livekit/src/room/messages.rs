//! What is said on the signalling connection, as pure functions.

use std::collections::{BTreeMap, BTreeSet};

use livekit_protocol::{
    AddTrackRequest, AudioTrackFeature, DataPacket, DisconnectReason, JoinResponse, LeaveRequest,
    SessionDescription, SimulcastCodec, SubscribedQuality, SubscribedQualityUpdate, SyncState,
    TrackPublishedResponse, TrackType, UpdateLocalVideoTrack, UpdateParticipantMetadata, UserPacket,
    VideoLayer, VideoQuality, data_packet, leave_request, video_layer,
};
use livekit_signaling::SignalOptions;
use media::{Codec, Layer, Quality};
use prost::Message as _;

use super::{AudioTrack, VideoTrack};

/// Signal protocol 16: the newest whose every demand this participant meets (17 and 18 are about data channels).
const PROTOCOL: u32 = 16;

/// How we join: publishing only, two peer connections (of which the subscriber's is never used), no regions to fail over to.
pub(super) fn signal_options() -> SignalOptions {
    let mut options = SignalOptions::default();
    options.auto_subscribe = false;
    options.adaptive_stream = false;
    options.single_peer_connection = false;
    options.region_failover = false;
    options.protocol_version = PROTOCOL;
    // Not the defaults: they promise to strip packet trailers and to read data streams.
    options.client_capabilities = vec![];
    options.client_protocol = 0;
    // The server offers ICE over TCP to every SDK but "go".
    options.sdk_options.sdk = "rust".into();
    options
}

/// Whether the room takes a codec. An empty list is an old server, which takes what it knows.
pub(super) fn takes(joined: &JoinResponse, codec: Codec) -> bool {
    let enabled = &joined.enabled_publish_codecs;
    enabled.is_empty() || enabled.iter().any(|c| c.mime.eq_ignore_ascii_case(codec.mime_type()))
}

pub(super) fn add_video(track: &VideoTrack, codec: Codec, cid: &str, stream: &str) -> AddTrackRequest {
    let layers = video_layers(&track.layers);
    let (width, height) = layers.last().map_or((0, 0), |top| (top.width, top.height));
    // Without simulcast_codecs the server says `simulcast: false`, and receivers offer no choice of quality.
    let codec = SimulcastCodec {
        codec: short_name(codec).into(),
        cid: cid.into(),
        layers: layers.clone(),
        video_layer_mode: video_layer::Mode::OneSpatialLayerPerStream.into(),
    };
    AddTrackRequest {
        cid: cid.into(),
        name: track.name.clone(),
        r#type: TrackType::Video.into(),
        source: track.source.into(),
        stream: stream.into(),
        width,
        height,
        layers,
        simulcast_codecs: vec![codec],
        ..AddTrackRequest::default()
    }
}

fn video_layers(layers: &[Layer]) -> Vec<VideoLayer> {
    let layer = |(index, layer): (usize, &Layer)| VideoLayer {
        quality: video_quality(layer.quality).into(),
        width: layer.width,
        height: layer.height,
        bitrate: layer.bitrate_bps,
        spatial_layer: i32::try_from(index).unwrap_or(i32::MAX),
        rid: if layers.len() > 1 { rtc::room::rid(layer.quality).into() } else { String::new() },
        ..VideoLayer::default()
    };
    layers.iter().enumerate().map(layer).collect()
}

#[expect(
    deprecated,
    reason = "livekit-server 1.13 still reads stereo and disable_dtx where audio_features say the same"
)]
pub(super) fn add_audio(track: &AudioTrack, red: bool, cid: &str, stream: &str) -> AddTrackRequest {
    let stereo = track.channels > 1;
    let features = [(AudioTrackFeature::TfStereo, stereo), (AudioTrackFeature::TfNoDtx, !track.dtx)];
    AddTrackRequest {
        cid: cid.into(),
        name: track.name.clone(),
        r#type: TrackType::Audio.into(),
        source: track.source.into(),
        stream: stream.into(),
        stereo,
        disable_dtx: !track.dtx,
        disable_red: !red,
        audio_features: features.iter().filter(|(_, on)| *on).map(|(feature, _)| (*feature).into()).collect(),
        ..AddTrackRequest::default()
    }
}

pub(super) fn offer(id: u32, sdp: String) -> SessionDescription {
    SessionDescription { r#type: "offer".into(), sdp, id, ..SessionDescription::default() }
}

/// Tells a server that we resume at what we have. Track sids that it does not know force a full rejoin.
pub(super) fn sync_state(
    offer: Option<SessionDescription>,
    published: &[TrackPublishedResponse],
) -> SyncState {
    SyncState { offer, publish_tracks: published.to_vec(), ..SyncState::default() }
}

/// Adds attributes to our own; name and metadata stay as they are when empty.
pub(super) fn attributes(attributes: &BTreeMap<String, String>) -> UpdateParticipantMetadata {
    let attributes = attributes.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    UpdateParticipantMetadata { attributes, ..UpdateParticipantMetadata::default() }
}

/// The top layer's size is the track's. (The lower ones the server reads from the keyframes.)
pub(super) fn resize(track_sid: &str, layers: &[Layer]) -> UpdateLocalVideoTrack {
    let (width, height) = layers.last().map_or((0, 0), |top| (top.width, top.height));
    UpdateLocalVideoTrack { track_sid: track_sid.into(), width, height }
}

/// A message to all in the room, as it goes over the data channel. Who sends it is for the server to say.
pub(super) fn data(topic: &str, payload: &[u8]) -> Vec<u8> {
    let user = UserPacket { payload: payload.to_vec(), topic: Some(topic.into()), ..UserPacket::default() };
    DataPacket { value: Some(data_packet::Value::User(user)), ..DataPacket::default() }.encode_to_vec()
}

pub(super) fn leave() -> LeaveRequest {
    LeaveRequest {
        reason: DisconnectReason::ClientInitiated.into(),
        action: leave_request::Action::Disconnect.into(),
        ..LeaveRequest::default()
    }
}

/// The candidate in a trickled `RTCIceCandidateInit`; `None` when there is none (the end of candidates).
pub(super) fn candidate(init: &str) -> Option<String> {
    let init: serde_json::Value = serde_json::from_str(init).ok()?;
    let text = init.get("candidate")?.as_str()?;
    (!text.is_empty()).then(|| text.to_owned())
}

/// Which of our layers somebody watches. LiveKit lists all three qualities even of a track with fewer layers: whoever wants a
/// quality that we lack gets our lowest layer.
#[expect(deprecated, reason = "servers that know no codecs here fill only subscribed_qualities")]
pub(super) fn wanted(update: &SubscribedQualityUpdate, codec: Codec, layers: &[Layer]) -> BTreeSet<Quality> {
    let short = |name: &str| name.rsplit('/').next().map(str::to_ascii_lowercase);
    let ours =
        update.subscribed_codecs.iter().find(|c| short(&c.codec).as_deref() == Some(short_name(codec)));
    let list = ours.map_or(&update.subscribed_qualities, |codec| &codec.qualities);
    let enabled = |quality| list.iter().any(|q: &SubscribedQuality| q.enabled && q.quality() == quality);
    let any = Quality::ALL.into_iter().any(|quality| enabled(video_quality(quality)));
    let qualities = layers.iter().map(|layer| layer.quality);
    let lowest = qualities.clone().min();
    qualities.filter(|q| enabled(video_quality(*q)) || (any && Some(*q) == lowest)).collect()
}

fn video_quality(quality: Quality) -> VideoQuality {
    match quality {
        Quality::Low => VideoQuality::Low,
        Quality::Medium => VideoQuality::Medium,
        Quality::High => VideoQuality::High,
    }
}

fn short_name(codec: Codec) -> &'static str {
    match codec {
        Codec::H265 => "h265",
        Codec::Vp8 => "vp8",
        Codec::Vp9 => "vp9",
        Codec::Av1 => "av1",
        _ => "h264",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livekit_protocol::{SubscribedCodec, TrackSource};

    fn layers(qualities: &[Quality]) -> Vec<Layer> {
        let layer = |q: &Quality| {
            let width = 320 << q.number();
            Layer { quality: *q, width, height: width / 2, bitrate_bps: width * 1000 }
        };
        qualities.iter().map(layer).collect()
    }

    fn video(qualities: &[Quality]) -> AddTrackRequest {
        let (name, source) = ("screen".to_owned(), TrackSource::ScreenShare);
        let track = VideoTrack { name, source, layers: layers(qualities) };
        add_video(&track, Codec::H264, "cid", "stream")
    }

    #[test]
    fn a_picture_track_is_announced_with_its_real_layers() {
        let request = video(&Quality::ALL);
        assert_eq!((request.width, request.height), (1280, 640));
        assert_eq!((request.cid.as_str(), request.stream.as_str()), ("cid", "stream"));
        assert_eq!(request.source(), TrackSource::ScreenShare);
        let got: Vec<_> =
            request.layers.iter().map(|l| (l.rid.as_str(), l.quality, l.spatial_layer, l.width)).collect();
        assert_eq!(got, [("q", 0, 0, 320), ("h", 1, 1, 640), ("f", 2, 2, 1280)]);
        let [codec] = &request.simulcast_codecs[..] else { panic!("one codec") };
        assert_eq!((codec.codec.as_str(), codec.cid.as_str()), ("h264", "cid"));
        assert_eq!(codec.layers, request.layers);
    }

    #[test]
    fn two_layers_are_h_and_f_and_one_has_no_rid() {
        let rids = |request: AddTrackRequest| request.layers.into_iter().map(|l| l.rid).collect::<Vec<_>>();
        assert_eq!(rids(video(&[Quality::Medium, Quality::High])), ["h", "f"]);
        assert_eq!(rids(video(&[Quality::High])), [""]);
    }

    #[test]
    #[expect(deprecated, reason = "the fields that the server reads")]
    fn sound_says_stereo_and_no_dtx_unless_asked() {
        let track = |channels, dtx| AudioTrack {
            name: String::new(),
            source: TrackSource::Microphone,
            channels,
            dtx,
        };
        let stereo = add_audio(&track(2, false), false, "cid", "stream");
        assert_eq!((stereo.stereo, stereo.disable_dtx, stereo.disable_red), (true, true, true));
        assert_eq!(stereo.audio_features, [0, 1]);
        let mono = add_audio(&track(1, true), true, "cid", "stream");
        assert_eq!((mono.stereo, mono.disable_dtx, mono.disable_red), (false, false, false));
        assert_eq!(mono.audio_features, [0_i32; 0]);
    }

    fn update(codec: &str, on: [bool; 3]) -> SubscribedQualityUpdate {
        let quality = |(quality, enabled)| SubscribedQuality { quality, enabled };
        let qualities = (0..).zip(on).map(quality).collect();
        let codec = SubscribedCodec { codec: codec.into(), qualities };
        SubscribedQualityUpdate { subscribed_codecs: vec![codec], ..SubscribedQualityUpdate::default() }
    }

    #[test]
    fn the_layers_that_somebody_watches_are_wanted() {
        use Quality::*;
        let wanted = |on, have: &[Quality]| {
            let set = wanted(&update("video/H264", on), Codec::H264, &layers(have));
            set.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(wanted([true, true, true], &Quality::ALL), Quality::ALL);
        assert_eq!(wanted([true, false, false], &Quality::ALL), [Low]);
        assert_eq!(wanted([false, false, false], &Quality::ALL), []);
        assert_eq!(wanted([true, false, false], &[Medium, High]), [Medium], "the lowest that there is");
        assert_eq!(wanted([true, true, false], &[High]), [High]);
        assert_eq!(wanted([false, false, false], &[High]), []);
    }

    #[test]
    fn a_codec_that_is_not_ours_does_not_count() {
        let all = layers(&Quality::ALL);
        assert_eq!(wanted(&update("vp8", [true; 3]), Codec::H264, &all), BTreeSet::new());
        assert_eq!(wanted(&update("vp8", [true; 3]), Codec::Vp8, &all).len(), 3);
    }

    #[test]
    fn trickled_candidates_are_read_and_odd_ones_are_none() {
        let text = "candidate:1 1 udp 2130706431 127.0.0.1 7882 typ host";
        let init = serde_json::json!({ "candidate": text, "sdpMid": "0" }).to_string();
        assert_eq!(candidate(&init).as_deref(), Some(text));
        for odd in ["", "{", "[]", "{}", r#"{"candidate":3}"#, r#"{"candidate":""}"#] {
            assert_eq!(candidate(odd), None, "{odd}");
        }
    }
}
