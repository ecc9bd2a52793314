//! What goes in comes out: every layer, every frame, with its own time.

use media::{Codec, Quality};
use pipeline::Source;

mod support;
use support::{
    generate::{self, AUDIO, Clip, VIDEO},
    look,
    rig::{Rig, interleave, plan, start},
};

const DEFAULT: &str = pipeline::ladder::DEFAULT_PRESET;

#[tokio::test]
async fn three_layers_and_opus_come_out_of_h264_with_b_frames_and_aac() {
    let clip = Clip { start_ms: -80, ..Clip::HD };
    let (h264, pictures) = clip.encode();
    let (aac, sound) = generate::aac(140, -80, false);
    let mut rig = Rig::in_process(start(plan(DEFAULT)));
    rig.format(VIDEO, h264).await;
    rig.format(AUDIO, aac).await;
    rig.feed(&interleave(&pictures, &sound), &Quality::ALL).await;
    rig.finish().await;

    assert_eq!(rig.warnings, Vec::<String>::new());
    let video = Source::Video { codec: Codec::H264, width: 1280, height: 720, fps_milli: 30_000 };
    let audio = Source::Audio { codec: Codec::Aac, channels: 2, sample_rate: 48_000 };
    assert!(rig.sources.contains(&video) && rig.sources.contains(&audio), "{:?}", rig.sources);
    assert_eq!(rig.layers.len(), 1);
    for layer in rig.layers[0].clone() {
        let frames = look::layer(&rig.encoded, layer.quality);
        let times: Vec<_> = frames.iter().map(|frame| frame.pts).collect();
        let expected: Vec<_> = (0..clip.frames).map(|n| clip.pts(n)).collect();
        assert_eq!(times, expected, "{layer:?}");
        for (n, seen) in look::decode(&frames, look::H264).into_iter().enumerate() {
            assert_eq!((seen.width as u32, seen.height as u32), (layer.width, layer.height));
            assert_eq!(seen.counter, n, "{layer:?}");
        }
        let bytes: usize = frames.iter().map(|frame| frame.data.len()).sum();
        let share = bytes as f64 * 8.0 * clip.fps as f64 / clip.frames as f64 / f64::from(layer.bitrate_bps);
        assert!((0.75..=1.25).contains(&share), "{layer:?}: {share:.2} of its bitrate");
    }
}
