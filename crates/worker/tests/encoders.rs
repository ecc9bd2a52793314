//! Encoders other than the first choice, in a whole session.

use media::Quality;
use pipeline::{Command, Plan};

mod support;
use support::{
    generate::{Clip, VIDEO},
    look,
    rig::{Rig, plan, start},
};

/// `profile_idc` and the constraint flags of the first sequence parameter set (ITU-T H.264 §7.3.2.1.1).
fn profile(access_unit: &[u8]) -> (u8, u8) {
    let sps = access_unit.windows(4).position(|bytes| bytes[..3] == [0, 0, 1] && bytes[3] & 0x1f == 7);
    let at = sps.expect("a keyframe carries its parameter sets");
    (access_unit[at + 4], access_unit[at + 5])
}

#[tokio::test]
async fn openh264_makes_the_layers_of_a_session() {
    const ASKED: usize = 60;
    let clip = Clip { frames: 150, b_frames: 0, ..Clip::HD };
    let (format, packets) = clip.encode();
    let encoders = vec!["openh264".to_owned()];
    let mut rig = Rig::in_process(start(Plan { encoders, ..plan(pipeline::ladder::DEFAULT_PRESET) }));
    rig.format(VIDEO, format).await;
    rig.feed(&packets[..ASKED], &Quality::ALL).await;
    // All that was sent has been encoded: the next picture is the one that must be the keyframe.
    let sent = clip.pts(ASKED - 1);
    rig.until(|rig| Quality::ALL.iter().all(|quality| rig.times(*quality).last() >= Some(&sent))).await;
    for quality in Quality::ALL {
        rig.send(Command::Keyframe(quality)).await;
    }
    rig.feed(&packets[ASKED..], &Quality::ALL).await;
    rig.finish().await;

    assert_eq!(rig.warnings, Vec::<String>::new());
    for layer in rig.layers[0].clone() {
        let frames = look::layer(&rig.encoded, layer.quality);
        let (idc, constraints) = profile(&frames[0].data);
        assert_eq!((idc, constraints & 0x40), (66, 0x40), "constrained baseline, {layer:?}");
        let keys: Vec<usize> = (0..frames.len()).filter(|n| frames[*n].keyframe).collect();
        assert_eq!(keys, [0, ASKED], "{layer:?}");
        for (n, seen) in look::decode(&frames, look::H264).into_iter().enumerate() {
            assert_eq!((seen.width as u32, seen.height as u32), (layer.width, layer.height));
            assert_eq!(seen.counter, n, "{layer:?}");
        }
        let bytes: usize = frames.iter().map(|frame| frame.data.len()).sum();
        let share = bytes as f64 * 8.0 * clip.fps as f64 / clip.frames as f64 / f64::from(layer.bitrate_bps);
        assert!((0.75..=1.25).contains(&share), "{layer:?}: {share:.2} of its bitrate");
    }
}
