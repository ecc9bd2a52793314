//! The publisher's own pictures as the top layer: when the worker takes over, and when it rests.

mod rig;

use media::{MediaTime, Quality};
use rig::*;
use sluicegate_session::*;

const FROM: MediaTime = MediaTime::from_millis(7_000);

fn passing() -> Rig {
    let mut rig = Rig::at(Stage::Live);
    assert_eq!(rig.feed(Input::Passing(FIRST)), [Output::Pause(Quality::High)]);
    rig
}

#[test]
fn the_worker_rests_while_the_publishers_own_pictures_are_the_top_layer() {
    let mut rig = passing();
    assert_eq!(rig.feed(Input::Passing(FIRST)), []);
    assert_eq!(rig.feed(Input::Wanted(Qualities::ALL)), []);
    let only_high = [Quality::High].into_iter().collect();
    assert_eq!(
        rig.feed(Input::Wanted(only_high)),
        [Output::Pause(Quality::Low), Output::Pause(Quality::Medium)]
    );
    assert_eq!(
        rig.feed(Input::NotPassing { source: FIRST, from: FROM }),
        [Output::ResumeAt(Quality::High, FROM)]
    );
    assert_eq!(rig.feed(Input::NotPassing { source: FIRST, from: FROM }), [], "it is not");
}

#[test]
fn another_connections_pictures_do_not_matter() {
    let mut rig = Rig::at(Stage::Live);
    assert_eq!(rig.feed(Input::Passing(SourceId(9))), []);
}

#[test]
fn a_new_subscriber_gets_the_workers_keyframe_until_the_publisher_has_one() {
    let mut rig = passing();
    rig.pass(SECOND);
    assert_eq!(rig.feed(Input::KeyframeNeeded(Quality::High)), [Output::Bridge(Quality::High)]);
    rig.pass(SECOND);
    assert_eq!(
        rig.feed(Input::KeyframeNeeded(Quality::High)),
        [Output::Keyframe(Quality::High)],
        "the worker's"
    );
    assert_eq!(rig.feed(Input::Passing(FIRST)), [Output::Pause(Quality::High)]);
    assert_eq!(rig.feed(Input::KeyframeNeeded(Quality::Low)), [Output::Keyframe(Quality::Low)]);
}

#[test]
fn a_key_picture_that_is_near_is_waited_for() {
    let mut rig = passing();
    rig.pass(2 * SECOND);
    assert_eq!(rig.feed(Input::PassedKey(FIRST)), []);
    rig.pass(1_900 * MS);
    assert_eq!(rig.feed(Input::KeyframeNeeded(Quality::High)), []);
    rig.pass(100 * MS);
    rig.feed(Input::PassedKey(FIRST));
    assert_eq!(rig.pass(SECOND), [], "it has come");
    rig.pass(900 * MS);
    assert_eq!(rig.feed(Input::KeyframeNeeded(Quality::High)), []);
    assert_eq!(rig.pass(SECOND), [Output::Bridge(Quality::High)], "it has not come");
}

#[test]
fn a_request_just_after_a_key_picture_of_the_publishers_is_answered_later() {
    let mut rig = passing();
    rig.pass(2 * SECOND);
    rig.feed(Input::PassedKey(FIRST));
    assert_eq!(rig.feed(Input::KeyframeNeeded(Quality::High)), []);
    assert_eq!(rig.pass(300 * MS), [Output::Bridge(Quality::High)]);
}

#[test]
fn what_nobody_watches_is_not_passed_and_begins_with_a_keyframe_of_the_workers() {
    let mut rig = passing();
    assert_eq!(
        rig.feed(Input::Wanted(Qualities::NONE)),
        [Output::ShowTop(false), Output::Pause(Quality::Low), Output::Pause(Quality::Medium)]
    );
    assert_eq!(rig.feed(Input::PassedKey(FIRST)), []);
    assert_eq!(rig.feed(Input::Passing(FIRST)), [], "it went out before the room's word came");
    let all = rig.feed(Input::Wanted(Qualities::ALL));
    assert_eq!(all[0], Output::ShowTop(true));
    assert!(all.contains(&Output::Resume(Quality::High)) && all.contains(&Output::Keyframe(Quality::High)));
}

#[test]
fn a_room_that_comes_back_gets_keyframes_of_all_that_is_shown() {
    let mut rig = passing();
    rig.pass(SECOND);
    let out = rig.feed(Input::RoomConnected);
    assert!(out.contains(&Output::Bridge(Quality::High)) && out.contains(&Output::Keyframe(Quality::Low)));
}

#[test]
fn a_new_worker_leaves_the_top_layer_alone_and_a_new_publisher_starts_with_the_worker() {
    let mut rig = passing();
    let worker = rig.worker();
    let high: Qualities = [Quality::High].into_iter().collect();
    let started = |out: &[Output]| {
        out.iter().find_map(|out| match out {
            Output::StartWorker { paused, .. } => Some(*paused),
            _ => None,
        })
    };
    let mut out = rig.feed(Input::WorkerDied { worker, text: "x".into() });
    out.extend(rig.pass(SECOND));
    assert_eq!(started(&out), Some(high));
    rig.feed(Input::TookOver(SourceId(2)));
    let out = rig.feed(Input::SourceAccepted(SourceId(2)));
    assert_eq!(started(&out), Some(Qualities::NONE));
}
