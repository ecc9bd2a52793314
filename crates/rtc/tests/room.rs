//! A room against a second peer connection that plays the SFU, in virtual time.

mod world;

use std::time::Duration;

use media::{Codec, MediaTime, Output, Quality};
use sluicegate_rtc::room::Event;
use str0m::{
    change::SdpOffer,
    media::{KeyframeRequestKind, MediaKind, Rid},
};
use world::{MS, World, layers, picture};

#[test]
fn three_layers_and_sound_arrive_whole_and_paced() {
    let mut world = World::connected(Codec::H264);
    for second in 0..3 {
        world.play_second(second * 1000);
    }
    world.run(100 * MS);
    for (rid, size) in [("q", 800), ("h", 2_500), ("f", 9_000)] {
        let pictures = world.pictures(rid);
        assert_eq!(pictures.len(), 90, "layer {rid}");
        assert!(pictures.iter().all(|p| p.contiguous), "layer {rid}");
        assert!(pictures[1].bytes.abs_diff(size) < 32 && pictures[0].bytes > size * 4, "layer {rid}");
    }
    assert_eq!(world.got[&(MediaKind::Audio, None)].len(), 150);
    assert!(world.most_at_once <= 12, "{} datagrams in one millisecond", world.most_at_once);
}

#[test]
fn the_first_offer_names_rids_msids_candidate_and_one_codec() {
    let mut world = World::new(Codec::H264);
    world.room.add_video(&layers(), "stream", "picture").unwrap();
    let offer = world.negotiate();
    for line in [
        "a=rid:q send",
        "a=rid:h send",
        "a=rid:f send",
        "a=simulcast:send q;h;f",
        "a=msid:stream picture",
        "a=rtpmap:125 H264/90000",
        "a=rtpmap:107 rtx/90000",
        "a=rtcp-fb:125 nack pli",
        "a=rtcp-fb:125 ccm fir",
        "a=rtcp-fb:125 transport-cc",
    ] {
        assert!(offer.lines().any(|l| l.starts_with(line)), "{line} is not in\n{offer}");
    }
    let fmtp = offer.lines().find(|l| l.starts_with("a=fmtp:125 ")).unwrap();
    assert!(fmtp.contains("packetization-mode=1") && fmtp.contains("profile-level-id=42e01f"), "{fmtp}");
    assert!(offer.contains(" 10.0.0.1 1 typ host"), "{offer}");
    assert!(!offer.contains("VP8") && !offer.contains("m=audio"), "{offer}");
}

#[test]
fn a_track_that_comes_later_is_negotiated_while_the_first_flows() {
    let mut world = World::new(Codec::Vp8);
    world.room.add_audio("stream", "sound").unwrap();
    world.negotiate();
    assert_eq!(world.room.offer(world.now).unwrap(), None, "nothing new to offer");
    world.trickle();
    world.run(500 * MS);
    assert!(world.has(&Event::Connected));
    let high = Output::Video(Quality::High);
    assert!(!world.room.is_open(high));
    assert!(!world.write(high, MediaTime::ZERO, true, vec![0; 100]), "dropped, not an error");
    world.room.add_video(&layers()[2..], "stream", "picture").unwrap();
    let offer = world.negotiate();
    assert!(!offer.contains("a=rid"), "one layer has no rid:\n{offer}");
    assert!(world.room.is_open(high) && world.room.is_open(Output::Audio));
    assert!(world.room.add_video(&layers(), "stream", "again").is_err());
    // A VP8 keyframe's first bytes (RFC 6386 section 9.1).
    let key = [&[0x10, 0, 0, 0x9d, 0x01, 0x2a, 0, 5, 0, 3][..], &[7; 2_000]].concat();
    assert!(world.write(high, MediaTime::from_millis(40), true, key.clone()));
    world.run(100 * MS);
    let got = &world.got[&(MediaKind::Video, None)];
    assert_eq!((got.len(), got[0].bytes), (1, key.len()));
}

