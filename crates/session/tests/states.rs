//! Each row of "state machine as users see it" (spec bus.md §7): what happens, and what LiveKit's API is told.

mod rig;

use media::Kind;
use rig::*;
use sluicegate_session::*;

#[test]
fn an_ordinary_stream_is_buffering_then_publishing_then_inactive() {
    let mut rig = Rig::new(SETTINGS);
    assert_eq!(rig.feed(Input::Admission(Admitted::Yes)), [Output::AcceptSource(FIRST)]);
    rig.feed(Input::SourceAccepted(FIRST));
    let started = rig.now;
    rig.pass(100 * MS);
    rig.feed(Input::RoomJoined { sid: "RM_1".into() });
    rig.worker_ready();
    rig.media_ready();
    assert_eq!(rig.log.last(), Some(&Output::Publish { video: Some(layers()), audio: Some(2) }));
    rig.feed(Input::Published(Kind::Audio));
    rig.feed(Input::Published(Kind::Video));
    rig.stream(FIRST, 5 * SECOND, true);
    assert_eq!(rig.ingress.stage(), Stage::Live);

    let worker = rig.worker();
    let out = rig.feed(Input::SourceEnded { source: FIRST, end: SourceEnd::Finished });
    assert_eq!(out, [Output::FinishWorker(worker)]);
    let out = rig.feed(Input::WorkerFinished(worker));
    assert_eq!(out[..2], [Output::StopWorker(worker), Output::Leave]);
    let ended = rig.now;
    assert_eq!(rig.finish(), Outcome::Ended(Why::Finished));

    let reports = rig.reports();
    assert_eq!(
        rig.phases(),
        [Phase::Buffering, Phase::Publishing, Phase::Publishing, Phase::Inactive],
        "the second one has the first bitrate"
    );
    let live = &reports[2];
    let video = live.video.unwrap();
    assert_eq!(
        (video.width, video.height, video.fps_milli, video.bitrate_bps),
        (1280, 720, 30_000, 2_000_000)
    );
    let audio = live.audio.unwrap();
    assert_eq!((audio.channels, audio.sample_rate, audio.bitrate_bps), (2, 48_000, 100_000));
    assert_eq!((live.room_sid.as_deref(), live.started, live.ended), (Some("RM_1"), started, None));
    let last = &reports[3];
    assert_eq!((last.error.clone(), last.started, last.ended), (None, started, Some(ended)));
}

#[test]
fn an_ingress_that_can_be_played_once_is_complete_in_the_end() {
    let mut rig = Rig::with(Settings { reusable: false, ..SETTINGS }, Stage::Live);
    rig.feed(Input::SourceEnded { source: FIRST, end: SourceEnd::Finished });
    rig.finish();
    assert_eq!(rig.phases(), [Phase::Complete]);
}

#[test]
fn a_refusal_is_told_to_the_publisher_and_posted_with_its_text() {
    let refusals = [
        (Settings { refusal: Some(Reason::Disabled), ..SETTINGS }, Admitted::Yes, "session is disabled"),
        (Settings { refusal: Some(Reason::WrongType), ..SETTINGS }, Admitted::Yes, "invalid ingress type"),
        (
            Settings { refusal: Some(Reason::NoRoom), ..SETTINGS },
            Admitted::Yes,
            "invalid ingress: no room name",
        ),
        (SETTINGS, Admitted::Full, "server capacity exceeded"),
    ];
    for (settings, answer, text) in refusals {
        let mut rig = Rig::new(settings);
        let out = rig.feed(Input::Admission(answer));
        let [Output::RejectSource { source: FIRST, why: Why::Failed(reason) }, Output::Report(status)] =
            &out[..]
        else {
            panic!("{out:?}")
        };
        assert_eq!(reason.to_string(), text);
        assert_eq!((status.phase, status.error.as_ref()), (Phase::Error, Some(reason)));
        assert_eq!(rig.feed(Input::Reported), [Output::Over(Outcome::Refused(reason.clone()))]);
    }
}

#[test]
fn a_refusal_does_not_hide_a_healthy_session_on_another_server() {
    let mut rig = Rig::new(Settings { active_elsewhere: true, ..SETTINGS });
    rig.feed(Input::Admission(Admitted::Full));
    assert_eq!(rig.phases(), []);
    assert_eq!(rig.outcome(), Some(Outcome::Refused(Reason::Full)));
}

