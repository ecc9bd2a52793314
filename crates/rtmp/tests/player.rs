//! `Player` against `rml_rtmp`'s server, which is written apart from us, and against servers that say odd things: no sockets.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use media::Unit;
use proptest::prelude::*;
use rml_rtmp::{
    handshake::{Handshake, HandshakeProcessResult, PeerType},
    sessions::{ServerSession, ServerSessionConfig, ServerSessionEvent, ServerSessionResult},
    time::RtmpTimestamp,
};
use sluicegate_rtmp::{
    AUDIO, Ended, Error, Event, Player, Target, VIDEO,
    amf0::Value,
    limits::{BEFORE_PUBLISH, FIRST_MEDIA, PING_AFTER, PLAY_DEADLINE, SILENCE},
};
use support::{AAC_HEADER, AVC_HEADER, Chunks, Message, command, picture, text};

const URL: &str = "rtmp://user:pass@media.test/live/stream1?token=t";

/// Both ends of a connection, what the player has told its owner, and all that the server has sent.
struct Pair {
    server: ServerSession,
    player: Player,
    now: Instant,
    asked: Vec<ServerSessionEvent>,
    events: Vec<Event>,
    sent: Vec<u8>,
}

impl Pair {
    /// The handshake is done, and `connect` is asked for.
    fn new() -> Pair {
        let now = Instant::now();
        let mut player = Player::new(now, Target::parse(URL).unwrap());
        let mut hand = Handshake::new(PeerType::Server);
        let mut sent = hand.generate_outbound_p0_and_p1().unwrap();
        player.handle_input(now, &sent).unwrap();
        let mut input = Vec::new();
        let rest = loop {
            let hail = player.poll_output().unwrap();
            match hand.process_bytes(&hail).unwrap() {
                HandshakeProcessResult::InProgress { response_bytes } => input = response_bytes,
                HandshakeProcessResult::Completed { response_bytes, remaining_bytes } => {
                    input.extend(response_bytes);
                    sent.extend(&input);
                    player.handle_input(now, &input).unwrap();
                    break remaining_bytes;
                }
            }
            sent.extend(&input);
            player.handle_input(now, &std::mem::take(&mut input)).unwrap();
        };
        let (mut server, first) = ServerSession::new(ServerSessionConfig::new()).unwrap();
        let more = server.handle_input(&rest).unwrap();
        let mut pair = Pair { server, player, now, asked: Vec::new(), events: Vec::new(), sent };
        pair.carry([first, more].concat_results());
        pair
    }

    /// Carries bytes between both until nothing more is said.
    fn carry(&mut self, results: Vec<ServerSessionResult>) {
        let mut results = results;
        loop {
            for result in results.drain(..) {
                match result {
                    ServerSessionResult::OutboundResponse(packet) => {
                        self.sent.extend(&packet.bytes);
                        self.player.handle_input(self.now, &packet.bytes).unwrap();
                    }
                    ServerSessionResult::RaisedEvent(event) => self.asked.push(event),
                    ServerSessionResult::UnhandleableMessageReceived(_) => {}
                }
            }
            self.events.extend(std::iter::from_fn(|| self.player.poll_event()));
            let Some(bytes) = self.player.poll_output() else { return };
            results = self.server.handle_input(&bytes).unwrap();
        }
    }

    /// The number of the request that the server waits for an answer to, and its message stream.
    fn request(&mut self) -> (u32, u32) {
        let asked = std::mem::take(&mut self.asked);
        let request = asked.iter().find_map(|event| match event {
            ServerSessionEvent::ConnectionRequested { request_id, app_name } => {
                assert_eq!(app_name, "live");
                Some((*request_id, 0))
            }
            ServerSessionEvent::PlayStreamRequested { request_id, stream_key, stream_id, .. } => {
                assert_eq!(stream_key, "stream1?token=t");
                Some((*request_id, *stream_id))
            }
            _ => None,
        });
        request.unwrap_or_else(|| panic!("{asked:?}"))
    }

    fn accept(&mut self) -> u32 {
        let (request, stream) = self.request();
        let results = self.server.accept_request(request).unwrap();
        self.carry(results);
        stream
    }

