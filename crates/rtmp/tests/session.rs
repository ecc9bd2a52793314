//! What a session answers, and when it gives up.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::{Duration, Instant};

use sluicegate_rtmp::{
    Ended, Error, Event, Reject, Session,
    amf0::{self, Value},
    limits::{BEFORE_ACCEPT, BEFORE_PUBLISH, MESSAGE_STREAMS, PING_AFTER, PUBLISH_DEADLINE, SILENCE},
};
use support::{
    AVC_HEADER, Chunks, Message, command, connect, feed, greeting, handshake, picture, publish, publishing,
    said, text,
};

fn call(name: &str, transaction: f64, argument: Value) -> Message {
    Message::new(3, 20, 0, command(&[text(name), Value::Number(transaction), Value::Null, argument]))
}

#[test]
fn encoders_calls_are_answered() {
    let now = Instant::now();
    let mut session = Session::new(now);
    let mut chunks = Chunks::new(true);
    let mut bytes = handshake();
    bytes.extend(chunks.bytes(&Message::new(3, 20, 0, connect("live"))));
    for (n, name) in
        ["releaseStream", "FCPublish", "createStream", "_checkbw", "getStreamLength"].iter().enumerate()
    {
        bytes.extend(chunks.bytes(&call(name, n as f64 + 2.0, text("key12345"))));
    }
    assert_eq!(feed(&mut session, now, [&bytes[..]]).result, Ok(()));
    let answers = said(&mut session);
    assert_eq!(answers.matches("_result").count(), 6, "{answers}");
    assert!(
        answers.contains("NetConnection.Connect.Success") && answers.contains("onFCPublish"),
        "{answers}"
    );
    for word in ["fourCcList", "audioFourCcInfoMap", "videoFourCcInfoMap", "Opus", "mp4a", ".mp3", "avc1"] {
        assert!(answers.contains(word), "{word}: {answers}");
    }
}

#[test]
fn a_transaction_of_zero_asks_for_no_result() {
    let now = Instant::now();
    let (mut session, mut chunks) = publishing(now, true);
    feed(&mut session, now, [&chunks.bytes(&call("releaseStream", 0.0, text("k")))[..]]);
    assert_eq!(said(&mut session), "");
}

#[test]
fn an_unknown_call_is_answered_with_an_error_and_lives() {
    let now = Instant::now();
    let (mut session, mut chunks) = publishing(now, true);
    let seen = feed(&mut session, now, [&chunks.bytes(&call("setPeerInfo", 9.0, Value::Null))[..]]);
    assert_eq!(seen.result, Ok(()));
    assert!(said(&mut session).contains("NetConnection.Call.Failed"));
}

#[test]
fn streams_are_bounded() {
    let now = Instant::now();
    let (mut session, mut chunks) = publishing(now, true);
    for _ in 1..MESSAGE_STREAMS {
        feed(&mut session, now, [&chunks.bytes(&call("createStream", 2.0, Value::Null))[..]]);
        assert!(said(&mut session).contains("_result"));
    }
    feed(&mut session, now, [&chunks.bytes(&call("createStream", 2.0, Value::Null))[..]]);
    assert!(said(&mut session).contains("too many streams"));
}

#[test]
fn obs_sets_its_chunk_size_before_connect() {
    let now = Instant::now();
    let mut chunks = Chunks::new(true);
    let mut bytes = handshake();
    bytes.extend(chunks.bytes(&Message::new(2, 1, 0, 4096_u32.to_be_bytes())));
    chunks.size = 4096;
    bytes.extend(&greeting(&mut chunks)[handshake().len()..]);
    let seen = feed(&mut Session::new(now), now, [&bytes[..]]);
    let [Event::Publish(asked)] = &seen.events[..] else { panic!("{seen:?}") };
    assert_eq!((asked.app.as_str(), asked.tc_url.as_str()), ("live", "rtmp://host/live"));
    assert_eq!((asked.key.reveal(), asked.encoder.as_str()), ("key12345", "test/1.0"));
}

