use super::*;
use bytes::Bytes;
use media::{Codec, Format, Kind, Packet, TrackId};

fn push(feed: &Feed, unit: Unit, now: Instant) -> usize {
    feed.push(feed.stamp(unit, now))
}

fn format() -> Unit {
    Unit::Format(TrackId(0), Format::new(Codec::H264, Bytes::from_static(b"avcC")))
}

fn picture(ms: i64, keyframe: bool) -> Unit {
    let time = MediaTime::from_millis(ms);
    Unit::Packet(Packet {
        track: TrackId(0),
        kind: Kind::Video,
        pts: time,
        dts: time,
        keyframe,
        data: Bytes::new(),
    })
}

fn drain(feed: &Feed) -> Vec<Unit> {
    std::iter::from_fn(|| feed.try_next()).collect()
}

#[test]
fn a_new_worker_gets_the_formats_and_the_pictures_since_the_last_key_picture() {
    let epoch = Instant::now();
    let feed = Feed::new(epoch);
    for unit in [format(), picture(0, true), picture(33, false), picture(66, true), picture(99, false)] {
        push(&feed, unit, epoch);
    }
    assert_eq!(drain(&feed).len(), 5);
    assert_eq!(feed.rewind(), Some(MediaTime::from_millis(99)));
    push(&feed, picture(132, false), epoch);
    assert_eq!(drain(&feed), [format(), picture(66, true), picture(99, false), picture(132, false)]);
}

fn sound(ms: i64) -> Unit {
    let time = MediaTime::from_millis(ms);
    Unit::Packet(Packet {
        track: TrackId(1),
        kind: Kind::Audio,
        pts: time,
        dts: time,
        keyframe: true,
        data: Bytes::new(),
    })
}

#[test]
fn while_nobody_watches_only_sound_is_given_out() {
    let epoch = Instant::now();
    let feed = Feed::new(epoch);
    push(&feed, picture(0, true), epoch);
    feed.sleep();
    for unit in [sound(10), picture(33, false), picture(66, true), sound(70)] {
        push(&feed, unit, epoch);
    }
    assert_eq!(drain(&feed), [sound(10), sound(70)]);
}

#[test]
fn who_watches_again_gets_the_pictures_since_the_last_key_picture_once() {
    let epoch = Instant::now();
    let feed = Feed::new(epoch);
    feed.sleep();
    for unit in [picture(0, true), picture(33, false), picture(66, true), sound(70), picture(99, false)] {
        push(&feed, unit, epoch);
    }
    assert_eq!(feed.wake(), Some(MediaTime::from_millis(99)));
    push(&feed, picture(132, false), epoch);
    assert_eq!(drain(&feed), [picture(66, true), picture(99, false), sound(70), picture(132, false)]);
    assert_eq!(feed.wake(), None, "it is awake");
}

#[test]
fn more_pictures_than_decode_fast_are_decoded_ahead_up_to_the_next_key_picture() {
    let (epoch, feed) = (Instant::now(), Feed::new(Instant::now()));
    feed.sized(1920, 1080);
    feed.sleep();
    let push = |ms, key| _ = push(&feed, picture(ms, key), epoch);
    (0..40).for_each(|i| push(i * 33, i == 0));
    assert_eq!((drain(&feed).len(), feed.lead()), (0, FAST));
    push(40 * 33, false);
    assert_eq!((drain(&feed).len(), feed.lead()), (41, Duration::ZERO));
    push(41 * 33, false);
    assert_eq!(drain(&feed).len(), 1);
    assert_eq!(feed.wake(), Some(MediaTime::from_millis(41 * 33)), "those before are not shown");
    feed.sleep();
    push(42 * 33, true);
    push(43 * 33, false);
    assert_eq!((drain(&feed).len(), feed.lead()), (0, FAST / 20));
}

#[test]
fn without_a_key_picture_at_hand_one_is_waited_for() {
    let epoch = Instant::now();
    let feed = Feed::new(epoch);
    feed.sleep();
    push(&feed, picture(0, false), epoch);
    assert_eq!(feed.wake(), None);
    for unit in [picture(33, false), sound(40), picture(66, true)] {
        push(&feed, unit, epoch);
    }
    assert_eq!(drain(&feed), [sound(40), picture(66, true)]);
}

#[test]
fn a_worker_that_falls_behind_costs_pictures_not_latency() {
    let epoch = Instant::now();
    let feed = Feed::new(epoch);
    push(&feed, picture(0, true), epoch);
    let dropped: usize = (1..100).map(|i| push(&feed, picture(i * 33, i % 30 == 0), epoch)).sum();
    assert!(dropped > 50, "{dropped} dropped");
    let Some(Unit::Packet(first)) = drain(&feed).into_iter().next() else { panic!("media is left") };
    assert!(first.keyframe && first.dts >= MediaTime::from_millis(2000));
}

#[test]
fn drops_for_want_of_room_are_told_once_and_those_for_want_of_a_key_picture_never() {
    let epoch = Instant::now();
    let feed = Feed::new(epoch);
    for i in 0..=20 {
        push(&feed, picture(i * 33, i == 0), epoch);
    }
    assert_eq!(feed.take_strain(), (Duration::from_millis(660), 0));
    for i in 21..60 {
        push(&feed, picture(i * 33, false), epoch);
    }
    assert_eq!(feed.take_strain(), (Duration::ZERO, 24), "up to the first over 750 ms");
    assert_eq!(feed.take_strain(), (Duration::ZERO, 0));
}

#[tokio::test]
async fn who_waits_is_woken_by_what_comes() {
    let feed = std::sync::Arc::new(Feed::new(Instant::now()));
    let waiting = tokio::spawn({
        let feed = feed.clone();
        async move { feed.next().await }
    });
    push(&feed, format(), Instant::now());
    assert_eq!(waiting.await.unwrap(), format());
}

#[test]
fn pictures_that_are_refused_are_not_the_workers_fault() {
    let epoch = Instant::now();
    let feed = Feed::new(epoch);
    push(&feed, picture(0, true), epoch);
    drain(&feed);
    assert!(!feed.starves(), "it has all there is");
    (1..40).for_each(|i| _ = push(&feed, picture(i * 33, false), epoch));
    assert!(!feed.starves(), "it did not come back for more");
    drain(&feed);
    assert!(feed.starves());
    push(&feed, picture(2000, true), epoch);
    assert!(!feed.starves());
}

#[test]
fn a_publisher_that_can_be_asked_is_when_a_key_picture_is_missing_or_long_ago() {
    let epoch = Instant::now();
    let feed = Feed::new(epoch);
    let asks = |ms| feed.wants_keyframe(epoch + Duration::from_millis(ms));
    assert_eq!([0, 499, 500].map(asks), [true, false, true], "nothing is kept");
    push(&feed, picture(0, true), epoch);
    let more = |pictures: i64| (0..pictures).for_each(|_| _ = push(&feed, picture(1, false), epoch));
    more(299);
    assert!(!asks(2000));
    feed.sleep();
    assert!(asks(2000), "too many for a fast start");
    push(&feed, picture(2, true), epoch);
    more(59);
    assert!(!asks(4000));
    more(1);
    assert!(asks(4000) && !asks(4001));
    feed.wake();
    assert!(!asks(6000));
    more(240);
    assert!(asks(6000), "too many for a new worker");
    push(&feed, picture(3, true), epoch);
    drain(&feed);
    (0..40).for_each(|i| _ = push(&feed, picture(10 + i * 33, false), epoch));
    assert!(asks(8000), "the worker fell behind, and pictures are refused");
}
