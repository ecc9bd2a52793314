//! A WHIP publisher's connection, with a sending room as the publisher and a network of 5 ms between them.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use media::{Codec, Encoded, Layer, MediaTime, Output, Quality, RtpPacket};
use sluicegate_rtc::{
    room::{self, Epoch, Protocol, Room, Transmit},
    whip::{self, Config, Event, Local, Offer, Patched, Peer, Track},
};

const MS: Duration = Duration::from_millis(1);
const ONE_WAY: Duration = Duration::from_millis(5);

fn address(port: u16) -> SocketAddr {
    ([10, 0, 0, 1], port).into()
}

const OURS: u16 = 7885;

struct World {
    now: Instant,
    publisher: Room,
    peer: Peer,
    answer: String,
    to_peer: VecDeque<(Instant, Transmit)>,
    to_publisher: VecDeque<(Instant, Transmit)>,
    events: Vec<Event>,
    wanted: Vec<Quality>,
    lose: bool,
    /// The publisher as it is seen from outside.
    outside: SocketAddr,
}

fn layers(count: usize) -> Vec<Layer> {
    let all = [(Quality::Low, 320), (Quality::Medium, 640), (Quality::High, 1280)];
    let layer = |(quality, width)| Layer { quality, width, height: width / 2, bitrate_bps: 500_000 };
    all.into_iter().skip(3 - count).map(layer).collect()
}

impl World {
    fn new(video: Codec, count: usize) -> Self {
        let now = Instant::now();
        let mut publisher =
            Room::new(now, room::Config { video, red: false, forward: false }, Epoch::default()).unwrap();
        publisher.add_local_udp(now, address(1)).unwrap();
        publisher.add_video(&layers(count), "stream", "picture").unwrap();
        publisher.add_audio("stream", "sound").unwrap();
        let offer = publisher.offer(now).unwrap().unwrap();
        let local = Local { protocol: Protocol::Udp, address: address(OURS) };
        let offer = Offer::read(&offer).unwrap();
        let (peer, answer) = Peer::answer(now, Config::default(), &[local], &offer).unwrap();
        publisher.answer(now, &answer).unwrap();
        let mut world = Self {
            now,
            publisher,
            peer,
            answer,
            to_peer: VecDeque::new(),
            to_publisher: VecDeque::new(),
            events: Vec::new(),
            wanted: Vec::new(),
            lose: false,
            outside: address(1),
        };
        for _ in 0..3000 {
            world.step();
            if world.events.contains(&Event::Connected) {
                world.run(100 * MS);
                return world;
            }
        }
        panic!("not connected within 3 s");
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step();
        }
    }

    fn step(&mut self) {
        self.now += MS;
        let now = self.now;
        while let Some((_, datagram)) = self.to_peer.pop_front_if(|(at, _)| *at <= now) {
            let (from, to) = (self.outside, datagram.destination);
            self.peer.handle_datagram(now, Protocol::Udp, from, to, &datagram.contents).unwrap();
        }
        while let Some((_, datagram)) = self.to_publisher.pop_front_if(|(at, _)| *at <= now) {
            let (from, to) = (datagram.source, address(1));
            self.publisher.handle_datagram(now, Protocol::Udp, from, to, &datagram.contents).unwrap();
        }
        self.peer.handle_timeout(now).unwrap();
        self.publisher.handle_timeout(now).unwrap();
        while let Some(event) = self.publisher.poll_event(now) {
            if let room::Event::KeyframeNeeded(quality) = event {
                self.wanted.push(quality);
            }
        }
        while let Some(datagram) = self.publisher.poll_transmit(now) {
            if !std::mem::take(&mut self.lose) {
                self.to_peer.push_back((now + ONE_WAY, datagram));
            }
        }
        while let Some(datagram) = self.peer.poll_transmit() {
            assert_eq!(datagram.source, address(OURS));
            if datagram.destination == self.outside {
                self.to_publisher.push_back((now + ONE_WAY, datagram));
            }
        }
        self.events.extend(std::iter::from_fn(|| self.peer.poll_event()));
    }

    /// A second of pictures and sound, beginning with keyframes.
    fn play(&mut self, from_ms: i64, qualities: &[Quality]) {
        for ms in 0..1000 {
            let pts = MediaTime::from_millis(from_ms + ms);
            let mut write = |output, keyframe, data: Vec<u8>| {
                let frame = Encoded { output, pts, keyframe, data: Bytes::from(data) };
                assert!(self.publisher.write(self.now, &frame).unwrap());
            };
            if ms % 20 == 0 {
                write(Output::Audio, true, vec![0xfc, 0xff, 0xfe]);
            }
            if ms % 40 == 0 {
                for quality in qualities {
                    write(Output::Video(*quality), ms == 0, picture(ms == 0));
                }
            }
            self.step();
        }
    }

    fn of(&self, track: Track) -> Vec<&RtpPacket> {
        let of_track = |event| match event {
            &Event::Packet(of, ref packet) if of == track => Some(packet),
            _ => None,
        };
        self.events.iter().filter_map(of_track).collect()
    }
}