#[test]
fn a_server_that_goes_down_refuses_without_touching_the_state() {
    let mut rig = Rig::new(SETTINGS);
    rig.feed(Input::Admission(Admitted::ShuttingDown));
    let why = Why::Failed(Reason::ShuttingDown);
    let over = Output::Over(Outcome::Refused(Reason::ShuttingDown));
    assert_eq!(rig.log, [Output::RejectSource { source: FIRST, why }, over]);
}

#[test]
fn a_publisher_that_is_gone_before_it_was_accepted_leaves_no_trace() {
    let mut rig = Rig::at(Stage::Admitted);
    rig.feed(Input::SourceEnded { source: FIRST, end: SourceEnd::Lost });
    assert_eq!(rig.log, [Output::Over(Outcome::Ended(Why::Lost))]);
}

#[test]
fn update_disable_and_delete_end_a_live_session_and_are_answered_after_the_final_state() {
    let token = Token(7);
    let requests = [
        (Input::Update { token, enabled: true }, Why::Updated),
        (Input::Update { token, enabled: false }, Why::Disabled),
        (Input::Delete { token }, Why::Deleted),
    ];
    for (request, why) in requests {
        for stage in [Stage::Joining, Stage::Buffering, Stage::Live] {
            let mut rig = Rig::at(stage);
            let out = rig.feed(request.clone());
            assert!(out.iter().any(|out| is_close(out, FIRST, &why)), "{out:?}");
            assert_eq!(rig.phases(), [Phase::Inactive]);
            assert!(
                !out.iter().any(|out| matches!(out, Output::Reply { .. })),
                "the state is not posted yet"
            );
            let out = rig.feed(Input::Reported);
            let answer = Answer::State(rig.reports().remove(0));
            assert_eq!(out, [Output::Reply { token, answer }]);
            let out = rig.feed(Input::RoomEnded(RoomEnd::Left));
            assert_eq!(out, [Output::Over(Outcome::Ended(why.clone()))]);
        }
    }
}

#[test]
fn a_delete_during_the_last_frames_does_not_wait_for_them() {
    let mut rig = Rig::at(Stage::Live);
    rig.feed(Input::SourceEnded { source: FIRST, end: SourceEnd::Lost });
    assert_eq!(rig.phases(), []);
    rig.feed(Input::Delete { token: Token(1) });
    assert_eq!(rig.phases(), [Phase::Inactive]);
    assert_eq!(rig.finish(), Outcome::Ended(Why::Lost));
}

#[test]
fn requests_beyond_a_few_are_told_to_try_again() {
    let mut rig = Rig::at(Stage::Live);
    for token in 0..8 {
        rig.feed(Input::Delete { token: Token(token) });
    }
    let out = rig.feed(Input::Delete { token: Token(8) });
    assert_eq!(out, [Output::Reply { token: Token(8), answer: Answer::Busy }]);
    let out = rig.feed(Input::Reported);
    assert_eq!(out.len(), 8);
}

#[test]
fn a_room_that_is_closed_or_throws_us_out_is_an_error() {
    use RoomEnd::*;
    let ends = [
        (Removed, "room disconnected"),
        (Deleted, "room disconnected"),
        (Duplicate, "room disconnected"),
        (AskedToLeave, "room disconnected"),
        (ConnectionLost, "room disconnected unexpectedly"),
        (JoinFailed, "could not connect to the room"),
    ];
    for (end, text) in ends {
        for stage in [Stage::Joining, Stage::Buffering, Stage::Live] {
            let mut rig = Rig::at(stage);
            let out = rig.feed(Input::RoomEnded(end));
            assert!(matches!(out[0], Output::CloseSource { source: FIRST, .. }), "{out:?}");
            assert!(!out.contains(&Output::Leave), "there is nothing to leave");
            let status = &rig.reports()[0];
            assert_eq!(status.phase, Phase::Error);
            assert_eq!(status.error.as_ref().unwrap().to_string(), text);
            assert!(matches!(rig.feed(Input::Reported)[..], [Output::Over(_)]));
        }
    }
}

