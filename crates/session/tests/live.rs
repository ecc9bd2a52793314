//! What happens in the middle of a session: tracks, layers, workers that die, rooms that come back, takeovers.

mod rig;

use media::{Kind, Quality};
use rig::*;
use sluicegate_session::*;

const SECOND_SOURCE: SourceId = SourceId(2);

fn tracks(out: &[Output]) -> Vec<(bool, bool)> {
    let publish = |out: &Output| match out {
        Output::Publish { video, audio } => Some((video.is_some(), audio.is_some())),
        _ => None,
    };
    out.iter().filter_map(publish).collect()
}

#[test]
fn a_kind_that_nobody_promised_is_not_waited_for() {
    let mut rig = Rig::at(Stage::Buffering);
    rig.worker_ready();
    assert_eq!(tracks(&rig.audio_ready()), [(false, true)]);
}

#[test]
fn a_promised_kind_is_waited_for_a_second_and_published_late_when_it_comes() {
    let mut rig = Rig::at(Stage::Buffering);
    rig.worker_ready();
    rig.feed(Input::SourceFormat { source: FIRST, kind: Kind::Audio });
    assert_eq!(tracks(&rig.layers_ready(layers())), []);
    assert_eq!(tracks(&rig.pass(999 * MS)), []);
    assert_eq!(tracks(&rig.pass(MS)), [(true, false)]);
    rig.feed(Input::Published(Kind::Video));
    rig.pass(9 * SECOND);
    assert_eq!(tracks(&rig.audio_ready()), [(false, true)]);
    rig.feed(Input::Published(Kind::Audio));
    assert_eq!(rig.phases(), [Phase::Publishing]);
}

#[test]
fn media_that_is_ready_before_the_room_is_published_when_it_is_joined() {
    let mut rig = Rig::at(Stage::Joining);
    rig.worker_ready();
    rig.media_ready();
    assert_eq!(tracks(&rig.log), []);
    assert_eq!(tracks(&rig.feed(Input::RoomJoined { sid: "RM_1".into() })), [(true, true)]);
}

#[test]
fn a_kind_that_the_ingress_does_not_want_is_neither_published_nor_waited_for() {
    let mut rig = Rig::with(Settings { audio: false, ..SETTINGS }, Stage::Buffering);
    rig.worker_ready();
    rig.feed(Input::SourceFormat { source: FIRST, kind: Kind::Audio });
    rig.audio_ready();
    assert_eq!(tracks(&rig.layers_ready(layers())), [(true, false)]);
}

#[test]
fn a_track_that_the_room_does_not_take_ends_the_session() {
    let mut rig = Rig::at(Stage::Buffering);
    rig.worker_ready();
    rig.media_ready();
    rig.pass(10 * SECOND);
    assert_eq!(rig.reports()[0].error, Some(Reason::NotPublished));
}

#[test]
fn layers_are_paused_and_resumed_by_exact_difference() {
    let mut rig = Rig::at(Stage::Live);
    assert_eq!(
        rig.feed(Input::Wanted(up_to(Quality::Low))),
        [Output::ShowTop(false), Output::Pause(Quality::Medium), Output::Pause(Quality::High)]
    );
    assert_eq!(rig.feed(Input::Wanted(up_to(Quality::Low))), [], "updates are repeated");
    assert_eq!(
        rig.feed(Input::Wanted(up_to(Quality::Medium))),
        [Output::Resume(Quality::Medium), Output::Keyframe(Quality::Medium)]
    );
    assert_eq!(
        rig.feed(Input::Wanted(Qualities::NONE)),
        [Output::Pause(Quality::Low), Output::Pause(Quality::Medium)]
    );
}

