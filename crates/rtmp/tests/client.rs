//! `rml_rtmp`'s client, which is written apart from us, against our session: no sockets.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::Instant;

use bytes::Bytes;
use media::Unit;
use rml_rtmp::{
    handshake::{Handshake, HandshakeProcessResult, PeerType},
    sessions::{
        ClientSession, ClientSessionConfig, ClientSessionEvent, ClientSessionResult, PublishRequestType,
        StreamMetadata,
    },
    time::RtmpTimestamp,
};
use sluicegate_rtmp::{AUDIO, CodecId, Ended, Event, Reject, Session, VIDEO};
use support::{AAC_HEADER, AVC_HEADER, picture, said};

/// Both ends of a connection and what they have told their owners.
struct Pair {
    client: ClientSession,
    session: Session,
    now: Instant,
    client_events: Vec<ClientSessionEvent>,
    events: Vec<Event>,
}

impl Pair {
    /// Handshake done, `connect` answered.
    fn connect(app: &str, chunk_size: u32) -> Pair {
        let now = Instant::now();
        let mut session = Session::new(now);
        shake_hands(&mut session, now);
        let mut config = ClientSessionConfig::new();
        config.chunk_size = chunk_size;
        let (client, first) = ClientSession::new(config).unwrap();
        let mut pair = Pair { client, session, now, client_events: Vec::new(), events: Vec::new() };
        pair.carry(first);
        let request = pair.client.request_connection(app.into()).unwrap();
        pair.carry(vec![request]);
        assert_eq!(pair.client_events, [ClientSessionEvent::ConnectionRequestAccepted]);
        pair.client_events.clear();
        pair
    }

    fn publish(app: &str, name: &str, chunk_size: u32) -> Pair {
        let mut pair = Pair::connect(app, chunk_size);
        let request = pair.client.request_publishing(name.into(), PublishRequestType::Live).unwrap();
        pair.carry(vec![request]);
        pair
    }

    fn accepted() -> Pair {
        let mut pair = Pair::publish("live", "key12345", 4096);
        pair.session.accept(pair.now);
        pair.carry(Vec::new());
        assert_eq!(pair.client_events, [ClientSessionEvent::PublishRequestAccepted]);
        pair.events.clear();
        pair
    }

    /// Carries bytes between both until nothing more is said.
    fn carry(&mut self, results: Vec<ClientSessionResult>) {
        let mut results = results;
        loop {
            for result in results.drain(..) {
                match result {
                    ClientSessionResult::OutboundResponse(packet) => {
                        self.session.handle_input(self.now, &packet.bytes).unwrap();
                    }
                    ClientSessionResult::RaisedEvent(event) => self.client_events.push(event),
                    // Set Peer Bandwidth is the one message of ours that this client has no use for.
                    ClientSessionResult::UnhandleableMessageReceived(message) => {
                        assert_eq!(message.type_id, 6);
                    }
                }
            }
            self.events.extend(std::iter::from_fn(|| self.session.poll_event()));
            let Some(bytes) = self.session.poll_output() else { return };
            results = self.client.handle_input(&bytes).unwrap();
        }
    }

    fn video(&mut self, time: u32, body: &[u8]) {
        let result =
            self.client.publish_video_data(Bytes::copy_from_slice(body), RtmpTimestamp::new(time), false);
        self.carry(vec![result.unwrap()]);
    }

    fn audio(&mut self, time: u32, body: &[u8]) {
        let result =
            self.client.publish_audio_data(Bytes::copy_from_slice(body), RtmpTimestamp::new(time), false);
        self.carry(vec![result.unwrap()]);
    }
}

/// With digests, which `rml_rtmp` checks: it fails on an S1 or S2 that is not signed.
fn shake_hands(session: &mut Session, now: Instant) {
    let mut client = Handshake::new(PeerType::Client);
    let hello = client.generate_outbound_p0_and_p1().unwrap();
    session.handle_input(now, &hello).unwrap();
    let answer = session.poll_output().unwrap();
    match client.process_bytes(&answer).unwrap() {
        HandshakeProcessResult::Completed { response_bytes, remaining_bytes } => {
            assert!(remaining_bytes.is_empty());
            session.handle_input(now, &response_bytes).unwrap();
        }
        HandshakeProcessResult::InProgress { .. } => panic!("S0, S1 and S2 come together"),
    }
    assert!(session.is_greeted());
}

