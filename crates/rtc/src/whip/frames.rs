use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bytes::Bytes;
use media::{Codec, Kind, MediaTime, RtpPacket, TrackId};

use super::{picture, streams::RESENDABLE};

/// How long a missing packet of a picture is waited for: two resends and more at 100 ms there and back.
const VIDEO_PATIENCE: Duration = Duration::from_millis(400);

/// Missing sound is not asked for, it can only be late.
const AUDIO_PATIENCE: Duration = Duration::from_millis(100);

/// How often a keyframe is asked for until one comes.
const ASK_EVERY: Duration = Duration::from_millis(300);

/// Packets that are held for want of another one: [`VIDEO_PATIENCE`] of 40 Mbit/s, or a keyframe of 4 MB. Past either limit
/// all are given up.
const MAX_PACKETS: usize = 4096;
const MAX_BYTES: usize = 6 << 20;

/// Puts the packets of one track in order and together. What it gives can be decoded: after a loss nothing comes until the next
/// keyframe.
pub(crate) struct Frames {
    /// `None` for sound.
    codec: Option<Codec>,
    stream: u32,
    /// Packets below this number are done with.
    first: u64,
    held: BTreeMap<u64, Held>,
    bytes: usize,
    state: State,
    asked: Option<Instant>,
    /// RTP time and time of capture of what was given last.
    last: Option<(u32, MediaTime)>,
}

struct Held {
    arrived: Instant,
    packet: RtpPacket,
}

enum State {
    /// Everything up to a keyframe's first packet is useless.
    Searching,
    Reading(Reading),
}

struct Reading {
    /// All packets of the present picture below this number are there.
    reach: u64,
    /// Its RTP time.
    timestamp: Option<u32>,
    /// It is the first one after a loss: useless unless it is a keyframe.
    resumes: bool,
}

impl Reading {
    fn at(first: u64, resumes: bool) -> Self {
        Self { reach: first, timestamp: None, resumes }
    }
}

impl Frames {
    pub(crate) fn new(codec: Option<Codec>) -> Self {
        Self {
            codec,
            stream: 0,
            first: 0,
            held: BTreeMap::new(),
            bytes: 0,
            state: State::Searching,
            asked: None,
            last: None,
        }
    }

    pub(crate) fn push(&mut self, now: Instant, packet: RtpPacket) {
        if packet.stream != self.stream {
            self.stream = packet.stream;
            self.first = 0;
            self.last = None;
            self.give_up();
        }
        if self.held.len() >= MAX_PACKETS || self.bytes >= MAX_BYTES {
            self.give_up();
        }
        let sequence = packet.sequence;
        if sequence < self.first {
            return;
        }
        let newest = self.held.last_key_value().map_or(self.first, |(newest, _)| *newest);
        let reads = self.codec.is_some() && matches!(self.state, State::Reading(_));
        if reads && sequence > newest + RESENDABLE {
            // Not all of these will come: the keyframe that is asked for shall not wait for them.
            self.give_up();
            self.first = newest + 1;
        }
        if packet.keyframe && matches!(self.state, State::Searching) {
            self.resume(sequence);
        }
        self.bytes += packet.payload.len();
        if let Some(twice) = self.held.insert(sequence, Held { arrived: now, packet }) {
            self.bytes -= twice.packet.payload.len();
        }
    }

