//! A worker that has no encoder at all. Alone in its process: it takes them away from all of it.

use media::Unit;
use pipeline::Command;

mod support;
use support::{
    generate::{Clip, VIDEO},
    rig::{Rig, plan, start},
};

#[tokio::test]
async fn when_the_last_encoder_cannot_start_the_worker_fails_and_says_why() {
    let clip = Clip { width: 640, height: 360, frames: 30, b_frames: 0, ..Clip::HD };
    let (format, packets) = clip.encode();
    let registry = gstreamer::Registry::get();
    for name in ["x264enc", "openh264enc"] {
        let feature = registry.lookup_feature(name).expect("tests need both");
        registry.remove_feature(&feature);
    }
    let mut rig = Rig::in_process(start(plan(pipeline::ladder::DEFAULT_PRESET)));
    rig.format(VIDEO, format).await;
    for packet in packets {
        // The worker may be gone before the last one.
        let _ = rig.sender.send(Command::Unit(Unit::Packet(packet))).await;
    }
    while rig.exit.is_none() {
        rig.hear().await;
    }
    let why = rig.failed.expect("it fails");
    assert!(why.contains("no encoder is left") && why.contains("is missing"), "{why}");
}