#[test]
fn a_publisher_connects_and_is_asked_for() {
    let pair = Pair::publish("live/sub?token=secret", "key12345?x=y", 4096);
    let [Event::Publish(publish)] = &pair.events[..] else { panic!("{:?}", pair.events) };
    assert_eq!(publish.key.reveal(), "key12345");
    assert_eq!((publish.app.as_str(), publish.encoder.as_str()), ("live/sub", "WIN 23,0,0,207"));
    assert_eq!(pair.client_events, [], "no answer before the decision");
}

#[test]
fn media_of_many_sizes_comes_out_bit_exact() {
    let mut pair = Pair::accepted();
    pair.video(0, &AVC_HEADER);
    pair.audio(0, &AAC_HEADER);
    let mut expected = Vec::new();
    for n in 0..60_u32 {
        let body = picture(n as u8, 1 + (n as usize * 397) % 9000);
        pair.video(n * 33, &body);
        expected.push((VIDEO, i64::from(n * 33), body[5..].to_vec()));
        let sound: Vec<u8> = [&[0xaf, 1][..], &vec![n as u8; 1 + (n as usize * 31) % 500]].concat();
        pair.audio(n * 33 + 10, &sound);
        expected.push((AUDIO, i64::from(n * 33 + 10), sound[2..].to_vec()));
    }
    let packets: Vec<_> = pair
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Unit(Unit::Packet(p)) => Some((p.track, p.dts.millis(), p.data.to_vec())),
            _ => None,
        })
        .collect();
    assert_eq!(packets, expected);
}

#[test]
fn metadata_is_told_once_until_it_changes() {
    let mut pair = Pair::accepted();
    let mut metadata = StreamMetadata::new();
    metadata.video_width = Some(1280);
    metadata.video_codec_id = Some(7);
    for width in [1280, 1280, 640] {
        metadata.video_width = Some(width);
        let result = pair.client.publish_metadata(&metadata).unwrap();
        pair.carry(vec![result]);
    }
    let widths: Vec<_> = pair
        .events
        .iter()
        .map(|event| match event {
            Event::Metadata(m) => (m.width, m.video_codec.clone()),
            other => panic!("{other:?}"),
        })
        .collect();
    let h264 = Some(CodecId::Flv(7));
    assert_eq!(widths, [(Some(1280), h264.clone()), (Some(640), h264)]);
}

#[test]
fn a_client_that_stops_publishing_ends_the_stream() {
    let mut pair = Pair::accepted();
    let results = pair.client.stop_publishing().unwrap();
    pair.carry(results);
    assert_eq!(pair.events, [Event::Ended(Ended::DeletedStream)]);
}

#[test]
fn a_rejected_publisher_reads_the_reason() {
    let mut pair = Pair::publish("live", "wrong", 128);
    pair.session.reject(&Reject::BadName("unknown stream key".into()));
    let status = said(&mut pair.session);
    assert!(
        status.contains("NetStream.Publish.BadName") && status.contains("unknown stream key"),
        "{status}"
    );
    assert_eq!(pair.session.poll_timeout(), None);
}

#[test]
fn the_clients_pings_are_answered() {
    let mut pair = Pair::accepted();
    pair.client_events.clear();
    let (packet, sent) = pair.client.send_ping_request().unwrap();
    pair.carry(vec![ClientSessionResult::OutboundResponse(packet)]);
    assert_eq!(pair.client_events, [ClientSessionEvent::PingResponseReceived { timestamp: sent }]);
}

#[test]
fn a_window_of_media_is_acknowledged() {
    let mut pair = Pair::accepted();
    pair.client_events.clear();
    pair.video(0, &AVC_HEADER);
    // rml_rtmp announces a window of 2.5 MB when it is told ours.
    for n in 0..30 {
        pair.video(n * 33, &picture(0, 100_000));
    }
    assert!(
        matches!(
            pair.client_events[..],
            [ClientSessionEvent::AcknowledgementReceived { bytes_received: 2_500_000..2_700_000 }]
        ),
        "{:?}",
        pair.client_events
    );
}
