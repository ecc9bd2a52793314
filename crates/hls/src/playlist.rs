//! Playlists as values: what RFC 8216 says, bounded, with nothing resolved or fetched yet.

mod lines;
mod master;
mod media;
mod parse;
#[cfg(test)]
mod parse_tests;
mod segments;
mod time;

use std::sync::Arc;

use url::Url;

pub(crate) use master::{Audio, Master, Variant};
pub(crate) use media::{Init, Key, Media, Protection, Segment, Start};
pub(crate) use parse::parse;

/// A playlist, and the address that its own addresses are relative to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Playlist {
    /// A list of variants (RFC 8216 4.3.4).
    Master(Master),
    /// A list of segments (RFC 8216 4.3.3).
    Media(Media),
}

/// Where a playlist came from, after redirects.
pub(crate) type Base = Arc<Url>;

/// What is wrong with a playlist, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Something else is there: a page, a media file.
    #[error("not a playlist: it begins with {begins:?}, expected #EXTM3U")]
    NotAPlaylist {
        /// The first few characters.
        begins: String,
    },
    /// It has neither segments nor variants that HLS knows.
    #[error("not an HLS playlist: neither #EXT-X-TARGETDURATION nor #EXT-X-STREAM-INF (a list of channels?)")]
    NeitherKind,
    /// Tags of a master and of a media playlist in one.
    #[error("line {line}: {tag} in a playlist that has {other}")]
    BothKinds {
        /// Counted from 1.
        line: usize,
        /// The tag there.
        tag: &'static str,
        /// A tag of the other kind before it.
        other: &'static str,
    },
    /// One of [`crate::limits`].
    #[error("line {line}: over {limit} {what}")]
    TooMany {
        /// Counted from 1.
        line: usize,
        /// Of what.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// Longer than [`crate::limits::PLAYLIST`].
    #[error("{bytes} bytes, over {limit}")]
    TooLong {
        /// How much had come.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
    /// A tag that decides which bytes are played does not say so.
    #[error("line {line}: {what}")]
    Unclear {
        /// Counted from 1.
        line: usize,
        /// What was expected.
        what: &'static str,
    },
}
