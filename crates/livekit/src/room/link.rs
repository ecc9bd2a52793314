use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use livekit_protocol::{JoinResponse, SessionDescription, TrackPublishedResponse, signal_request::Message};
use livekit_signaling::{SignalClient, SignalError, SignalEvents};
use media::{Layer, Quality};
use rtc::room::{Config, Epoch, Room};
use tokio::{net::lookup_host, time::timeout};

use super::{Joined, Options, messages, resume::Resuming, sockets::Sockets};

/// A join with all its parts: DNS, TCP, TLS, the server's answer (the signalling client's own limits are 5 s each).
const CONNECT_DEADLINE: Duration = Duration::from_secs(12);

/// A signalling message is a few kilobytes into a socket buffer; one that takes longer means a dead connection, which the
/// pings will find.
const SEND_DEADLINE: Duration = Duration::from_secs(1);

/// The signalling client joins its tasks within 1 s.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// Why a join failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The server said no.
    Refused(String),
    /// Worth another attempt.
    Unreachable(String),
}

/// One join: the signalling connection, the peer connection, and what the server has been told on them. A full rejoin makes a
/// new one.
pub(super) struct Link {
    pub(super) joined: Joined,
    pub(super) client: Arc<SignalClient>,
    pub(super) signals: SignalEvents,
    pub(super) peer: Room,
    pub(super) sockets: Sockets,
    /// Signalling messages in order; they wait while the connection is being resumed.
    pub(super) outgoing: Vec<Message>,
    pub(super) told: Told,
    /// The server's TCP candidates, for when UDP leads nowhere.
    pub(super) tcp_candidates: Vec<SocketAddr>,
    pub(super) resuming: Option<Resuming>,
    /// Signalling is back, the ICE restart that ends the resume is under way.
    pub(super) restarting_ice: bool,
    pub(super) clocks: Clocks,
}

/// What the server knows of our tracks.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Track id, layers.
    pub(super) video: Option<(String, Vec<Layer>)>,
    /// Track id.
    pub(super) audio: Option<String>,
    /// Those set since the join.
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) offers: u32,
    pub(super) last_offer: Option<SessionDescription>,
    /// The server's answers to our tracks: one each.
    pub(super) published: Vec<TrackPublishedResponse>,
    pub(super) wanted: Option<BTreeSet<Quality>>,
    /// Candidates that the server has sent.
    pub(super) candidates: u32,
}

impl Told {
    /// Whether a track id is one of ours.
    pub(super) fn knows(&self, cid: &str) -> bool {
        let video = self.video.as_ref().map(|(cid, _)| cid);
        video.into_iter().chain(&self.audio).any(|ours| ours == cid)
    }
}

/// When patience ends.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Clocks {
    /// The server owes an SDP answer until then.
    pub(super) answer: Option<Instant>,
    /// UDP has had its chance: try TCP too.
    pub(super) tcp: Option<Instant>,
    /// The first media connection is to be up by then.
    pub(super) connected: Option<Instant>,
    /// ICE lost its path: restart it then,
    pub(super) restart: Option<Instant>,
    /// and give up then.
    pub(super) path: Option<Instant>,
    /// The peer closed the connection; its LeaveRequest with the reason is to be here by then.
    pub(super) goodbye: Option<Instant>,
    /// Our attributes are told once more then.
    pub(super) retell: Option<Instant>,
}

impl Clocks {
    /// The soonest.
    pub(super) fn next(&self) -> Option<Instant> {
        let all = [self.answer, self.tcp, self.connected, self.restart, self.path, self.goodbye, self.retell];
        all.into_iter().flatten().min()
    }
}

impl Link {
    /// Joins. The peer connection has its sockets, and no tracks yet.
    pub(super) async fn connect(options: &Options, epoch: Epoch) -> Result<Self, Failure> {
        let late = |_| Failure::Unreachable(format!("not joined within {CONNECT_DEADLINE:?}"));
        timeout(CONNECT_DEADLINE, Self::connect_now(options, epoch)).await.map_err(late)?
    }

    async fn connect_now(options: &Options, epoch: Epoch) -> Result<Self, Failure> {
        let token = options.token.token().map_err(|error| Failure::Refused(error.to_string()))?;
        let connect = SignalClient::connect(&options.ws_url, &token, messages::signal_options(), None);
        let (client, response, signals) = connect.await.map_err(failure)?;
        let joined = names(&response, options)?;
        let unusable = |error: std::io::Error| Failure::Unreachable(format!("UDP socket: {error}"));
        let servers = addresses(&options.ws_url).await.map_err(unusable)?;
        let sockets = Sockets::open(&options.network, &servers).map_err(unusable)?;
        let peer = new_peer(options, epoch, &sockets)?;
        let mut outgoing = Vec::new();
        if !options.attributes.is_empty() {
            outgoing.push(Message::UpdateMetadata(messages::attributes(&options.attributes)));
        }
        Ok(Self {
            joined,
            client: Arc::new(client),
            signals,
            peer,
            sockets,
            outgoing,
            told: Told::default(),
            tcp_candidates: Vec::new(),
            resuming: None,
            restarting_ice: false,
            clocks: Clocks::default(),
        })
    }

