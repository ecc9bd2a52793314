use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use media::StreamKey;
use tokio::sync::{mpsc, oneshot};

use super::publisher::Closer;

/// PATCHes of one publisher that wait: a browser trickles a handful of candidates at once. Past it they wait at the socket.
const PATCHES: usize = 16;

/// Resources that are remembered when they have ended: asking other nodes about them is needless.
const ENDED: usize = 1024;

/// The WHIP resources that live here: what the endpoint and the bus delete and patch.
#[derive(Debug, Clone, Default)]
pub struct Resources(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    live: HashMap<String, Entry>,
    /// Oldest first.
    ended: VecDeque<String>,
}

#[derive(Debug)]
struct Entry {
    key: StreamKey,
    closer: Closer,
    patches: mpsc::Sender<Patch>,
}

/// What a PATCH did.
#[derive(Clone, PartialEq, Eq)]
pub struct PatchDone {
    /// `application/trickle-ice-sdpfrag`, when ICE was restarted. It holds our ice-pwd.
    pub fragment: Option<String>,
    /// The present ICE session's, in its quotes.
    pub etag: String,
}

impl std::fmt::Debug for PatchDone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PatchDone({}, restarted: {})", self.etag, self.fragment.is_some())
    }
}

/// Why a PATCH (or DELETE) did nothing. The publisher is as well as before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// 404.
    #[error("no such resource: its session has ended, or never was")]
    Unknown,
    /// 412.
    #[error("If-Match names another ICE session than the present one")]
    Stale,
    /// 428.
    #[error("an ICE restart needs If-Match (RFC 9725 section 4.3.3)")]
    Unconditional,
    /// 400, with what is wrong.
    #[error("{0}")]
    Invalid(String),
    /// 422, with what is not done.
    #[error("{0}")]
    Unsupported(String),
    /// 503, with what was in the way.
    #[error("{0}")]
    Unavailable(String),
}

/// On its way to the publisher's task.
#[derive(Debug)]
pub(super) struct Patch {
    pub(super) if_match: Option<String>,
    pub(super) fragment: String,
    pub(super) answer: oneshot::Sender<Result<PatchDone, PatchError>>,
}

/// Where a resource is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whereabouts {
    Here,
    /// It was here.
    Ended,
    /// Here, with another stream key.
    Forbidden,
    Elsewhere,
}

impl Resources {
    /// Ends a publisher as [`Why::Deleted`](super::Why::Deleted). False if it is not here (any more).
    pub async fn delete(&self, resource: &str) -> bool {
        let entry = self.lock().end(resource);
        if let Some(entry) = &entry {
            entry.closer.delete();
        }
        entry.is_some()
    }

    /// Adds candidates, or restarts ICE.
    ///
    /// # Errors
    /// Why not.
    pub async fn patch(
        &self,
        resource: &str,
        if_match: Option<&str>,
        fragment: &str,
    ) -> Result<PatchDone, PatchError> {
        let patches = self.lock().live.get(resource).map(|entry| entry.patches.clone());
        let patches = patches.ok_or(PatchError::Unknown)?;
        let (answer, answered) = oneshot::channel();
        let patch = Patch { if_match: if_match.map(str::to_owned), fragment: fragment.to_owned(), answer };
        patches.send(patch).await.map_err(|_| PatchError::Unknown)?;
        answered.await.unwrap_or(Err(PatchError::Unknown))
    }

    /// Whether the resource is here and was made with this key: what another node should check before it acts on a request.
    pub fn belongs_to(&self, resource: &str, key: &StreamKey) -> bool {
        self.lock().live.get(resource).is_some_and(|entry| entry.key == *key)
    }

    pub(super) fn whereabouts(&self, resource: &str, key: Option<&StreamKey>) -> Whereabouts {
        let table = self.lock();
        match table.live.get(resource) {
            Some(entry) if key.is_some_and(|key| *key != entry.key) => Whereabouts::Forbidden,
            Some(_) => Whereabouts::Here,
            None if table.ended.iter().any(|ended| ended == resource) => Whereabouts::Ended,
            None => Whereabouts::Elsewhere,
        }
    }

    /// Enters a resource until the claim is dropped.
    pub(super) fn claim(
        &self,
        resource: &str,
        key: StreamKey,
        closer: Closer,
    ) -> (Claim, mpsc::Receiver<Patch>) {
        let (patches, receiver) = mpsc::channel(PATCHES);
        self.lock().live.insert(resource.to_owned(), Entry { key, closer, patches });
        (Claim { resources: self.clone(), resource: resource.to_owned() }, receiver)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn end(&mut self, resource: &str) -> Option<Entry> {
        let entry = self.live.remove(resource)?;
        self.ended.push_back(resource.to_owned());
        if self.ended.len() > ENDED {
            self.ended.pop_front();
        }
        Some(entry)
    }
}

/// A resource's place in the table.
#[derive(Debug)]
pub(super) struct Claim {
    resources: Resources,
    resource: String,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.resources.lock().end(&self.resource);
    }
}
