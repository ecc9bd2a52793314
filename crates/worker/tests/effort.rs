//! What a worker spends when it is told to spend less.

use media::{MediaTime, Quality};
use pipeline::{Command, Effort};

mod support;
use support::{
    generate::{Clip, VIDEO},
    look,
    rig::{BOTH, Rig, plan, start},
};

const DEFAULT: &str = pipeline::ladder::DEFAULT_PRESET;
const SMALL: Clip = Clip { width: 640, height: 360, frames: 150, b_frames: 0, ..Clip::HD };

#[tokio::test]
async fn a_cheaper_speed_takes_over_with_a_keyframe_and_without_a_gap() {
    let (format, packets) = SMALL.encode();
    let mut rig = Rig::in_process(start(plan(DEFAULT)));
    rig.format(VIDEO, format).await;
    rig.feed(&packets[..60], BOTH).await;
    for (speed, pictures) in [(1, 60..80), (1, 80..100), (0, 100..150)] {
        rig.send(Command::Effort(Effort { speed, half_rate: false })).await;
        rig.feed(&packets[pictures], BOTH).await;
    }
    rig.finish().await;
    assert_eq!((rig.layers.len(), &rig.warnings), (1, &vec![]), "{:?}", rig.layers);
    for quality in [Quality::Medium, Quality::High] {
        let all: Vec<_> = (0..SMALL.frames).map(|n| SMALL.pts(n)).collect();
        assert_eq!(rig.times(quality), all, "{quality}");
        let frames = look::layer(&rig.encoded, quality);
        let keys: Vec<usize> = (0..frames.len()).filter(|n| frames[*n].keyframe).collect();
        // The second wish for the same speed changes nothing. Later an encoder may see a scene change.
        assert!(matches!(keys[..], [0, 54..=61, 94..=101, ..]), "{quality}: {keys:?}");
        assert!(look::decode(&frames, look::H264).iter().enumerate().all(|(n, seen)| seen.counter == n));
    }
}

#[tokio::test]
async fn at_half_rate_the_top_layer_gets_every_second_picture_and_the_others_all() {
    let (format, packets) = SMALL.encode();
    let mut rig = Rig::in_process(start(plan(DEFAULT)));
    rig.format(VIDEO, format).await;
    rig.pace(&packets[..30], BOTH).await;
    rig.until(|rig| rig.count(Quality::High) == 30).await;
    rig.send(Command::Effort(Effort { speed: 0, half_rate: true })).await;
    rig.pace(&packets[30..110], BOTH).await;
    rig.until(|rig| rig.count(Quality::Medium) == 110 && rig.count(Quality::High) == 70).await;
    rig.send(Command::Effort(Effort::default())).await;
    rig.pace(&packets[110..], BOTH).await;
    rig.finish().await;
    let all: Vec<_> = (0..SMALL.frames).map(|n| SMALL.pts(n)).collect();
    assert_eq!(rig.times(Quality::Medium), all);
    let frames = look::layer(&rig.encoded, Quality::High);
    let seen: Vec<usize> = look::decode(&frames, look::H264).iter().map(|seen| seen.counter).collect();
    let expected: Vec<usize> = (0..30).chain((30..110).step_by(2)).chain(110..150).collect();
    assert_eq!(seen, expected);
    let keys: Vec<_> = frames.iter().filter(|frame| frame.keyframe).map(|frame| frame.pts).collect();
    assert!([0, 30, 110].iter().all(|n| keys.contains(&SMALL.pts(*n))), "{keys:?}");
    assert_eq!((rig.layers.len(), &rig.warnings), (1, &vec![]));
}

#[tokio::test]
async fn rate_control_reckons_with_half_the_rate() {
    let clip = Clip { frames: 240, ..SMALL };
    let (format, packets) = clip.encode();
    let mut rig = Rig::in_process(start(plan(DEFAULT)));
    rig.send(Command::Effort(Effort { speed: 0, half_rate: true })).await;
    rig.format(VIDEO, format).await;
    rig.pace(&packets, BOTH).await;
    rig.finish().await;
    let frames = look::layer(&rig.encoded, Quality::High);
    assert_eq!(frames.len(), 120);
    let bytes: usize = frames.iter().map(|frame| frame.data.len()).sum();
    let seconds = clip.frames as f64 / clip.fps as f64;
    let share = bytes as f64 * 8.0 / seconds / f64::from(rig.layers[0][1].bitrate_bps);
    assert!((0.75..=1.25).contains(&share), "{share:.2} of its bitrate");
    let gaps: Vec<MediaTime> = frames.windows(2).map(|pair| pair[1].pts.since(pair[0].pts)).collect();
    assert!(gaps.iter().all(|gap| (66..=67).contains(&gap.millis())), "{gaps:?}");
}
