//! A publisher whose media goes to the SFU directly: `whip_proxy_enabled`.

mod rig;

use media::Codec;
use rig::*;
use sluicegate_session::*;

const PROXIED: Settings = Settings { proxied: true, ..SETTINGS };
const SECOND_SOURCE: SourceId = SourceId(2);
const PICTURES: VideoState =
    VideoState { codec: Codec::Vp8, bitrate_bps: 300_000, width: 640, height: 360, fps_milli: 0 };

fn begun() -> Rig {
    let mut rig = Rig::new(PROXIED);
    rig.feed(Input::Admission(Admitted::Yes));
    rig.feed(Input::SourceAccepted(FIRST));
    assert_eq!(rig.ingress.stage(), Stage::Buffering);
    rig
}

fn notice(source: SourceId, video: Option<VideoState>) -> Input {
    Input::Proxied { source, video, audio: None }
}

fn live() -> Rig {
    let mut rig = begun();
    rig.feed(notice(FIRST, Some(PICTURES)));
    assert_eq!(rig.ingress.stage(), Stage::Live);
    rig
}

fn phases(log: &[Output]) -> Vec<Phase> {
    let phase = |output: &Output| match output {
        Output::Report(status) => Some(status.phase),
        _ => None,
    };
    log.iter().filter_map(phase).collect()
}

fn failed(rig: &Rig) -> Option<Reason> {
    rig.ingress.status().error
}

#[test]
fn no_room_is_joined_and_no_worker_started() {
    let mut rig = live();
    for _ in 0..30 {
        rig.pass(10 * SECOND);
        rig.feed(notice(FIRST, Some(PICTURES)));
    }
    assert_eq!(rig.ingress.stage(), Stage::Live);
    let other = |output: &Output| !matches!(output, Output::AcceptSource(_) | Output::Report(_));
    assert_eq!(rig.log.iter().filter(|output| other(output)).count(), 0, "{:?}", rig.log);
    assert_eq!(phases(&rig.log), [Phase::Buffering, Phase::Publishing], "the same again is not posted");
}

#[test]
fn it_publishes_when_the_sfu_receives_something_and_its_words_are_told() {
    let mut rig = begun();
    rig.feed(notice(FIRST, None));
    assert_eq!(rig.ingress.status().phase, Phase::Buffering);
    rig.feed(notice(FIRST, Some(PICTURES)));
    let status = rig.ingress.status();
    assert_eq!((status.phase, status.video, status.audio), (Phase::Publishing, Some(PICTURES), None));
    rig.feed(notice(FIRST, None));
    assert_eq!(rig.ingress.status().phase, Phase::Publishing, "a moment without tracks ends nothing");
}

#[test]
fn without_media_it_ends_as_any_session() {
    let mut rig = begun();
    for _ in 0..3 {
        rig.pass(10 * SECOND);
        rig.feed(notice(FIRST, None));
    }
    assert_eq!(rig.ingress.stage(), Stage::Buffering);
    rig.pass(5 * SECOND);
    assert_eq!(failed(&rig), Some(Reason::NoMedia));
    assert!(rig.log.iter().any(|output| matches!(output, Output::CloseSource { source: FIRST, .. })));
}

#[test]
fn a_session_that_is_never_told_of_ends() {
    let mut rig = begun();
    rig.pass(Budget::default().proxied_media);
    assert_eq!(failed(&rig), Some(Reason::NoMedia));
}

#[test]
fn an_sfu_that_falls_silent_ends_it_later_than_a_short_outage_of_the_bus() {
    let mut rig = live();
    rig.pass(Budget::default().proxied_silence - SECOND);
    assert_eq!(rig.ingress.stage(), Stage::Live);
    rig.feed(notice(FIRST, Some(PICTURES)));
    rig.pass(Budget::default().proxied_silence - SECOND);
    assert_eq!(rig.ingress.stage(), Stage::Live);
    rig.pass(SECOND);
    assert_eq!(failed(&rig), Some(Reason::RoomLost));
}

#[test]
fn when_the_sfu_has_closed_it_is_over() {
    let mut rig = live();
    rig.log.clear();
    rig.feed(Input::SourceEnded { source: FIRST, end: SourceEnd::Lost });
    assert_eq!(phases(&rig.log), [Phase::Inactive]);
    rig.feed(Input::Reported);
    assert_eq!(rig.ingress.stage(), Stage::Over, "there is no room to leave");
    assert!(!rig.log.contains(&Output::Leave));
}

#[test]
fn who_takes_over_goes_on_with_the_state() {
    let mut rig = live();
    rig.log.clear();
    rig.feed(Input::TookOver(SECOND_SOURCE));
    // The SFU lets go of the first one as soon as the second one joins.
    rig.feed(Input::SourceEnded { source: FIRST, end: SourceEnd::Lost });
    rig.feed(Input::SourceAccepted(SECOND_SOURCE));
    rig.feed(notice(FIRST, None));
    rig.pass(10 * SECOND);
    rig.feed(notice(SECOND_SOURCE, Some(PICTURES)));
    assert_eq!(rig.ingress.stage(), Stage::Live);
    assert_eq!(phases(&rig.log), [], "nothing has changed for the API");
}

#[test]
fn who_takes_over_has_to_send_something_too() {
    let mut rig = live();
    rig.feed(Input::TookOver(SECOND_SOURCE));
    rig.feed(Input::SourceAccepted(SECOND_SOURCE));
    rig.pass(Budget::default().proxied_media);
    assert_eq!(failed(&rig), Some(Reason::NoMedia));
}

#[test]
fn a_delete_of_the_ingress_closes_the_publisher_and_is_answered() {
    let mut rig = live();
    rig.log.clear();
    rig.feed(Input::Delete { token: Token(7) });
    assert!(
        rig.log.contains(&Output::CloseSource { source: FIRST, why: Why::Deleted }),
        "its participant has to be removed"
    );
    rig.feed(Input::Reported);
    assert!(rig.log.iter().any(|output| matches!(output, Output::Reply { token: Token(7), .. })));
}
