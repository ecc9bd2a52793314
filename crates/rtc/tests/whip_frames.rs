//! Pictures put together for a worker, from packets that str0m or this test cut.
#![allow(clippy::unwrap_used, reason = "tests")]

mod publisher;

use std::time::Duration;

use media::{Kind, TrackId};
use publisher::{Link, MS, World};
use sluicegate_rtc::whip::{Mode, Track};
use str0m::media::{KeyframeRequestKind, MediaKind};

/// Pictures of a codec, several packets each, as [`media::Codec`] says that they look.
fn pictures(name: &str) -> Vec<(Vec<u8>, bool)> {
    let body = |seed: u8, length: u16| -> Vec<u8> {
        // No start codes, and nothing that a codec's header could be read from.
        (0..length).map(|at| seed | 0x80 | at.to_be_bytes()[1]).collect()
    };
    let annexb = |units: &[(&[u8], u16)]| -> Vec<u8> {
        units.iter().flat_map(|(head, length)| [&[0, 0, 0, 1], *head, &body(3, *length)].concat()).collect()
    };
    // 3000 is 0xb8 0x17 as leb128.
    let obu = |header: u8| [&[header, 0xb8, 0x17][..], &body(5, 3000)].concat();
    let sequence_header: &[u8] = &[0x0a, 4, 0, 0, 0, 1];
    let (key, other) = match name {
        "obs30" => (
            annexb(&[(&[0x67, 0x42, 0xe0, 0x1f], 8), (&[0x68, 0xce], 4), (&[0x65], 3000)]),
            annexb(&[(&[0x41], 2500)]),
        ),
        "chromium_h265" => (
            annexb(&[
                (&[0x40, 1], 9),
                (&[0x42, 1], 20),
                (&[0x44, 1], 5),
                (&[0x26, 1], 3000),
                (&[0x26, 1], 2000),
            ]),
            annexb(&[(&[0x02, 1], 2500), (&[0x02, 1], 2500)]),
        ),
        "chromium_vp9" => {
            ([&[0x82, 0x49, 0x83, 0x42][..], &body(7, 3000)].concat(), [&[0x86][..], &body(7, 2500)].concat())
        }
        "chromium_av1" => ([sequence_header, &obu(0x32)].concat(), [obu(0x32), obu(0x32)].concat()),
        _ => (
            [&[0x50, 0x42, 0, 0x9d, 1, 0x2a][..], &body(9, 3000)].concat(),
            [&[0x51][..], &body(9, 2500)].concat(),
        ),
    };
    (0..50)
        .map(|number| if number % 25 == 0 { (key.clone(), true) } else { (other.clone(), false) })
        .collect()
}

#[test]
fn pictures_of_every_codec_come_out_as_they_went_in() {
    for name in ["obs30", "chromium_h265", "aiortc", "chromium_vp9", "chromium_av1"] {
        let mut world = World::of_pictures(name, Mode::Frames);
        let pictures = pictures(name);
        for (number, (picture, _)) in (0..).zip(&pictures) {
            world.write(1, number * 40 * MS, picture);
            for step in 0..2 {
                world.write(0, number * 40 * MS + step * 20 * MS, &[0xfc, 0xff, 0xfe]);
                world.run(20 * MS);
            }
        }
        world.run(100 * MS);
        let got = world.frames(Track::Video(0));
        assert_eq!(got.len(), pictures.len(), "{name}");
        for ((_, packet), (picture, keyframe)) in got.iter().zip(&pictures) {
            assert_eq!(
                (packet.track, packet.kind, packet.keyframe),
                (TrackId(0), Kind::Video, *keyframe),
                "{name}"
            );
            assert!(
                packet.data == picture[..],
                "{name}: {:02x?}\n{:02x?}",
                &packet.data[..40],
                &picture[..40]
            );
            assert_eq!(packet.pts, packet.dts);
        }
        let sound = world.frames(Track::Audio);
        assert_eq!(sound.len(), 100, "{name}");
        assert!(sound.iter().all(|(_, packet)| packet.data == [0xfc, 0xff, 0xfe][..] && packet.keyframe));
        assert!(sound.iter().all(|(_, packet)| packet.track == TrackId(1) && packet.kind == Kind::Audio));
        for (of, step) in [(&got, 40), (&sound, 20)] {
            let steps = of.windows(2).map(|pair| pair[1].1.pts.since(pair[0].1.pts).millis() - step);
            let steps: Vec<i64> = steps.collect();
            assert!(steps.iter().all(|off| off.abs() <= 2), "{name}: every {step} ms, off by {steps:?}");
        }
        let apart = got[49].1.pts.since(sound[98].1.pts).millis();
        assert!(apart.abs() <= 10, "{name}: sound and pictures are {apart} ms apart");
        assert!(world.wanted.is_empty(), "{name}");
    }
}

