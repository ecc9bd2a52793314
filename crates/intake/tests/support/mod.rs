//! An encoder for the tests: `rml_rtmp`'s client on a socket.

use std::net::SocketAddr;

use bytes::Bytes;
use rml_rtmp::{
    handshake::{Handshake, HandshakeProcessResult, PeerType},
    sessions::{
        ClientSession, ClientSessionConfig, ClientSessionEvent, ClientSessionResult, PublishRequestType,
    },
    time::RtmpTimestamp,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Bodies of an AVC sequence header and an IDR picture.
pub(crate) const AVC_HEADER: [u8; 16] = [0x17, 0, 0, 0, 0, 1, 0x64, 0, 31, 0xff, 0xe1, 0, 1, 0x67, 1, 0];
pub(crate) const PICTURE: [u8; 11] = [0x17, 1, 0, 0, 0, 0, 0, 0, 2, 0x65, 1];

pub(crate) struct Encoder {
    pub(crate) stream: TcpStream,
    client: ClientSession,
    /// Everything that was read, as text, to look for reasons in.
    pub(crate) heard: String,
}

impl Encoder {
    /// Up to `publish`, without waiting for its answer.
    pub(crate) async fn publish(addr: SocketAddr, key: &str) -> Encoder {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        shake_hands(&mut stream).await;
        let (client, first) = ClientSession::new(ClientSessionConfig::new()).unwrap();
        let mut encoder = Encoder { stream, client, heard: String::new() };
        encoder.send(first).await;
        let request = encoder.client.request_connection("live".into()).unwrap();
        encoder.send(vec![request]).await;
        encoder.until(&ClientSessionEvent::ConnectionRequestAccepted).await;
        let request = encoder.client.request_publishing(key.into(), PublishRequestType::Live).unwrap();
        encoder.send(vec![request]).await;
        // createStream is answered, then the client sends `publish` of its own.
        while encoder.heard.matches("_result").count() < 2 {
            assert!(encoder.read().await.is_some(), "createStream is not answered: {}", encoder.heard);
        }
        encoder
    }

    pub(crate) async fn until_accepted(&mut self) {
        self.until(&ClientSessionEvent::PublishRequestAccepted).await;
    }

    async fn until(&mut self, wanted: &ClientSessionEvent) {
        loop {
            let events =
                self.read().await.unwrap_or_else(|| panic!("closed before {wanted:?}: {}", self.heard));
            if events.contains(wanted) {
                return;
            }
        }
    }

    /// Reads once and answers; `None` when the server has closed.
    async fn read(&mut self) -> Option<Vec<ClientSessionEvent>> {
        let mut buffer = [0; 4096];
        let count = self.stream.read(&mut buffer).await.unwrap_or(0);
        if count == 0 {
            return None;
        }
        self.heard.push_str(&String::from_utf8_lossy(&buffer[..count]));
        let results = self.client.handle_input(&buffer[..count]).unwrap();
        Some(self.send(results).await)
    }

    /// Reads until the server closes, and gives all that it has ever said.
    pub(crate) async fn until_closed(&mut self) -> &str {
        while self.read().await.is_some() {}
        &self.heard
    }

    async fn send(&mut self, results: Vec<ClientSessionResult>) -> Vec<ClientSessionEvent> {
        let mut events = Vec::new();
        for result in results {
            match result {
                // A server that has closed is found by reading.
                ClientSessionResult::OutboundResponse(packet) => {
                    drop(self.stream.write_all(&packet.bytes).await)
                }
                ClientSessionResult::RaisedEvent(event) => events.push(event),
                ClientSessionResult::UnhandleableMessageReceived(_) => {}
            }
        }
        events
    }

    pub(crate) async fn video(&mut self, time: u32, body: &[u8]) {
        let bytes = self.video_bytes(time, body);
        self.stream.write_all(&bytes).await.unwrap();
    }

    /// The same, to be written by the caller.
    pub(crate) fn video_bytes(&mut self, time: u32, body: &[u8]) -> Vec<u8> {
        let body = Bytes::copy_from_slice(body);
        match self.client.publish_video_data(body, RtmpTimestamp::new(time), false).unwrap() {
            ClientSessionResult::OutboundResponse(packet) => packet.bytes,
            _ => unreachable!("media is always a packet"),
        }
    }

    pub(crate) async fn stop(&mut self) {
        let results = self.client.stop_publishing().unwrap();
        self.send(results).await;
    }
}

async fn shake_hands(stream: &mut TcpStream) {
    let mut client = Handshake::new(PeerType::Client);
    stream.write_all(&client.generate_outbound_p0_and_p1().unwrap()).await.unwrap();
    let mut answer = [0; 1 + 2 * 1536];
    stream.read_exact(&mut answer).await.unwrap();
    let HandshakeProcessResult::Completed { response_bytes, .. } = client.process_bytes(&answer).unwrap()
    else {
        panic!("the handshake has no more parts");
    };
    stream.write_all(&response_bytes).await.unwrap();
}
