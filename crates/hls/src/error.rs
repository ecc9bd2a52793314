//! Why a stream cannot go on, in words for a person who has to mend it.

use std::{fmt, time::Duration};

use url::Url;

use crate::{What, playlist};

/// Why a fetch has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The origin answered with another status than 200 or 206, after redirects.
    #[error("status {0}")]
    Status(u16),
    /// No connection, a broken one, or none in time: may be better later.
    #[error("{0}")]
    Network(String),
    /// Over [`crate::Fetch::limit`].
    #[error("longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// It will not be fetched however often it is asked for: a blocked address, too many redirects.
    #[error("{0}")]
    Refused(String),
    /// It is another length than the range that was asked for.
    #[error("{got} bytes of a range of {expected}")]
    Range {
        /// What came.
        got: usize,
        /// What was asked for.
        expected: u64,
    },
    /// It came and is no key.
    #[error("{got} bytes, expected 16")]
    KeyLength {
        /// What came.
        got: usize,
    },
    /// It came and cannot be decrypted: the wrong key, or cut short.
    #[error("not decrypted: {bytes} bytes of AES-128-CBC with wrong padding (the wrong key, or cut short)")]
    Decrypt {
        /// How much came.
        bytes: usize,
    },
}

impl Failure {
    /// Whether it may be better later. A 404 may: caches of a live stream are not all as quick as each other.
    pub(crate) fn passes(&self) -> bool {
        match self {
            Self::Status(status) => matches!(status, 404 | 408 | 410 | 412 | 416 | 425 | 429 | 500..=599),
            Self::Network(_) | Self::Range { .. } | Self::Decrypt { .. } => true,
            Self::TooLong { .. } | Self::Refused(_) | Self::KeyLength { .. } => false,
        }
    }
}

/// Why a stream cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// Something could not be had, after the retries that it is worth.
    #[error("{what} {url}: {failure}")]
    Fetch {
        /// What it was.
        what: What,
        /// Where it was.
        url: Shown,
        /// The last failure.
        failure: Failure,
    },
    /// A playlist that makes no sense.
    #[error("playlist {url}: {error}")]
    Playlist {
        /// Where it was.
        url: Shown,
        /// What is wrong.
        error: playlist::Error,
    },
    /// A playlist names something that is not on the web: `file:`, `data:`.
    #[error("playlist {url} has a {what} of scheme {scheme:?}, expected http or https")]
    Scheme {
        /// Where the playlist was.
        url: Shown,
        /// What it names.
        what: What,
        /// How.
        scheme: String,
    },
    /// A playlist names something by what is no address.
    #[error("playlist {url} has a {what} whose address cannot be read: {error}")]
    Address {
        /// Where the playlist was.
        url: Shown,
        /// What it names.
        what: What,
        /// What is wrong.
        error: String,
    },
    /// Encrypted otherwise than with AES-128 and a plain key.
    #[error(
        "playlist {url}: segments are encrypted with {method}, only AES-128 with a plain key is supported"
    )]
    Protected {
        /// Where the playlist was.
        url: Shown,
        /// How, as the playlist names it.
        method: String,
    },
    /// None of a master playlist's variants can be played.
    #[error("playlist {url}: no variant that can be played among {count} ({seen})")]
    NoVariant {
        /// Where the playlist was.
        url: Shown,
        /// How many there are.
        count: usize,
        /// Their codecs.
        seen: String,
    },
    /// A variant is a master playlist itself.
    #[error("playlist {url}: a list of variants where segments were expected")]
    Nested {
        /// Where the playlist was.
        url: Shown,
    },
    /// A live playlist that lists nothing new.
    #[error("playlist {url}: nothing new for {} s", after.as_secs())]
    Stalled {
        /// Where the playlist was.
        url: Shown,
        /// For how long.
        after: Duration,
    },
}

/// An address for people: without user, query and fragment, which may be secrets, and not endless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown(String);

impl Shown {
    /// What of an address may be shown.
    pub fn of(url: &Url) -> Self {
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let text = format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path());
        Self(text.chars().take(200).collect())
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