#[test]
fn commands_in_the_amf3_wrapper_are_understood() {
    let now = Instant::now();
    let mut chunks = Chunks::new(true);
    let mut bytes = handshake();
    for body in [connect("live"), publish("key12345")] {
        bytes.extend(chunks.bytes(&Message::new(3, 17, 0, [&[0][..], &body].concat())));
    }
    let seen = feed(&mut Session::new(now), now, [&bytes[..]]);
    assert!(matches!(&seen.events[..], [Event::Publish(_)]), "{seen:?}");
}

#[test]
fn every_way_to_end_a_stream() {
    for (name, argument, why) in [
        ("FCUnpublish", text("key12345"), Some(Ended::Unpublished)),
        ("closeStream", Value::Null, Some(Ended::Unpublished)),
        ("deleteStream", Value::Number(1.0), Some(Ended::DeletedStream)),
        ("deleteStream", text("1"), Some(Ended::DeletedStream)),
        ("deleteStream", text("key12345"), Some(Ended::DeletedStream)),
        ("deleteStream", Value::Number(2.0), None),
    ] {
        let now = Instant::now();
        let (mut session, mut chunks) = publishing(now, true);
        let seen = feed(&mut session, now, [&chunks.bytes(&call(name, 0.0, argument.clone()))[..]]);
        let expected: Vec<_> = why.map(Event::Ended).into_iter().collect();
        assert_eq!(seen.events, expected, "{name} {argument:?}");
    }
}

#[test]
fn commands_out_of_order_are_refused() {
    let now = Instant::now();
    for commands in [
        vec![publish("key")],
        vec![connect("live"), connect("live")],
        vec![connect("live"), publish("key"), publish("key")],
        vec![connect("live"), command(&[text("play"), Value::Number(1.0), Value::Null, text("key")])],
        vec![command(&[Value::Number(1.0)])],
    ] {
        let mut chunks = Chunks::new(true);
        let mut bytes = handshake();
        for body in commands {
            bytes.extend(chunks.bytes(&Message::new(3, 20, 0, body)));
        }
        let seen = feed(&mut Session::new(now), now, [&bytes[..]]);
        assert!(matches!(seen.result, Err(Error::Command { csid: 3, .. })), "{:?}", seen.result);
    }
}

#[test]
fn an_amf_bomb_in_connect_ends_the_session() {
    let now = Instant::now();
    let bomb =
        [&[2, 0, 7][..], b"connect", &[0, 0, 0, 0, 0, 0, 0, 0, 0], &[3, 0, 1, b'x'].repeat(10_000)].concat();
    let bytes = [handshake(), Chunks::new(true).bytes(&Message::new(3, 20, 0, bomb))].concat();
    let seen = feed(&mut Session::new(now), now, [&bytes[..]]);
    assert!(
        matches!(seen.result, Err(Error::Amf { at: 3073, source: amf0::Error::TooDeep { .. }, .. })),
        "{:?}",
        seen.result
    );
}

#[test]
fn an_unsupported_codec_is_told_to_the_encoder() {
    let now = Instant::now();
    let (mut session, mut chunks) = publishing(now, true);
    let bytes = chunks.bytes(&Message::new(6, 9, 0, *b"\x90hvc1\x01\x02"));
    let seen = feed(&mut session, now, [&bytes[..]]);
    assert!(matches!(&seen.result, Err(Error::Unsupported { codec, .. }) if codec.contains("hvc1")));
    let last = said(&mut session);
    assert!(last.contains("NetStream.Failed") && last.contains("hvc1 is not supported"), "{last}");
    assert_eq!(feed(&mut session, now, [&bytes[..]]).result, Ok(()), "nothing counts after the end");
}

#[test]
fn a_slow_handshake_ends_at_the_deadline() {
    let start = Instant::now();
    let mut session = Session::new(start);
    for n in 0..3 {
        session.handle_input(start + Duration::from_secs(n), &[3]).unwrap();
    }
    assert_eq!(session.poll_timeout(), Some(start + PUBLISH_DEADLINE));
    assert_eq!(session.handle_timeout(start + PUBLISH_DEADLINE - Duration::from_millis(1)), Ok(()));
    let error = session.handle_timeout(start + PUBLISH_DEADLINE).unwrap_err();
    assert!(matches!(error, Error::NoPublish { at: 3, .. }), "{error}");
    assert!(PUBLISH_DEADLINE < Duration::from_secs(10), "fault row 9");
}

