//! Callers of the listener, through a real process and real libsrt on both sides.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

use std::time::{Duration, Instant};

use intake::srt::{Error, Refusal, Secret, Why};

mod support;
use support::{
    Caller, KEY, Line, asks, listen,
    network::{Faults, Network},
    options, read_all, read_some, stream, within,
};

const PASSPHRASE: &str = "correct horse battery";

/// Sends so many messages and hangs up.
fn sends(line: Line, messages: u64) -> tokio::task::JoinHandle<()> {
    tokio::task::spawn_blocking(move || {
        assert!(line.send(0, messages));
        line.finish();
    })
}

#[tokio::test]
async fn a_caller_is_heard_from_its_first_byte_to_its_last() {
    let mut listener = listen(options());
    let calls = Caller::new(KEY).calls(listener.local_addr());
    let request = asks(&mut listener).await;
    assert_eq!(request.key, media::StreamKey::new(KEY));
    let mut publisher = request.accept().await.unwrap();
    let line = calls.await.unwrap().unwrap();
    let sent = sends(line, 300);
    stream::assert_whole(&read_all(&mut publisher).await, 300);
    sent.await.unwrap();
    assert_eq!(publisher.why(), Some(Why::Closed));
    assert!(publisher.describe().starts_with("SRT 1.5."), "{}", publisher.describe());
    within("the end", listener.shutdown()).await;
}

#[tokio::test]
async fn who_may_not_publish_is_told_why_in_srts_own_codes() {
    let mut listener = listen(options());
    let to = listener.local_addr();
    let refused = Caller::new("wrong").calls(to);
    asks(&mut listener).await.wrong_key().await;
    assert_eq!(refused.await.unwrap().unwrap_err(), 1403);
    let refused = Caller::new(KEY).calls(to);
    asks(&mut listener).await.reject(Refusal::Overload).await;
    assert_eq!(refused.await.unwrap().unwrap_err(), 1402);
    let refused = Caller::new(KEY).calls(to);
    drop(asks(&mut listener).await);
    assert_eq!(refused.await.unwrap().unwrap_err(), 1503);
    // Nobody is asked about these.
    for (stream_id, code) in [("#!::r=key_1,m=request", 1405), ("#!::nonsense", 1400), ("", 1400)] {
        assert_eq!(Caller::new(stream_id).calls(to).await.unwrap().unwrap_err(), code, "{stream_id}");
    }
}

