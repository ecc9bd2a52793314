//! A publisher that says what the fixtures in `testdata/whip` say and sends what it is told, and the network between it and a peer.
#![allow(unreachable_pub, dead_code, clippy::unwrap_used, reason = "modules of a test have no outside")]

use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use sluicegate_rtc::whip::{Config, Event, Local, Mode, Offer, Peer, Track};
use str0m::{
    Candidate, IceCreds, Input, Output, Rtc,
    media::{KeyframeRequest, MediaKind, Mid, Pt, Rid},
    net::{Protocol, Receive, TcpType, Transmit},
    rtp::{ExtensionValues, RawPacket, RtpWrite, SeqNo, Ssrc, rtcp::Rtcp},
};

mod sdp;

pub use sdp::{attribute, fixture};
use sdp::{codecs, extensions, filled};

pub const MS: Duration = Duration::from_millis(1);

/// One way through the network, each way.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    pub delay: Duration,
    /// At most so much more, different for each datagram.
    pub jitter: Duration,
    /// Of 1000 datagrams so many are lost.
    pub loss: u64,
}

pub const GOOD: Link = Link { delay: Duration::from_millis(5), jitter: Duration::ZERO, loss: 0 };

/// What one SSRC is about.
#[derive(Debug, Clone)]
pub struct Sent {
    pub mid: Mid,
    pub kind: MediaKind,
    pub rid: Option<Rid>,
    pub ssrc: Ssrc,
    pub pt: Pt,
    next: u64,
}

pub struct World {
    pub now: Instant,
    pub began: Instant,
    pub rtc: Rtc,
    pub peer: Peer,
    pub answer: String,
    pub tracks: Vec<Sent>,
    pub events: Vec<(Instant, Event)>,
    pub wanted: Vec<(Instant, KeyframeRequest)>,
    /// Packets that the peer asked for again, by SSRC.
    pub missed: Vec<Ssrc>,
    /// What the peer said of the bandwidth, in bits per second, and how often it sent transport-wide feedback.
    pub told: Vec<(Instant, f32)>,
    pub transport_wide: usize,
    pub link: Link,
    /// The publisher as the peer sees it, where that is not its own address.
    pub seen_as: Option<SocketAddr>,
    protocol: Protocol,
    home: SocketAddr,
    pub random: u64,
    to_peer: VecDeque<(Instant, Transmit)>,
    to_publisher: VecDeque<(Instant, Transmit)>,
}

pub fn v4(port: u16) -> SocketAddr {
    ([10, 0, 0, 1], port).into()
}

pub fn v6(port: u16) -> SocketAddr {
    (std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), port).into()
}

impl World {
    /// A publisher with the offer of this name, and a peer in this mode. They are not connected yet.
    pub fn new(name: &str, mode: Mode) -> Self {
        let local = Local { protocol: Protocol::Udp, address: v4(7885) };
        Self::of(&fixture(name), Config { mode, ice_lite: false }, local, v4(1))
    }

    pub fn of(template: &str, config: Config, local: Local, home: SocketAddr) -> Self {
        Self::made(template, config, local, home, true)
    }

    fn made(template: &str, config: Config, local: Local, home: SocketAddr, rtp_mode: bool) -> Self {
        let now = Instant::now();
        let first = Offer::read(&filled(template, &IceCreds::new(), &"00:".repeat(32)[..95])).unwrap();
        let mut builder = Rtc::builder()
            .clear_codecs()
            .set_rtp_mode(rtp_mode)
            .enable_raw_packets(true)
            .set_extension_map(extensions(template));
        codecs(&first, &mut builder);
        let mut rtc = builder.build(now);
        let candidate = match local.protocol {
            Protocol::Tcp => Candidate::builder().tcp().host(home).tcptype(TcpType::Active).build(),
            _ => Candidate::host(home, Protocol::Udp),
        };
        rtc.add_local_candidate(candidate.unwrap());
        let api = rtc.direct_api();
        let fingerprint = api.local_dtls_fingerprint().to_string();
        let bytes = fingerprint.split_once(' ').map_or(fingerprint.as_str(), |(_, bytes)| bytes);
        let offer = Offer::read(&filled(template, &api.local_ice_credentials(), bytes)).unwrap();
        let (peer, answer) = Peer::answer(now, config, &[local], &offer).unwrap();
        let mut world = Self {
            now,
            began: now,
            rtc,
            peer,
            answer,
            tracks: Vec::new(),
            events: Vec::new(),
            wanted: Vec::new(),
            missed: Vec::new(),
            told: Vec::new(),
            transport_wide: 0,
            link: GOOD,
            seen_as: None,
            protocol: local.protocol,
            home,
            random: 0x9e37_79b9_7f4a_7c15,
            to_peer: VecDeque::new(),
            to_publisher: VecDeque::new(),
        };
        world.start(&offer, attribute(template, "ice-lite").is_some());
        world
    }

