//! Numbers for metrics: what all fetches together cost and why they failed.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Error;

/// Every [`Error::reason`], in the order of [`Counts::failures`].
pub const REASONS: [&str; 20] = [
    "url",
    "dns",
    "blocked",
    "refused",
    "unreachable",
    "tls",
    "timed_out",
    "not_found",
    "status",
    "redirect",
    "too_large",
    "range",
    "protocol",
    "cut",
    "changed",
    "spool",
    "not_media",
    "unsupported",
    "playlist",
    "stopped",
];

/// Counters that only grow; one set for a [`super::Fetcher`] and all that it opens.
#[derive(Debug, Default)]
pub struct Counts {
    bytes: AtomicU64,
    requests: AtomicU64,
    failures: [AtomicU64; REASONS.len()],
}

impl Counts {
    /// Bytes of bodies that were received.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// HTTP requests that were made, redirects and repeated ones included.
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// Fetches and sources that failed for good, by [`Error::reason`]. A segment of a playlist that was passed over counts, too.
    pub fn failures(&self) -> impl Iterator<Item = (&'static str, u64)> {
        REASONS.into_iter().zip(self.failures.iter().map(|count| count.load(Relaxed)))
    }

    pub(super) fn received(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn requested(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    pub(super) fn failed(&self, error: &Error) {
        if let Some(at) = REASONS.iter().position(|reason| *reason == error.reason()) {
            self.failures[at].fetch_add(1, Relaxed);
        }
    }
}
