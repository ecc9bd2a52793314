//! A room, a peer that plays the SFU, and the network between them.
#![allow(
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    reason = "modules of tests have no outside, and none needs all of it"
)]

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use media::{Codec, Encoded, Layer, MediaTime, Output, Quality, RtpPacket};
use sluicegate_rtc::room::{Config, Epoch, Event, Room};
use str0m::{
    Candidate, Input, Rtc,
    change::SdpOffer,
    media::{MediaKind, Mid, Rid},
    net::{Protocol, Receive, Transmit},
    rtp,
};

pub const MS: Duration = Duration::from_millis(1);
const ROUND: Duration = Duration::from_millis(1);
const ONE_WAY: Duration = Duration::from_millis(10);

/// A frame as it arrived.
#[derive(Debug)]
pub struct Got {
    pub contiguous: bool,
    pub bytes: usize,
    pub rtp_time: u64,
    /// What the last sender report says: this RTP time at that NTP time.
    pub report: Option<(SystemTime, u64)>,
}

/// A room, an SFU, and a network of 10 ms between them that loses what it is told to.
pub struct World {
    pub now: Instant,
    pub room: Room,
    pub sfu: Rtc,
    to_room: VecDeque<(Instant, Transmit)>,
    to_sfu: VecDeque<(Instant, Transmit)>,
    /// Of the room's datagrams with media, each n-th is lost.
    pub lose_each: usize,
    /// Nothing gets through, either way.
    pub cut: bool,
    pub media_datagrams: usize,
    pub mids: HashMap<Mid, MediaKind>,
    pub got: HashMap<(MediaKind, Option<Rid>), Vec<Got>>,
    /// What arrives when packets are forwarded, in the order in which it does.
    pub packets: HashMap<(MediaKind, Option<Rid>), Vec<rtp::RtpPacket>>,
    pub events: Vec<(Instant, Event)>,
    pub most_at_once: usize,
}

fn addr(port: u16) -> SocketAddr {
    ([10, 0, 0, 1], port).into()
}

pub fn layers() -> Vec<Layer> {
    let layer = |quality, width, bitrate_bps| Layer { quality, width, height: width / 2, bitrate_bps };
    vec![
        layer(Quality::Low, 320, 200_000),
        layer(Quality::Medium, 640, 700_000),
        layer(Quality::High, 1280, 2_300_000),
    ]
}

impl World {
    pub fn new(codec: Codec) -> Self {
        Self::with(Config { video: codec, red: false, forward: false })
    }

    pub fn with(config: Config) -> Self {
        let now = Instant::now();
        let mut room = Room::new(now, config, Epoch::default()).unwrap();
        room.add_local_udp(now, addr(1)).unwrap();
        let mut sfu = Rtc::builder().set_rtp_mode(config.forward).build(now);
        sfu.add_local_candidate(Candidate::host(addr(2), Protocol::Udp).unwrap());
        Self {
            now,
            room,
            sfu,
            to_room: VecDeque::new(),
            to_sfu: VecDeque::new(),
            lose_each: usize::MAX,
            cut: false,
            media_datagrams: 0,
            mids: HashMap::new(),
            got: HashMap::new(),
            packets: HashMap::new(),
            events: vec![],
            most_at_once: 0,
        }
    }

    /// Publishes three layers and sound, and lets them connect.
    pub fn connected(codec: Codec) -> Self {
        Self::new(codec).publish(&layers())
    }

    /// The same with packets that are forwarded.
    pub fn forwarding(codec: Codec, layers: &[Layer]) -> Self {
        Self::with(Config { video: codec, red: false, forward: true }).publish(layers)
    }

    fn publish(mut self, layers: &[Layer]) -> Self {
        let world = &mut self;
        world.room.add_video(layers, "stream", "picture").unwrap();
        world.room.add_audio("stream", "sound").unwrap();
        world.negotiate();
        world.trickle();
        for _ in 0..3_000 {
            if world.has(&Event::Connected) {
                world.run(100 * MS);
                return self;
            }
            world.run(ROUND);
        }
        panic!("not connected within 3 s");
    }

    pub fn negotiate(&mut self) -> String {
        let offer = self.room.offer(self.now).unwrap().unwrap();
        let sdp = SdpOffer::from_sdp_string(&offer).unwrap();
        let answer = self.sfu.sdp_api().accept_offer(sdp).unwrap();
        self.room.answer(self.now, &answer.to_sdp_string()).unwrap();
        offer
    }

    /// Tells the room where the SFU is.
    pub fn trickle(&mut self) {
        let candidate = Candidate::host(addr(2), Protocol::Udp).unwrap().to_sdp_string();
        self.room.add_remote(self.now, &candidate).unwrap();
    }

