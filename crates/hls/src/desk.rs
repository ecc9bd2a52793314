//! Fetches under way, and what was fetched that is needed again.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bytes::Bytes;
use url::Url;

use crate::{
    ByteRange, Failure, Fetch, FetchId, Fetched, Output, Rendition, What, crypt::KeyBytes, limits,
    remember::Remember,
};

/// What names an init section.
pub(crate) type InitName = (Url, Option<ByteRange>);

/// Where tracks leave what is to be done.
pub(crate) struct Desk {
    next: u64,
    pending: BTreeMap<FetchId, Pending>,
    pub(crate) outputs: Vec<Output>,
    pub(crate) keys: Remember<Url, KeyBytes>,
    pub(crate) inits: Remember<InitName, Bytes>,
}

/// A fetch without its answer.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) fetch: Fetch,
    pub(crate) rendition: Rendition,
    pub(crate) begun: Instant,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let (keys, inits) = (Remember::new(), Remember::new());
        Self { next: 0, pending: BTreeMap::new(), outputs: Vec::new(), keys, inits }
    }

    pub(crate) fn fetch(
        &mut self,
        now: Instant,
        rendition: Rendition,
        (what, url, range): (What, Url, Option<ByteRange>),
        within: Duration,
    ) -> FetchId {
        let limit = match what {
            What::Playlist => limits::PLAYLIST,
            What::Segment if rendition == Rendition::Audio => limits::SEGMENT_AUDIO,
            What::Segment => limits::SEGMENT,
            What::Init => limits::INIT,
            What::Key => limits::KEY,
        };
        let id = FetchId(self.next);
        self.next += 1;
        let fetch = Fetch { id, url, range, limit, within, what };
        self.pending.insert(id, Pending { fetch: fetch.clone(), rendition, begun: now });
        self.outputs.push(Output::Fetch(fetch));
        id
    }

    /// Whether a key is on its way already: both renditions often have the same.
    pub(crate) fn is_coming(&self, what: What, url: &Url) -> bool {
        self.pending.values().any(|p| p.fetch.what == what && p.fetch.url == *url)
    }

    /// The fetch that this answers, if it is still waited for.
    pub(crate) fn answered(&mut self, id: FetchId) -> Option<Pending> {
        self.pending.remove(&id)
    }

    /// Nobody waits any more for what was on its way of a rendition's segment.
    pub(crate) fn forget(&mut self, rendition: Rendition) {
        self.pending.retain(|_, p| p.rendition != rendition || p.fetch.what == What::Playlist);
    }

    /// A fetch that was not answered in time, and why it is given up.
    pub(crate) fn overdue(&mut self, now: Instant) -> Option<(Pending, Failure)> {
        let id = self.pending.iter().find(|(_, p)| p.until() <= now).map(|(id, _)| *id)?;
        let pending = self.pending.remove(&id)?;
        let failure = Failure::Network(format!("no answer within {} s", pending.fetch.within.as_secs()));
        Some((pending, failure))
    }

    /// When the next fetch is overdue.
    pub(crate) fn wake(&self) -> Option<Instant> {
        self.pending.values().map(Pending::until).min()
    }
}

impl Pending {
    fn until(&self) -> Instant {
        self.begun + self.fetch.within + limits::GRACE
    }

    /// What came, if it is what was asked for.
    pub(crate) fn checked(&self, result: Result<Fetched, Failure>) -> Result<Fetched, Failure> {
        let fetched = result?;
        let got = fetched.body.len();
        if got > self.fetch.limit {
            return Err(Failure::TooLong { limit: self.fetch.limit });
        }
        match self.fetch.range {
            Some(range) if range.length != got as u64 => Err(Failure::Range { got, expected: range.length }),
            _ => Ok(fetched),
        }
    }
}
