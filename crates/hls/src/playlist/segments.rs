//! The tags of a media playlist → segments.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use quick_m3u8::tag::{
    HlsPlaylistType,
    hls::{self, EnumeratedString, Method, Tag},
};

use super::{Base, Error, Init, Key, Media, Protection, Segment, Start, time};
use crate::{ByteRange, limits};

/// What has been read of a media playlist.
#[derive(Default)]
pub(super) struct Segments {
    target: Option<Duration>,
    first: u64,
    discontinuities: u64,
    complete: bool,
    done: Vec<Segment>,
    next: Next,
    /// By key format: those in force (RFC 8216 4.3.2.4).
    keys: BTreeMap<String, Protection>,
    init: Option<Arc<Init>>,
    /// Where the last segment's range ended, and of which file.
    range_end: Option<(String, u64)>,
    /// When the next segment was captured, reckoned from those before.
    clock: Option<SystemTime>,
}

/// Tags that apply to the next segment only.
#[derive(Default)]
struct Next {
    duration: Option<Duration>,
    range: Option<(u64, Option<u64>)>,
    discontinuity: bool,
    gap: bool,
}

impl Segments {
    /// Takes a tag; its name, if only media playlists have it.
    pub(super) fn tag(&mut self, line: usize, tag: &Tag<'_>) -> Result<Option<&'static str>, Error> {
        Ok(Some(match tag {
            Tag::Targetduration(tag) => {
                self.target = Some(Duration::from_secs(tag.target_duration()).min(limits::DURATION));
                "#EXT-X-TARGETDURATION"
            }
            Tag::MediaSequence(tag) => {
                self.first = tag.media_sequence();
                "#EXT-X-MEDIA-SEQUENCE"
            }
            Tag::DiscontinuitySequence(tag) => {
                self.discontinuities = tag.discontinuity_sequence();
                "#EXT-X-DISCONTINUITY-SEQUENCE"
            }
            Tag::Endlist(_) => {
                self.complete = true;
                "#EXT-X-ENDLIST"
            }
            Tag::PlaylistType(tag) => {
                self.complete |= tag.playlist_type() == HlsPlaylistType::Vod;
                "#EXT-X-PLAYLIST-TYPE"
            }
            tag => return self.segment_tag(line, tag),
        }))
    }

    fn segment_tag(&mut self, line: usize, tag: &Tag<'_>) -> Result<Option<&'static str>, Error> {
        Ok(Some(match tag {
            Tag::Inf(inf) => {
                self.next.duration = Some(duration(inf.duration()));
                "#EXTINF"
            }
            Tag::Byterange(range) => {
                self.next.range = Some((range.length(), range.offset()));
                "#EXT-X-BYTERANGE"
            }
            Tag::Discontinuity(_) => {
                self.next.discontinuity = true;
                // Times before a cut say nothing of those after it.
                self.clock = None;
                "#EXT-X-DISCONTINUITY"
            }
            Tag::Gap(_) => {
                self.next.gap = true;
                "#EXT-X-GAP"
            }
            Tag::ProgramDateTime(tag) => {
                self.clock = time::moment(tag.program_date_time());
                "#EXT-X-PROGRAM-DATE-TIME"
            }
            Tag::Key(key) => {
                self.key(line, key)?;
                "#EXT-X-KEY"
            }
            Tag::Map(map) => {
                self.init = Some(self.map(line, map)?);
                "#EXT-X-MAP"
            }
            _ => return Ok(None),
        }))
    }

    /// Several formats may name the same key; `NONE` ends them all.
    fn key(&mut self, line: usize, key: &hls::Key<'_>) -> Result<(), Error> {
        let format = key.keyformat();
        let protection = match key.method() {
            EnumeratedString::Known(Method::None) => {
                self.keys.clear();
                return Ok(());
            }
            EnumeratedString::Known(Method::Aes128) if format == "identity" => {
                let uri = key.uri().ok_or(Error::Unclear { line, what: "a key without URI" })?;
                let what = "an IV that is not 0x and up to 32 hexadecimal digits";
                let iv = key.iv().map(|text| iv(text).ok_or(Error::Unclear { line, what })).transpose()?;
                Protection::Aes128(Arc::new(Key { uri: bounded(line, uri)?, iv }))
            }
            EnumeratedString::Known(method) => Protection::Other(named(&method.to_string(), format)),
            EnumeratedString::Unknown(method) => Protection::Other(named(method, format)),
        };
        self.keys.insert(format.chars().take(100).collect(), protection);
        if self.keys.len() > limits::KEY_FORMATS {
            return Err(Error::TooMany { line, what: "key formats", limit: limits::KEY_FORMATS });
        }
        Ok(())
    }

    /// The one that can be read, if any can.
    fn protection(&self) -> Protection {
        let readable = self.keys.values().find(|p| matches!(p, Protection::Aes128(_)));
        readable.or_else(|| self.keys.values().next()).cloned().unwrap_or(Protection::None)
    }

    fn map(&self, line: usize, map: &hls::Map<'_>) -> Result<Arc<Init>, Error> {
        let range = map.byterange().map(|range| ByteRange { offset: range.offset, length: range.length });
        let range = range.map(|range| checked(line, range)).transpose()?;
        Ok(Arc::new(Init { uri: bounded(line, map.uri())?, range, protection: self.protection() }))
    }

    /// A segment's address: with it the segment is complete.
    pub(super) fn uri(&mut self, line: usize, uri: &str) -> Result<(), Error> {
        if self.done.len() == limits::SEGMENTS {
            return Err(Error::TooMany { line, what: "segments", limit: limits::SEGMENTS });
        }
        let Next { duration, range, discontinuity, gap } = std::mem::take(&mut self.next);
        let range = range.map(|(length, offset)| self.range(line, uri, length, offset)).transpose()?;
        self.range_end = range.map(|range| (uri.to_owned(), range.offset + range.length));
        let duration = duration.unwrap_or_default();
        self.discontinuities = self.discontinuities.saturating_add(u64::from(discontinuity));
        self.done.push(Segment {
            sequence: 0,
            uri: uri.to_owned(),
            range,
            duration,
            discontinuity,
            discontinuities: self.discontinuities,
            gap,
            init: self.init.clone(),
            protection: self.protection(),
            at: self.clock,
        });
        self.clock = self.clock.and_then(|at| at.checked_add(duration));
        Ok(())
    }

    fn range(&self, line: usize, uri: &str, length: u64, offset: Option<u64>) -> Result<ByteRange, Error> {
        let follows = || self.range_end.as_ref().filter(|(of, _)| of == uri).map(|(_, end)| *end);
        let what = "a byte range without offset, and no range of the same file before it";
        let offset = offset.or_else(follows).ok_or(Error::Unclear { line, what })?;
        checked(line, ByteRange { offset, length })
    }

    pub(super) fn finish(self, base: Base, start: Option<Start>) -> Result<Media, Error> {
        let Self { target, first, complete, mut done, .. } = self;
        // Some say it as a decimal fraction, which is no integer; players go by the segments then.
        let longest = done.iter().map(|s| s.duration).max().filter(|longest| !longest.is_zero());
        let target = target.or(longest.filter(|_| complete || first > 0)).ok_or(Error::NeitherKind)?;
        for (sequence, segment) in (first..=u64::MAX).zip(&mut done) {
            segment.sequence = sequence;
        }
        if first.checked_add(done.len() as u64).is_none() {
            return Err(Error::Unclear {
                line: 0,
                what: "a media sequence number that leaves no room for the segments",
            });
        }
        let target = target.max(Duration::from_secs(1));
        Ok(Media { base, target, first, segments: done, complete, start })
    }
}

fn duration(seconds: f64) -> Duration {
    // -1 stands for "unknown" in lists of radio stations.
    Duration::try_from_secs_f64(seconds).unwrap_or_default().min(limits::DURATION)
}

fn bounded(line: usize, uri: &str) -> Result<String, Error> {
    if uri.len() > limits::URI {
        return Err(Error::TooMany { line, what: "bytes of an address", limit: limits::URI });
    }
    Ok(uri.to_owned())
}

/// A range that is not empty, and that ends where a number does.
fn checked(line: usize, range: ByteRange) -> Result<ByteRange, Error> {
    let fits = range.length > 0 && range.offset.checked_add(range.length).is_some();
    fits.then_some(range)
        .ok_or(Error::Unclear { line, what: "a byte range that is empty or ends past all numbers" })
}

fn named(method: &str, format: &str) -> Arc<str> {
    let format: String = format.chars().take(60).collect();
    format!("{} (key format {format})", method.chars().take(30).collect::<String>()).into()
}

/// A hexadecimal number of 128 bits.
fn iv(text: &str) -> Option<[u8; 16]> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    let fits = (1..=32).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    fits.then(|| u128::from_str_radix(digits, 16).ok().map(u128::to_be_bytes)).flatten()
}
