use std::{
    future::Future,
    iter::once,
    pin::pin,
    task::{Context, Waker},
};

use media::MediaTime;

use super::*;

const OFFER: &str = include_str!("testdata/offer.sdp");

fn ends() -> (Feed, Publisher) {
    channel(Offer::read(OFFER).unwrap(), Arc::default())
}

fn packet(len: usize) -> Event {
    let payload = vec![0; len].into();
    let (captured, marker, keyframe) = (MediaTime::from_millis(0), true, true);
    Event::Packet(
        Track::Audio,
        RtpPacket { stream: 1, sequence: 1, timestamp: 1, captured, marker, keyframe, level: None, payload },
    )
}

fn is_ready<F: Future>(future: F) -> bool {
    pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[tokio::test]
async fn a_publisher_that_is_not_read_holds_back_by_number_and_by_bytes() {
    for (count, size) in [(EVENTS, 1), (4, BYTES / 4)] {
        let (feed, mut publisher) = ends();
        assert!(feed.has_room());
        feed.send((0..count).map(|_| packet(size)));
        assert!(!feed.has_room() && !is_ready(feed.emptied()));
        assert_eq!(publisher.recv().await, Some(packet(size)));
        assert!(feed.has_room() && is_ready(feed.emptied()));
    }
}

#[tokio::test]
async fn the_end_comes_behind_all_events() {
    let (feed, mut publisher) = ends();
    feed.send([Event::Connected, packet(1)].into_iter());
    feed.end(Why::Deleted);
    for expected in [Some(Event::Connected), Some(packet(1)), Some(Event::Ended(Why::Deleted)), None, None] {
        assert_eq!(publisher.recv().await, expected);
    }
}

#[tokio::test]
async fn the_first_reason_closes() {
    let (feed, publisher) = ends();
    assert!(!is_ready(feed.closed().wait()));
    publisher.closer().delete();
    publisher.closer().close("second");
    assert_eq!(feed.closed().wait().await, Why::Deleted);
}

#[tokio::test]
async fn dropping_the_publisher_closes_and_nothing_is_kept_for_it() {
    let (feed, publisher) = ends();
    let closer = publisher.closer();
    drop(publisher);
    assert_eq!(feed.closed().wait().await, Why::Closed("the server has ended the stream".to_owned()));
    feed.send(once(packet(1)));
    assert!(feed.queue.lock().events.is_empty());
    closer.close("nobody hears this");
}

#[tokio::test]
async fn a_task_that_dies_ends_its_publisher() {
    let (feed, mut publisher) = ends();
    drop(feed);
    assert!(matches!(publisher.recv().await, Some(Event::Ended(Why::Broken(_)))));
}
