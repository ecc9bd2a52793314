//! A publisher whose packets go to the room as they are: WHIP without transcoding.

mod rig;

use media::{Kind, Layer, Quality};
use rig::*;
use sluicegate_session::*;

const FORWARD: Settings = Settings { forward: true, ..SETTINGS };

fn forwarded(source: SourceId, layers: Vec<Layer>) -> Input {
    Input::Forwarded { source, info: VIDEO, layers }
}

fn live() -> Rig {
    let mut rig = Rig::with(FORWARD, Stage::Buffering);
    rig.feed(Input::SourceFormat { source: FIRST, kind: Kind::Video });
    rig.feed(forwarded(FIRST, layers()));
    rig.pass(SECOND);
    rig.feed(Input::Published(Kind::Video));
    assert_eq!(rig.ingress.stage(), Stage::Live);
    rig
}

fn picture(rig: &mut Rig, time: std::time::Duration) {
    let until = rig.now + time;
    while rig.now < until {
        rig.pass(200 * MS);
        rig.feed(Input::SourceMedia { source: FIRST, video_bytes: 50_000, audio_bytes: 0, refused: false });
    }
}

#[test]
fn it_is_published_when_its_pictures_are_known_and_no_worker_is_ever_started() {
    let mut rig = live();
    assert!(rig.log.contains(&Output::Publish { video: Some(layers()), audio: None }));
    let video = rig.ingress.status().video.unwrap();
    let SourceInfo::Video { width, height, .. } = VIDEO else { panic!() };
    assert_eq!((video.width, video.height), (width, height));
    picture(&mut rig, 60 * SECOND);
    assert_eq!(rig.ingress.stage(), Stage::Live);
    assert_eq!(rig.log.iter().filter_map(started).count(), 0);
}

#[test]
fn the_publisher_is_asked_for_keyframes_and_not_too_often() {
    let mut rig = live();
    rig.pass(SECOND);
    let high = Input::KeyframeNeeded(Quality::High);
    assert_eq!(rig.feed(high.clone()), [Output::Keyframe(Quality::High)]);
    assert_eq!(rig.feed(high), []);
    assert_eq!(rig.pass(SECOND), [Output::Keyframe(Quality::High)]);
}

#[test]
fn a_layer_that_nobody_watches_is_kept_back_and_comes_again_with_a_keyframe() {
    let mut rig = live();
    let said = rig.feed(Input::Wanted([Quality::Low].into_iter().collect()));
    assert!(said.contains(&Output::Pause(Quality::Medium)) && said.contains(&Output::Pause(Quality::High)));
    assert!(!said.contains(&Output::Pause(Quality::Low)), "{said:?}");
    rig.pass(SECOND);
    let said = rig.feed(Input::Wanted(Qualities::ALL));
    for quality in [Quality::Medium, Quality::High] {
        assert!(
            said.contains(&Output::Resume(quality)) && said.contains(&Output::Keyframe(quality)),
            "{said:?}"
        );
    }
}

#[test]
fn who_takes_over_is_asked_for_keyframes_of_all_layers() {
    let mut rig = live();
    let second = SourceId(2);
    rig.feed(Input::TookOver(second));
    rig.feed(Input::SourceAccepted(second));
    rig.pass(SECOND);
    assert_eq!(rig.feed(forwarded(FIRST, layers())), [], "it has nothing to say any more");
    let asked = rig.feed(forwarded(second, layers()));
    for quality in Quality::ALL {
        assert!(asked.contains(&Output::Keyframe(quality)), "{asked:?}");
    }
}

#[test]
fn a_publisher_that_sends_nothing_ends_the_session() {
    let mut rig = Rig::with(FORWARD, Stage::Buffering);
    rig.pass(Budget::default().first_media);
    assert_eq!(rig.ingress.stage(), Stage::Draining);
}

#[test]
fn where_packets_are_not_forwarded_such_news_means_nothing() {
    let mut rig = Rig::at(Stage::Buffering);
    assert_eq!(rig.feed(forwarded(FIRST, layers())), []);
    assert_eq!(rig.pass(SECOND), []);
}