/// Annex B: with parameter sets a keyframe; more than one packet long.
fn picture(keyframe: bool) -> Vec<u8> {
    let start = [0, 0, 0, 1];
    let slice = |kind: u8| [&start[..], &[kind], &[0x5a; 3000]].concat();
    if keyframe {
        let sets = [&start[..], &[0x67, 0x42, 0xe0, 0x1f, 1], &start, &[0x68, 0xce, 6]].concat();
        [sets, slice(0x65)].concat()
    } else {
        slice(0x41)
    }
}

#[test]
fn the_answer_names_the_chosen_codecs_our_address_first_and_every_layer() {
    let world = World::new(Codec::H264, 3);
    let answer = &world.answer;
    assert!(answer.starts_with("v=0") && answer.len() <= 8192, "{} bytes", answer.len());
    let first = answer.lines().find(|line| line.starts_with("a=candidate:")).unwrap();
    assert!(first.contains(" 10.0.0.1 7885 typ host"), "{first}");
    let codecs: Vec<&str> =
        answer.lines().filter_map(|line| line.strip_prefix("a=rtpmap:")?.split(' ').nth(1)).collect();
    assert_eq!(codecs, ["H264/90000", "rtx/90000", "opus/48000/2"], "{answer}");
    assert!(answer.contains("profile-level-id=42e01f"), "{answer}");
    assert!(answer.contains("a=simulcast:recv q;h;f"), "{answer}");
    assert_eq!(world.peer.offer().video.as_ref().unwrap().rids, ["q", "h", "f"]);
}

#[test]
fn every_packet_arrives_in_its_layer_with_its_number_and_time() {
    let mut world = World::new(Codec::H264, 3);
    world.play(0, &Quality::ALL);
    world.run(200 * MS);
    let starts: BTreeMap<usize, usize> = (0..3)
        .map(|layer| (layer, world.of(Track::Video(layer)).iter().filter(|packet| packet.keyframe).count()))
        .collect();
    assert_eq!(starts, BTreeMap::from([(0, 1), (1, 1), (2, 1)]));
    for track in [Track::Audio, Track::Video(0), Track::Video(2)] {
        let packets = world.of(track);
        assert!(packets.windows(2).all(|pair| pair[1].sequence == pair[0].sequence + 1), "{track:?}");
        assert!(packets.windows(2).all(|pair| pair[1].captured >= pair[0].captured), "{track:?}");
        let (first, last) = (packets[0], packets[packets.len() - 1]);
        let rate = if track == Track::Audio { 48 } else { 90 };
        let passed = i64::from(last.timestamp.wrapping_sub(first.timestamp)) / rate;
        let captured = last.captured.since(first.captured).millis();
        assert!((captured - passed).abs() <= 2, "{track:?}: {captured} ms by the clock, {passed} by RTP");
    }
    let pictures = world.of(Track::Video(1)).iter().filter(|packet| packet.marker).count();
    assert_eq!((pictures, world.of(Track::Audio).len()), (25, 50));
    let apart = world.of(Track::Video(2))[0].captured.since(world.of(Track::Audio)[0].captured).millis();
    assert!(apart.abs() <= 10, "sound and pictures that began together are {apart} ms apart");
}

#[test]
fn one_layer_has_no_rid() {
    let mut world = World::new(Codec::Vp8, 1);
    assert!(world.peer.offer().video.as_ref().unwrap().rids.is_empty());
    world.play(0, &[Quality::High]);
    assert!(!world.of(Track::Video(0)).is_empty());
}

#[test]
fn a_lost_packet_is_asked_for_and_comes_late() {
    let mut world = World::new(Codec::H264, 1);
    world.play(0, &[Quality::High]);
    world.lose = true;
    world.play(1000, &[Quality::High]);
    world.run(500 * MS);
    let mut numbers: Vec<u64> = world.of(Track::Video(0)).iter().map(|packet| packet.sequence).collect();
    let sorted = numbers.is_sorted();
    numbers.sort_unstable();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "all are there");
    // What was lost may have been sound, which is not sent again.
    assert!(!sorted || world.of(Track::Audio).len() < 100, "one of them came late");
}

#[test]
fn a_keyframe_is_asked_of_the_layer_that_needs_it() {
    let mut world = World::new(Codec::H264, 3);
    world.play(0, &Quality::ALL);
    world.wanted.clear();
    world.peer.request_keyframe(world.now, 1).unwrap();
    world.run(50 * MS);
    assert_eq!(world.wanted, [Quality::Medium]);
}

#[test]
fn a_patch_with_the_same_credentials_adds_candidates() {
    let mut world = World::new(Codec::H264, 1);
    let ufrag = world.peer.offer().ufrag.clone();
    let text = format!(
        "a=ice-ufrag:{ufrag}\r\na=candidate:1 1 udp 2122 10.0.0.1 4 typ host\r\na=candidate:2 1 udp 2122 8c1b-22.local 4 typ host\r\n"
    );
    assert_eq!(world.peer.patch(world.now, &text).unwrap(), Patched::Trickled);
    assert!(world.peer.patch(world.now, "hello").is_err());
    assert!(world.peer.patch(world.now, "a=ice-ufrag:other\r\n").is_err());
    world.play(0, &[Quality::High]);
    assert!(!world.of(Track::Video(0)).is_empty(), "it is as well as before");
}