    pub fn has(&self, event: &Event) -> bool {
        self.events.iter().any(|(_, seen)| seen == event)
    }

    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += ROUND;
            self.step();
        }
    }

    fn step(&mut self) {
        let now = self.now;
        if self.cut {
            self.to_room.clear();
            self.to_sfu.clear();
        }
        while let Some((_, datagram)) = self.to_room.pop_front_if(|(at, _)| *at <= now) {
            let (from, to) = (datagram.source, datagram.destination);
            self.room.handle_datagram(now, Protocol::Udp, from, to, &datagram.contents).unwrap();
        }
        if self.room.timeout() <= now {
            self.room.handle_timeout(now).unwrap();
        }
        while let Some(event) = self.room.poll_event(now) {
            self.events.push((now, event));
        }
        let sent = self.to_sfu.len();
        while let Some(datagram) = self.room.poll_transmit(now) {
            let first = datagram.contents[0];
            let media = (128..192).contains(&first) && !(64..96).contains(&(datagram.contents[1] & 0x7f));
            self.media_datagrams += usize::from(media);
            if !media || !self.media_datagrams.is_multiple_of(self.lose_each) {
                self.to_sfu.push_back((now + ONE_WAY, datagram));
            }
        }
        self.most_at_once = self.most_at_once.max(self.to_sfu.len() - sent);
        self.step_sfu();
    }

    fn step_sfu(&mut self) {
        let now = self.now;
        self.sfu.handle_input(Input::Timeout(now)).unwrap();
        self.drain_sfu();
        while let Some((_, datagram)) = self.to_sfu.pop_front_if(|(at, _)| *at <= now) {
            let (from, to) = (datagram.source, datagram.destination);
            let receive = Receive::new(Protocol::Udp, from, to, &datagram.contents).unwrap();
            self.sfu.handle_input(Input::Receive(now, receive)).unwrap();
            self.drain_sfu();
        }
    }

    fn drain_sfu(&mut self) {
        loop {
            match self.sfu.poll_output().unwrap() {
                str0m::Output::Timeout(_) => return,
                str0m::Output::Transmit(datagram) => {
                    self.to_room.push_back((self.now + ONE_WAY, datagram));
                }
                str0m::Output::Event(str0m::Event::MediaAdded(added)) => {
                    self.mids.insert(added.mid, added.kind);
                }
                str0m::Output::Event(str0m::Event::MediaData(data)) => {
                    let report = data.last_sender_info.map(|info| (info.ntp_time, info.rtp_time.numer()));
                    let got = Got {
                        contiguous: data.contiguous,
                        bytes: data.data.len(),
                        rtp_time: data.time.numer(),
                        report,
                    };
                    self.got.entry((self.mids[&data.mid], data.rid)).or_default().push(got);
                }
                str0m::Output::Event(str0m::Event::RtpPacket(packet)) => {
                    let mut api = self.sfu.direct_api();
                    let stream = api.stream_rx(&packet.header.ssrc).unwrap();
                    let place = (self.mids[&stream.mid()], stream.rid());
                    self.packets.entry(place).or_default().push(packet);
                }
                str0m::Output::Event(_) => {}
            }
        }
    }

    pub fn write(&mut self, output: Output, pts: MediaTime, keyframe: bool, data: Vec<u8>) -> bool {
        let frame = Encoded { output, pts, keyframe, data: Bytes::from(data) };
        let sent = self.room.write(self.now, &frame).unwrap();
        self.step();
        sent
    }

    pub fn forward(&mut self, output: Output, packet: &RtpPacket) -> bool {
        let sent = self.room.forward(self.now, output, packet).unwrap();
        self.step();
        sent
    }

    /// A second of pictures at 30 fps and sound, starting with a keyframe at `from`.
    pub fn play_second(&mut self, from: i64) {
        for ms in 0..1000 {
            if ms % 20 == 0 {
                self.write(Output::Audio, MediaTime::from_millis(from + ms), true, vec![0xfc, 0xff, 0xfe]);
            }
            if ms % 33 == 0 && ms < 990 {
                for (quality, size) in Quality::ALL.into_iter().zip([800, 2_500, 9_000]) {
                    let data = picture(ms == 0, size);
                    self.write(Output::Video(quality), MediaTime::from_millis(from + ms), ms == 0, data);
                }
            }
            self.run(ROUND);
        }
    }

    pub fn pictures(&self, rid: &str) -> &[Got] {
        let key = (MediaKind::Video, Some(Rid::from(rid)));
        self.got.get(&key).map_or(&[], Vec::as_slice)
    }
}

/// An Annex B access unit with one slice (ITU-T H.264 Annex B); a keyframe has its parameter sets with it.
pub fn picture(keyframe: bool, size: usize) -> Vec<u8> {
    let mut unit = vec![];
    let mut nal = |header: u8, size: usize| {
        unit.extend([0, 0, 0, 1, header]);
        unit.extend(std::iter::repeat_n(0x55, size));
    };
    if keyframe {
        nal(0x67, 10);
        nal(0x68, 4);
        nal(0x65, size * 4);
    } else {
        nal(0x41, size);
    }
    unit
}