    /// A stream that plays, and its number.
    fn playing() -> (Pair, u32) {
        let mut pair = Pair::new();
        pair.accept();
        let stream = pair.accept();
        assert_eq!(pair.events, [Event::Started]);
        pair.events.clear();
        (pair, stream)
    }

    fn video(&mut self, stream: u32, time: u32, body: &[u8]) {
        let body = Bytes::copy_from_slice(body);
        let packet = self.server.send_video_data(stream, body, RtmpTimestamp::new(time), false).unwrap();
        self.carry(vec![ServerSessionResult::OutboundResponse(packet)]);
    }

    fn audio(&mut self, stream: u32, time: u32, body: &[u8]) {
        let body = Bytes::copy_from_slice(body);
        let packet = self.server.send_audio_data(stream, body, RtmpTimestamp::new(time), false).unwrap();
        self.carry(vec![ServerSessionResult::OutboundResponse(packet)]);
    }

    /// Headers, two pictures and a sound.
    fn some_media() -> Pair {
        let (mut pair, stream) = Pair::playing();
        pair.video(stream, 0, &AVC_HEADER);
        pair.audio(stream, 0, &AAC_HEADER);
        pair.video(stream, 0, &picture(1, 9000));
        pair.audio(stream, 10, &[0xaf, 1, 1, 2, 3]);
        pair.video(stream, 40, &picture(2, 300));
        pair
    }
}

trait Concat {
    fn concat_results(self) -> Vec<ServerSessionResult>;
}

impl Concat for [Vec<ServerSessionResult>; 2] {
    fn concat_results(self) -> Vec<ServerSessionResult> {
        self.into_iter().flatten().collect()
    }
}

