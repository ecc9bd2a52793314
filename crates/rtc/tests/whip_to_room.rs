//! A WHIP publisher's packets on their way through both connections to a peer that plays the SFU, in virtual time.
#![allow(clippy::unwrap_used, reason = "tests")]

mod publisher;
mod world;

use std::time::Duration;

use media::{Codec, Output, Quality, RtpPacket};
use publisher::{Link, MS};
use sluicegate_rtc::whip::{Event, Mode, Track};
use str0m::{
    media::{MediaKind, Rid},
    rtp::ExtensionValues,
};
use world::{World, layers};

/// A publisher, and which of the session's publishers it is.
struct Source {
    world: publisher::World,
    number: u32,
    began: Duration,
    /// Events that are handed over.
    taken: usize,
    pictures: u32,
}

impl Source {
    fn connected(number: u32, began: Duration) -> Self {
        let world = publisher::World::connected("chromium_simulcast", Mode::Packets);
        Self { world, number, began, taken: 0, pictures: 0 }
    }

    /// Sends pictures of three packets in each layer, and sound, 25 a second; everything that arrives goes on to the room.
    fn play(&mut self, room: &mut World, pictures: u32, layers: &[usize]) {
        for _ in 0..pictures {
            self.pictures += 1;
            for track in 0..self.world.tracks.len() {
                let (number, rate) = (self.pictures.to_be_bytes(), if track == 0 { 1920 } else { 3600 });
                let parts = if track == 0 { 1 } else { 3 };
                for part in 0..parts {
                    let start = if part == 0 { 0x10 } else { 0 };
                    let payload = [&[start, u8::from(self.pictures % 25 != 1), part], &number[..]].concat();
                    self.world.send(track, self.pictures * rate, part + 1 == parts, &payload);
                }
            }
            self.run(room, 40, layers);
        }
    }

    fn run(&mut self, room: &mut World, millis: u32, layers: &[usize]) {
        for _ in 0..millis {
            self.world.step();
            room.run(MS);
            let events = self.world.events[self.taken..].iter().map(|(_, event)| event.clone());
            let events: Vec<_> = events.collect();
            self.taken += events.len();
            for event in events {
                let Event::Packet(track, packet) = event else { continue };
                let output = match track {
                    Track::Audio => Output::Audio,
                    Track::Video(layer) if layers.contains(&layer) => Output::Video(Quality::ALL[layer]),
                    Track::Video(_) => continue,
                };
                room.forward(output, &self.of_session(packet));
            }
        }
    }

    /// On the session's clock and among all its streams, as the server does it.
    fn of_session(&self, packet: RtpPacket) -> RtpPacket {
        let captured = packet.captured + media::MediaTime::from_duration(self.began);
        RtpPacket { stream: self.number << 16 | packet.stream, captured, ..packet }
    }
}

/// The numbers in which packets arrived, from the first one sent on, sorted.
fn numbers(world: &World, kind: MediaKind, rid: Option<&str>) -> Vec<u64> {
    let packets = &world.packets[&(kind, rid.map(Rid::from))];
    let mut numbers: Vec<u64> = packets.iter().map(|packet| *packet.seq_no).collect();
    numbers.sort_unstable();
    numbers.iter().map(|number| number - numbers[0]).collect()
}

const LOSSY: Link = Link { delay: Duration::from_millis(20), jitter: Duration::from_millis(15), loss: 20 };

/// 120 pictures of three layers and three packets each, 100 of them over these networks, and what arrives of each layer.
fn arriving(link: Link, lose_each: usize) -> [Vec<u64>; 3] {
    let mut room = World::forwarding(Codec::Vp8, &layers());
    let mut source = Source::connected(1, Duration::ZERO);
    source.play(&mut room, 10, &[0, 1, 2]);
    (source.world.link, room.lose_each) = (link, lose_each);
    source.play(&mut room, 100, &[0, 1, 2]);
    (source.world.link, room.lose_each) = (publisher::GOOD, usize::MAX);
    source.play(&mut room, 10, &[0, 1, 2]);
    source.run(&mut room, 1000, &[0, 1, 2]);
    let sound = numbers(&room, MediaKind::Audio, None);
    assert!(sound.len() > 80 && sound.windows(2).all(|pair| pair[0] < pair[1]), "{sound:?}");
    ["q", "h", "f"].map(|rid| numbers(&room, MediaKind::Video, Some(rid)))
}

#[test]
fn losses_on_either_way_are_repaired_and_nothing_comes_twice() {
    for (link, lose_each) in [(LOSSY, usize::MAX), (publisher::GOOD, 30), (publisher::GOOD, 7)] {
        for layer in arriving(link, lose_each) {
            assert_eq!(layer, (0..360).collect::<Vec<_>>(), "{link:?} {lose_each}");
        }
    }
}

