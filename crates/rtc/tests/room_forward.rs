//! A room that forwards a publisher's packets to a second peer connection that plays the SFU, in virtual time.

mod world;

use std::time::Duration;

use media::{Codec, Encoded, MediaTime, Output, Quality, RtpPacket};
use sluicegate_rtc::room::{Config, Error, Event, Room};
use str0m::{
    media::{KeyframeRequestKind, MediaKind, Rid},
    rtp,
};
use world::{MS, World, layers};

const HIGH: Output = Output::Video(Quality::High);

/// Captured so many milliseconds after the media clock's zero.
fn packet(output: Output, stream: u32, sequence: u64, millis: i64) -> RtpPacket {
    let rate = if output == Output::Audio { 48 } else { 90 };
    RtpPacket {
        stream,
        sequence,
        timestamp: (millis * rate) as u32,
        captured: MediaTime::from_millis(millis),
        marker: true,
        keyframe: sequence.is_multiple_of(30),
        level: None,
        payload: sequence.to_be_bytes().into(),
    }
}

/// A second: pictures of three packets at 30 fps for each layer, and sound.
fn play_second(world: &mut World, qualities: &[Quality], second: i64) {
    for ms in (0..1000).map(|ms| second * 1000 + ms) {
        if ms % 20 == 0 {
            let sound = packet(Output::Audio, 1, ms as u64 / 20, ms);
            assert!(world.forward(Output::Audio, &sound));
        }
        if ms % 33 == 0 {
            for quality in qualities {
                for part in 0..3 {
                    let sequence = 70_000 + ms as u64 / 33 * 3 + part;
                    let picture = RtpPacket { marker: part == 2, ..packet(HIGH, 1, sequence, ms) };
                    world.forward(Output::Video(*quality), &picture);
                }
            }
        }
        world.run(MS);
    }
}

fn video<'a>(world: &'a World, rid: Option<&str>) -> &'a [rtp::RtpPacket] {
    world.packets.get(&(MediaKind::Video, rid.map(Rid::from))).map_or(&[], Vec::as_slice)
}

/// Numbers from the first on, in the order in which they arrived.
fn numbers(packets: &[rtp::RtpPacket]) -> Vec<u64> {
    packets.iter().map(|packet| *packet.seq_no - *packets[0].seq_no).collect()
}

#[test]
fn three_layers_and_sound_arrive_as_they_were_cut() {
    let mut world = World::forwarding(Codec::Vp8, &layers());
    for second in 0..3 {
        play_second(&mut world, &Quality::ALL, second);
    }
    world.run(100 * MS);
    for rid in ["q", "h", "f"] {
        let got = video(&world, Some(rid));
        assert_eq!(numbers(got), (0..273).collect::<Vec<_>>(), "layer {rid}");
        assert!(got.iter().zip(70_000_u64..).all(|(p, sent)| *p.payload == sent.to_be_bytes()));
        assert!(got.iter().enumerate().all(|(i, p)| p.header.marker == (i % 3 == 2)));
        let first = &got[0];
        assert!(
            got.iter().zip(0..).all(|(p, i)| p.header.timestamp - first.header.timestamp == i / 3 * 2970)
        );
        assert_eq!(first.header.ext_vals.rid, Some(Rid::from(rid)));
        assert!(first.header.ext_vals.mid.is_some());
    }
    let sound = &world.packets[&(MediaKind::Audio, None)];
    assert_eq!(numbers(sound), (0..150).collect::<Vec<_>>());
    assert!(world.has(&Event::Connected));
}

#[test]
fn one_layer_of_each_codec_has_no_rid() {
    for codec in [Codec::H264, Codec::Vp8, Codec::H265, Codec::Vp9, Codec::Av1] {
        let mut world = World::forwarding(codec, &layers()[2..]);
        play_second(&mut world, &[Quality::High], 0);
        world.run(100 * MS);
        assert_eq!(video(&world, None).len(), 93, "{codec}");
        assert!(!world.room.is_open(Output::Video(Quality::Low)));
        let low = packet(Output::Video(Quality::Low), 1, 0, 0);
        assert!(!world.forward(Output::Video(Quality::Low), &low), "a layer that is not there");
    }
}