#[test]
fn before_publish_only_so_many_bytes_are_read() {
    let now = Instant::now();
    let mut chunks = Chunks::new(true);
    let mut bytes = [handshake(), chunks.bytes(&Message::new(3, 20, 0, connect("live")))].concat();
    while bytes.len() as u64 <= BEFORE_PUBLISH {
        bytes.extend(chunks.bytes(&Message::new(6, 9, 0, vec![0x27; 1000])));
    }
    let seen = feed(&mut Session::new(now), now, bytes.chunks(4096));
    assert!(matches!(seen.result, Err(Error::Unauthenticated { limit: BEFORE_PUBLISH, .. })));
    assert_eq!(seen.events, []);
}

#[test]
fn an_undecided_publisher_is_held_back_and_its_media_kept() {
    let now = Instant::now();
    let (mut session, mut chunks) = (Session::new(now), Chunks::new(true));
    session.handle_input(now, &greeting(&mut chunks)).unwrap();
    session.handle_input(now, &chunks.bytes(&Message::new(6, 9, 0, AVC_HEADER))).unwrap();
    let mut pictures = 0;
    while session.wants_input() {
        session.handle_input(now, &chunks.bytes(&Message::new(6, 9, 0, picture(0, 10_000)))).unwrap();
        pictures += 1;
    }
    assert_eq!(session.poll_timeout(), None, "the decision is the owner's to time");
    session.accept(now);
    assert!(session.wants_input());
    let events = std::iter::from_fn(|| session.poll_event()).count();
    assert_eq!(events, 1 + 1 + pictures);

    let (mut session, mut chunks) = (Session::new(now), Chunks::new(true));
    session.handle_input(now, &greeting(&mut chunks)).unwrap();
    let flood = chunks.bytes(&Message::new(6, 9, 0, vec![0x27; BEFORE_ACCEPT as usize]));
    let flooded = session.handle_input(now, &flood);
    assert!(matches!(flooded, Err(Error::Unauthenticated { limit: BEFORE_ACCEPT, .. })));
}

#[test]
fn silence_is_pinged_and_then_ends() {
    let start = Instant::now();
    let (mut session, mut chunks) = publishing(start, true);
    assert_eq!(session.poll_timeout(), Some(start + PING_AFTER));
    session.handle_timeout(start + PING_AFTER).unwrap();
    // User control, ping request.
    assert!(said(&mut session).contains("\u{4}\0\0\0\0\0\u{6}"));
    assert_eq!(session.poll_timeout(), Some(start + SILENCE));

    // A pong is no media.
    let pong = chunks.bytes(&Message::new(2, 4, 0, [0, 7, 0, 0, 0, 0]));
    session.handle_input(start + SILENCE - Duration::from_secs(1), &pong).unwrap();
    assert_eq!(session.poll_timeout(), Some(start + SILENCE));
    session.handle_timeout(start + SILENCE).unwrap();
    assert_eq!(session.poll_event(), Some(Event::Ended(Ended::Silent)));
    assert!(said(&mut session).contains("no media"));
    assert_eq!(session.poll_timeout(), None);
}

#[test]
fn thirty_seconds_of_silence_survive() {
    let start = Instant::now();
    let (mut session, mut chunks) = publishing(start, true);
    let later = start + Duration::from_secs(30);
    session.handle_timeout(later).unwrap();
    feed(&mut session, later, [&chunks.bytes(&Message::new(6, 9, 30_000, AVC_HEADER))[..]]);
    session.handle_timeout(later + Duration::from_secs(30)).unwrap();
    let ended = std::iter::from_fn(|| session.poll_event()).any(|event| matches!(event, Event::Ended(_)));
    assert!(!ended);
}

#[test]
fn closing_says_why_and_ends() {
    let now = Instant::now();
    let (mut session, mut chunks) = publishing(now, true);
    session.close("the ingress was deleted");
    assert!(said(&mut session).contains("the ingress was deleted"));
    let seen = feed(&mut session, now, [&chunks.bytes(&Message::new(6, 9, 0, AVC_HEADER))[..]]);
    assert_eq!((seen.events, seen.result), (vec![], Ok(())));
    session.reject(&Reject::Failed("late".into()));
    session.accept(now);
    assert_eq!(session.poll_output(), None);
}