#[test]
fn the_first_error_wins() {
    let mut rig = Rig::at(Stage::Live);
    rig.feed(Input::RoomEnded(RoomEnd::Removed));
    rig.feed(Input::SourceEnded { source: FIRST, end: SourceEnd::Invalid("late".into()) });
    rig.feed(Input::Shutdown(Shutdown::Now));
    assert_eq!(rig.finish(), Outcome::Ended(Why::Failed(Reason::RoomDisconnected)));
    assert_eq!(rig.phases(), [Phase::Error]);
}

#[test]
fn an_encoder_that_sends_nothing_playable_is_not_ready() {
    let mut rig = Rig::at(Stage::Buffering);
    rig.worker_ready();
    rig.pass(9 * SECOND);
    assert_eq!(rig.ingress.stage(), Stage::Buffering);
    rig.pass(SECOND);
    assert_eq!(rig.reports()[0].error.as_ref().unwrap().to_string(), "source encoder not ready");
    assert_eq!(rig.finish(), Outcome::Ended(Why::Failed(Reason::NoMedia)));
}

#[test]
fn thirty_seconds_of_silence_end_a_stream_and_less_do_not() {
    let mut rig = Rig::at(Stage::Live);
    rig.stream(FIRST, SECOND, true);
    rig.pass(29 * SECOND);
    rig.stream(FIRST, SECOND, true);
    assert_eq!(rig.ingress.stage(), Stage::Live);
    rig.pass(30 * SECOND);
    assert_eq!(rig.reports().pop().unwrap().error, Some(Reason::Silent));
    assert_eq!(Reason::Silent.to_string(), "source encoder not ready");
}

#[test]
fn a_codec_that_cannot_be_taken_is_named() {
    let mut rig = Rig::at(Stage::Buffering);
    rig.feed(Input::SourceEnded { source: FIRST, end: SourceEnd::Unsupported("video/H263".into()) });
    let error = rig.reports()[0].error.clone().unwrap();
    assert_eq!(error.to_string(), "unsupported mime type (video/H263) for the source media");
    assert!(error.broadcaster().contains("video/H263"));
}

#[test]
fn a_deleted_or_superseded_ingress_is_never_posted_again() {
    for (refusal, why) in [(StateRefusal::Deleted, Why::Deleted), (StateRefusal::Superseded, Why::Superseded)]
    {
        let mut rig = Rig::at(Stage::Live);
        let out = rig.feed(Input::StateRefused(refusal));
        assert!(out.iter().any(|out| is_close(out, FIRST, &why)));
        rig.feed(Input::RoomEnded(RoomEnd::Left));
        assert_eq!(rig.phases(), []);
        assert_eq!(rig.outcome(), Some(Outcome::Ended(why)));
    }
}

#[test]
fn a_draining_server_lets_streams_go_on_and_a_stopping_one_does_not() {
    let mut rig = Rig::at(Stage::Live);
    rig.feed(Input::Shutdown(Shutdown::Drain));
    rig.stream(FIRST, 20 * SECOND, true);
    assert_eq!(rig.ingress.stage(), Stage::Live);
    rig.feed(Input::Shutdown(Shutdown::Now));
    assert_eq!(rig.reports().pop().unwrap().phase, Phase::Inactive);
    assert_eq!(rig.finish(), Outcome::Ended(Why::Shutdown));

    let mut once = Rig::with(Settings { reusable: false, ..SETTINGS }, Stage::Live);
    once.feed(Input::Shutdown(Shutdown::Now));
    assert_eq!(once.reports()[0].error, Some(Reason::ShuttingDown), "it was not played to its end");
}

#[test]
fn a_bitrate_is_posted_again_when_it_changed_and_a_minute_has_passed() {
    let mut rig = Rig::at(Stage::Live);
    rig.stream(FIRST, 70 * SECOND, true);
    assert_eq!(rig.phases(), [Phase::Publishing], "a steady one is posted once");
    let until = rig.now + 30 * SECOND;
    while rig.now < until {
        rig.pass(200 * MS);
        rig.feed(Input::SourceMedia {
            source: FIRST,
            video_bytes: 100_000,
            audio_bytes: 2_500,
            refused: false,
        });
        rig.feed(Input::FrameOut(rig.worker()));
    }
    assert_eq!(rig.phases().len(), 2, "one more, the minute since the last has passed");
    let changed = rig.log.iter().rev().find_map(reported).unwrap().video.unwrap().bitrate_bps;
    assert!((2_200_000..4_000_000).contains(&changed), "{changed}");
}
