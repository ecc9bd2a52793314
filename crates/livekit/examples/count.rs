//! Many subscribers that decode nothing, to count how smoothly pictures and sound arrive (`make bench`, density):
//!
//! `cargo run --release -p sluicegate-livekit --example count`
//!
//! Each line of standard input, `{"room": "r", "url": "ws://127.0.0.1:7880", "token": "..."}`, is one more subscriber, which
//! takes everything that is in the room. Once a second each prints a line: `{"e": "second", "t": epoch, "room": "r",
//! "frames": 30, "gaps": [33, ...], "sound": 21, "bytes": 300000}`, with the milliseconds between the last packets of
//! neighbouring pictures and the longest between two packets of sound. Ends with standard input. Servers on loopback only.

use std::{
    error::Error,
    io::BufRead,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use livekit_protocol::{
    SessionDescription, SignalTarget, TrickleRequest, signal_request::Message, signal_response,
};
use livekit_signaling::{SignalClient, SignalEvent, SignalOptions};
use serde::Deserialize;
use str0m::{
    Candidate, Event, Input, Output, Rtc,
    change::SdpOffer,
    net::{Protocol, Receive},
    rtp::RtpPacket,
};
use tokio::{net::UdpSocket, sync::mpsc, time::sleep_until};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// RTP's clock rates (RFC 6184, RFC 7587) tell the two kinds apart.
const PICTURE_HZ: u32 = 90_000;

/// The newest protocol that needs nothing but RTP of a subscriber.
const PROTOCOL: u32 = 15;

const REPORT: Duration = Duration::from_secs(1);
const DATAGRAM_BYTES: usize = 2048;

#[derive(Deserialize)]
struct Order {
    room: String,
    url: String,
    token: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let (sender, mut orders) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            while let Some(line) = orders.recv().await {
                let order: Order = serde_json::from_str(&line)?;
                tokio::task::spawn_local(async move {
                    let room = order.room.clone();
                    let why = subscribe(order).await.err().map(|error| error.to_string());
                    println!("{}", serde_json::json!({"e": "gone", "t": epoch(), "room": room, "why": why}));
                });
            }
            Ok(())
        })
        .await
}

async fn subscribe(order: Order) -> Outcome<()> {
    let mut options = SignalOptions::default();
    options.single_peer_connection = false;
    options.region_failover = false;
    options.protocol_version = PROTOCOL;
    options.client_capabilities = vec![];
    options.client_protocol = 0;
    let (client, _, mut signals) = SignalClient::connect(&order.url, &order.token, options, None).await?;
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let local = socket.local_addr()?;
    let mut rtc = Rtc::builder().set_rtp_mode(true).build(Instant::now());
    rtc.add_local_candidate(Candidate::host(local, Protocol::Udp)?);
    let mut seen = Seen::new(order.room);
    let mut buffer = [0; DATAGRAM_BYTES];
    loop {
        let timeout = loop {
            match rtc.poll_output()? {
                Output::Timeout(at) => break at.min(seen.report),
                // A full socket buffer loses it, as the network may.
                Output::Transmit(datagram) => {
                    socket.try_send_to(&datagram.contents, datagram.destination).ok();
                }
                Output::Event(Event::RtpPacket(packet)) => seen.packet(&packet),
                Output::Event(_) => {}
            }
        };
        tokio::select! {
            signal = signals.recv() => match signal {
                Some(SignalEvent::Message(message)) => {
                    if let Some(answer) = hear(&mut rtc, *message)? {
                        client.send(answer).await;
                    }
                }
                Some(SignalEvent::Close(why)) => return Err(why.into()),
                None => return Ok(()),
            },
            received = socket.recv_from(&mut buffer) => {
                let (length, from) = received?;
                if let Ok(datagram) = Receive::new(Protocol::Udp, from, local, &buffer[..length]) {
                    rtc.handle_input(Input::Receive(Instant::now(), datagram))?;
                }
            }
            () = sleep_until(timeout.into()) => rtc.handle_input(Input::Timeout(Instant::now()))?,
        }
        seen.tell(Instant::now());
    }
}

/// Answers the server's offers and learns its candidates.
fn hear(rtc: &mut Rtc, message: signal_response::Message) -> Outcome<Option<Message>> {
    match message {
        signal_response::Message::Offer(offer) => {
            let answer = rtc.sdp_api().accept_offer(SdpOffer::from_sdp_string(&offer.sdp)?)?;
            let (r#type, sdp) = ("answer".into(), answer.to_sdp_string());
            Ok(Some(Message::Answer(SessionDescription { r#type, sdp, id: offer.id, ..Default::default() })))
        }
        signal_response::Message::Trickle(TrickleRequest { candidate_init, target, .. })
            if target == SignalTarget::Subscriber as i32 =>
        {
            let init: serde_json::Value = serde_json::from_str(&candidate_init)?;
            let text = init.get("candidate").and_then(|text| text.as_str()).unwrap_or_default();
            // ICE over TCP is not spoken here.
            if text.contains(" udp ") {
                rtc.add_remote_candidate(Candidate::from_sdp_string(text)?);
            }
            Ok(None)
        }
        signal_response::Message::Leave(leave) => Err(format!("the server says: leave {leave:?}").into()),
        _ => Ok(None),
    }
}

/// What came in since the last report.
struct Seen {
    room: String,
    report: Instant,
    picture: Option<(u32, Instant)>,
    sound: Option<Instant>,
    frames: u32,
    gaps: Vec<u64>,
    sound_gap: u64,
    bytes: usize,
}

impl Seen {
    fn new(room: String) -> Self {
        let report = Instant::now() + REPORT;
        Self { room, report, picture: None, sound: None, frames: 0, gaps: vec![], sound_gap: 0, bytes: 0 }
    }

    fn packet(&mut self, packet: &RtpPacket) {
        let now = packet.timestamp;
        self.bytes += packet.payload.len();
        if packet.time.denom() != PICTURE_HZ {
            let gap = self.sound.replace(now).map_or(0, |before| millis(now - before));
            self.sound_gap = self.sound_gap.max(gap);
        } else if packet.header.marker && self.picture.is_none_or(|(time, _)| time != packet.header.timestamp)
        {
            let before = self.picture.replace((packet.header.timestamp, now));
            self.gaps.extend(before.map(|(_, before)| millis(now - before)));
            self.frames += 1;
        }
    }

    /// Prints and forgets, once a second.
    fn tell(&mut self, now: Instant) {
        if now < self.report {
            return;
        }
        self.report = now + REPORT;
        let line = serde_json::json!({
            "e": "second", "t": epoch(), "room": self.room, "frames": self.frames, "gaps": self.gaps,
            "sound": self.sound_gap, "bytes": self.bytes,
        });
        println!("{line}");
        (self.frames, self.sound_gap, self.bytes) = (0, 0, 0);
        self.gaps.clear();
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn epoch() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