/// Restarts ICE as a WHIP client does (RFC 9725 section 4.3.3).
fn restart(world: &mut World) {
    let before = world.peer.ufrag();
    let offer = world.publisher.restart_ice(world.now).unwrap().unwrap();
    let line = |name: &str| offer.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    let fragment = format!("{}\r\n{}\r\n", line("a=ice-ufrag"), line("a=ice-pwd"));
    let Patched::Restarted(answer) = world.peer.patch(world.now, &fragment).unwrap() else {
        panic!("other credentials restart ICE")
    };
    assert_ne!(world.peer.ufrag(), before);
    let ufrag = format!("a=ice-ufrag:{}", world.peer.ufrag());
    assert!(answer.starts_with(&ufrag) && answer.contains("a=candidate:"), "{answer}");
    assert!(answer.ends_with("a=end-of-candidates\r\n"), "{answer}");
    // The publisher's engine wants a whole answer: the first one with what is new.
    let renew = |old: &str| {
        let name = old.split_once(':').map_or(old, |(name, _)| name);
        let fresh = |name: &str| answer.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        match name {
            "a=ice-ufrag" | "a=ice-pwd" | "a=candidate" => fresh(name) + "\r\n",
            _ => format!("{old}\r\n"),
        }
    };
    let renewed: String = world.answer.lines().map(renew).collect();
    world.publisher.answer(world.now, &renewed).unwrap();
}

#[test]
fn a_patch_with_other_credentials_restarts_ice_and_media_goes_on() {
    let mut world = World::new(Codec::H264, 1);
    world.play(0, &[Quality::High]);
    for round in 1..4 {
        let old = world.peer.offer().ufrag.clone();
        restart(&mut world);
        let late =
            format!("a=ice-ufrag:{old}\r\na=ice-pwd:abcdabcdabcdabcdabcdab\r\na=end-of-candidates\r\n");
        assert!(matches!(world.peer.patch(world.now, &late), Err(whip::Error::Stale)));
        let before = world.of(Track::Video(0)).len();
        world.play(1000 * round, &[Quality::High]);
        assert!(world.of(Track::Video(0)).len() > before + 70, "nothing is lost meanwhile");
        world.run(500 * MS);
    }
    let numbers: Vec<u64> = world.of(Track::Video(0)).iter().map(|packet| packet.sequence).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
    assert!(
        world.of(Track::Video(0)).iter().all(|packet| packet.stream == world.of(Track::Video(0))[0].stream)
    );
}

#[test]
fn a_publisher_with_another_address_restarts_ice_and_media_goes_on() {
    let mut world = World::new(Codec::H264, 3);
    world.play(0, &Quality::ALL);
    // The old address is gone with the network that it was of.
    world.outside = ([192, 0, 2, 7], 40_000).into();
    world.to_publisher.clear();
    world.run(300 * MS);
    restart(&mut world);
    world.run(1500 * MS);
    let before = world.of(Track::Video(2)).len();
    world.play(4000, &Quality::ALL);
    world.run(100 * MS);
    assert!(
        world.of(Track::Video(2)).len() >= before + 75,
        "{} more",
        world.of(Track::Video(2)).len() - before
    );
    world.wanted.clear();
    world.peer.request_keyframe(world.now, 2).unwrap();
    world.run(100 * MS);
    assert_eq!(world.wanted, [Quality::High], "what goes back finds the way too");
    assert!(!world.events.contains(&Event::Path(false)));
}

#[test]
fn a_fragment_that_cannot_be_used_changes_nothing() {
    let mut world = World::new(Codec::H264, 1);
    for bad in [
        "a=ice-ufrag:new!\r\na=ice-pwd:abcdabcdabcdabcdabcdab\r\n",
        "a=ice-ufrag:n\r\na=ice-pwd:p\r\n",
        "\0",
        "v=0\r\n",
    ] {
        let before = world.peer.ufrag();
        let patched = world.peer.patch(world.now, bad);
        assert!(patched.is_err() || patched.unwrap() == Patched::Trickled, "{bad}");
        assert_eq!(world.peer.ufrag(), before);
    }
    let many: String =
        (0..400).map(|port| format!("a=candidate:1 1 udp 2122 10.9.0.1 {} typ host\r\n", port + 1)).collect();
    for _ in 0..10 {
        assert_eq!(world.peer.patch(world.now, &many).unwrap(), Patched::Trickled);
    }
    world.play(0, &[Quality::High]);
    assert!(world.of(Track::Video(0)).len() > 70);
}

#[test]
fn a_publisher_that_says_goodbye_is_gone() {
    let mut world = World::new(Codec::H264, 1);
    world.publisher.close(world.now);
    world.run(100 * MS);
    assert!(world.events.contains(&Event::Closed));
}