    pub fn connected(name: &str, mode: Mode) -> Self {
        let mut world = Self::new(name, mode);
        world.connect();
        world
    }

    pub fn connect(&mut self) {
        self.connect_within(3000);
    }

    pub fn connect_within(&mut self, ms: u32) {
        for _ in 0..ms {
            if self.rtc.is_connected() && self.events.iter().any(|(_, event)| *event == Event::Connected) {
                return self.run(50 * MS);
            }
            self.step();
        }
        panic!("not connected within {ms} ms");
    }

    /// Such as sends whole pictures, which its engine cuts into packets.
    pub fn of_pictures(name: &str, mode: Mode) -> Self {
        let local = Local { protocol: Protocol::Udp, address: v4(7885) };
        let mut world = Self::made(&fixture(name), Config { mode, ice_lite: false }, local, v4(1), false);
        world.connect();
        world
    }

    /// Takes the answer as a client does, and declares what it sends.
    fn start(&mut self, offer: &Offer, lite: bool) {
        let answer = self.answer.clone();
        let value = |name| attribute(&answer, name).unwrap().to_owned();
        let mut api = self.rtc.direct_api();
        api.set_ice_controlling(!lite);
        api.set_remote_ice_credentials(IceCreds { ufrag: value("ice-ufrag"), pass: value("ice-pwd") });
        api.set_remote_fingerprint(value("fingerprint").parse().unwrap());
        api.start_dtls(value("setup") == "passive").unwrap();
        if let Some(audio) = &offer.audio {
            let (mid, pt) = (Mid::from(audio.mid.as_str()), audio.payload_type.into());
            api.declare_media(mid, MediaKind::Audio);
            api.declare_stream_tx(1001.into(), None, mid, None);
            self.tracks.push(Sent {
                mid,
                kind: MediaKind::Audio,
                rid: None,
                ssrc: 1001.into(),
                pt,
                next: 1000,
            });
        }
        if let Some(video) = &offer.video {
            let (mid, pt) = (Mid::from(video.mid.as_str()), video.payload_type.into());
            api.declare_media(mid, MediaKind::Video);
            for layer in 0..u32::try_from(offer.layers()).unwrap() {
                let rid = video.rids.get(layer as usize).map(|rid| Rid::from(rid.as_str()));
                let ssrc = Ssrc::from(2001 + layer);
                let resent = video.resend.map(|_| Ssrc::from(3001 + layer));
                // The sending engine tells layers apart by names only.
                let own = rid.or_else(|| (offer.layers() > 1).then(|| Rid::from(layer.to_string().as_str())));
                // Clients resend what they are asked for, however much that is.
                api.declare_stream_tx(ssrc, resent, mid, own).set_rtx_cache(1024, 3000 * MS, None);
                self.tracks.push(Sent { mid, kind: MediaKind::Video, rid, ssrc, pt, next: 65_530 });
            }
        }
        for candidate in answer.lines().filter_map(|line| line.strip_prefix("a=candidate:")) {
            self.rtc
                .add_remote_candidate(Candidate::from_sdp_string(&format!("candidate:{candidate}")).unwrap());
        }
    }

    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step();
        }
    }

    fn chance(&mut self, of: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % of.max(1)
    }

    fn travel(&mut self) -> Option<Instant> {
        let (lost, jitter) =
            (self.chance(1000), self.chance(u64::try_from(self.link.jitter.as_micros()).unwrap() + 1));
        (lost >= self.link.loss).then(|| self.now + self.link.delay + Duration::from_micros(jitter))
    }

    pub fn step(&mut self) {
        self.now += MS;
        let now = self.now;
        for datagram in due(&mut self.to_peer, now) {
            let (from, to) = (self.seen_as.unwrap_or(datagram.source), datagram.destination);
            self.peer.handle_datagram(now, self.protocol, from, to, &datagram.contents).unwrap();
        }
        for datagram in due(&mut self.to_publisher, now) {
            let receive =
                Receive::new(self.protocol, datagram.source, self.home, &datagram.contents).unwrap();
            let input = Input::Receive(now, receive);
            if self.rtc.accepts(&input) {
                self.rtc.handle_input(input).unwrap();
                self.drain();
            }
        }
        if self.peer.timeout() <= now {
            self.peer.handle_timeout(now).unwrap();
        }
        self.rtc.handle_input(Input::Timeout(now)).unwrap();
        self.drain();
        self.collect();
    }

    /// What the peer has for the world.
    pub fn collect(&mut self) {
        while let Some(datagram) = self.peer.poll_transmit() {
            let outside = self.seen_as.unwrap_or(self.home);
            if let Some(at) = self.travel()
                && datagram.destination == outside
            {
                self.to_publisher.push_back((at, datagram));
            }
        }
        while let Some(event) = self.peer.poll_event() {
            self.events.push((self.now, event));
        }
    }

    fn drain(&mut self) {
        loop {
            match self.rtc.poll_output().unwrap() {
                Output::Timeout(_) => return,
                Output::Transmit(datagram) => {
                    if let Some(at) = self.travel() {
                        self.to_peer.push_back((at, datagram));
                    }
                }
                Output::Event(str0m::Event::KeyframeRequest(request)) => {
                    self.wanted.push((self.now, request))
                }
                Output::Event(str0m::Event::RawPacket(packet)) => match *packet {
                    RawPacket::RtcpRx(Rtcp::Nack(nack)) => self.missed.push(nack.ssrc),
                    RawPacket::RtcpRx(Rtcp::Remb(remb)) => self.told.push((self.now, remb.bitrate)),
                    RawPacket::RtcpRx(Rtcp::Twcc(_)) => self.transport_wide += 1,
                    _ => {}
                },
                Output::Event(_) => {}
            }
        }
    }

    /// Sends a packet of the track of this index in `tracks`.
    pub fn send(&mut self, track: usize, timestamp: u32, marker: bool, payload: &[u8]) {
        self.send_with(track, timestamp, marker, payload, ExtensionValues::default());
    }

    /// The same, with header extensions.
    pub fn send_with(
        &mut self,
        track: usize,
        timestamp: u32,
        marker: bool,
        payload: &[u8],
        values: ExtensionValues,
    ) {
        let sent = &mut self.tracks[track];
        let sequence = SeqNo::from(sent.next);
        sent.next += 1;
        let video = sent.kind == MediaKind::Video;
        let write = RtpWrite::new(sent.pt, sequence, timestamp, self.now, payload);
        let write = write.marker(marker).nackable(video).ext_vals(values);
        let ssrc = sent.ssrc;
        self.rtc.direct_api().stream_tx(&ssrc).unwrap().write_rtp(write);
        self.rtc.handle_input(Input::Timeout(self.now)).unwrap();
        self.drain();
    }

    /// A picture or a sound frame, if the world is [`World::of_pictures`].
    pub fn write(&mut self, track: usize, at: Duration, data: &[u8]) {
        let sent = &self.tracks[track];
        let time = str0m::media::MediaTime::from(at);
        let mut writer = self.rtc.writer(sent.mid).unwrap();
        if let Some(rid) = sent.rid {
            writer = writer.rid(rid);
        }
        writer.write(sent.pt, self.now, time, data).unwrap();
        self.rtc.handle_input(Input::Timeout(self.now)).unwrap();
        self.drain();
    }

    /// The track goes on with another SSRC, and numbers of its own.
    pub fn begin_again(&mut self, track: usize, ssrc: u32) {
        let sent = &mut self.tracks[track];
        let mut api = self.rtc.direct_api();
        api.remove_stream_tx(sent.ssrc);
        (sent.ssrc, sent.next) = (ssrc.into(), 100);
        api.declare_stream_tx(sent.ssrc, None, sent.mid, sent.rid);
    }

    /// A number is left out as if its packet was lost for good.
    pub fn skip(&mut self, track: usize) {
        self.tracks[track].next += 1;
    }

    pub fn packets(&self, track: Track) -> Vec<(Instant, &media::RtpPacket)> {
        self.events
            .iter()
            .filter_map(|(at, event)| match event {
                Event::Packet(of, packet) if *of == track => Some((*at, packet)),
                _ => None,
            })
            .collect()
    }

    pub fn frames(&self, track: Track) -> Vec<(Instant, &media::Packet)> {
        self.events
            .iter()
            .filter_map(|(at, event)| match event {
                Event::Frame(of, packet) if *of == track => Some((*at, packet)),
                _ => None,
            })
            .collect()
    }
}

/// What arrives by now, in the order in which it does.
fn due(queue: &mut VecDeque<(Instant, Transmit)>, now: Instant) -> Vec<Transmit> {
    let (mut due, later): (Vec<_>, Vec<_>) =
        std::mem::take(queue).into_iter().partition(|(at, _)| *at <= now);
    *queue = later.into();
    due.sort_by_key(|(at, _)| *at);
    due.into_iter().map(|(_, datagram)| datagram).collect()
}
