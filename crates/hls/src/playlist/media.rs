//! A media playlist: segments, and what applies to each.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::Base;
use crate::{ByteRange, limits};

/// A media playlist (RFC 8216 4.3.3).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Media {
    pub(crate) base: Base,
    /// Never zero.
    pub(crate) target: Duration,
    /// The first segment's number, if there are segments or not.
    pub(crate) first: u64,
    pub(crate) segments: Vec<Segment>,
    /// Nothing will be added: `EXT-X-ENDLIST`, or of type VOD.
    pub(crate) complete: bool,
    pub(crate) start: Option<Start>,
}

/// `EXT-X-START`: where to begin, in seconds from the beginning, or from the end where negative.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Start {
    pub(crate) offset: f64,
}

/// A media segment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Segment {
    /// Media sequence number.
    pub(crate) sequence: u64,
    pub(crate) uri: String,
    pub(crate) range: Option<ByteRange>,
    pub(crate) duration: Duration,
    /// `EXT-X-DISCONTINUITY` stands before it.
    pub(crate) discontinuity: bool,
    /// How many of those were before it since the stream began, as far as the playlist tells.
    pub(crate) discontinuities: u64,
    pub(crate) gap: bool,
    pub(crate) init: Option<Arc<Init>>,
    pub(crate) protection: Protection,
    /// When it was captured, said by the playlist or reckoned from a segment before it.
    pub(crate) at: Option<SystemTime>,
}

/// `EXT-X-MAP`: the section that a fragmented MP4 begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Init {
    pub(crate) uri: String,
    pub(crate) range: Option<ByteRange>,
    pub(crate) protection: Protection,
}

impl Init {
    /// Whether these are the same bytes. The key is none of it: in a window that slides, the same section stands behind one key after the other.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.uri == other.uri && self.range == other.range
    }
}

/// How bytes are encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Protection {
    None,
    Aes128(Arc<Key>),
    /// In a way that is refused; the text names it.
    Other(Arc<str>),
}

/// `EXT-X-KEY` with AES-128.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) uri: String,
    /// By the segment's number where absent (RFC 8216 5.2).
    pub(crate) iv: Option<[u8; 16]>,
}

impl Media {
    /// The segment with this number.
    pub(crate) fn segment(&self, sequence: u64) -> Option<&Segment> {
        self.segments.get(usize::try_from(sequence.checked_sub(self.first)?).ok()?)
    }

    /// The number after the last segment's.
    pub(crate) fn end(&self) -> u64 {
        self.first.saturating_add(self.segments.len() as u64)
    }

    /// Where to begin: the number of a segment, as RFC 8216 6.3.3 and 4.3.5.2 have it. `preferred` is the master playlist's,
    /// for which this playlist's own comes first. `None` without segments.
    pub(crate) fn start(&self, preferred: Option<Start>) -> Option<u64> {
        if self.segments.is_empty() {
            return None;
        }
        let start = self.start.or(preferred);
        let wanted = start.map(|start| self.at_offset(start.offset));
        if self.complete {
            return Some(wanted.unwrap_or(self.first));
        }
        let edge = self.before_end(self.target * limits::BEHIND_TARGETS);
        Some(wanted.map_or(edge, |wanted| wanted.min(edge)))
    }

    /// The last segment that begins at least `distance` before the end, else the first.
    pub(crate) fn before_end(&self, distance: Duration) -> u64 {
        let mut left = Duration::ZERO;
        for segment in self.segments.iter().rev() {
            left += segment.duration;
            if left >= distance {
                return segment.sequence;
            }
        }
        self.first
    }

    /// How far before the end a segment begins.
    pub(crate) fn distance(&self, sequence: u64) -> Duration {
        self.segments.iter().rev().take_while(|s| s.sequence >= sequence).map(|s| s.duration).sum()
    }

    /// The mean duration of its segments; zero without any.
    pub(crate) fn mean(&self) -> Duration {
        let count = u32::try_from(self.segments.len()).unwrap_or(u32::MAX);
        self.distance(self.first).checked_div(count).unwrap_or_default()
    }

    /// The segment that plays at a moment, else the nearest one. `None` where the playlist tells no times.
    pub(crate) fn at_moment(&self, moment: SystemTime) -> Option<u64> {
        let timed = || self.segments.iter().filter_map(|s| Some((s.sequence, s.at?)));
        // Times are rounded: a segment that begins a tenth of a second later is the one that was meant.
        let moment = moment + Duration::from_millis(100);
        timed().rfind(|(_, at)| *at <= moment).or_else(|| timed().next()).map(|(sequence, _)| sequence)
    }

    fn at_offset(&self, offset: f64) -> u64 {
        let total: f64 = self.segments.iter().map(|s| s.duration.as_secs_f64()).sum();
        let wanted = if offset < 0.0 { total + offset } else { offset };
        let mut begins = 0.0;
        for segment in &self.segments {
            begins += segment.duration.as_secs_f64();
            // Sums of decimal fractions are not exact.
            if wanted < begins - 0.001 {
                return segment.sequence;
            }
        }
        self.end().saturating_sub(1)
    }
}