#[test]
fn qualities_that_the_track_lacks_do_not_matter() {
    let mut rig = Rig::at(Stage::Buffering);
    rig.worker_ready();
    rig.layers_ready(layers().split_off(1));
    assert_eq!(
        rig.feed(Input::Wanted(up_to(Quality::Low))),
        [Output::ShowTop(false), Output::Pause(Quality::Medium), Output::Pause(Quality::High)]
    );
    assert_eq!(rig.feed(Input::KeyframeNeeded(Quality::Low)), []);
}

#[test]
fn keyframe_requests_of_one_layer_are_summed_up() {
    let mut rig = Rig::at(Stage::Live);
    let key = [Output::Keyframe(Quality::High)];
    assert_eq!(rig.feed(Input::KeyframeNeeded(Quality::High)), key);
    for _ in 0..5 {
        assert_eq!(rig.feed(Input::KeyframeNeeded(Quality::High)), []);
    }
    assert_eq!(
        rig.feed(Input::KeyframeNeeded(Quality::Low)),
        [Output::Keyframe(Quality::Low)],
        "its own clock"
    );
    assert_eq!(rig.pass(299 * MS), []);
    assert_eq!(rig.pass(MS), key);
    assert_eq!(rig.pass(SECOND), []);
}

#[test]
fn the_pli_after_a_resumption_is_joined_to_its_keyframe_and_a_paused_layer_makes_none() {
    let mut rig = Rig::at(Stage::Live);
    rig.feed(Input::Wanted(Qualities::NONE));
    assert_eq!(rig.feed(Input::KeyframeNeeded(Quality::Low)), []);
    rig.feed(Input::Wanted(up_to(Quality::Low)));
    assert_eq!(rig.feed(Input::KeyframeNeeded(Quality::Low)), []);
    assert_eq!(rig.pass(300 * MS), [Output::Keyframe(Quality::Low)]);
}

#[test]
fn a_media_connection_that_stands_gets_a_keyframe_of_each_layer() {
    let mut rig = Rig::at(Stage::Live);
    rig.feed(Input::Wanted(up_to(Quality::Medium)));
    let keys = [Output::Keyframe(Quality::Low), Output::Keyframe(Quality::Medium)];
    assert_eq!(rig.feed(Input::RoomConnected), keys);
}

#[test]
fn a_worker_that_dies_is_replaced_at_once_with_what_was_paused() {
    let mut rig = Rig::at(Stage::Live);
    rig.stream(FIRST, SECOND, true);
    rig.feed(Input::Wanted(up_to(Quality::Low)));
    let dead = rig.worker();
    let out = rig.feed(Input::WorkerDied { worker: dead, text: "signal 9".into() });
    let [Output::StartWorker { worker, source: FIRST, replay: true, paused }] = out[..] else {
        panic!("{out:?}")
    };
    assert_ne!(worker, dead);
    assert_eq!(paused, Qualities::ALL.without(up_to(Quality::Low)));
    rig.worker_ready();
    assert_eq!(rig.layers_ready(layers()), [], "same layers, same pauses, same tracks");
    assert_eq!(rig.audio_ready(), []);
    assert_eq!(rig.ingress.stage(), Stage::Live);
    assert_eq!(rig.feed(Input::WorkerDied { worker: dead, text: "again".into() }), [], "an old one");
    let out = rig.feed(Input::Wanted(Qualities::ALL));
    assert_eq!(out.len(), 5, "two layers resumed, each with a keyframe, and the top one shown: {out:?}");
}

#[test]
fn wishes_while_no_worker_is_there_reach_the_next_one() {
    let mut rig = Rig::at(Stage::Live);
    for _ in 0..2 {
        rig.stream(FIRST, SECOND, true);
        rig.feed(Input::WorkerDied { worker: rig.worker(), text: "signal 9".into() });
    }
    let hidden = [Output::ShowTop(false)];
    assert_eq!(rig.feed(Input::Wanted(up_to(Quality::Low))), hidden, "the second restart waits");
    assert_eq!(rig.feed(Input::KeyframeNeeded(Quality::Low)), []);
    let out = rig.pass(200 * MS);
    let [Output::StartWorker { paused, .. }] = out[..] else { panic!("{out:?}") };
    assert_eq!(paused, Qualities::ALL.without(up_to(Quality::Low)));
}

