//! Plain RTP (RFC 3550), as RTSP servers send it: packets in, pictures and sounds on one clock out. What WHIP publishers' packets go
//! through is used: [`Frames`] for order and loss, [`Clock`] for time.

mod aac;
mod decoding;
mod header;
mod report;

use std::time::{Duration, Instant};

use bytes::Bytes;
use media::{Codec, Kind, MediaTime, Packet, RtpPacket};

use crate::whip::{
    clock::{Clock, Report, Shift},
    frames::Frames,
    start::Start,
};
pub use aac::Aac;
use decoding::Decoding;
use header::Header;
pub use report::receiver_report;

/// A track of a description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// [`Codec::H264`], [`Codec::H265`], or a sound.
    pub codec: Codec,
    /// The payload type; others are left out.
    pub payload_type: u8,
    /// Ticks of its RTP clock in a second.
    pub rate: u32,
    /// How AAC lies in its packets; `None` for other codecs.
    pub aac: Option<Aac>,
}

/// What a track has had so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Packets that came.
    pub packets: u64,
    /// Of the numbers from the first to the newest, those that did not come.
    pub lost: u64,
}

/// Receives the tracks of one source. All times count from its making.
pub struct Receiver {
    born: Instant,
    shift: Shift,
    streams: Vec<Stream>,
}

struct Stream {
    track: Track,
    frames: Frames,
    clock: Clock,
    start: Start,
    decoding: Decoding,
    source: Option<Source>,
    /// How many sources there have been.
    sources: u32,
    report: Option<Report>,
    packets: u64,
    bye: bool,
}

/// A run of packets of one SSRC.
struct Source {
    ssrc: u32,
    first: u64,
    newest: u64,
}

impl Receiver {
    /// A receiver that was made at `now`. Tracks are named by their place in the list.
    pub fn new(now: Instant, tracks: impl IntoIterator<Item = Track>) -> Self {
        let streams = tracks.into_iter().map(Stream::new).collect();
        Self { born: now, shift: Shift::default(), streams }
    }

    /// Takes an RTP packet of a track, in any order. False: it is none of it, and was left out.
    pub fn rtp(&mut self, now: Instant, track: usize, datagram: &[u8]) -> bool {
        let arrived = MediaTime::from_duration(now.saturating_duration_since(self.born));
        let Some(stream) = self.streams.get_mut(track) else { return false };
        stream.rtp(now, arrived, datagram, &mut self.shift).is_some()
    }

    /// Takes an RTCP packet of a track.
    pub fn rtcp(&mut self, track: usize, datagram: &[u8]) {
        let Some(stream) = self.streams.get_mut(track) else { return };
        let told = report::read(datagram, stream.source.as_ref().map(|source| source.ssrc));
        stream.report = told.report.or(stream.report);
        stream.bye |= told.bye;
    }

    /// True when the sender has said goodbye on every track.
    pub fn is_over(&self) -> bool {
        self.streams.iter().all(|stream| stream.bye)
    }

    /// The next whole pictures or sounds, with their track; several where one packet has several.
    pub fn poll(&mut self, now: Instant) -> Option<(usize, Vec<Packet>)> {
        self.streams.iter_mut().enumerate().find_map(|(index, stream)| {
            let packet = stream.frames.poll(now)?;
            Some((index, stream.unpack(packet)))
        })
    }

    /// After [`Receiver::poll`]: when to call it again at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        self.streams.iter().filter_map(|stream| stream.frames.deadline()).min()
    }

    /// What came of a track.
    pub fn counts(&self, track: usize) -> Counts {
        let Some(stream) = self.streams.get(track) else { return Counts::default() };
        let expected = stream.source.as_ref().map_or(0, |source| source.newest + 1 - source.first);
        Counts { packets: stream.packets, lost: expected.saturating_sub(stream.packets) }
    }

    /// The SSRC of a track, once one is known.
    pub fn ssrc(&self, track: usize) -> Option<u32> {
        Some(self.streams.get(track)?.source.as_ref()?.ssrc)
    }
}

impl Stream {
    fn new(track: Track) -> Self {
        let pictures = (track.codec.kind() == Kind::Video).then_some(track.codec);
        Self {
            frames: Frames::new(pictures),
            clock: Clock::new(track.rate),
            start: Start::new(pictures),
            decoding: Decoding::default(),
            source: None,
            sources: 0,
            report: None,
            packets: 0,
            bye: false,
            track,
        }
    }

    fn rtp(&mut self, now: Instant, arrived: MediaTime, datagram: &[u8], shift: &mut Shift) -> Option<()> {
        let (header, payload) = Header::read(datagram)?;
        if header.payload_type != self.track.payload_type {
            return None;
        }
        let sequence = self.number(&header);
        self.packets += 1;
        let captured = self.clock.captured(header.timestamp, arrived, self.report, shift);
        let packet = RtpPacket {
            stream: self.sources,
            sequence,
            timestamp: header.timestamp,
            captured,
            marker: header.marker,
            keyframe: self.start.is_keyframe(sequence, header.timestamp, payload),
            level: None,
            payload: payload.into(),
        };
        self.frames.push(now, packet);
        Some(())
    }

    /// A packet's number without wraps. Another SSRC is another source with another clock.
    fn number(&mut self, header: &Header) -> u64 {
        match &mut self.source {
            Some(source) if source.ssrc == header.ssrc => {
                let step = i64::from(header.sequence.wrapping_sub(source.newest as u16).cast_signed());
                let sequence = source.newest.saturating_add_signed(step);
                source.newest = source.newest.max(sequence);
                sequence
            }
            source => {
                // Room below, for packets that were sent before the first one that came.
                let first = (1 << 16) + u64::from(header.sequence);
                *source = Some(Source { ssrc: header.ssrc, first, newest: first });
                self.sources += 1;
                self.packets = 0;
                self.report = None;
                let pictures = (self.track.codec.kind() == Kind::Video).then_some(self.track.codec);
                (self.clock, self.start) = (Clock::new(self.track.rate), Start::new(pictures));
                first
            }
        }
    }

    fn unpack(&mut self, packet: Packet) -> Vec<Packet> {
        match &mut self.track.aac {
            Some(aac) => aac.unpack(&packet),
            None if packet.kind == Kind::Video => vec![self.decoding.order(packet)],
            None => vec![packet],
        }
    }
}

/// Behind `packet` in time.
fn later(packet: &Packet, by: Duration, data: Bytes) -> Packet {
    let pts = packet.pts + MediaTime::from_duration(by);
    Packet { pts, dts: pts, data, ..packet.clone() }
}

#[cfg(test)]
mod tests;
