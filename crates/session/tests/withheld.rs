//! A top layer that the machine has no CPU for.

mod rig;

use media::Quality;
use rig::*;
use sluicegate_session::*;

#[test]
fn who_watches_a_withheld_top_layer_gets_the_one_below_it() {
    let mut rig = Rig::at(Stage::Live);
    assert_eq!(rig.feed(Input::Withhold(true)), [Output::Pause(Quality::High)]);
    assert_eq!(rig.feed(Input::KeyframeNeeded(Quality::High)), [], "there is none to be had");
    let only_high = [Quality::High].into_iter().collect();
    assert_eq!(rig.feed(Input::Wanted(only_high)), [Output::Pause(Quality::Low)], "medium takes its place");
    let out = rig.feed(Input::WorkerDied { worker: rig.worker(), text: "signal 9".into() });
    let [Output::StartWorker { paused, .. }] = out[..] else { panic!("{out:?}") };
    assert_eq!(paused, Qualities::ALL.without(up_to(Quality::Medium)).iter().chain([Quality::Low]).collect());
    let again =
        [Output::Pause(Quality::Medium), Output::Resume(Quality::High), Output::Keyframe(Quality::High)];
    assert_eq!(rig.feed(Input::Withhold(false)), again);
}

#[test]
fn an_only_layer_is_never_withheld() {
    let mut rig = Rig::at(Stage::Buffering);
    rig.worker_ready();
    rig.layers_ready(layers().split_off(2));
    assert_eq!(rig.feed(Input::Withhold(true)), []);
}