/// The SFU asks for a gap while the publisher's resend is still on its way, and gives up after five times: what is then lost on the
/// second way too stays lost. That is one packet in some runs.
#[test]
fn losses_on_both_ways_at_once_are_repaired_but_for_what_is_lost_twice() {
    for layer in arriving(LOSSY, 30) {
        assert!(layer.windows(2).all(|pair| pair[0] < pair[1]), "twice: {layer:?}");
        assert!(layer.len() >= 358 && layer.last() == Some(&359), "{layer:?}");
    }
}

#[test]
fn a_takeover_goes_on_with_numbers_and_times_and_what_nobody_watches_leaves_no_gap() {
    let mut room = World::forwarding(Codec::Vp8, &layers());
    let mut first = Source::connected(1, Duration::ZERO);
    first.play(&mut room, 25, &[0, 1, 2]);
    first.play(&mut room, 25, &[0, 1]);
    room.room.pause(Output::Video(Quality::High));
    first.play(&mut room, 25, &[0, 1, 2]);
    let mut second = Source::connected(2, Duration::from_secs(4));
    second.play(&mut room, 25, &[0, 1, 2]);
    room.run(100 * MS);
    for (rid, count) in [("q", 300), ("h", 300), ("f", 225)] {
        assert_eq!(numbers(&room, MediaKind::Video, Some(rid)), (0..count).collect::<Vec<_>>(), "{rid}");
        let packets = &room.packets[&(MediaKind::Video, Some(Rid::from(rid)))];
        let times: Vec<u32> = packets.iter().map(|packet| packet.header.timestamp).collect();
        let steps: Vec<u32> = times.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
        assert!(steps.iter().all(|step| *step < 2 * 90_000), "{rid}: {steps:?}");
        let whole = times[times.len() - 1] - times[0];
        assert!((4 * 90_000..6 * 90_000).contains(&whole), "{rid}: {whole}");
    }
    let (reported, rtp) = room.packets[&(MediaKind::Video, Some(Rid::from("f")))]
        .iter()
        .rev()
        .find_map(|packet| packet.last_sender_info.as_ref().map(|info| (info, packet.header.timestamp)))
        .unwrap();
    let apart = i64::from((reported.rtp_time.numer() as u32).wrapping_sub(rtp).cast_signed());
    assert!(apart.abs() < 2 * 90_000, "the reports are about what is sent: {apart}");
}

#[test]
fn a_keyframe_that_the_room_wants_is_asked_of_that_layer() {
    let mut room = World::forwarding(Codec::Vp8, &layers());
    let mut source = Source::connected(1, Duration::ZERO);
    source.play(&mut room, 30, &[0, 1, 2]);
    room.room.request_keyframe(room.now, Quality::Medium);
    room.run(300 * MS);
    let asked = room.events.iter().rev().find_map(|(_, event)| match event {
        sluicegate_rtc::room::Event::KeyframeNeeded(quality) => Some(*quality),
        _ => None,
    });
    assert_eq!(asked, Some(Quality::Medium));
    let layer = Quality::ALL.iter().position(|quality| Some(*quality) == asked).unwrap();
    source.world.wanted.clear();
    source.world.peer.request_keyframe(source.world.now, layer).unwrap();
    source.run(&mut room, 100, &[0, 1, 2]);
    let rids: Vec<_> = source.world.wanted.iter().map(|(_, request)| request.rid).collect();
    let of_layer = source.world.tracks.iter().filter(|track| track.kind == MediaKind::Video).nth(layer);
    assert_eq!(rids, [of_layer.unwrap().rid]);
}

#[test]
fn how_loud_the_publisher_says_it_is_reaches_the_room() {
    let mut room = World::forwarding(Codec::Vp8, &layers());
    let mut source = Source::connected(1, Duration::ZERO);
    let mut told = Vec::new();
    // With nothing said between, for clients that do not.
    for (number, level) in
        [Some((0, true)), Some((30, true)), None, Some((127, false))].into_iter().enumerate()
    {
        let mut values = ExtensionValues::default();
        if let Some((below, voice)) = level {
            (values.audio_level, values.voice_activity) = (Some(-below), Some(voice));
        }
        told.push((values.audio_level, values.voice_activity));
        source.world.send_with(0, u32::try_from(number).unwrap() * 960, false, &[0xfc, 1, 2], values);
        source.run(&mut room, 20, &[]);
    }
    source.run(&mut room, 100, &[]);
    assert!(source.world.answer.contains("urn:ietf:params:rtp-hdrext:ssrc-audio-level"), "it is accepted");
    let got = &room.packets[&(MediaKind::Audio, None)];
    let got: Vec<_> = got
        .iter()
        .map(|packet| (packet.header.ext_vals.audio_level, packet.header.ext_vals.voice_activity))
        .collect();
    assert_eq!(got, told);
}