#[test]
fn an_answer_out_of_turn_is_an_error_and_a_second_offer_waits() {
    let mut world = World::new(Codec::H264);
    assert!(world.room.answer(world.now, "v=0").is_err());
    world.room.add_audio("stream", "sound").unwrap();
    assert!(world.room.offer(world.now).unwrap().is_some());
    world.room.add_video(&layers(), "stream", "picture").unwrap();
    assert_eq!(world.room.offer(world.now).unwrap(), None);
    let error = world.room.answer(world.now, "nonsense").unwrap_err();
    assert!(error.to_string().starts_with("SDP answer of 8 bytes does not parse"), "{error}");
    assert!(world.room.add_remote(world.now, "candidate:odd").is_err());
}

#[test]
fn keyframe_requests_reach_the_right_layer_once_in_a_while() {
    let mut world = World::connected(Codec::H264);
    let first: Vec<_> = world.events.iter().filter_map(|(_, e)| keyframe(e)).collect();
    assert_eq!(first, Quality::ALL, "all layers start with a keyframe");
    world.play_second(0);
    world.events.clear();
    let mid = *world.mids.iter().find(|(_, kind)| **kind == MediaKind::Video).unwrap().0;
    for kind in [KeyframeRequestKind::Pli, KeyframeRequestKind::Fir, KeyframeRequestKind::Pli] {
        let mut writer = world.sfu.writer(mid).unwrap();
        writer.request_keyframe(Some(Rid::from("h")), kind).unwrap();
        world.run(60 * MS);
    }
    world.run(1000 * MS);
    let asked: Vec<_> = world.events.iter().filter_map(|(at, e)| Some((*at, keyframe(e)?))).collect();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked.iter().all(|(_, quality)| *quality == Quality::Medium));
    assert!(asked[1].0 - asked[0].0 >= 250 * MS);
}

fn keyframe(event: &Event) -> Option<Quality> {
    match event {
        Event::KeyframeNeeded(quality) => Some(*quality),
        _ => None,
    }
}

#[test]
fn lost_packets_are_sent_again() {
    let mut world = World::connected(Codec::H264);
    world.play_second(0);
    world.lose_each = 20;
    let before = world.media_datagrams;
    for second in 1..4 {
        world.play_second(second * 1000);
    }
    world.lose_each = usize::MAX;
    world.play_second(4000);
    assert!(world.media_datagrams - before > 1_000, "5 % of many");
    for rid in ["q", "h", "f"] {
        let pictures = world.pictures(rid);
        assert_eq!(pictures.len(), 150, "layer {rid}");
        assert!(pictures.iter().all(|p| p.contiguous), "layer {rid} has a gap");
    }
}

/// The losses that were told of the sound.
fn sound_losses(world: &World) -> Vec<f32> {
    let loss = |event: &Event| match event {
        Event::Stats(stats) if stats.output == Output::Audio => stats.loss,
        _ => None,
    };
    world.events.iter().filter_map(|(_, event)| loss(event)).collect()
}

#[test]
fn what_the_receiver_misses_of_the_sound_is_told_and_its_end_too() {
    let mut world = World::new(Codec::H264);
    world.room.add_audio("stream", "sound").unwrap();
    let offer = world.negotiate();
    let fmtp = offer.lines().find(|line| line.starts_with("a=fmtp:111 ")).unwrap();
    assert!(fmtp.contains("useinbandfec=1"), "{fmtp}");
    world.trickle();
    world.run(500 * MS);
    // The SFU of this world reports on sound every 5 s.
    let play = |world: &mut World, seconds: std::ops::Range<i64>| {
        for ms in seconds.start * 50..seconds.end * 50 {
            world.write(Output::Audio, MediaTime::from_millis(ms * 20), true, vec![0xfc, 0xff, 0xfe]);
            world.run(19 * MS);
        }
    };
    play(&mut world, 0..12);
    assert!(sound_losses(&world).iter().all(|loss| *loss == 0.0), "{:?}", sound_losses(&world));
    world.lose_each = 5;
    play(&mut world, 12..30);
    let worst = sound_losses(&world).into_iter().fold(0.0, f32::max);
    assert!((0.17..0.23).contains(&worst), "each fifth packet is lost: {worst}");
    world.lose_each = usize::MAX;
    play(&mut world, 30..48);
    assert_eq!(sound_losses(&world).last(), Some(&0.0));
}

