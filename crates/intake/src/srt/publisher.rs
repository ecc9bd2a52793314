use std::{fmt, sync::Arc};

use bytes::Bytes;
use srt_wire::{Begun, Stats};
use tokio::sync::watch;
use tokio_util::sync::DropGuard;

use super::queue::Queue;

/// How a connection ended. `Display` gives a reason for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// The other side closed it.
    #[error("the other side ended the stream")]
    Closed,
    /// Nothing was heard of the other side for five seconds.
    #[error("nothing was heard of the other side any more")]
    Vanished,
    /// [`Closer::close`], or the listener was shut down.
    #[error("{0}")]
    Told(String),
    /// The SRT process is gone, and with it all its connections.
    #[error("the SRT process ended")]
    Died,
}

/// A connection that sends: the bytes of an MPEG-TS, live, from its beginning for us. Dropping it closes the connection.
pub struct Publisher {
    pub(super) queue: Arc<Queue>,
    pub(super) begun: Begun,
    pub(super) closer: Closer,
    /// Tells the connection's task that nobody reads any more.
    pub(super) _dropped: DropGuard,
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Publisher({:?})", self.begun)
    }
}

impl Publisher {
    /// What comes next, at most `length` bytes; none at the end, for which [`Publisher::why`] has the reason. Past 8 MiB that
    /// wait what comes is dropped. Cancel safe.
    pub async fn read(&mut self, length: u32) -> Bytes {
        self.queue.read(usize::try_from(length).unwrap_or(usize::MAX)).await
    }

    /// Why there is no more, once everything has been read.
    pub fn why(&self) -> Option<Why> {
        self.queue.ended()
    }

    /// For people: version, latency, encryption.
    pub fn describe(&self) -> String {
        let [_, major, minor, patch] = self.begun.version.to_be_bytes();
        let encrypted = if self.begun.encrypted { "encrypted" } else { "not encrypted" };
        format!("SRT {major}.{minor}.{patch}, latency {} ms, {encrypted}", self.begun.latency_ms)
    }

    /// A handle that ends the connection from elsewhere.
    pub fn closer(&self) -> Closer {
        self.closer.clone()
    }

    /// A handle that tells what the connection is like.
    pub fn meter(&self) -> Meter {
        Meter(self.queue.clone())
    }
}

/// Ends a connection; [`Publisher::why`] is [`Why::Told`]. SRT tells the other side nothing but that it is over.
#[derive(Debug, Clone)]
pub struct Closer(pub(super) Arc<watch::Sender<Option<String>>>);

impl Closer {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::channel(None).0))
    }

    /// The first reason counts; the call does not wait.
    pub fn close(&self, reason: &str) {
        self.0.send_if_modified(|current| {
            let first = current.is_none();
            current.get_or_insert_with(|| reason.to_owned());
            first
        });
    }

    /// Resolves with the reason.
    pub(super) async fn closed(&self) -> String {
        let mut closed = self.0.subscribe();
        match closed.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => String::new(),
        }
    }
}

/// What a connection is like. Clones share it.
#[derive(Debug, Clone)]
pub struct Meter(Arc<Queue>);

impl Meter {
    /// Why it ended, once everything has been read.
    pub fn why(&self) -> Option<Why> {
        self.0.ended()
    }

    /// As of the last second; and how many bytes were dropped because they were not read in time.
    pub fn stats(&self) -> (Stats, u64) {
        self.0.stats()
    }
}
