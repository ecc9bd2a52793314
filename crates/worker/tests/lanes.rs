//! Sound goes on whatever the pictures do.

use std::time::Instant;

use media::{Quality, Unit};
use pipeline::Command;

mod support;
use support::{
    generate::{self, AUDIO, Clip, VIDEO},
    look,
    rig::{Rig, interleave, plan, start},
};

const DEFAULT: &str = pipeline::ladder::DEFAULT_PRESET;

/// Two seconds of a source in one group of pictures, as the server keeps it while nobody watches.
const KEPT: Clip = Clip { width: 1920, height: 1080, frames: 90, b_frames: 0, ..Clip::HD };

#[tokio::test]
async fn sound_does_not_wait_for_the_pictures_of_a_wake_up() {
    let (h264, pictures) = KEPT.encode_with("key-int-max=90");
    let (aac, sound) = generate::aac(150, 0, false);
    let mut rig = Rig::in_process(start(plan(DEFAULT)));
    rig.format(VIDEO, h264).await;
    rig.format(AUDIO, aac).await;
    let at = |n: usize| KEPT.pts(n);
    let (before, after): (Vec<_>, Vec<_>) = sound.into_iter().partition(|packet| packet.dts < at(10));
    rig.feed(&interleave(&pictures[..10], &before), &Quality::ALL).await;
    // Nobody watches, then somebody does: the kept pictures come at once, sound goes on behind them.
    for quality in Quality::ALL {
        rig.send(Command::Pause(quality)).await;
        rig.send(Command::Resume(quality)).await;
    }
    rig.until(|rig| rig.count(Quality::High) > 8).await;
    let woken = Instant::now();
    rig.send(Command::SkipTo(at(89))).await;
    for packet in &pictures {
        rig.send(Command::Unit(Unit::Packet(packet.clone()))).await;
    }
    for packet in &after[..20] {
        rig.send(Command::Unit(Unit::Packet(packet.clone()))).await;
    }
    // Resampling and the encoder may keep back a packet's worth.
    let due = after[17].dts;
    rig.until(|rig| look::sound(&rig.encoded).last().is_some_and(|packet| packet.pts >= due)).await;
    let sound = woken.elapsed();
    rig.until(|rig| rig.times(Quality::Low).last().is_some_and(|pts| *pts >= at(89))).await;
    let picture = woken.elapsed();
    println!("sound behind the kept pictures came out after {sound:?}, the first picture after {picture:?}");
    rig.finish().await;
    // Sound that waits for the pictures comes out after four fifths of that time.
    assert!(sound < picture / 2, "{sound:?} of {picture:?}");
}
