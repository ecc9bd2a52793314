//! Fetching http and https for URL ingresses: everything of theirs that goes over HTTP goes through one [`Fetcher`], which asks
//! the operator's policy for every connection (docs/adr/0016). [`open()`] finds out what a URL is and gives its bytes; what is in
//! containers is not known here.
//!
//! ```text
//! open ── sniff ─┬─ Places (ranges) ─┬─ Input
//!                ├─ Spooled          │
//!                ├─ Once (radios)    │
//!                └─ player (HLS) ────┘
//!
//! Fetcher::open ── retries ── redirects ── hyper's pool ── dial (resolve, check, connect, TLS)
//!      └─ Opened { what the head says, body: Body (resumes by range) } ── Spool (random access without ranges)
//! ```

pub mod address;
mod alias;
mod body;
mod counts;
mod dial;
mod error;
mod fetcher;
mod flow;
mod greeting;
mod head;
mod icy;
mod open;
mod places;
mod player;
mod proxy;
mod radio;
mod resolve;
mod retry;
mod sniff;
mod source;
mod spool;

use std::{path::PathBuf, sync::Arc, time::Duration};

pub use alias::{Aliases, NotAnAlias};
pub use body::Body;
pub use counts::{Counts, REASONS};
pub(crate) use dial::{Stream, Target};
pub use error::{Error, Phase};
pub use fetcher::{Fetched, Fetcher, Opened, Setup};
/// What of an HLS stream is of use: lines, bitrate, pictures at all, codecs.
pub use hls::Wish;
pub use open::open;
pub use proxy::Proxy;
pub use resolve::{Resolve, System};
use rustls::RootCertStore;
pub use source::{Input, Read, Source};
pub use spool::{Filling, Spool};

/// How a [`Fetcher`] is set up.
pub struct Options {
    /// Which addresses may be connected to.
    pub policy: address::Policy,
    /// Names to addresses.
    pub resolver: Arc<dyn Resolve>,
    /// Whose certificates are believed.
    pub roots: Arc<RootCertStore>,
    /// The proxy; none by default, whatever the environment has.
    pub proxy: Proxy,
    /// `User-Agent`.
    pub user_agent: String,
    /// Times and counts.
    pub limits: Limits,
    /// Temporary files.
    pub spooling: Spooling,
}

/// Temporary files for what servers without ranges give: one for a source at most, deleted by the system whatever happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spooling {
    /// Where they are. In a folder that is memory (tmpfs) they count as such.
    pub folder: PathBuf,
    /// The most bytes of one.
    pub most: u64,
    /// How long a file that can only be read with its end at hand may take to come.
    pub within: Duration,
}

impl Default for Spooling {
    /// The system's temporary folder; 1 GiB, some 30 min of 4 Mbit/s; 2 min.
    fn default() -> Self {
        Self { folder: std::env::temp_dir(), most: 1 << 30, within: Duration::from_secs(120) }
    }
}

impl Default for Options {
    /// Public addresses only, the system's resolver and roots, no proxy.
    fn default() -> Self {
        Self {
            policy: address::Policy::default(),
            resolver: Arc::new(System::default()),
            roots: Arc::new(system_roots()),
            proxy: Proxy::none(),
            user_agent: concat!("sluicegate/", env!("CARGO_PKG_VERSION")).to_owned(),
            limits: Limits::default(),
            spooling: Spooling::default(),
        }
    }
}

/// Times and counts that hold for every fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For name, TCP and TLS of one connection. A lost SYN is sent again after 1 and 3 s.
    pub connect: Duration,
    /// From the request to the head of the answer, with the connection where a new one is needed.
    pub first_byte: Duration,
    /// Between two pieces of the body, while somebody waits for one.
    pub idle: Duration,
    /// For [`Fetcher::open`] with all its redirects and attempts: somebody waits for `StartIngress`'s outcome.
    pub open: Duration,
    /// Redirects that are followed (faults.md row 29).
    pub redirects: usize,
    /// The first wait before another attempt; twice as long each time, with jitter.
    pub backoff: Duration,
    /// The longest such wait, and the longest `Retry-After` that is waited for.
    pub backoff_most: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(15),
            idle: Duration::from_secs(15),
            open: Duration::from_secs(30),
            redirects: 5,
            backoff: Duration::from_millis(250),
            backoff_most: Duration::from_secs(5),
        }
    }
}

/// A part of a resource, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first byte.
    pub first: u64,
    /// The last byte, itself included as in HTTP; to the end where there is none.
    pub last: Option<u64>,
}

impl Range {
    /// Everything from `first` on. `Range::from(0)` asks for the whole in the way that shows whether the server has ranges.
    pub fn from(first: u64) -> Self {
        Self { first, last: None }
    }
}

/// What is asked for, beside the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// A part; `None` asks for the whole without naming a range, which is right for playlists and live streams.
    pub range: Option<Range>,
    /// The most bytes of body that are taken.
    pub limit: Option<u64>,
    /// The most time from [`Fetcher::open`] to the end of the body. `None` for media: a live stream never ends.
    pub within: Option<Duration>,
    /// Attempts that may follow each other without progress, the first one included. Then the error is the caller's.
    pub attempts: u32,
    /// Asks for titles between the data of an Icecast stream; [`Opened::icy_interval`] says whether they come.
    pub icy: bool,
}

impl Default for Ask {
    fn default() -> Self {
        Self { range: None, limit: None, within: None, attempts: 4, icy: false }
    }
}

/// The system's certificate authorities. Those that rustls cannot read are left out.
pub fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}
