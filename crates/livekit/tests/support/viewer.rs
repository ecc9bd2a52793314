use std::{
    collections::HashMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use livekit_protocol::{
    DataPacket, SessionDescription, SignalTarget, TrickleRequest, UpdateTrackSettings, VideoQuality,
    data_packet, signal_request, signal_response,
};
use livekit_signaling::{SignalClient, SignalEvent, SignalEvents, SignalOptions};
use livekit_token::{AccessToken, VideoGrants};
use media::Kind;
use prost::Message as _;
use str0m::{
    Candidate, Event, Input, Output, Rtc,
    change::SdpOffer,
    media::{MediaData, MediaKind, Mid},
    net::{Protocol, Receive},
};
use tokio::net::UdpSocket;

use super::server::{ROOM, Server};

/// A participant that subscribes to everything and counts what it can decode from.
pub struct Viewer {
    client: SignalClient,
    signals: SignalEvents,
    rtc: Rtc,
    socket: UdpSocket,
    local: SocketAddr,
    kinds: HashMap<Mid, Kind>,
    /// Who sent it, topic, payload.
    pub messages: Vec<(String, String, Vec<u8>)>,
}

/// A whole frame, in order, as it came out of the jitter buffer.
#[derive(Debug)]
pub struct Seen {
    pub kind: Kind,
    pub keyframe: bool,
    pub contiguous: bool,
}

impl Viewer {
    pub async fn join(server: &Server) -> Self {
        let grants = VideoGrants { room_join: true, room: ROOM.into(), ..VideoGrants::default() };
        let token = AccessToken::with_api_key(&server.keys.api_key, &server.keys.api_secret);
        let token = token.with_identity("viewer").with_grants(grants).to_jwt().unwrap();
        let mut options = SignalOptions::default();
        options.protocol_version = 16;
        options.region_failover = false;
        options.client_capabilities = vec![];
        let (client, _, signals) = SignalClient::connect(&server.url(), &token, options, None).await.unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let local = socket.local_addr().unwrap();
        let mut rtc = Rtc::builder().build(Instant::now());
        rtc.add_local_candidate(Candidate::host(local, Protocol::Udp).unwrap());
        Self { client, signals, rtc, socket, local, kinds: HashMap::new(), messages: vec![] }
    }

    /// Asks the SFU for a layer of a track.
    pub async fn want(&self, track_sid: &str, quality: VideoQuality) {
        let settings = UpdateTrackSettings {
            track_sids: vec![track_sid.into()],
            quality: quality.into(),
            ..UpdateTrackSettings::default()
        };
        self.client.send(signal_request::Message::TrackSetting(settings)).await;
    }

    pub async fn leave(self) {
        self.client.close().await;
    }

    /// Watches while something else goes on; returns that, and whether every picture in between came whole and in order.
    pub async fn watch<T>(&mut self, other: impl Future<Output = T>) -> (T, bool) {
        let mut unbroken = true;
        tokio::pin!(other);
        loop {
            tokio::select! {
                value = &mut other => return (value, unbroken),
                seen = self.next() => unbroken &= seen.contiguous || seen.kind == Kind::Audio,
            }
        }
    }

    /// The next frame of any track.
    pub async fn next(&mut self) -> Seen {
        loop {
            let deadline = match self.poll() {
                Ok(seen) => return seen,
                Err(deadline) => deadline,
            };
            let mut buffer = [0; 2048];
            tokio::select! {
                signal = self.signals.recv() => {
                    if let Some(SignalEvent::Message(message)) = signal {
                        self.on_signal(*message).await;
                    }
                }
                Ok((len, from)) = self.socket.recv_from(&mut buffer) => {
                    if let Ok(receive) = Receive::new(Protocol::Udp, from, self.local, &buffer[..len]) {
                        self.rtc.handle_input(Input::Receive(Instant::now(), receive)).unwrap();
                    }
                }
                () = tokio::time::sleep_until(deadline.into()) => {
                    self.rtc.handle_input(Input::Timeout(Instant::now())).unwrap();
                }
            }
        }
    }

    fn poll(&mut self) -> Result<Seen, Instant> {
        loop {
            match self.rtc.poll_output().unwrap() {
                Output::Timeout(at) => return Err(at.min(Instant::now() + Duration::from_millis(100))),
                Output::Transmit(t) => {
                    self.socket.try_send_to(&t.contents, t.destination).ok();
                }
                Output::Event(Event::MediaAdded(added)) => {
                    let audio = added.kind == MediaKind::Audio;
                    self.kinds.insert(added.mid, if audio { Kind::Audio } else { Kind::Video });
                }
                Output::Event(Event::MediaData(data)) => return Ok(self.seen(&data)),
                Output::Event(Event::ChannelData(data)) => {
                    let packet = DataPacket::decode(&data.data[..]).unwrap();
                    if let Some(data_packet::Value::User(user)) = packet.value {
                        let topic = user.topic.unwrap_or_default();
                        self.messages.push((packet.participant_identity, topic, user.payload));
                    }
                }
                Output::Event(_) => {}
            }
        }
    }

    fn seen(&self, data: &MediaData) -> Seen {
        let kind = self.kinds[&data.mid];
        Seen { kind, keyframe: data.is_keyframe(), contiguous: data.contiguous }
    }

    async fn on_signal(&mut self, message: signal_response::Message) {
        match message {
            signal_response::Message::Offer(offer) => {
                let sdp = SdpOffer::from_sdp_string(&offer.sdp).unwrap();
                let answer = self.rtc.sdp_api().accept_offer(sdp).unwrap();
                let answer = SessionDescription {
                    r#type: "answer".into(),
                    sdp: answer.to_sdp_string(),
                    id: offer.id,
                    ..SessionDescription::default()
                };
                self.client.send(signal_request::Message::Answer(answer)).await;
                let init = Candidate::host(self.local, Protocol::Udp).unwrap().to_sdp_string();
                let init = serde_json::json!({ "candidate": init, "sdpMid": "0", "sdpMLineIndex": 0 });
                let trickle = TrickleRequest {
                    candidate_init: init.to_string(),
                    target: SignalTarget::Subscriber.into(),
                    r#final: false,
                };
                self.client.send(signal_request::Message::Trickle(trickle)).await;
            }
            signal_response::Message::Trickle(trickle) if trickle.target() == SignalTarget::Subscriber => {
                let init: serde_json::Value = serde_json::from_str(&trickle.candidate_init).unwrap();
                let text = init["candidate"].as_str().unwrap_or_default();
                if let Ok(candidate) = Candidate::from_sdp_string(text) {
                    self.rtc.add_remote_candidate(candidate);
                }
            }
            _ => return,
        }
        self.rtc.handle_input(Input::Timeout(Instant::now())).unwrap();
    }
}
