//! Sound that goes to the room as it comes, past the worker.

mod rig;

use media::{Codec, Kind};
use rig::*;
use sluicegate_session::*;

const INFO: SourceInfo = SourceInfo::Audio { codec: Codec::Opus, channels: 1, sample_rate: 48_000 };

fn untouched(source: SourceId) -> Input {
    Input::SoundWay { source, way: SoundWay::Untouched { info: INFO, channels: 2 } }
}

fn encoded(source: SourceId) -> Input {
    Input::SoundWay { source, way: SoundWay::Encoded }
}

fn sound(rig: &mut Rig, time: std::time::Duration) {
    let until = rig.now + time;
    while rig.now < until {
        rig.pass(200 * MS);
        rig.feed(Input::SourceMedia { source: FIRST, video_bytes: 0, audio_bytes: 2_500, refused: false });
    }
}

#[test]
fn untouched_sound_is_published_without_a_worker_that_is_ready() {
    let mut rig = Rig::at(Stage::Buffering);
    assert_eq!(rig.feed(untouched(FIRST)), [Output::Publish { video: None, audio: Some(2) }]);
    rig.feed(Input::Published(Kind::Audio));
    let audio = rig.ingress.status().audio.unwrap();
    assert_eq!((audio.codec, audio.channels, audio.sample_rate), (Codec::Opus, 1, 48_000));
    rig.worker_ready();
    sound(&mut rig, 60 * SECOND);
    assert_eq!(rig.ingress.stage(), Stage::Live);
    assert_eq!(rig.log.iter().filter_map(started).count(), 0, "nothing is wrong with the worker");
}

#[test]
fn it_waits_for_promised_pictures_like_any_sound() {
    let mut rig = Rig::at(Stage::Buffering);
    rig.feed(Input::SourceFormat { source: FIRST, kind: Kind::Video });
    assert_eq!(rig.feed(untouched(FIRST)), []);
    assert_eq!(rig.pass(SECOND), [Output::Publish { video: None, audio: Some(2) }]);
}

#[test]
fn a_worker_that_dies_does_not_end_sound_that_goes_past_it() {
    let mut rig = Rig::at(Stage::Live);
    rig.feed(untouched(FIRST));
    rig.stream(FIRST, SECOND, true);
    rig.feed(Input::WorkerDied { worker: rig.worker(), text: "signal 9".into() });
    rig.worker_ready();
    sound(&mut rig, 30 * SECOND);
    assert_eq!(rig.ingress.stage(), Stage::Live, "no media from the worker is waited for");
}

#[test]
fn only_sound_that_the_worker_gets_is_missed_when_it_does_not_come_out() {
    let mut rig = Rig::at(Stage::Live);
    rig.feed(Input::Wanted(Qualities::NONE));
    rig.stream(FIRST, SECOND, true);
    let worker = rig.worker();
    rig.feed(untouched(FIRST));
    sound(&mut rig, 10 * SECOND);
    assert!(!rig.log.contains(&Output::StopWorker(worker)));
    rig.feed(encoded(FIRST));
    sound(&mut rig, 10 * SECOND);
    assert!(rig.log.contains(&Output::StopWorker(worker)));
}

#[test]
fn changing_over_publishes_nothing_again() {
    let mut rig = Rig::at(Stage::Live);
    for _ in 0..3 {
        rig.feed(untouched(FIRST));
        rig.feed(encoded(FIRST));
        rig.audio_ready();
    }
    assert!(!rig.log.iter().any(|out| matches!(out, Output::Publish { .. })), "{:?}", rig.log);
}

#[test]
fn sound_that_is_not_wanted_and_sound_of_another_connection_do_not_matter() {
    let mut rig = Rig::with(Settings { audio: false, ..SETTINGS }, Stage::Buffering);
    assert_eq!(rig.feed(untouched(FIRST)), []);
    let mut rig = Rig::at(Stage::Buffering);
    assert_eq!(rig.feed(untouched(SourceId(7))), []);
}
