//! A publisher's own Opus as the sound of a room: whether it may be, packet by packet, and at which times.

use std::{collections::VecDeque, time::Duration};

use media::{Codec, Format, MediaTime, OpusHead, Packet};

/// What the ingress asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// 1 or 2. Mono in a stereo track is fine: receivers decode either into either.
    pub channels: u8,
    /// Target, bit/s.
    pub bitrate_bps: u32,
    /// The sender may fall silent.
    pub dtx: bool,
}

/// The bitrate may be so many times the target, over [`WINDOW`].
const EXCESS: (u64, u64) = (3, 2);
const WINDOW: Duration = Duration::from_secs(2);

/// Packets that receivers and the SFU know from WebRTC (RFC 7587 §4.2 allows more).
const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_millis(60);

/// After a packet that could not go through, so much sound without one has to come first: two windows of bitrate.
const PROBATION: Duration = Duration::from_secs(4);

/// Times that are off by no more are the jitter of a clock of whole milliseconds: receivers take packets that are not
/// exactly one after the other for lost ones. The same as in the worker's chain (`audiorate`).
const TOLERANCE: Duration = Duration::from_millis(40);

/// The longest packet with which an encoder says that nothing changed: the TOC byte, maybe one more (as libopus writes it).
const DTX_PACKET: usize = 2;

/// What is to become of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes to the room as it is, at this time.
    Untouched(MediaTime),
    /// It comes more than 40 ms before the one before it ends, and is left out.
    Early,
    /// It has to be decoded and encoded again.
    Encode(Why),
}

/// Why sound cannot go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Another codec, or no description yet.
    #[error("it is not Opus")]
    NotOpus,
    /// Several streams in a packet, which RTP does not know.
    #[error("it has more than two channels")]
    Surround,
    /// The ingress asks for mono.
    #[error("it is stereo, and the ingress wants mono")]
    Stereo,
    /// Over 1.5 times what the ingress asks for, over 2 s.
    #[error("its bitrate is over 1.5 times the ingress's")]
    Bitrate,
    /// Shorter than 10 ms or longer than 60 ms.
    #[error("its packets are not of 10 to 60 ms")]
    Duration,
    /// It falls silent, and the ingress disables that.
    #[error("it falls silent, and the ingress disables DTX")]
    Dtx,
    /// No packet of RFC 6716.
    #[error("a packet of it is broken")]
    Broken,
    /// Something of the above was so less than 4 s ago.
    #[error("it could not go through a moment ago")]
    Probation,
}

/// The first bytes of a packet (RFC 6716 §3.1, §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Toc {
    /// Of all frames together, at most 120 ms.
    pub duration: Duration,
    /// Two channels are coded.
    pub stereo: bool,
}

impl Toc {
    /// `None` for what no encoder may write.
    pub fn read(packet: &[u8]) -> Option<Self> {
        let (head, rest) = packet.split_first()?;
        let micros = match head >> 3 {
            // SILK, hybrid, CELT.
            config @ 0..=11 => [10_000, 20_000, 40_000, 60_000][usize::from(config & 3)],
            config @ 12..=15 => [10_000, 20_000][usize::from(config & 1)],
            config => [2_500, 5_000, 10_000, 20_000][usize::from(config & 3)],
        };
        let frames = match head & 3 {
            0 => 1,
            1 if rest.len().is_multiple_of(2) => 2,
            2 if !rest.is_empty() => 2,
            3 => u32::from(rest.first()? & 0x3f),
            _ => return None,
        };
        let duration = Duration::from_micros(micros) * frames;
        let sane = frames > 0 && duration <= Duration::from_millis(120);
        sane.then_some(Self { duration, stereo: head & 4 != 0 })
    }
}

/// Judges one connection's sound.
#[derive(Debug)]
pub struct Judge {
    limits: Limits,
    head: Option<OpusHead>,
    /// Times and sizes of the last two seconds.
    recent: VecDeque<(MediaTime, usize)>,
    bytes: usize,
    /// When the last packet ends that went through; `None` after one that did not.
    next: Option<MediaTime>,
    /// Until then nothing goes through.
    probation: Option<MediaTime>,
}

impl Judge {
    /// Before anything is known of the sound.
    pub fn new(limits: Limits) -> Self {
        Self { limits, head: None, recent: VecDeque::new(), bytes: 0, next: None, probation: None }
    }

    /// The sound is described, anew: a fresh start.
    pub fn format(&mut self, format: &Format) {
        let head = (format.codec == Codec::Opus).then(|| OpusHead::read(&format.config)).flatten();
        *self = Self { head, ..Self::new(self.limits) };
    }

    /// The channels of the sound as its publisher describes it, when it is Opus.
    pub fn channels(&self) -> Option<u8> {
        self.head.as_ref().map(|head| head.channels)
    }

    /// Judges the next packet.
    pub fn packet(&mut self, packet: &Packet) -> Verdict {
        self.count(packet);
        let toc = match self.check(packet) {
            Ok(toc) => toc,
            Err(why) => {
                self.next = None;
                return Verdict::Encode(why);
            }
        };
        let time = match self.next {
            None => packet.pts,
            Some(next) => {
                let tolerance = MediaTime::from_duration(TOLERANCE);
                if next.since(packet.pts) > tolerance {
                    return Verdict::Early;
                }
                if packet.pts.since(next) > tolerance { packet.pts } else { next }
            }
        };
        self.next = Some(time + MediaTime::from_duration(toc.duration));
        Verdict::Untouched(time)
    }

    fn check(&mut self, packet: &Packet) -> Result<Toc, Why> {
        let head = self.head.as_ref().ok_or(Why::NotOpus)?;
        if head.mapping.is_some() {
            return Err(Why::Surround);
        }
        let found = self.inspect(packet, head.channels);
        if found.is_err() {
            self.probation = Some(packet.pts + MediaTime::from_duration(PROBATION));
        }
        let toc = found?;
        match self.probation {
            Some(until) if packet.pts < until => Err(Why::Probation),
            _ => Ok(toc),
        }
    }

    fn inspect(&self, packet: &Packet, channels: u8) -> Result<Toc, Why> {
        let toc = Toc::read(&packet.data).ok_or(Why::Broken)?;
        if self.limits.channels < 2 && (channels > 1 || toc.stereo) {
            return Err(Why::Stereo);
        }
        if !(SHORTEST..=LONGEST).contains(&toc.duration) {
            return Err(Why::Duration);
        }
        if !self.limits.dtx && packet.data.len() <= DTX_PACKET {
            return Err(Why::Dtx);
        }
        let bits = self.bytes as u64 * 8;
        if bits * EXCESS.1 > u64::from(self.limits.bitrate_bps) * WINDOW.as_secs() * EXCESS.0 {
            return Err(Why::Bitrate);
        }
        Ok(toc)
    }

    /// At 2.5 ms a packet, 800 of them are kept; a clock that stands still does not add to them for ever.
    fn count(&mut self, packet: &Packet) {
        const MOST: usize = 800;
        self.recent.push_back((packet.pts, packet.data.len()));
        self.bytes += packet.data.len();
        while let Some((at, bytes)) = self.recent.front().copied()
            && (packet.pts.duration_since(at) >= WINDOW || self.recent.len() > MOST)
        {
            self.recent.pop_front();
            self.bytes -= bytes;
        }
    }
}

#[cfg(test)]
#[path = "opus_tests.rs"]
mod tests;
