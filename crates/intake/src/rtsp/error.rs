use std::io;

use crate::url;

/// Why a server's stream could not be had. The texts name hosts, never paths, users or passwords.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL names no stream.
    #[error("no RTSP URL: {0}")]
    Url(&'static str),
    /// No connection: the name, the policy, the network, TLS.
    #[error("{0}")]
    Connect(#[from] url::Error),
    /// 404.
    #[error("{origin}: stream not found")]
    NotFound {
        /// Scheme, host and port.
        origin: String,
    },
    /// 401 or 403, and the URL's user and password did not help, or there are none.
    #[error("{origin}: the server wants a user and password, and the URL has none that it takes")]
    Unauthorized {
        /// Scheme, host and port.
        origin: String,
    },
    /// Any other status that is no success.
    #[error("{origin}: the server answered {status} to {method}")]
    Status {
        /// Scheme, host and port.
        origin: String,
        /// RTSP's status.
        status: u16,
        /// What was asked.
        method: &'static str,
    },
    /// A stream of codecs that are not taken.
    #[error("{codec} is not supported, expected H.264 or H.265, AAC, Opus or G.711")]
    Unsupported {
        /// What the server has, in words.
        codec: String,
    },
    /// The description has nothing that can be played.
    #[error("{origin}: the server describes neither pictures nor sound")]
    NoMedia {
        /// Scheme, host and port.
        origin: String,
    },
    /// What the server says cannot be understood.
    #[error("{origin}: {why}")]
    Protocol {
        /// Scheme, host and port.
        origin: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// No answer in time.
    #[error("{origin}: no answer to {method} within {seconds} s")]
    TimedOut {
        /// Scheme, host and port.
        origin: String,
        /// What was asked.
        method: &'static str,
        /// How long was waited.
        seconds: u64,
    },
    /// The connection ended before the stream began.
    #[error("{origin}: the connection ended before the stream began: {kind}")]
    Broken {
        /// Scheme, host and port.
        origin: String,
        /// The system's word for it.
        kind: io::ErrorKind,
    },
    /// More redirects than are followed.
    #[error("more than {limit} redirects")]
    TooManyRedirects {
        /// How many are.
        limit: usize,
    },
}

impl Error {
    /// Whether the same may well succeed a moment later: a camera that restarts, a publisher that is late.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect(error) => error.is_transient(),
            Self::NotFound { .. } | Self::TimedOut { .. } | Self::Broken { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 453 | 454 | 500 | 503),
            _ => false,
        }
    }
}