    /// The next picture or sound frame, if it is whole.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<media::Packet> {
        loop {
            let State::Reading(reading) = &mut self.state else { return None };
            if let Some(end) = complete(self.codec, &self.held, reading) {
                let resumes = reading.resumes;
                if let Some(packet) = self.take(end, resumes) {
                    return Some(packet);
                }
            } else if self.deadline().is_some_and(|deadline| now >= deadline) {
                self.skip();
            } else {
                return None;
            }
        }
    }

    /// After [`Frames::poll`]: when to call it again at the latest. A packet is missing since a later one came.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let State::Reading(reading) = &self.state else { return None };
        let (_, later) = self.held.range(reading.reach..).next()?;
        Some(later.arrived + if self.codec.is_some() { VIDEO_PATIENCE } else { AUDIO_PATIENCE })
    }

    /// Whether to ask for a keyframe now. To be called when a packet came: a layer that is not sent is not asked for.
    pub(crate) fn asks(&mut self, now: Instant) -> bool {
        let blind = self.codec.is_some() && matches!(self.state, State::Searching);
        let asks = blind && self.asked.is_none_or(|asked| now >= asked + ASK_EVERY);
        if asks {
            self.asked = Some(now);
        }
        asks
    }

    /// Takes the picture that ends before `end`.
    fn take(&mut self, end: u64, resumes: bool) -> Option<media::Packet> {
        let after = self.held.split_off(&end);
        let packets = std::mem::replace(&mut self.held, after);
        self.bytes -= packets.values().map(|held| held.packet.payload.len()).sum::<usize>();
        self.first = end;
        self.state = State::Reading(Reading::at(end, false));
        // Without a payload it is padding.
        let packets: Vec<RtpPacket> = packets
            .into_values()
            .map(|held| held.packet)
            .filter(|packet| !packet.payload.is_empty())
            .collect();
        let captured = self.captured(packets.first()?);
        let Some(codec) = self.codec else {
            let data = Bytes::from_owner(packets.into_iter().next()?.payload);
            return Some(unit(Kind::Audio, captured, true, data));
        };
        let joined = picture::join(codec, packets.iter().map(|packet| &packet.payload[..]));
        let Some(joined) = joined.filter(|joined| joined.keyframe || !resumes) else {
            self.search();
            return None;
        };
        Some(unit(Kind::Video, captured, joined.keyframe, joined.data.into()))
    }

    /// Clocks are corrected as packets come, which is not their order: a later picture never gets an earlier time for that.
    fn captured(&mut self, packet: &RtpPacket) -> MediaTime {
        let later = |last: u32| packet.timestamp.wrapping_sub(last).cast_signed() > 0;
        let captured = match self.last {
            Some((timestamp, captured)) if later(timestamp) => packet.captured.max(captured),
            _ => packet.captured,
        };
        self.last = Some((packet.timestamp, captured));
        captured
    }

    /// Gives the missing packet up.
    fn skip(&mut self) {
        let State::Reading(reading) = &self.state else { return };
        let reach = reading.reach;
        self.drop_before(reach);
        if self.codec.is_some() {
            self.search();
        } else if let Some((next, _)) = self.held.first_key_value() {
            self.state = State::Reading(Reading::at(*next, false));
        }
    }

    /// Goes on at the next keyframe, of those that are there or of those to come.
    fn search(&mut self) {
        self.state = State::Searching;
        let found = self.held.iter().find(|(_, held)| held.packet.keyframe).map(|(first, _)| *first);
        if let Some(first) = found {
            self.resume(first);
        }
    }

    fn resume(&mut self, first: u64) {
        self.drop_before(first);
        self.state = State::Reading(Reading::at(first, true));
    }

    fn drop_before(&mut self, first: u64) {
        self.first = first;
        self.held = self.held.split_off(&first);
        self.bytes = self.held.values().map(|held| held.packet.payload.len()).sum();
    }

    fn give_up(&mut self) {
        self.held.clear();
        self.bytes = 0;
        self.state = State::Searching;
    }
}

/// Where the picture ends, if all of it is there: after a marker, or before another RTP time.
fn complete(codec: Option<Codec>, held: &BTreeMap<u64, Held>, reading: &mut Reading) -> Option<u64> {
    while let Some(Held { packet, .. }) = held.get(&reading.reach) {
        if !packet.payload.is_empty() {
            let timestamp = *reading.timestamp.get_or_insert(packet.timestamp);
            if timestamp != packet.timestamp {
                return Some(reading.reach);
            }
        }
        reading.reach += 1;
        if packet.marker || codec.is_none() {
            return Some(reading.reach);
        }
    }
    None
}

fn unit(kind: Kind, captured: MediaTime, keyframe: bool, data: Bytes) -> media::Packet {
    let track = if kind == Kind::Video { TrackId(0) } else { TrackId(1) };
    media::Packet { track, kind, pts: captured, dts: captured, keyframe, data }
}

#[cfg(test)]
#[path = "frames_tests.rs"]
mod tests;
