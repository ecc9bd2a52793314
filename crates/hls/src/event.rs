//! What goes in and out of a [`crate::Client`].

use std::{
    fmt,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use url::Url;

use crate::{Failure, Reason, Shown};

/// Names a fetch until it was answered. Never used twice by a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FetchId(pub(crate) u64);

/// One byte stream of what is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rendition {
    /// The variant: pictures, sound, or both.
    Main,
    /// The variant's sound, where it has a playlist of its own.
    Audio,
}

/// What a [`crate::Client`] is told.
#[derive(Debug)]
pub enum Input {
    /// Time has passed: the first input, and after [`Output::WaitUntil`].
    Tick,
    /// The answer to an [`Output::Fetch`].
    Fetched {
        /// Which one.
        id: FetchId,
        /// What came.
        result: Result<Fetched, Failure>,
    },
    /// The consumer has used up this rendition's last [`Output::Data`] and wants the next.
    Taken {
        /// Which stream.
        rendition: Rendition,
    },
}

/// What was fetched. `Debug` shows neither query nor bytes: they may be a token, and a key.
#[derive(Clone)]
pub struct Fetched {
    /// Where it came from in the end, after redirects.
    pub url: Url,
    /// All of it; where a range was asked for, exactly that range.
    pub body: Bytes,
}

impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fetched {{ {} bytes of {} }}", self.body.len(), Shown::of(&self.url))
    }
}

/// A part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ByteRange {
    /// Of the first byte, counted from 0.
    pub offset: u64,
    /// In bytes, at least 1; `offset + length` is a number.
    pub length: u64,
}

/// What a fetch is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    /// A playlist of either kind.
    Playlist,
    /// A segment.
    Segment,
    /// The section that a fragmented MP4 begins with.
    Init,
    /// A key of AES-128: a secret.
    Key,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Playlist => "playlist",
            Self::Segment => "segment",
            Self::Init => "init section",
            Self::Key => "key",
        })
    }
}

/// Something to be fetched. `Debug` shows the address without its query, which may be a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Fetch {
    /// To be named in [`Input::Fetched`].
    pub id: FetchId,
    /// Of scheme http or https. A stranger chose it: check where it leads.
    pub url: Url,
    /// The part that is wanted; all where absent.
    pub range: Option<ByteRange>,
    /// The most bytes that are of use: a longer answer is [`Failure::TooLong`], and is not read to its end.
    pub limit: usize,
    /// How long it may take in all. Past it, and [`crate::limits::GRACE`], the answer is ignored.
    pub within: Duration,
    /// What it is for.
    pub what: What,
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, url, range, limit, within, what } = self;
        write!(
            f,
            "Fetch {{ {id:?}, {what} {}, {range:?}, limit {limit}, within {within:?} }}",
            Shown::of(url)
        )
    }
}

/// A segment, decrypted.
#[derive(Clone, PartialEq, Eq)]
pub struct Data {
    /// Which stream it continues.
    pub rendition: Rendition,
    /// Timestamps, codecs and tracks may begin anew here (RFC 8216 4.3.2.3).
    pub discontinuity: bool,
    /// Segments before it are missing; timestamps go on.
    pub hole: bool,
    /// The init section that goes before it, where it is another than that of the segment before.
    pub init: Option<Bytes>,
    /// MPEG-TS, fragmented MP4 or packed audio.
    pub bytes: Bytes,
    /// As the playlist says.
    pub duration: Duration,
    /// When it was captured, as the playlist says or by the segments before it.
    pub at: Option<SystemTime>,
    /// Media sequence number.
    pub sequence: u64,
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rendition, discontinuity, hole, init, bytes, duration, sequence, .. } = self;
        let (init, bytes) = (init.as_ref().map(Bytes::len), bytes.len());
        write!(f, "Data {{ {rendition:?} {sequence}: {bytes} bytes, {duration:?}, init {init:?}, ")?;
        write!(f, "discontinuity {discontinuity}, hole {hole} }}")
    }
}

/// Which variant of a master playlist is played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Width and height, where the playlist says.
    pub size: Option<(u64, u64)>,
    /// The highest bitrate of a segment.
    pub bandwidth_bps: u64,
    /// As of RFC 6381, where the playlist says.
    pub codecs: Vec<String>,
    /// The name of the sound that is played as [`Rendition::Audio`], if it is.
    pub audio: Option<String>,
}

/// Why segments are not played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// The origin says that it does not have them (`EXT-X-GAP`).
    Gap,
    /// They could not be had in time.
    Missing,
    /// The consumer fell behind the playlist's window: on at the live edge.
    Behind,
    /// The origin began anew: on at its live edge.
    Restarted,
}

/// What is to be done.
#[derive(Debug)]
pub enum Output {
    /// Fetch this, and answer with [`Input::Fetched`]. There are never more than four under way: of each rendition a playlist and one of a segment's parts.
    Fetch(Fetch),
    /// A variant was chosen; comes once, and not for a stream that has none.
    Chosen(Chosen),
    /// All playlists are there; comes once, before the first [`Output::Data`].
    Begun {
        /// Segments will be added to the playlist.
        live: bool,
        /// There is a [`Rendition::Audio`] beside the main one.
        audio: bool,
    },
    /// The next segment of a rendition. No other comes until [`Input::Taken`].
    Data(Data),
    /// Segments that will not come; the next [`Output::Data`] has its `hole` or `discontinuity`.
    Skipped {
        /// Of which stream.
        rendition: Rendition,
        /// The first of them.
        from: u64,
        /// The number that comes next.
        to: u64,
        /// How long they would have played, as far as the playlist tells, and [`crate::limits::HOLE`] at most; nothing where the
        /// origin began anew.
        lasts: Duration,
        /// Why.
        why: Skip,
    },
    /// Give [`Input::Tick`] at this time, unless another input comes first. The last of the outputs; absent where only another input can change anything.
    WaitUntil(Instant),
    /// A rendition is over: all of it was given out. The other one may have more.
    RenditionEnded {
        /// Which.
        rendition: Rendition,
    },
    /// The stream is over: all of it was given out. Nothing comes after this.
    Ended,
    /// The stream cannot go on. Nothing comes after this.
    Failed(Reason),
}