#[test]
fn five_dead_workers_in_a_minute_are_an_error_and_four_are_not() {
    let mut rig = Rig::at(Stage::Live);
    for _ in 0..10 {
        rig.stream(FIRST, 15 * SECOND, true);
        rig.feed(Input::WorkerDied { worker: rig.worker(), text: "signal 11".into() });
        rig.pass(SECOND);
        rig.worker_ready();
        assert_eq!(rig.ingress.stage(), Stage::Live);
    }
    while rig.ingress.stage() == Stage::Live {
        rig.stream(FIRST, SECOND, true);
        rig.feed(Input::WorkerDied { worker: rig.worker(), text: "signal 11".into() });
        rig.pass(2 * SECOND);
    }
    let error = rig.reports().pop().unwrap().error.unwrap();
    assert_eq!(error.to_string(), "media pipeline failed: signal 11");
}

#[test]
fn three_workers_that_give_nothing_are_an_error() {
    let mut rig = Rig::at(Stage::Buffering);
    for _ in 0..3 {
        assert_eq!(rig.ingress.stage(), Stage::Buffering);
        let worker = rig.worker();
        rig.feed(Input::WorkerFailed { worker, text: "no decoder".into() });
        rig.pass(SECOND);
    }
    assert_eq!(rig.reports()[0].error, Some(Reason::Worker("no decoder".into())));
}

#[test]
fn a_worker_that_is_never_ready_is_replaced() {
    let mut rig = Rig::at(Stage::Live);
    rig.feed(Input::WorkerDied { worker: rig.worker(), text: "signal 9".into() });
    let stuck = rig.worker();
    // Sound of the next worker is what keeps the session alive until then.
    rig.audio_ready();
    rig.stream(FIRST, 9 * SECOND, false);
    let out = rig.pass(2 * SECOND);
    assert_eq!(out[0], Output::StopWorker(stuck));
    assert!(started(&out[1]).is_some());
}

#[test]
fn a_stopped_worker_is_replaced_and_a_source_that_pauses_is_no_stopped_worker() {
    let mut rig = Rig::at(Stage::Live);
    rig.stream(FIRST, SECOND, true);
    let worker = rig.worker();
    rig.stream(FIRST, 800 * MS, false);
    rig.pass(10 * SECOND);
    rig.stream(FIRST, 800 * MS, false);
    assert_eq!(rig.worker(), worker, "media came too seldom to say");
    rig.stream(FIRST, 200 * MS, false);
    assert!(rig.log.contains(&Output::StopWorker(worker)));
    assert_ne!(rig.worker(), worker);
}

#[test]
fn a_worker_that_looks_for_its_first_frame_is_not_stuck() {
    let mut rig = Rig::at(Stage::Live);
    rig.feed(Input::WorkerDied { worker: rig.worker(), text: "signal 9".into() });
    let worker = rig.worker();
    rig.worker_ready();
    rig.stream(FIRST, 9 * SECOND, false);
    assert_eq!(rig.worker(), worker, "a source may send a keyframe each ten seconds only");
}

#[test]
fn a_worker_with_nothing_to_encode_is_not_stuck() {
    let mut rig = Rig::at(Stage::Live);
    rig.stream(FIRST, SECOND, true);
    rig.feed(Input::Wanted(Qualities::NONE));
    rig.log.clear();
    let until = rig.now + 20 * SECOND;
    while rig.now < until {
        rig.pass(200 * MS);
        rig.feed(Input::SourceMedia { source: FIRST, video_bytes: 50_000, audio_bytes: 0, refused: false });
    }
    assert_eq!(rig.log.iter().filter_map(started).count(), 0);
}