#[test]
fn sender_reports_put_sound_and_picture_of_one_pts_at_one_time() {
    let mut world = World::connected(Codec::H264);
    for second in 0..4 {
        // The pictures come 80 ms later than the sound that belongs to them.
        for ms in (0..1000).step_by(20) {
            let pts = second * 1000 + ms;
            world.write(Output::Audio, MediaTime::from_millis(pts), true, vec![0xfc, 0xff, 0xfe]);
            if ms % 40 == 0 {
                let key = pts % 1000 == 0;
                world.write(
                    Output::Video(Quality::High),
                    MediaTime::from_millis(pts - 80),
                    key,
                    picture(key, 500),
                );
            }
            world.run(19 * MS);
        }
    }
    let ntp_of_zero = |kind, rid, rate: i64| {
        let got = world.got[&(kind, rid)].last().unwrap();
        let (ntp, rtp) = got.report.expect("a sender report");
        let pts_ns = (rtp as i64 - 3600 * rate) * 1_000_000_000 / rate;
        ntp - Duration::from_nanos(pts_ns as u64)
    };
    let sound = ntp_of_zero(MediaKind::Audio, None, 48_000);
    let picture = ntp_of_zero(MediaKind::Video, Some(Rid::from("f")), 90_000);
    let apart = sound.max(picture).duration_since(sound.min(picture)).unwrap();
    assert!(apart < 3 * MS, "{apart:?} apart");
}

#[test]
fn layers_of_a_picture_share_their_rtp_time_and_a_pause_keeps_the_clock() {
    let mut world = World::connected(Codec::H264);
    world.play_second(0);
    world.run(5_000 * MS);
    world.play_second(6_000);
    world.run(100 * MS);
    let times = |rid: &str| world.pictures(rid).iter().map(|p| p.rtp_time).collect::<Vec<_>>();
    assert_eq!(times("q"), times("f"));
    assert_eq!(times("f")[30] - times("f")[0], 6 * 90_000);
    assert!(world.pictures("f")[30].contiguous);
}

#[test]
fn ice_restarts_while_media_flows() {
    let mut world = World::connected(Codec::H264);
    world.play_second(0);
    let offer = world.room.restart_ice(world.now).unwrap().unwrap();
    assert_eq!(world.room.restart_ice(world.now).unwrap(), None, "one at a time");
    let sdp = SdpOffer::from_sdp_string(&offer).unwrap();
    let answer = world.sfu.sdp_api().accept_offer(sdp).unwrap();
    world.room.answer(world.now, &answer.to_sdp_string()).unwrap();
    world.play_second(1_000);
    world.run(100 * MS);
    assert_eq!(world.pictures("f").len(), 60);
    assert!(!world.has(&Event::Closed));
}

#[test]
fn a_path_that_is_gone_is_told_and_found_again_by_a_restart() {
    let mut world = World::connected(Codec::H264);
    world.play_second(0);
    world.cut = true;
    world.run(Duration::from_secs(30));
    assert!(world.has(&Event::Path(false)), "{:?}", world.events);
    world.cut = false;
    let offer = world.room.restart_ice(world.now).unwrap().unwrap();
    let sdp = SdpOffer::from_sdp_string(&offer).unwrap();
    let answer = world.sfu.sdp_api().accept_offer(sdp).unwrap();
    world.room.answer(world.now, &answer.to_sdp_string()).unwrap();
    world.trickle();
    world.run(Duration::from_secs(3));
    let last = world.events.iter().rev().find(|(_, e)| matches!(e, Event::Path(_)));
    assert_eq!(last.map(|(_, e)| e), Some(&Event::Path(true)));
    let before = world.pictures("f").len();
    world.play_second(34_000);
    world.run(100 * MS);
    assert_eq!(world.pictures("f").len(), before + 30);
}

#[test]
fn the_end_is_told_to_the_peer_and_by_the_peer() {
    let mut world = World::connected(Codec::H264);
    world.sfu.close().unwrap();
    world.run(200 * MS);
    assert!(world.has(&Event::Closed));
}
