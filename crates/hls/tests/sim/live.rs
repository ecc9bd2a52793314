//! A live origin: a segment each few seconds, in a window that slides.

use std::{fmt::Write, ops::Range, time::Duration};

use aes::cipher::{BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7};
use bytes::Bytes;
use hls::{Failure, Fetch};
use sluicegate_hls as hls;

use super::{Answer, Origin};

/// A live stream that has been on for a minute when a test begins.
pub struct Live {
    pub segment: Duration,
    pub window: u64,
    /// The target duration that the playlist says, in seconds.
    pub target: u64,
    /// A key for so many segments, if any.
    pub rotation: Option<u64>,
    /// A discontinuity each so many segments.
    pub cut_each: Option<u64>,
    /// Another init section each so many segments, if fragmented MP4.
    pub init_each: Option<u64>,
    /// Gaps that the origin announces.
    pub gaps: Range<u64>,
    /// Segments that are listed and not there.
    pub absent: Range<u64>,
    /// No segment is added in this time.
    pub silent: Range<Duration>,
    /// The stream ends here.
    pub ends: Option<u64>,
    /// At this time the encoder begins anew at number 0.
    pub restarts: Option<Duration>,
    /// Answers of playlists in this time.
    pub playlist_fault: Option<(Range<Duration>, Failure)>,
    /// The playlist of this long ago, in this time: an old copy.
    pub stale: Option<(Range<Duration>, Duration)>,
    /// So many segments fewer at the end, in this time.
    pub shrunk: Option<(Range<Duration>, u64)>,
    pub dated: bool,
}

/// How long it has been on.
pub const BEFORE: Duration = Duration::from_secs(60);

impl Default for Live {
    fn default() -> Self {
        Self {
            segment: Duration::from_secs(4),
            window: 6,
            target: 4,
            rotation: None,
            cut_each: None,
            init_each: None,
            gaps: 0..0,
            absent: 0..0,
            silent: Duration::ZERO..Duration::ZERO,
            ends: None,
            restarts: None,
            playlist_fault: None,
            stale: None,
            shrunk: None,
            dated: false,
        }
    }
}

impl Live {
    /// The number after the last segment's.
    pub fn end(&self, at: Duration) -> u64 {
        let silent = self.silent.end.min(at.max(self.silent.start)) - self.silent.start;
        let mut on = at + BEFORE - silent;
        if let Some(restarts) = self.restarts.filter(|restarts| *restarts <= at) {
            on = at - restarts;
        }
        let end = (on.as_nanos() / self.segment.as_nanos()) as u64;
        self.ends.map_or(end, |ends| end.min(ends))
    }

    /// When a segment was complete, of a stream that never stopped, in seconds since the beginning.
    pub fn published(&self, number: u64) -> f64 {
        self.segment.as_secs_f64() * (number + 1) as f64 - BEFORE.as_secs_f64()
    }

    fn restarted(&self, at: Duration) -> bool {
        self.restarts.is_some_and(|restarts| restarts <= at)
    }

    fn playlist(&self, at: Duration) -> String {
        let mut end = self.end(at);
        if let Some((when, fewer)) = self.shrunk.as_ref().filter(|(when, _)| when.contains(&at)) {
            end = self.end(when.start) - fewer;
        }
        let first = end.saturating_sub(self.window);
        let cuts_until = |n: u64| self.cut_each.map_or(0, |each| n.saturating_sub(1) / each);
        let mut text = format!("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{}\n", self.target);
        writeln!(text, "#EXT-X-MEDIA-SEQUENCE:{first}\n#EXT-X-DISCONTINUITY-SEQUENCE:{}", cuts_until(first))
            .unwrap();
        let prefix = if self.restarted(at) { "b" } else { "a" };
        let (mut key, mut init) = (None, None);
        for n in first..end {
            if self.cut_each.is_some_and(|each| n > 0 && n % each == 0) {
                text.push_str("#EXT-X-DISCONTINUITY\n");
            }
            let now = self.rotation.map(|each| n / each);
            if now != key {
                writeln!(text, "#EXT-X-KEY:METHOD=AES-128,URI=\"../keys/{}.key\"", now.unwrap()).unwrap();
                key = now;
            }
            let now = self.init_each.map(|each| n / each);
            if now != init {
                writeln!(text, "#EXT-X-MAP:URI=\"init{}.mp4\"", now.unwrap()).unwrap();
                init = now;
            }
            if self.gaps.contains(&n) {
                text.push_str("#EXT-X-GAP\n");
            }
            if self.dated {
                let seconds = n * self.segment.as_secs();
                let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
                writeln!(text, "#EXT-X-PROGRAM-DATE-TIME:2026-11-21T{hour:02}:{minute:02}:{second:02}Z")
                    .unwrap();
            }
            writeln!(text, "#EXTINF:{:.3},\n{prefix}{n}.ts", self.segment.as_secs_f64()).unwrap();
        }
        if self.ends == Some(end) {
            text.push_str("#EXT-X-ENDLIST\n");
        }
        text
    }

    fn bytes(&self, number: u64) -> Bytes {
        let clear = content(number);
        let Some(each) = self.rotation else { return clear };
        let iv = u128::from(number).to_be_bytes();
        let cbc = cbc::Encryptor::<aes::Aes128>::new(&key(number / each).into(), &iv.into());
        cbc.encrypt_padded_vec::<Pkcs7>(&clear).into()
    }
}

/// What a segment says.
pub fn content(number: u64) -> Bytes {
    format!("segment {number} ").repeat(1 + number as usize % 5).into()
}

fn key(number: u64) -> [u8; 16] {
    (0xfeed_u128 << 64 | u128::from(number)).to_be_bytes()
}

impl Origin for Live {
    fn get(&mut self, at: Duration, fetch: &Fetch) -> Answer {
        let missing = Err(Failure::Status(404));
        let name = fetch.url.path().rsplit('/').next().unwrap();
        let (stem, extension) = name.split_once('.').unwrap();
        let number: u64 = stem.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(0);
        match extension {
            "m3u8" => {
                if let Some((_, failure)) =
                    self.playlist_fault.as_ref().filter(|(when, _)| when.contains(&at))
                {
                    return Err(failure.clone());
                }
                let ago = self.stale.as_ref().filter(|(when, _)| when.contains(&at)).map(|(_, ago)| *ago);
                Ok(self.playlist(at.saturating_sub(ago.unwrap_or_default())).into())
            }
            "key" => Ok(Bytes::copy_from_slice(&key(number))),
            "mp4" => Ok(format!("....ftyp {number}").into()),
            // The origin keeps segments for as long as they were listed, and a minute.
            "ts" if self.absent.contains(&number) && !self.restarted(at) => missing,
            "ts" if number >= self.end(at) && self.restarts.is_none() => missing,
            "ts" => Ok(self.bytes(number)),
            _ => missing,
        }
    }
}