#[test]
fn a_worker_that_gets_no_pictures_up_to_the_next_key_picture_is_not_stuck() {
    let mut rig = Rig::at(Stage::Live);
    rig.stream(FIRST, SECOND, true);
    rig.log.clear();
    let media = |refused| Input::SourceMedia { source: FIRST, video_bytes: 50_000, audio_bytes: 0, refused };
    for refused in [true, false] {
        assert_eq!(rig.log.iter().filter_map(started).count(), 0);
        let until = rig.now + 3 * SECOND;
        while rig.now < until {
            rig.pass(200 * MS);
            rig.feed(media(refused));
        }
    }
    assert_eq!(rig.log.iter().filter_map(started).count(), 1, "it got them, and gave none");
}

#[test]
fn a_worker_that_is_watched_again_may_decode_what_was_kept_first() {
    let mut rig = Rig::at(Stage::Live);
    rig.stream(FIRST, SECOND, true);
    rig.feed(Input::Wanted(Qualities::NONE));
    rig.stream(FIRST, SECOND, true);
    rig.feed(Input::Wanted(Qualities::ALL));
    let worker = rig.worker();
    rig.stream(FIRST, 3 * SECOND, false);
    assert_eq!(rig.worker(), worker);
    rig.stream(FIRST, 200 * MS, true);
    rig.stream(FIRST, SECOND, false);
    assert_ne!(rig.worker(), worker, "now it has nothing to catch up with");
}

#[test]
fn a_room_that_is_joined_anew_wants_all_layers() {
    let mut rig = Rig::at(Stage::Live);
    rig.feed(Input::Wanted(up_to(Quality::Low)));
    rig.feed(Input::RoomReconnecting);
    let resumed = rig.feed(Input::RoomResumed { rejoined: false });
    assert_eq!(resumed, [Output::Keyframe(Quality::Low)]);
    rig.pass(SECOND);
    rig.feed(Input::RoomReconnecting);
    let out = rig.feed(Input::RoomResumed { rejoined: true });
    let keys = out.iter().filter(|out| matches!(out, Output::Keyframe(_))).count();
    let resumed = out.iter().filter(|out| matches!(out, Output::Resume(_))).count();
    assert_eq!((resumed, keys, out.len()), (2, 3, 6), "{out:?}");
    assert_eq!(out[0], Output::ShowTop(true));
    assert_eq!(rig.phases(), []);
}

#[test]
fn a_room_that_does_not_come_back_is_an_error() {
    let mut rig = Rig::at(Stage::Live);
    rig.feed(Input::RoomReconnecting);
    rig.stream(FIRST, 61 * SECOND, true);
    assert_eq!(rig.reports().pop().unwrap().error, Some(Reason::RoomLost));
    assert!(rig.log.contains(&Output::Leave));
}

#[test]
fn second_publisher_on_a_live_key_takes_over_participant_and_tracks() {
    let mut rig = Rig::at(Stage::Live);
    rig.feed(Input::Wanted(up_to(Quality::Low)));
    let old = rig.worker();
    assert_eq!(rig.feed(Input::TookOver(SECOND_SOURCE)), [Output::AcceptSource(SECOND_SOURCE)]);
    let out = rig.feed(Input::SourceAccepted(SECOND_SOURCE));
    assert!(is_close(&out[0], FIRST, &Why::TakenOver));
    assert_eq!(out[1], Output::StopWorker(old));
    let Output::StartWorker { source: SECOND_SOURCE, replay: false, paused, .. } = out[2] else {
        panic!("{out:?}")
    };
    assert_eq!(paused, Qualities::ALL.without(up_to(Quality::Low)));
    assert_eq!(rig.feed(Input::SourceEnded { source: FIRST, end: SourceEnd::Lost }), []);
    rig.worker_ready();
    let smaller = layers().split_off(1);
    assert_eq!(rig.layers_ready(smaller.clone())[0], Output::UpdateLayers(smaller));
    rig.audio_ready();
    assert_eq!(tracks(&rig.log), []);
    assert_eq!(rig.phases(), [], "it has been publishing all the time");
    rig.feed(Input::SourceEnded { source: SECOND_SOURCE, end: SourceEnd::Finished });
    rig.finish();
    assert_eq!(rig.phases(), [Phase::Inactive]);
}