#[test]
fn the_offer_names_one_codec_and_its_resends() {
    let names = [
        (Codec::H264, "125 H264/90000"),
        (Codec::Vp8, "96 VP8/90000"),
        (Codec::H265, "102 H265/90000"),
        (Codec::Vp9, "98 VP9/90000"),
        (Codec::Av1, "45 AV1/90000"),
    ];
    for (codec, name) in names {
        let mut world = World::with(Config { video: codec, red: true, forward: true });
        world.room.add_video(&layers(), "stream", "picture").unwrap();
        world.room.add_audio("stream", "sound").unwrap();
        let offer = world.negotiate();
        let maps: Vec<_> = offer.lines().filter_map(|line| line.strip_prefix("a=rtpmap:")).collect();
        assert!(maps.len() == 3 && maps.contains(&name), "{maps:?}");
        assert!(maps.iter().any(|map| map.ends_with(" rtx/90000")), "{maps:?}");
        assert!(offer.contains("a=simulcast:send q;h;f"), "{offer}");
    }
    let now = std::time::Instant::now();
    let frames = Config { video: Codec::Av1, red: false, forward: false };
    assert!(matches!(Room::new(now, frames, Default::default()), Err(Error::Codec { .. })));
}

#[test]
fn frames_are_dropped_where_packets_go_and_packets_where_frames_go() {
    let mut world = World::forwarding(Codec::H264, &layers());
    assert!(world.room.is_open(HIGH) && world.room.is_open(Output::Audio));
    let frame = Encoded { output: HIGH, pts: MediaTime::ZERO, keyframe: true, data: vec![0; 9].into() };
    assert!(!world.room.write(world.now, &frame).unwrap());
    let mut world = World::connected(Codec::H264);
    assert!(!world.forward(HIGH, &packet(HIGH, 1, 0, 0)));
    world.room.pause(HIGH);
}

#[test]
fn losses_before_us_stay_and_late_packets_fill_them() {
    let mut world = World::forwarding(Codec::Vp8, &layers());
    let sent = [60, 61, 64, 62, 65, 64, 59].map(|sequence| {
        world.run(15 * MS);
        world.forward(HIGH, &packet(HIGH, 1, sequence, sequence as i64 * 33))
    });
    assert_eq!(sent, [true, true, true, true, true, false, false], "one twice, one before the first");
    world.run(50 * MS);
    assert_eq!(numbers(video(&world, Some("f"))), [0, 1, 4, 2, 5]);
}

#[test]
fn a_takeover_and_a_new_ssrc_go_on_where_the_last_one_was() {
    let mut world = World::forwarding(Codec::Vp8, &layers());
    for (stream, sequence, millis) in [(1, 60, 0), (1, 61, 33), (2, 30_000, 500), (2, 30_002, 533)] {
        assert!(world.forward(HIGH, &packet(HIGH, stream, sequence, millis)));
    }
    assert!(!world.forward(HIGH, &packet(HIGH, 1, 62, 66)), "late, of the first");
    world.run(50 * MS);
    let got = video(&world, Some("f"));
    assert_eq!(numbers(got), [0, 1, 2, 4]);
    let times: Vec<_> =
        got.iter().map(|p| p.header.timestamp.wrapping_sub(got[0].header.timestamp)).collect();
    assert_eq!(times, [0, 33 * 90, 500 * 90, 533 * 90]);
    assert!(got.iter().all(|packet| packet.header.ssrc == got[0].header.ssrc), "one SSRC of ours");
}

#[test]
fn a_pause_of_a_layer_leaves_no_gap() {
    let mut world = World::forwarding(Codec::Vp8, &layers());
    for (sequence, paused) in
        [(60, false), (61, false), (900, true), (901, false), (899, false), (902, false)]
    {
        if paused {
            world.room.pause(HIGH);
        }
        world.forward(HIGH, &packet(HIGH, 1, sequence, sequence as i64 * 33));
    }
    world.run(50 * MS);
    let got = video(&world, Some("f"));
    assert_eq!(numbers(got), [0, 1, 2, 3, 4], "and what is from before it comes too late");
    assert_eq!(got[2].header.timestamp - got[0].header.timestamp, 840 * 33 * 90);
}

#[test]
fn packets_that_the_sfu_misses_are_sent_again() {
    let mut world = World::forwarding(Codec::Vp8, &layers());
    play_second(&mut world, &Quality::ALL, 0);
    world.lose_each = 20;
    for second in 1..4 {
        play_second(&mut world, &Quality::ALL, second);
    }
    world.lose_each = usize::MAX;
    play_second(&mut world, &Quality::ALL, 4);
    world.run(500 * MS);
    for rid in ["q", "h", "f"] {
        let mut got = numbers(video(&world, Some(rid)));
        got.sort_unstable();
        assert_eq!(got, (0..456).collect::<Vec<_>>(), "layer {rid}");
    }
}

