//! Why a fetch failed, for the person who gave the URL.

use std::{error::Error as _, io, time::Duration};

use super::address::Kind;

/// What a fetch was doing when its time ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Name, TCP and TLS.
    Connect,
    /// From the request to the head of the answer.
    FirstByte,
    /// Between two pieces of the body.
    Idle,
    /// All of it.
    Total,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connect => "no connection",
            Self::FirstByte => "no answer",
            Self::Idle => "no further data",
            Self::Total => "not complete",
        })
    }
}

/// Why a fetch failed. The texts name hosts, never paths, queries or passwords: these may be somebody's key, and the texts
/// reach logs and the ingress' state. They don't tell what address a name has, either: that would map the operator's network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not a URL that is fetched at all.
    #[error("URL not accepted: {0}")]
    Url(&'static str),
    /// The name has no address.
    #[error("{host}: the name cannot be resolved (DNS)")]
    Dns {
        /// The name.
        host: String,
    },
    /// All addresses of the host are refused by the policy.
    #[error("{host}: {kind}, which URL inputs may not reach")]
    Blocked {
        /// The host as the URL has it.
        host: String,
        /// What the first refused address is.
        kind: Kind,
    },
    /// Nobody listens there.
    #[error("{origin}: connection refused")]
    Refused {
        /// Scheme, host and port.
        origin: String,
    },
    /// No connection for another reason, or the proxy's refusal.
    #[error("{origin}: cannot be reached: {why}")]
    Unreachable {
        /// Scheme, host and port.
        origin: String,
        /// The system's word for it.
        why: String,
    },
    /// No TLS session: certificate, version or something that is no TLS.
    #[error("{origin}: TLS: {why}")]
    Tls {
        /// Scheme, host and port.
        origin: String,
        /// What rustls found.
        why: String,
    },
    /// Nothing happened for too long.
    #[error("{origin}: timed out: {phase} within {} s", after.as_secs_f32())]
    TimedOut {
        /// Scheme, host and port.
        origin: String,
        /// What was waited for.
        phase: Phase,
        /// How long.
        after: Duration,
    },
    /// The server says no.
    #[error("{origin}: the server answered {status}")]
    Status {
        /// Scheme, host and port.
        origin: String,
        /// The HTTP status.
        status: u16,
    },
    /// More redirects than are followed.
    #[error("more than {limit} redirects")]
    TooManyRedirects {
        /// How many are.
        limit: usize,
    },
    /// A redirect to nowhere, or to a scheme that is not fetched.
    #[error("{origin}: bad redirect: {why}")]
    BadRedirect {
        /// Scheme, host and port that redirects.
        origin: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// More than the caller, or the spool, takes.
    #[error("larger than {limit} bytes")]
    TooLarge {
        /// What is taken.
        limit: u64,
    },
    /// A part was asked for and the server has none.
    #[error("{origin}: the server has no ranges")]
    NoRanges {
        /// Scheme, host and port.
        origin: String,
    },
    /// A part beyond the end was asked for.
    #[error("{origin}: the range begins after the end")]
    PastEnd {
        /// Scheme, host and port.
        origin: String,
    },
    /// Compressed, though that was not asked for: nothing here unpacks, so that nothing here can be blown up.
    #[error("{origin}: the answer is compressed, which was not asked for")]
    Compressed {
        /// Scheme, host and port.
        origin: String,
    },
    /// The connection ended before the body did.
    #[error("{origin}: the connection was cut at byte {at}")]
    Cut {
        /// Scheme, host and port.
        origin: String,
        /// Offset in the resource.
        at: u64,
    },
    /// What the server has now is not what the first part came from.
    #[error("{origin}: the resource changed while it was read")]
    Changed {
        /// Scheme, host and port.
        origin: String,
    },
    /// Not HTTP, or more of a head than is read.
    #[error("{origin}: not a valid HTTP answer: {why}")]
    Protocol {
        /// Scheme, host and port.
        origin: String,
        /// What is wrong.
        why: String,
    },
    /// What is there is neither media nor a playlist.
    #[error("{origin}: {what}, where media was expected")]
    NotMedia {
        /// Scheme, host and port.
        origin: String,
        /// What it looks like.
        what: &'static str,
    },
    /// Media of a kind that is not played.
    #[error("{what} is not supported")]
    Unsupported {
        /// Which kind.
        what: String,
    },
    /// A playlist that makes no sense or has come to a stand.
    #[error("{origin}: the playlist cannot be played: {why}")]
    Playlist {
        /// Scheme, host and port of the playlist.
        origin: String,
        /// What is wrong with it.
        why: String,
    },
    /// Something that a playlist names could not be had.
    #[error("{what} of the playlist: {cause}")]
    Part {
        /// What it was.
        what: hls::What,
        /// Why.
        cause: Box<Error>,
    },
    /// What reads the source was ended, as with the process.
    #[error("reading the URL was ended")]
    Stopped,
    /// The temporary file.
    #[error("the temporary file for the URL's data: {0}")]
    Spool(io::ErrorKind),
}

impl Error {
    /// A word for metrics and status, the same for all hosts: one of [`super::REASONS`].
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Url(_) => "url",
            Self::Dns { .. } => "dns",
            Self::Blocked { .. } => "blocked",
            Self::Refused { .. } => "refused",
            Self::Unreachable { .. } => "unreachable",
            Self::Tls { .. } => "tls",
            Self::TimedOut { .. } => "timed_out",
            Self::Status { status: 404 | 410, .. } => "not_found",
            Self::Status { .. } => "status",
            Self::TooManyRedirects { .. } | Self::BadRedirect { .. } => "redirect",
            Self::TooLarge { .. } => "too_large",
            Self::NoRanges { .. } | Self::PastEnd { .. } => "range",
            Self::Compressed { .. } | Self::Protocol { .. } => "protocol",
            Self::Cut { .. } => "cut",
            Self::Changed { .. } => "changed",
            Self::Spool(_) => "spool",
            Self::NotMedia { .. } => "not_media",
            Self::Unsupported { .. } => "unsupported",
            Self::Playlist { .. } => "playlist",
            Self::Part { cause, .. } => cause.reason(),
            Self::Stopped => "stopped",
        }
    }

    /// What happened and what can be done about it, for who asked for the URL to be played.
    pub fn tell(&self) -> String {
        match self.advice() {
            "" => self.to_string(),
            advice => format!("{self}; {advice}"),
        }
    }

    fn advice(&self) -> &'static str {
        match self {
            Self::Url(_) => "give an http or https URL",
            Self::Dns { .. } => "check the spelling of the host's name",
            Self::Blocked { .. } => "use a public address, or let the operator add it to url.allow",
            Self::Refused { .. } | Self::Unreachable { .. } => {
                "check host and port, and that the server runs"
            }
            Self::Tls { .. } => "check the server's certificate, and that the port speaks TLS",
            Self::TimedOut { .. } => "the server or the way to it is too slow",
            Self::Status { status: 401 | 403, .. } => {
                "check the URL's credentials, and whether a signed URL has expired"
            }
            Self::Status { status: 404 | 410, .. } => {
                "check the URL's path, and whether the stream has begun"
            }
            Self::Status { .. } => "the server's log says why",
            Self::TooLarge { .. } => "use a smaller file, or a server that supports range requests",
            Self::Compressed { .. } => "turn the server's compression off for media",
            Self::Cut { .. } => "the server or the way to it broke the connection",
            Self::Changed { .. } => "start again with the file as it is now",
            Self::NotMedia { .. } => {
                "give the URL of the media file or playlist itself, not of a page that shows it"
            }
            Self::Part { cause, .. } => cause.advice(),
            _ => "",
        }
    }

    /// Whether it was found in what came, and not by fetching it.
    pub(super) fn is_of_the_content(&self) -> bool {
        matches!(
            self,
            Self::NotMedia { .. } | Self::Unsupported { .. } | Self::Playlist { .. } | Self::Spool(_)
        )
    }

    /// Whether the same request may well succeed a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Dns { .. } | Self::Refused { .. } | Self::Unreachable { .. } | Self::Cut { .. } => true,
            Self::TimedOut { phase, .. } => *phase != Phase::Total,
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }

    pub(super) fn dialing(origin: &str, error: &io::Error) -> Self {
        let origin = origin.to_owned();
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused { origin },
            kind => Self::Unreachable { origin, why: kind.to_string() },
        }
    }

    /// What hyper reports: an error of the dialer's, which is inside, or one of the exchange.
    pub(super) fn exchanging(origin: &str, at: u64, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut inner = Some(error);
        while let Some(error) = inner {
            if let Some(ours) = error.downcast_ref::<Self>() {
                return ours.clone();
            }
            if let Some(hyper) = error.downcast_ref::<hyper::Error>().filter(|error| error.is_parse()) {
                let why = hyper.source().map_or_else(|| hyper.to_string(), ToString::to_string);
                return Self::Protocol { origin: origin.to_owned(), why };
            }
            inner = error.source();
        }
        Self::Cut { origin: origin.to_owned(), at }
    }
}
