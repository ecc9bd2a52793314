//! A participant that forwards a publisher's packets into a room of the real livekit-server.

#[allow(dead_code, reason = "room.rs uses the rest")]
mod support;

use std::collections::BTreeSet;

use livekit_protocol::VideoQuality;
use media::{Codec, Kind, Output, Quality};
use sluicegate_livekit::room::{self, Event, OutputStats, VideoTrack};
use support::{
    api::track,
    clip::{Player, audio, video},
    server::Server,
    viewer::Viewer,
    within,
};

const HIGH: Output = Output::Video(Quality::High);

fn options(server: &Server, video_codec: Codec) -> room::Options {
    room::Options { video_codec, forward: true, ..server.options() }
}

#[tokio::test]
async fn three_layers_and_sound_are_seen_whole_across_a_takeover() {
    for codec in [Codec::Vp8, Codec::H264] {
        let server = Server::start().await;
        let (room, mut events) = room::join(options(&server, codec)).await.unwrap();
        room.publish_video(video()).unwrap();
        room.publish_audio(audio()).unwrap();
        let mut player = Player::packets(codec);
        player.play_until(&room, &mut events, "connected", |e| *e == Event::Connected).await;
        let mut viewer = Viewer::join(&server).await;
        for round in 0..2 {
            let watch = async {
                let (mut pictures, mut sounds) = (0, 0);
                while pictures < 60 || sounds < 100 {
                    let seen = viewer.next().await;
                    if seen.kind == Kind::Audio {
                        sounds += 1;
                        continue;
                    }
                    assert!(
                        pictures + round > 0 || seen.keyframe,
                        "{codec}: the first picture can be decoded"
                    );
                    // The SFU may start with another layer, and change in the midst of a picture.
                    let settled = round > 0 || pictures > 20;
                    assert!(seen.contiguous || !settled, "{codec}: picture {pictures} of round {round}");
                    pictures += 1;
                }
            };
            player.play_while(&room, &mut events, within("the viewer sees and hears", watch)).await;
            player.take_over();
        }
        viewer.leave().await;
        room.leave().await;
    }
}

#[tokio::test]
async fn a_layer_that_was_not_handed_over_comes_back_without_a_loss() {
    let server = Server::start_with("video:\n  dynacast_pause_delay: 1s").await;
    let (room, mut events) = room::join(options(&server, Codec::Vp8)).await.unwrap();
    room.publish_video(video()).unwrap();
    let mut player = Player::packets(Codec::Vp8);
    let listed = |e: &Event| matches!(e, Event::Published { kind: Kind::Video, .. });
    let seen = player.play_until(&room, &mut events, "published", listed).await;
    let Some(Event::Published { track_sid, .. }) = seen.last().cloned() else { unreachable!() };
    let mut viewer = Viewer::join(&server).await;
    player.play_while(&room, &mut events, within("a first picture", viewer.next())).await;

    viewer.want(&track_sid, VideoQuality::Low).await;
    let low = Event::Wanted(BTreeSet::from([Quality::Low]));
    let down = player.play_until(&room, &mut events, "only low is wanted", |e| *e == low);
    viewer.watch(down).await;
    player.pause(HIGH);
    let sent = |e: &Event| matches!(e, Event::Stats(OutputStats { output: Output::Audio | HIGH, .. }));
    let a_while = player.play_until(&room, &mut events, "paused for a while", sent);
    viewer.watch(a_while).await;
    viewer.want(&track_sid, VideoQuality::High).await;
    let key = |e: &Event| *e == Event::KeyframeNeeded(Quality::High);
    let up = player.play_until(&room, &mut events, "high is wanted again", key);
    viewer.watch(up).await;
    player.resume(&room);
    // The SFU changes layers in the midst of a picture, so what the viewer sees says nothing: the SFU's reports do.
    let reported =
        |e: &Event| matches!(e, Event::Stats(stats) if stats.output == HIGH && stats.rtt.is_some());
    for _ in 0..3 {
        let flows = player.play_until(&room, &mut events, "high flows again", reported);
        let (seen, _) = viewer.watch(flows).await;
        let Some(Event::Stats(stats)) = seen.last() else { unreachable!() };
        assert_eq!(stats.lost, 0, "the room misses nothing");
    }
    viewer.leave().await;
    room.leave().await;
}

#[tokio::test]
async fn every_codec_is_announced_by_its_name() {
    let server = Server::start().await;
    for (codec, layers) in
        [(Codec::Vp9, 3), (Codec::Av1, 3), (Codec::H265, 1), (Codec::H264, 2), (Codec::Vp8, 1)]
    {
        let (room, mut events) = room::join(options(&server, codec)).await.unwrap();
        let top = video().layers[3 - layers..].to_vec();
        room.publish_video(VideoTrack { layers: top, ..video() }).unwrap();
        let mut player = Player::packets(codec);
        let flows = |e: &Event| {
            matches!(e, Event::Stats(OutputStats { output: HIGH, packets: 1.., rtt: Some(_), .. }))
        };
        player.play_until(&room, &mut events, "the server reports on the picture", flows).await;
        let named =
            |p: &serde_json::Value| track(p, "picture").is_some_and(|t| t["mime_type"] == codec.mime_type());
        let obs = player.play_while(&room, &mut events, server.participant("its name", named)).await;
        let listed = track(&obs, "picture").unwrap()["layers"].as_array().map(Vec::len);
        assert_eq!(listed, Some(layers), "{codec}");
        room.leave().await;
        server.gone("obs").await;
    }
}