    /// Queues a message; they go out in order.
    pub(super) fn say(&mut self, message: Message) {
        self.outgoing.push(message);
    }

    /// Tells the server our attributes once more, so that it stores us as we are by now. It stores a participant with each track whose first
    /// packet comes, and of two at almost the same time the record that it made first may be stored last (livekit-server
    /// 1.13.5): its API then never shows one of them.
    pub(super) fn retell(&mut self, options: &Options) {
        let mut attributes = options.attributes.clone();
        attributes.extend(self.told.attributes.clone());
        if !attributes.is_empty() {
            self.say(Message::UpdateMetadata(messages::attributes(&attributes)));
        }
    }

    /// Sends what is queued, unless there is no connection to send on.
    pub(super) async fn flush_signals(&mut self) {
        if self.resuming.is_some() {
            return;
        }
        for message in self.outgoing.drain(..) {
            if timeout(SEND_DEADLINE, self.client.send(message)).await.is_err() {
                tracing::warn!("signalling message not sent within {SEND_DEADLINE:?}");
            }
        }
    }

    /// A resume is complete: what the signalling client held back meanwhile goes out.
    pub(super) async fn release_signals(&mut self) {
        if timeout(SEND_DEADLINE, self.client.set_reconnected()).await.is_err() {
            tracing::warn!("held back signalling messages not sent within {SEND_DEADLINE:?}");
        }
    }

    /// Sends what the peer connection has to say now.
    pub(super) fn flush_datagrams(&mut self, now: Instant) {
        while let Some(datagram) = self.peer.poll_transmit(now) {
            self.sockets.send(&datagram);
        }
    }

    /// Leaves the room (`goodbye`), or just lets go of it.
    pub(super) async fn close(mut self, goodbye: bool) {
        self.resuming = None;
        if goodbye {
            self.outgoing.push(Message::Leave(messages::leave()));
            self.flush_signals().await;
            let now = Instant::now();
            self.peer.close(now);
            self.flush_datagrams(now);
        }
        if timeout(CLOSE_DEADLINE, self.client.close()).await.is_err() {
            tracing::warn!("signalling connection not closed within {CLOSE_DEADLINE:?}");
        }
    }
}

fn new_peer(options: &Options, epoch: Epoch, sockets: &Sockets) -> Result<Room, Failure> {
    let refused = |error: rtc::room::Error| Failure::Refused(error.to_string());
    let now = Instant::now();
    let config = Config { video: options.video_codec, red: options.red, forward: options.forward };
    let mut peer = Room::new(now, config, epoch).map_err(refused)?;
    for addr in sockets.addresses() {
        peer.add_local_udp(now, addr).map_err(refused)?;
    }
    Ok(peer)
}

/// The server's names for us, if its answer is one that we can work with.
fn names(response: &JoinResponse, options: &Options) -> Result<Joined, Failure> {
    let odd = |what: &str| Failure::Refused(format!("join response {what}"));
    let room = response.room.as_ref().ok_or_else(|| odd("without room"))?;
    let participant = response.participant.as_ref().ok_or_else(|| odd("without participant"))?;
    if response.ping_interval < 1 || response.ping_timeout < 1 {
        return Err(odd("with a ping interval or timeout below 1 s"));
    }
    if !messages::takes(response, options.video_codec) {
        let codec = options.video_codec;
        return Err(Failure::Refused(format!("codec {codec} is not enabled in room {:?}", room.name)));
    }
    Ok(Joined { room_sid: room.sid.clone(), participant_sid: participant.sid.clone() })
}

/// Where the server is, to find out from which addresses of ours it can be reached.
async fn addresses(ws_url: &str) -> std::io::Result<Vec<SocketAddr>> {
    let invalid = |text: String| std::io::Error::new(std::io::ErrorKind::InvalidInput, text);
    let url = url::Url::parse(ws_url).map_err(|error| invalid(error.to_string()))?;
    let port = url.port().unwrap_or(if matches!(url.scheme(), "wss" | "https") { 443 } else { 80 });
    match url.host() {
        Some(url::Host::Ipv4(ip)) => Ok(vec![(ip, port).into()]),
        Some(url::Host::Ipv6(ip)) => Ok(vec![(ip, port).into()]),
        Some(url::Host::Domain(name)) => Ok(lookup_host((name, port)).await?.collect()),
        None => Err(invalid("URL without host".into())),
    }
}

fn failure(error: SignalError) -> Failure {
    match error {
        SignalError::UrlParse(_)
        | SignalError::TokenFormat
        | SignalError::TransportNotConfigured
        | SignalError::Client(..) => Failure::Refused(error.to_string()),
        SignalError::LeaveRequest { .. } => Failure::Refused(error.to_string()),
        error => Failure::Unreachable(error.to_string()),
    }
}