#[test]
fn a_taker_over_that_fails_does_not_hurt_the_running_stream() {
    let mut rig = Rig::at(Stage::Live);
    rig.feed(Input::TookOver(SECOND_SOURCE));
    rig.feed(Input::SourceEnded { source: SECOND_SOURCE, end: SourceEnd::Lost });
    rig.feed(Input::TookOver(SourceId(3)));
    let out = rig.pass(5 * SECOND);
    assert!(is_close(&out[0], SourceId(3), &Why::Lost), "it did not answer");
    rig.stream(FIRST, SECOND, true);
    assert_eq!(rig.ingress.stage(), Stage::Live);
}

#[test]
fn a_deadline_of_the_old_connection_waits_for_the_answer_of_the_new_one() {
    let mut rig = Rig::at(Stage::Buffering);
    rig.pass(9 * SECOND);
    rig.feed(Input::TookOver(SECOND_SOURCE));
    rig.pass(4 * SECOND);
    assert_eq!(rig.ingress.stage(), Stage::Buffering, "no media for 13 s, but help is near");
    rig.feed(Input::SourceAccepted(SECOND_SOURCE));
    rig.pass(9 * SECOND);
    assert_eq!(rig.ingress.stage(), Stage::Buffering, "its own ten seconds");
    rig.pass(SECOND);
    assert_eq!(rig.reports()[0].error, Some(Reason::NoMedia));
}

#[test]
fn an_old_connection_that_breaks_during_the_takeover_does_not_end_the_session() {
    let mut rig = Rig::at(Stage::Live);
    rig.feed(Input::TookOver(SECOND_SOURCE));
    rig.feed(Input::SourceEnded { source: FIRST, end: SourceEnd::Lost });
    rig.feed(Input::WorkerDied { worker: rig.worker(), text: "signal 9".into() });
    assert_eq!(rig.pass(SECOND), [], "nobody is there to feed a new worker");
    rig.feed(Input::SourceAccepted(SECOND_SOURCE));
    assert!(rig.log.iter().any(|out| started(out).is_some()));
    assert_eq!(rig.ingress.stage(), Stage::Live);
}

#[test]
fn the_session_ends_when_neither_the_old_connection_nor_the_new_one_is_left() {
    let mut rig = Rig::at(Stage::Live);
    rig.feed(Input::TookOver(SECOND_SOURCE));
    rig.feed(Input::SourceEnded { source: FIRST, end: SourceEnd::Finished });
    rig.feed(Input::SourceEnded { source: SECOND_SOURCE, end: SourceEnd::Lost });
    assert_eq!(rig.finish(), Outcome::Ended(Why::Finished));
}

#[test]
fn a_connection_that_comes_while_the_session_ends_waits_for_its_own() {
    let mut rig = Rig::at(Stage::Live);
    rig.feed(Input::SourceEnded { source: FIRST, end: SourceEnd::Lost });
    assert_eq!(rig.feed(Input::TookOver(SECOND_SOURCE)), [Output::DeferSource(SECOND_SOURCE)]);
    assert_eq!(rig.finish(), Outcome::Ended(Why::Lost));
}

#[test]
fn an_end_without_any_answer_takes_no_longer_than_its_budget() {
    let mut rig = Rig::at(Stage::Live);
    let worker = rig.worker();
    rig.feed(Input::SourceEnded { source: FIRST, end: SourceEnd::Finished });
    rig.feed(Input::Delete { token: Token(1) });
    assert!(rig.log.contains(&Output::StopWorker(worker)));
    let out = rig.pass(2 * SECOND);
    assert!(matches!(out[..], [Output::Reply { token: Token(1), .. }, Output::Over(_)]), "{out:?}");
}
