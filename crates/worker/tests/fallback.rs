//! Encoders that cannot start, fail, or hang: their layers go on with the next one.

use std::time::Duration;

use media::{MediaTime, Quality, Unit};
use pipeline::{Command, Plan};

mod support;
use support::{
    broken,
    generate::{Clip, VIDEO},
    look,
    rig::{BOTH, Rig, plan, start},
};

const DEFAULT: &str = pipeline::ladder::DEFAULT_PRESET;
const SMALL: Clip = Clip { width: 640, height: 360, frames: 150, b_frames: 0, ..Clip::HD };

fn by(encoders: &[&str]) -> Plan {
    Plan { encoders: encoders.iter().map(|name| (*name).to_owned()).collect(), ..plan(DEFAULT) }
}

/// Looks at the first picture of the encoder that took over, and returns how long after the one before it comes.
fn taken_over(rig: &Rig, quality: Quality) -> MediaTime {
    let frames = look::layer(&rig.encoded, quality);
    let (before, after) = frames.split_at(broken::GOOD_FRAMES);
    assert!(after[0].keyframe, "{quality}");
    look::decode(after, look::H264);
    after[0].pts.since(before[before.len() - 1].pts)
}

/// Pictures in real time: what a broken encoder swallows does not come out, so there is no lockstep with that.
async fn live(rig: &mut Rig, clip: &Clip) {
    let (format, packets) = clip.encode();
    rig.format(VIDEO, format).await;
    let mut clock = tokio::time::interval(Duration::from_secs(1) / clip.fps as u32);
    for packet in packets {
        loop {
            tokio::select! {
                _ = clock.tick() => break,
                () = rig.hear() => {}
            }
        }
        rig.send(Command::Unit(Unit::Packet(packet))).await;
    }
    rig.finish().await;
    assert_eq!((&rig.failed, rig.layers.len()), (&None, 1));
}

#[tokio::test]
async fn encoders_that_are_not_here_give_way_at_once_and_are_named_once() {
    let clip = Clip { frames: 30, ..SMALL };
    let (format, packets) = clip.encode();
    let mut rig = Rig::in_process(start(by(&["qsv", "v4l2", "x264"])));
    rig.format(VIDEO, format).await;
    rig.feed(&packets, BOTH).await;
    rig.finish().await;
    for quality in [Quality::Medium, Quality::High] {
        let seen = look::decode(&look::layer(&rig.encoded, quality), look::H264);
        assert!(seen.iter().enumerate().all(|(n, seen)| seen.counter == n) && seen.len() == clip.frames);
    }
    let expected = [["qsv", "v4l2", "qsvh264enc"], ["v4l2", "x264", "v4l2h264enc"]];
    assert_eq!(rig.warnings.len(), expected.len(), "{:?}", rig.warnings);
    for (warning, words) in rig.warnings.iter().zip(expected) {
        assert!(words.iter().all(|word| warning.contains(word)), "{warning}");
    }
}

#[tokio::test]
async fn an_encoder_that_fails_on_the_way_is_replaced_within_a_few_frames() {
    support::init();
    broken::register_dying("vaapi");
    let mut rig = Rig::in_process(start(by(&["vaapi"])));
    live(&mut rig, &SMALL).await;
    for quality in [Quality::Medium, Quality::High] {
        let gap = taken_over(&rig, quality);
        assert!(gap < MediaTime::from_millis(500), "{quality}: {gap}");
        let told = |warning: &&String| {
            ["vaapi", "x264", &quality.to_string()].iter().all(|word| warning.contains(word))
        };
        assert_eq!(rig.warnings.iter().filter(told).count(), 1, "{:?}", rig.warnings);
    }
}

#[tokio::test]
async fn a_device_that_hangs_is_replaced_within_two_seconds() {
    support::init();
    broken::register_hanging("nvenc");
    let mut rig = Rig::in_process(start(by(&["nvenc"])));
    live(&mut rig, &SMALL).await;
    for quality in [Quality::Medium, Quality::High] {
        let gap = taken_over(&rig, quality);
        assert!((1_400..2_000).contains(&gap.millis()), "{quality}: {gap}");
    }
    let told = |warning: &&String| warning.contains("nvenc") && warning.contains("given none");
    assert_eq!(rig.warnings.iter().filter(told).count(), 2, "{:?}", rig.warnings);
}
