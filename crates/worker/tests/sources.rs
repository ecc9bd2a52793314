//! Sources of all shapes: sizes that change, other chroma, other rates, tracks that come late or never.

use media::{Codec, Quality};
use pipeline::{Plan, Source};

mod support;
use support::{
    generate::{self, AUDIO, Clip, VIDEO},
    look,
    rig::{BOTH, Rig, interleave, plan, start},
};

const DEFAULT: &str = pipeline::ladder::DEFAULT_PRESET;
const SMALL: Clip = Clip { width: 640, height: 360, frames: 45, ..Clip::HD };

fn sizes(layers: &[media::Layer]) -> Vec<(u32, u32)> {
    layers.iter().map(|layer| (layer.width, layer.height)).collect()
}

#[tokio::test]
async fn layers_are_fitted_anew_when_the_picture_changes_size() {
    let upright = Clip { width: 360, height: 640, b_frames: 0, start_ms: 1500, ..SMALL };
    let (wide_format, wide_packets) = Clip { b_frames: 0, ..SMALL }.encode();
    let (upright_format, upright_packets) = upright.encode();
    let mut rig = Rig::in_process(start(plan(DEFAULT)));
    rig.format(VIDEO, wide_format).await;
    rig.feed(&wide_packets, BOTH).await;
    rig.until(|rig| rig.count(Quality::Medium) == SMALL.frames).await;
    rig.format(VIDEO, upright_format).await;
    // The low layer is new: it is waited for when it has begun.
    rig.feed(&upright_packets[..5], BOTH).await;
    rig.pace(&upright_packets[5..], &Quality::ALL).await;
    rig.finish().await;

    assert_eq!(rig.layers.len(), 2, "{:?}", rig.layers);
    assert_eq!(sizes(&rig.layers[0]), [(320, 180), (640, 360)]);
    assert_eq!(sizes(&rig.layers[1]), [(102, 180), (202, 360), (360, 640)]);
    let low = look::layer(&rig.encoded, Quality::Low);
    let change = low.iter().position(|frame| frame.pts >= upright.pts(0)).unwrap();
    assert!(low[change].keyframe);
    let seen = look::decode(&low[change..], look::H264);
    assert!(seen.iter().enumerate().all(|(n, seen)| seen.counter == n && seen.width == 102), "{seen:?}");
    assert!(rig.count(Quality::High) > 0);
}

#[tokio::test]
async fn high_444_becomes_420_that_browsers_decode() {
    let (format, packets) = Clip { format: "Y444", ..SMALL }.encode();
    assert_eq!(format.config[1], 0xf4, "the source is High 4:4:4 Predictive");
    let mut rig = Rig::in_process(start(plan(DEFAULT)));
    rig.format(VIDEO, format).await;
    rig.feed(&packets, BOTH).await;
    rig.finish().await;
    let frames = look::layer(&rig.encoded, Quality::High);
    // The first NAL unit that is an SPS: Baseline (66) with constraint_set1.
    let sps =
        frames[0].data.windows(4).position(|bytes| bytes[..3] == [0, 0, 1] && bytes[3] & 31 == 7).unwrap();
    assert_eq!((frames[0].data[sps + 4], frames[0].data[sps + 5] & 0x40), (66, 0x40));
    assert!(look::decode(&frames, look::H264).iter().enumerate().all(|(n, seen)| seen.counter == n));
}

#[tokio::test]
async fn interlaced_pictures_become_progressive_at_one_frame_for_two_fields() {
    let interlaced = "I420,interlace-mode=interleaved,field-order=top-field-first";
    let clip = Clip { format: interlaced, fps: 25, frames: 70, b_frames: 0, ..SMALL };
    let (format, packets) = clip.encode();
    let mut rig = Rig::in_process(start(plan(DEFAULT)));
    rig.format(VIDEO, format).await;
    rig.feed(&packets, BOTH).await;
    rig.finish().await;
    let Some(Source::Video { width: 640, height: 360, fps_milli, .. }) = rig.sources.last() else {
        panic!("{:?}", rig.sources)
    };
    assert!((24_900..25_100).contains(fps_milli), "{fps_milli}");
    let frames = look::layer(&rig.encoded, Quality::High);
    let seen = look::decode(&frames, look::H264);
    assert!(seen.windows(2).all(|pair| pair[0].counter < pair[1].counter), "{seen:?}");
    assert!(seen.len() >= clip.frames - 2, "{} frames", seen.len());
}

#[tokio::test]
async fn a_source_of_60_fps_is_thinned_to_30_and_one_of_15_keeps_its_own() {
    for (fps, expected, step) in [(60, 30_000, 2), (15, 15_000, 1)] {
        let clip = Clip { fps, frames: 60, b_frames: 0, ..SMALL };
        let (format, packets) = clip.encode();
        let mut rig = Rig::in_process(start(plan(DEFAULT)));
        rig.format(VIDEO, format).await;
        // Half of the pictures never come out: no lockstep with what does.
        for packet in packets {
            rig.send(pipeline::Command::Unit(media::Unit::Packet(packet))).await;
            if rig.count(Quality::Medium) == 0 {
                rig.until(|rig| rig.count(Quality::Medium) > 0).await;
            }
        }
        rig.finish().await;
        let fps_milli = rig.sources.iter().find_map(|source| match source {
            Source::Video { fps_milli, .. } => Some(*fps_milli),
            Source::Audio { .. } => None,
        });
        assert_eq!(fps_milli, Some(fps as u32 * 1000));
        let times = rig.times(Quality::Medium);
        let shortest = times.windows(2).map(|pair| pair[1].since(pair[0]).millis()).min().unwrap();
        assert!(shortest >= 1_000_000 / expected - 1, "{shortest} ms at {fps} fps");
        assert!(times.len() <= 60 / step + 1, "{}", times.len());
    }
}