#[test]
fn a_stream_plays_to_its_end() {
    let mut pair = Pair::some_media();
    let tracks: Vec<_> = pair
        .events
        .iter()
        .map(|event| match event {
            Event::Unit(Unit::Format(track, _)) => (*track, None),
            Event::Unit(Unit::Packet(packet)) => (packet.track, Some(packet.pts.millis())),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [(VIDEO, None), (AUDIO, None), (VIDEO, Some(0)), (AUDIO, Some(10)), (VIDEO, Some(40))];
    assert_eq!(tracks, expected);
    assert!(matches!(&pair.events[2], Event::Unit(Unit::Packet(p)) if p.keyframe && p.data.len() == 9004));

    pair.events.clear();
    let packet = pair.server.finish_playing(1).unwrap();
    pair.carry(vec![ServerSessionResult::OutboundResponse(packet)]);
    assert_eq!(pair.events, [Event::Ended(Ended::Stopped)]);
    let finished =
        |event: &ServerSessionEvent| matches!(event, ServerSessionEvent::PlayStreamFinished { .. });
    assert!(!pair.asked.iter().any(finished), "the server ended it, and needs no telling: {:?}", pair.asked);
    assert_eq!(pair.player.poll_timeout(), None);
}

#[test]
fn a_server_is_told_that_we_leave() {
    let (mut pair, _) = Pair::playing();
    pair.player.close();
    pair.carry(Vec::new());
    let finished =
        |event: &ServerSessionEvent| matches!(event, ServerSessionEvent::PlayStreamFinished { .. });
    assert!(pair.asked.iter().any(finished), "{:?}", pair.asked);
    assert_eq!(pair.events, [], "who leaves knows it");
}

#[test]
fn what_the_server_sent_gives_the_same_events_however_it_was_cut() {
    let pair = Pair::some_media();
    let all: Vec<Event> = std::iter::once(Event::Started).chain(pair.events).collect();
    proptest!(ProptestConfig::with_cases(32), |(sizes in prop::collection::vec(1_usize..5000, 1..40))| {
        let mut player = Player::new(pair.now, Target::parse(URL).unwrap());
        let (mut rest, mut sizes, mut events) = (&pair.sent[..], sizes.into_iter().cycle(), Vec::new());
        while !rest.is_empty() {
            let (piece, left) = rest.split_at(sizes.next().unwrap().min(rest.len()));
            player.handle_input(pair.now, piece).unwrap();
            events.extend(std::iter::from_fn(|| player.poll_event()));
            rest = left;
        }
        prop_assert_eq!(&events, &all);
    });
}

#[test]
fn mutated_bytes_of_a_server_never_panic() {
    let pair = Pair::some_media();
    let sent = pair.sent;
    proptest!(ProptestConfig::with_cases(256), |(
        changes in prop::collection::vec((3073..sent.len(), any::<u8>()), 1..20),
        cut in 3073..sent.len(),
    )| {
        let mut bytes = sent.clone();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        for bytes in [&bytes[..], &bytes[..cut]] {
            let mut player = Player::new(pair.now, Target::parse(URL).unwrap());
            let result = player.handle_input(pair.now, bytes);
            let _ = std::iter::from_fn(|| player.poll_event()).count();
            if result.is_err() {
                prop_assert_eq!(player.poll_timeout(), None, "an error ends it");
            }
        }
    });
}

#[test]
fn a_connect_that_is_refused_is_an_error_with_the_servers_words() {
    let mut pair = Pair::new();
    let (request, _) = pair.request();
    let results = pair.server.reject_request(request, "NetConnection.Connect.Rejected", "no app").unwrap();
    let mut error = None;
    for result in results {
        if let ServerSessionResult::OutboundResponse(packet) = result {
            error = error.or(pair.player.handle_input(pair.now, &packet.bytes).err());
        }
    }
    let error = error.unwrap();
    assert!(matches!(&error, Error::Refused { call: "connect", .. }), "{error:?}");
    assert!(error.to_string().contains("no app"), "{error}");
}

#[test]
fn a_play_that_is_refused_without_its_number_is_refused() {
    let mut pair = Pair::new();
    pair.accept();
    let (request, _) = pair.request();
    let results = pair.server.reject_request(request, "NetStream.Play.StreamNotFound", "").unwrap();
    let mut error = None;
    for result in results {
        if let ServerSessionResult::OutboundResponse(packet) = result {
            error = error.or(pair.player.handle_input(pair.now, &packet.bytes).err());
        }
    }
    assert!(error.unwrap().is_not_found());
}

/// A player that has asked to play, of a server that is written by hand, whose chunks go on.
fn asking() -> (Player, Chunks, Instant) {
    let now = Instant::now();
    let mut player = Player::new(now, Target::parse(URL).unwrap());
    let mut chunks = Chunks::new(true);
    let mut bytes = support::handshake();
    let result =
        |transaction, value| command(&[text("_result"), Value::Number(transaction), Value::Null, value]);
    bytes.extend(chunks.bytes(&Message::new(3, 20, 0, result(1.0, Value::Null))));
    bytes.extend(chunks.bytes(&Message::new(3, 20, 0, result(2.0, Value::Number(1.0)))));
    player.handle_input(now, &bytes).unwrap();
    let said: Vec<u8> = std::iter::from_fn(|| player.poll_output()).flatten().collect();
    assert!(String::from_utf8_lossy(&said).contains("play"));
    (player, chunks, now)
}

fn status(level: &str, code: &str, description: &str) -> Message {
    let fields = [("level", level), ("code", code), ("description", description)];
    let info = Value::Object(fields.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect());
    Message::new(5, 20, 0, command(&[text("onStatus"), Value::Number(0.0), Value::Null, info]))
}

#[test]
fn a_stream_that_is_not_there_is_named_as_that_and_its_key_is_not() {
    // nginx-rtmp says it with level "error", some with "status".
    for level in ["error", "status"] {
        let (mut player, mut chunks, now) = asking();
        let message = status(level, "NetStream.Play.StreamNotFound", "No such stream: stream1");
        let error = player.handle_input(now, &chunks.bytes(&message)).unwrap_err();
        assert!(error.is_not_found() && !error.to_string().contains("stream1"), "{error}");
        assert_eq!(player.poll_timeout(), None);
    }
}

#[test]
fn every_word_for_the_end_is_one_and_a_new_start_is_none() {
    let eof = Message::new(2, 4, 0, [&1_u16.to_be_bytes()[..], &1_u32.to_be_bytes()].concat());
    let complete = Value::Object(vec![("code".into(), text("NetStream.Play.Complete"))]);
    let complete = Message::new(5, 18, 0, command(&[text("onPlayStatus"), complete]));
    for (end, ends) in [
        (status("status", "NetStream.Play.Stop", ""), true),
        (status("status", "NetStream.Play.UnpublishNotify", ""), true),
        (eof, true),
        (complete, true),
        (status("status", "NetStream.Play.PublishNotify", ""), false),
        (status("status", "NetStream.Play.Start", ""), false),
        (Message::new(2, 4, 0, [&1_u16.to_be_bytes()[..], &7_u32.to_be_bytes()].concat()), false),
    ] {
        let (mut player, mut chunks, now) = asking();
        player.handle_input(now, &chunks.bytes(&status("status", "NetStream.Play.Start", ""))).unwrap();
        assert_eq!(player.poll_event(), Some(Event::Started));
        player.handle_input(now, &chunks.bytes(&end)).unwrap();
        assert_eq!(player.poll_event(), ends.then_some(Event::Ended(Ended::Stopped)), "{end:?}");
    }
}

#[test]
fn an_error_in_the_running_stream_ends_it_as_one() {
    let (mut player, mut chunks, now) = asking();
    player.handle_input(now, &chunks.bytes(&status("status", "NetStream.Play.Start", ""))).unwrap();
    let failed = status("error", "NetStream.Failed", "out of memory");
    let error = player.handle_input(now, &chunks.bytes(&failed)).unwrap_err();
    assert_eq!(error.to_string(), "the server refused the stream: NetStream.Failed: out of memory");
}

#[test]
fn media_without_a_word_before_it_is_a_start() {
    let (mut player, mut chunks, now) = asking();
    player.handle_input(now, &chunks.bytes(&Message::new(6, 9, 0, AVC_HEADER))).unwrap();
    assert_eq!(player.poll_event(), Some(Event::Started));
    assert!(matches!(player.poll_event(), Some(Event::Unit(Unit::Format(VIDEO, _)))));
}

#[test]
fn a_server_that_says_nothing_is_given_up_at_each_stage() {
    let now = Instant::now();
    let mut silent = Player::new(now, Target::parse(URL).unwrap());
    assert_eq!(silent.handle_timeout(now + PLAY_DEADLINE - Duration::from_millis(1)), Ok(()));
    let error = silent.handle_timeout(now + PLAY_DEADLINE).unwrap_err();
    assert!(error.to_string().contains("waiting for the handshake"), "{error}");

    let (mut asked, _, now) = asking();
    let error = asked.handle_timeout(now + PLAY_DEADLINE).unwrap_err();
    assert!(error.to_string().contains("waiting for the answer to play"), "{error}");

    let (mut idle, mut chunks, now) = asking();
    idle.handle_input(now, &chunks.bytes(&status("status", "NetStream.Play.Start", ""))).unwrap();
    idle.handle_timeout(now + PING_AFTER).unwrap();
    assert!(idle.poll_output().is_some(), "a ping");
    assert!(matches!(idle.handle_timeout(now + FIRST_MEDIA), Err(Error::NoMedia { .. })));

    let (mut stalled, mut chunks, now) = asking();
    stalled.handle_input(now, &chunks.bytes(&Message::new(6, 9, 0, AVC_HEADER))).unwrap();
    stalled.handle_timeout(now + PING_AFTER).unwrap();
    assert_eq!(stalled.handle_timeout(now + SILENCE - Duration::from_millis(1)), Ok(()));
    stalled.handle_timeout(now + SILENCE).unwrap();
    assert_eq!(std::iter::from_fn(|| stalled.poll_event()).last(), Some(Event::Ended(Ended::Silent)));
}

#[test]
fn a_server_that_talks_and_never_answers_is_bounded() {
    let now = Instant::now();
    let mut player = Player::new(now, Target::parse(URL).unwrap());
    player.handle_input(now, &support::handshake()).unwrap();
    let mut chunks = Chunks::new(true);
    let talk = chunks.bytes(&Message::new(3, 20, 0, command(&[text("onBWDone"), Value::Number(0.0)])));
    let mut sent = 0;
    let error = loop {
        sent += talk.len();
        match player.handle_input(now, &talk) {
            Ok(()) => assert!(sent as u64 <= BEFORE_PUBLISH),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Unauthenticated { limit: BEFORE_PUBLISH, .. }), "{error}");
}

#[test]
fn a_server_of_another_protocol_is_named() {
    let mut player = Player::new(Instant::now(), Target::parse(URL).unwrap());
    let error = player.handle_input(Instant::now(), b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap_err();
    assert!(error.to_string().contains("HTTP"), "{error}");
}
