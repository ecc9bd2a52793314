use bytes::Bytes;
use gstreamer as gst;
use media::{Format, Kind, MediaTime, Packet, TrackId, Turn};
use pipeline::demux::{AUDIO, VIDEO};

use super::time::{Order, Rate};

/// One stream that could be played.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) kind: Kind,
    pub(crate) rank: Rank,
    pub(crate) format: Option<Format>,
    pub(crate) turn: Turn,
    pub(crate) sent: Option<Format>,
    pub(crate) segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    pub(crate) order: Order,
    pub(crate) rate: Rate,
    pub(crate) chosen: bool,
    pub(crate) over: bool,
}

/// What the container thinks of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    Unwanted,
    Plain,
    Default,
}

impl Stream {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            rank: Rank::Plain,
            format: None,
            turn: Turn::default(),
            sent: None,
            segment: None,
            order: Order::default(),
            rate: Rate::default(),
            chosen: false,
            over: false,
        }
    }

    /// What the container thinks of it.
    pub(crate) fn start(&mut self, flags: gst::StreamFlags) {
        self.rank = if flags.contains(gst::StreamFlags::SELECT) {
            Rank::Default
        } else if flags.contains(gst::StreamFlags::UNSELECT) {
            Rank::Unwanted
        } else {
            Rank::Plain
        };
    }

    /// A buffer as a packet, its times still running times; and whether it came with a decoding time.
    pub(crate) fn packet(&self, buffer: gst::Buffer) -> Option<(Packet, bool)> {
        let running = |time: Option<gst::ClockTime>| running_time(self.segment.as_ref()?, time?);
        let (pts, dts) = (running(buffer.pts()), running(buffer.dts()));
        let pts_or_dts = pts.or(dts)?;
        let keyframe = self.kind == Kind::Audio || !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let has_dts = self.kind == Kind::Audio || dts.is_some();
        let data = Bytes::from_owner(buffer.into_mapped_buffer_readable().ok()?);
        let packet = Packet {
            track: track(self.kind),
            kind: self.kind,
            pts: MediaTime::from_nanos(pts_or_dts),
            dts: MediaTime::from_nanos(dts.filter(|_| self.kind == Kind::Video).unwrap_or(pts_or_dts)),
            keyframe,
            data,
        };
        Some((packet, has_dts))
    }
}

/// The number of a kind's track.
pub(crate) fn track(kind: Kind) -> TrackId {
    match kind {
        Kind::Video => VIDEO,
        Kind::Audio => AUDIO,
    }
}

/// ns; negative before the segment.
fn running_time(segment: &gst::FormattedSegment<gst::ClockTime>, time: gst::ClockTime) -> Option<i64> {
    let running = segment.to_running_time_full(time)?;
    let nanos = i64::try_from(running.abs().nseconds()).ok()?;
    Some(if running.is_negative() { -nanos } else { nanos })
}

/// GStreamer's names: first mirrored, then turned clockwise.
pub(crate) fn turn(orientation: &str) -> Turn {
    let (mirrored, degrees) = match orientation.strip_prefix("flip-") {
        Some(rest) => (true, rest),
        None => (false, orientation),
    };
    let degrees: u32 = degrees.strip_prefix("rotate-").and_then(|degrees| degrees.parse().ok()).unwrap_or(0);
    Turn::new(mirrored, u8::try_from(degrees / 90 % 4).unwrap_or(0))
}
