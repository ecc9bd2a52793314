//! A URL that is played, as users of LiveKit's API see it.

mod rig;

use rig::*;
use sluicegate_session::*;

fn missing() -> SourceEnd {
    SourceEnd::Pull { label: "not_found", text: "the server answered 404 Not Found".into() }
}

#[test]
fn it_is_buffering_before_the_url_is_open_and_costs_neither_room_nor_worker() {
    let mut rig = Rig::new(PULL);
    let out = rig.feed(Input::Admission(Admitted::Yes));
    let [Output::Report(status), Output::AcceptSource(FIRST)] = &out[..] else { panic!("{out:?}") };
    assert_eq!((status.phase, status.started), (Phase::Buffering, rig.now));
    let started = rig.now;
    assert_eq!(rig.pass(30 * SECOND), []);
    let out = rig.feed(Input::SourceAccepted(FIRST));
    assert!(matches!(out[..], [Output::Join, Output::StartWorker { .. }]), "no second BUFFERING: {out:?}");
    assert_eq!(rig.ingress.status().started, started);
}

#[test]
fn a_file_that_ends_is_complete() {
    let mut rig = Rig::with(PULL, Stage::Live);
    rig.feed(Input::SourceEnded { source: FIRST, end: SourceEnd::Finished });
    assert_eq!(rig.finish(), Outcome::Ended(Why::Finished));
    assert_eq!(rig.phases(), [Phase::Complete]);
}

#[test]
fn a_url_that_cannot_be_opened_is_an_error_that_names_the_cause() {
    for stage in [Stage::Admitted, Stage::Live] {
        let mut rig = Rig::with(PULL, stage);
        rig.feed(Input::SourceEnded { source: FIRST, end: missing() });
        rig.finish_anyhow();
        let reports = rig.reports();
        assert_eq!(reports.len(), 1);
        let error = reports[0].error.clone().unwrap();
        assert_eq!((reports[0].phase, error.label()), (Phase::Error, "not_found"));
        assert_eq!(error.to_string(), "the server answered 404 Not Found");
    }
}

#[test]
fn what_is_no_fault_of_a_publisher_is_one_of_a_url() {
    let ends = [(SourceEnd::Lost, "lost"), (SourceEnd::Silent, "silent")];
    for (end, label) in ends {
        let mut rig = Rig::with(PULL, Stage::Live);
        rig.feed(Input::SourceEnded { source: FIRST, end });
        rig.finish_anyhow();
        assert_eq!(rig.reports()[0].error.as_ref().map(Reason::label), Some(label));
    }
}

#[test]
fn one_that_does_not_open_in_time_says_so() {
    let mut rig = Rig::with(PULL, Stage::Admitted);
    let out = rig.pass(Budget::default().pull_open);
    assert!(matches!(&out[0], Output::CloseSource { source: FIRST, .. }), "{out:?}");
    rig.finish_anyhow();
    assert_eq!(rig.reports()[0].error.as_ref().map(Reason::label), Some("timeout"));
}

#[test]
fn one_that_opens_and_gives_nothing_says_so() {
    let mut rig = Rig::with(PULL, Stage::Buffering);
    rig.pass(Budget::default().pull_media);
    rig.finish_anyhow();
    assert_eq!(rig.reports()[0].error.as_ref().map(Reason::label), Some("no_media"));
}

#[test]
fn it_is_deleted_while_it_opens_with_a_final_state_before_the_answer() {
    let mut rig = Rig::with(PULL, Stage::Admitted);
    let out = rig.feed(Input::Delete { token: Token(7) });
    assert!(
        matches!(&out[..], [Output::CloseSource { why: Why::Deleted, .. }, Output::Report(_)]),
        "{out:?}"
    );
    assert_eq!(rig.phases(), [Phase::Complete]);
    let out = rig.feed(Input::Reported);
    assert!(matches!(&out[..], [Output::Reply { token: Token(7), .. }, Output::Over(_)]), "{out:?}");
}

#[test]
fn a_drain_lets_it_go_on_and_an_end_now_is_an_error_since_it_cannot_begin_again() {
    for stage in [Stage::Admitted, Stage::Live] {
        let mut rig = Rig::with(PULL, stage);
        assert_eq!(rig.feed(Input::Shutdown(Shutdown::Drain)), []);
        assert_eq!(rig.ingress.stage(), stage);
        rig.feed(Input::Shutdown(Shutdown::Now));
        rig.finish_anyhow();
        assert_eq!(rig.reports()[0].error, Some(Reason::ShuttingDown));
    }
}