#[tokio::test]
async fn an_address_that_guesses_is_held_back_and_a_right_key_passes() {
    let mut options = options();
    options.wrong_keys.burst = 3;
    options.wrong_keys.every = Duration::from_secs(3600);
    let mut listener = listen(options);
    let to = listener.local_addr();
    let right = Caller::new(KEY).calls(to);
    let _publisher = asks(&mut listener).await.accept().await.unwrap();
    let _line = right.await.unwrap().unwrap();
    for guess in 0..3 {
        let refused = Caller::new(&format!("guess{guess}")).calls(to);
        asks(&mut listener).await.wrong_key().await;
        assert_eq!(refused.await.unwrap().unwrap_err(), 1403);
    }
    assert_eq!(Caller::new("guess").calls(to).await.unwrap().unwrap_err(), 1402, "not asked about");
    let right = Caller::new(KEY).calls(to);
    asks(&mut listener).await.accept().await.unwrap();
    right.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_passphrase_keeps_out_who_has_another_or_none_and_harms_nobody_else() {
    let mut options = options();
    options.passphrase = Some(Secret::new(PASSPHRASE));
    let mut listener = listen(options);
    let to = listener.local_addr();
    let live = Caller::new(KEY).passphrase(PASSPHRASE).calls(to);
    let mut publisher = asks(&mut listener).await.accept().await.unwrap();
    let live = live.await.unwrap().unwrap();
    assert!(publisher.describe().ends_with(", encrypted"), "{}", publisher.describe());
    for (caller, code) in [(Caller::new(KEY).passphrase("another passphrase"), 10), (Caller::new(KEY), 11)] {
        let refused = caller.calls(to);
        let gone = asks(&mut listener).await.accept().await.unwrap_err();
        assert!(matches!(gone, Error::Gone { .. }));
        assert_eq!(refused.await.unwrap().unwrap_err(), code);
    }
    let sent = sends(live, 100);
    stream::assert_whole(&read_all(&mut publisher).await, 100);
    sent.await.unwrap();
}

#[tokio::test]
async fn a_passphrase_where_none_is_expected_is_refused() {
    let mut listener = listen(options());
    let refused = Caller::new(KEY).passphrase(PASSPHRASE).calls(listener.local_addr());
    asks(&mut listener).await.accept().await.unwrap_err();
    assert_eq!(refused.await.unwrap().unwrap_err(), 11);
}

/// Two percent lost and 50 ms of jitter, each way.
async fn through(reorders: bool) {
    let mut options = options();
    options.latency = Duration::from_secs(1);
    let mut listener = listen(options);
    let faults = Faults { loss_percent: 2, jitter: Duration::from_millis(50), reorders };
    let network = Network::to(listener.local_addr(), faults);
    let calls = Caller::new(KEY).calls(network.address);
    let mut publisher = asks(&mut listener).await.accept().await.unwrap();
    let line = calls.await.unwrap().unwrap();
    let meter = publisher.meter();
    // Nobody misses the last message if it is lost: some more follow those that count.
    let sent = tokio::task::spawn_blocking(move || assert!(line.send(0, 2000 + 200)));
    let mut heard = read_some(&mut publisher, 1500 * stream::MESSAGE).await;
    let (midway, _) = meter.stats();
    assert!(midway.rtt_ms > 10.0 && midway.bitrate_bps > 500_000, "{midway:?}");
    heard.extend(read_all(&mut publisher).await);
    sent.await.unwrap();
    heard.truncate(2000 * stream::MESSAGE);
    stream::assert_whole(&heard, 2000);
    let (stats, unread) = meter.stats();
    assert!(network.lost() > 20 && stats.lost > 5 && stats.resent > 5, "{stats:?}");
    assert_eq!((stats.dropped, unread), (0, 0));
}

#[tokio::test]
async fn a_stream_over_a_network_that_loses_and_delays_is_whole() {
    through(false).await;
}

#[tokio::test]
async fn a_stream_over_a_network_that_loses_and_reorders_is_whole() {
    through(true).await;
}

#[tokio::test]
async fn a_caller_that_vanishes_is_noticed_within_ten_seconds() {
    let mut listener = listen(options());
    let faults = Faults { loss_percent: 0, jitter: Duration::ZERO, reorders: false };
    let network = Network::to(listener.local_addr(), faults);
    let calls = Caller::new(KEY).calls(network.address);
    let mut publisher = asks(&mut listener).await.accept().await.unwrap();
    let line = calls.await.unwrap().unwrap();
    let sends = tokio::task::spawn_blocking(move || line.send_until(|| false));
    read_some(&mut publisher, 1 << 17).await;
    network.fall_silent();
    let since = Instant::now();
    read_all(&mut publisher).await;
    assert_eq!(publisher.why(), Some(Why::Vanished));
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    sends.await.unwrap();
}

#[tokio::test]
async fn an_answer_that_takes_long_holds_up_no_stream_and_still_counts() {
    let mut listener = listen(options());
    let to = listener.local_addr();
    let live = Caller::new(KEY).calls(to);
    let mut publisher = asks(&mut listener).await.accept().await.unwrap();
    let live = live.await.unwrap().unwrap();
    let sent = sends(live, 600);
    // Not answered in time: connected meanwhile.
    let first = Caller::new("first").calls(to);
    let second = Caller::new("second").calls(to);
    let (first_asks, second_asks) = (asks(&mut listener).await, asks(&mut listener).await);
    let first = within("connected", first).await.unwrap().unwrap();
    let second = within("connected", second).await.unwrap().unwrap();
    let (yes, no) = match first_asks.key == media::StreamKey::new("first") {
        true => (first_asks, second_asks),
        false => (second_asks, first_asks),
    };
    let said = sends(first, 50);
    no.wrong_key().await;
    assert!(tokio::task::spawn_blocking(move || second.until_over()).await.unwrap());
    let mut late = yes.accept().await.unwrap();
    stream::assert_whole(&read_all(&mut late).await, 50);
    said.await.unwrap();
    stream::assert_whole(&read_all(&mut publisher).await, 600);
    sent.await.unwrap();
}

#[tokio::test]
async fn a_publisher_that_is_dropped_or_closed_ends_its_caller() {
    let mut listener = listen(options());
    let to = listener.local_addr();
    for drops in [true, false] {
        let calls = Caller::new(KEY).calls(to);
        let mut publisher = asks(&mut listener).await.accept().await.unwrap();
        let line = calls.await.unwrap().unwrap();
        if drops {
            drop(publisher);
        } else {
            publisher.closer().close("enough");
            read_all(&mut publisher).await;
            assert_eq!(publisher.why(), Some(Why::Told("enough".to_owned())));
        }
        assert!(tokio::task::spawn_blocking(move || line.until_over()).await.unwrap());
    }
}

#[tokio::test]
async fn encoders_way_of_writing_a_key_are_understood() {
    let mut listener = listen(options());
    let to = listener.local_addr();
    for stream_id in ["#!::r=key_1,m=publish", "%23!::r=key_1,m=publish"] {
        let calls = Caller::new(stream_id).calls(to);
        let request = asks(&mut listener).await;
        assert_eq!(request.key, media::StreamKey::new(KEY), "{stream_id}");
        request.accept().await.unwrap();
        calls.await.unwrap().unwrap();
    }
}