#[tokio::test]
async fn what_webrtc_publishers_send_is_decoded() {
    for codec in [Codec::H264, Codec::H265, Codec::Vp8, Codec::Vp9, Codec::Av1] {
        let clip = Clip { b_frames: 0, frames: 30, ..SMALL };
        let (format, packets) = clip.encode_as(codec);
        let mut rig = Rig::in_process(start(plan(DEFAULT)));
        rig.format(VIDEO, format).await;
        rig.feed(&packets, BOTH).await;
        rig.finish().await;
        let frames = look::layer(&rig.encoded, Quality::High);
        let seen = look::decode(&frames, look::H264);
        assert_eq!(seen.len(), clip.frames, "{codec}");
        assert!(seen.iter().enumerate().all(|(n, seen)| seen.counter == n), "{codec}: {seen:?}");
    }
}

#[tokio::test]
async fn vp8_layers_decode_at_their_sizes_and_in_order() {
    let preset = pipeline::ladder::preset(pipeline::ladder::DEFAULT_PRESET).unwrap();
    let video = media::Ladder { codec: Codec::Vp8, ..preset };
    let (format, packets) = SMALL.encode();
    let mut rig = Rig::in_process(start(Plan { video, audio: pipeline::Audio::MONO_64K, encoders: vec![] }));
    rig.format(VIDEO, format).await;
    rig.feed(&packets[..20], BOTH).await;
    rig.send(pipeline::Command::Keyframe(Quality::High)).await;
    rig.feed(&packets[20..], BOTH).await;
    rig.finish().await;
    let frames = look::layer(&rig.encoded, Quality::High);
    assert_eq!(frames.iter().filter(|frame| frame.keyframe).count(), 2);
    for (n, seen) in look::decode(&frames, "video/x-vp8").into_iter().enumerate() {
        assert_eq!((seen.width, seen.height, seen.counter), (640, 360, n));
    }
}

#[tokio::test]
async fn sound_alone_is_continuous_opus_at_20_ms() {
    let (format, packets) = generate::aac(150, 40, false);
    let mut rig = Rig::in_process(start(plan(DEFAULT)));
    rig.format(AUDIO, format).await;
    for packet in packets {
        rig.send(pipeline::Command::Unit(media::Unit::Packet(packet))).await;
    }
    rig.finish().await;
    let sound = look::sound(&rig.encoded);
    // 150 frames of 1024 samples are 3.2 s; an encoder may keep a packet's worth.
    assert!((158..=162).contains(&sound.len()), "{} packets", sound.len());
    for pair in sound.windows(2) {
        assert_eq!(pair[1].pts.since(pair[0].pts).nanos(), 20_000_000);
    }
    assert!((0..=45).contains(&sound[0].pts.millis()), "{}", sound[0].pts);
    assert_eq!(rig.layers.len(), 0);
}

#[tokio::test]
async fn mp3_of_another_rate_becomes_opus() {
    let (format, packets) = generate::mp3(100);
    let mut rig = Rig::in_process(start(plan(DEFAULT)));
    rig.format(AUDIO, format).await;
    for packet in packets {
        rig.send(pipeline::Command::Unit(media::Unit::Packet(packet))).await;
    }
    rig.finish().await;
    assert_eq!(rig.sources, [Source::Audio { codec: Codec::Mp3, channels: 1, sample_rate: 44_100 }]);
    let sound = look::sound(&rig.encoded);
    assert!((125..=134).contains(&sound.len()), "{} packets of 20 ms for 2.6 s", sound.len());
}

#[tokio::test]
async fn silence_costs_next_to_nothing_unless_dtx_is_off() {
    let mut packets_sent = Vec::new();
    for dtx in [true, false] {
        let (format, packets) = generate::aac(150, 0, true);
        let mut plan = plan(DEFAULT);
        plan.audio = pipeline::Audio::custom(1, 0, dtx);
        let mut rig = Rig::in_process(start(plan));
        rig.format(AUDIO, format).await;
        for packet in packets {
            rig.send(pipeline::Command::Unit(media::Unit::Packet(packet))).await;
        }
        rig.finish().await;
        packets_sent.push(look::sound(&rig.encoded).len());
    }
    assert!(packets_sent[0] < packets_sent[1] / 3, "{packets_sent:?}");
}

#[tokio::test]
async fn a_track_that_comes_late_joins_the_running_one() {
    let (h264, pictures) = Clip { frames: 60, ..SMALL }.encode();
    let (aac, sound) = generate::aac(60, 700, false);
    let mut rig = Rig::in_process(start(plan(DEFAULT)));
    rig.format(VIDEO, h264).await;
    rig.feed(&pictures[..20], BOTH).await;
    rig.format(AUDIO, aac).await;
    rig.feed(&interleave(&pictures[20..], &sound), BOTH).await;
    rig.finish().await;
    assert_eq!(rig.count(Quality::Medium), 60);
    let first = look::sound(&rig.encoded)[0].pts.millis();
    assert!((690..=740).contains(&first), "{first} ms");
}