#[test]
fn keyframe_requests_reach_the_right_layer_and_a_keyframe_serves_them() {
    let mut world = World::forwarding(Codec::Vp8, &layers());
    let needed = |world: &World| {
        let key = |(_, event): &(_, Event)| match event {
            Event::KeyframeNeeded(quality) => Some(*quality),
            _ => None,
        };
        world.events.iter().filter_map(key).collect::<Vec<_>>()
    };
    assert_eq!(needed(&world), Quality::ALL, "all layers start with a keyframe");
    play_second(&mut world, &Quality::ALL, 0);
    world.events.clear();
    let mid = *world.mids.iter().find(|(_, kind)| **kind == MediaKind::Video).unwrap().0;
    for sequence in [70_100, 70_101] {
        let mut api = world.sfu.direct_api();
        let stream = api.stream_rx_by_mid(mid, Some(Rid::from("h"))).unwrap();
        stream.request_keyframe(KeyframeRequestKind::Pli);
        world.run(60 * MS);
        let medium = Output::Video(Quality::Medium);
        world.forward(medium, &RtpPacket { keyframe: true, ..packet(medium, 1, sequence, 1100) });
    }
    world.run(1000 * MS);
    assert_eq!(needed(&world), [Quality::Medium], "the keyframe serves the second");
}

#[test]
fn sender_reports_put_sound_and_picture_of_one_capture_at_one_time() {
    let mut world = World::forwarding(Codec::Vp8, &layers());
    let (mut sound, mut picture) = (0, 0);
    for ms in 0..6000_i64 {
        if ms % 20 == 0 {
            // Its clock is not the picture's.
            let packet =
                RtpPacket { timestamp: 777 + (ms * 48) as u32, ..packet(Output::Audio, 1, sound, ms) };
            world.forward(Output::Audio, &packet);
            sound += 1;
        }
        if ms % 33 == 0 && ms > 100 {
            // Eighty milliseconds later than its sound; halfway another stream, with another clock.
            let (stream, offset) = if ms < 3000 { (1, 5) } else { (2, 1 << 31) };
            let captured = ms - 80;
            let timestamp = (captured as u32 * 90).wrapping_add(offset);
            world.forward(HIGH, &RtpPacket { timestamp, ..packet(HIGH, stream, picture, captured) });
            picture += 1;
        }
        world.run(MS);
    }
    let ntp_of_zero = |kind, rid, rate: u64| {
        let last = world.packets[&(kind, rid)].last().unwrap();
        let info = last.last_sender_info.as_ref().expect("a sender report");
        let nanos = (info.rtp_time.numer() - 3600 * rate) * 1_000_000_000 / rate;
        info.ntp_time - Duration::from_nanos(nanos)
    };
    let sound = ntp_of_zero(MediaKind::Audio, None, 48_000);
    let picture = ntp_of_zero(MediaKind::Video, Some(Rid::from("f")), 90_000);
    let apart = sound.max(picture).duration_since(sound.min(picture)).unwrap();
    assert!(apart < 3 * MS, "{apart:?} apart");
}

#[test]
fn large_packets_fit_a_datagram_and_larger_ones_are_dropped() {
    let mut world = World::forwarding(Codec::Vp8, &layers());
    let sized =
        |sequence, bytes: usize| RtpPacket { payload: vec![1; bytes].into(), ..packet(HIGH, 1, sequence, 0) };
    for (sequence, bytes, fits) in
        [(0, 1200, true), (1, 1400, true), (2, 1401, false), (3, 65_536, false), (4, 0, true)]
    {
        let sent = world.room.forward(world.now, HIGH, &sized(sequence, bytes)).unwrap();
        assert_eq!(sent, fits, "{bytes} bytes");
        while let Some(datagram) = world.room.poll_transmit(world.now) {
            assert!(datagram.contents.len() <= 1460, "{} bytes of a datagram", datagram.contents.len());
        }
        world.run(MS);
    }
}

#[test]
fn odd_packets_end_nothing() {
    let mut world = World::forwarding(Codec::H264, &layers());
    for (i, sequence) in [0, u64::MAX, 1, u64::MAX - 1, 1 << 16, 1 << 63, 2, 3, 4].into_iter().enumerate() {
        for millis in [0, i64::MAX, i64::MIN, -5000] {
            let packet = RtpPacket {
                stream: i as u32 % 2,
                sequence,
                captured: MediaTime::from_millis(millis),
                timestamp: u32::MAX,
                marker: false,
                keyframe: false,
                level: None,
                payload: [].into(),
            };
            world.forward(HIGH, &packet);
            world.forward(Output::Audio, &packet);
            world.run(MS);
        }
    }
    let before = video(&world, Some("f")).len();
    for sequence in 500..510 {
        assert!(world.forward(HIGH, &packet(HIGH, 9, sequence, sequence as i64)));
    }
    world.run(50 * MS);
    assert_eq!(video(&world, Some("f")).len(), before + 10, "and the SFU still follows");
}