/// VP8 frames of three packets each 40 ms, the first of which is a keyframe if it is to be.
fn play(
    world: &mut World,
    track: usize,
    frames: std::ops::Range<u32>,
    keyframe: impl Fn(u32) -> bool,
    lose: &[u32],
) {
    for frame in frames {
        for part in 0..3_u8 {
            let tag = if part > 0 { 0x55 } else { u8::from(!keyframe(frame)) };
            let descriptor = if part == 0 { 0x10 } else { 0 };
            if part == 1 && lose.contains(&frame) {
                world.skip(track);
            } else {
                world.send(
                    track,
                    frame * 3600,
                    part == 2,
                    &[descriptor, tag, u8::try_from(frame).unwrap(), part],
                );
            }
        }
        world.run(40 * MS);
    }
}

fn numbers(world: &World, track: Track) -> Vec<u8> {
    world.frames(track).iter().map(|(_, packet)| packet.data[1]).collect()
}

#[test]
fn after_a_loss_a_layer_is_silent_until_the_keyframe_that_it_asks_for() {
    let mut world = World::connected("chromium_simulcast", Mode::Frames);
    play(&mut world, 1, 0..5, |frame| frame == 0, &[3]);
    play(&mut world, 2, 0..5, |frame| frame == 0, &[]);
    play(&mut world, 1, 5..40, |_| false, &[]);
    assert_eq!(numbers(&world, Track::Video(0)), [0, 1, 2]);
    assert_eq!(numbers(&world, Track::Video(1)), [0, 1, 2, 3, 4], "other layers do not care");
    assert!(world.wanted.iter().all(|(_, request)| request.rid == world.tracks[1].rid), "nor are they asked");
    assert!(world.wanted.iter().all(|(_, request)| request.kind == KeyframeRequestKind::Pli));
    // Frame 3 was sent 120 ms after the first one; it was waited for as long as a resent packet can take.
    let since = world.wanted[0].0 - world.began;
    let steps: Vec<Duration> = world.wanted.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!(
        steps.len() >= 2 && steps.iter().all(|step| (300 * MS..350 * MS).contains(step)),
        "{since:?} {steps:?}"
    );
    let asked = world.wanted.len();
    play(&mut world, 1, 40..45, |frame| frame == 41, &[]);
    assert_eq!(numbers(&world, Track::Video(0)), [0, 1, 2, 41, 42, 43, 44]);
    assert!(world.wanted.len() <= asked + 1);
}

#[test]
fn a_layer_that_begins_without_a_keyframe_asks_for_one_at_once() {
    let mut world = World::connected("chromium_simulcast", Mode::Frames);
    play(&mut world, 3, 1..4, |_| false, &[]);
    assert!(numbers(&world, Track::Video(2)).is_empty());
    assert_eq!(world.wanted.len(), 1);
    play(&mut world, 3, 4..6, |frame| frame == 4, &[]);
    assert_eq!(numbers(&world, Track::Video(2)), [4, 5]);
}

#[test]
fn pictures_that_are_resent_are_in_their_place_and_nothing_is_asked_for() {
    let mut world = World::connected("chromium_simulcast", Mode::Frames);
    play(&mut world, 1, 0..5, |frame| frame == 0, &[]);
    world.link = Link { delay: 25 * MS, jitter: 10 * MS, loss: 30 };
    play(&mut world, 1, 5..200, |_| false, &[]);
    world.link = publisher::GOOD;
    play(&mut world, 1, 200..230, |_| false, &[]);
    world.run(500 * MS);
    assert_eq!(numbers(&world, Track::Video(0)), (0..230).collect::<Vec<u8>>());
    assert!(world.wanted.is_empty());
}

#[test]
fn garbage_is_skipped_and_the_connection_lives() {
    for name in ["obs30", "chromium_h265", "aiortc", "chromium_vp9", "chromium_av1"] {
        let mut world = World::connected(name, Mode::Frames);
        let track = world.tracks.iter().position(|track| track.kind == MediaKind::Video).unwrap();
        for number in 0..200_u32 {
            let bytes: Vec<u8> =
                (0..number % 23).map(|at| (number * 37 + at * 101).to_le_bytes()[0]).collect();
            world.send(track, number / 3 * 3000, number % 3 == 2, &bytes);
            world.run(5 * MS);
        }
        world.run(500 * MS);
        let asked = world.wanted.len();
        assert!((1..10).contains(&asked), "{name}: asked {asked} times in 1 s");
        world.send(0, 0, false, &[0xfc]);
        world.run(20 * MS);
        assert_eq!(world.frames(Track::Audio).len(), 1, "{name}");
    }
}
