use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use srt_wire::{Begun, CallerId, End, Stats};
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{publisher::Why, queue::Queue};

/// More than the process has: one that says more is no longer ours.
const CALLERS: usize = 512;

/// The connections of one process, by its numbers. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Table(Arc<Mutex<HashMap<CallerId, Entry>>>);

#[derive(Debug)]
struct Entry {
    queue: Arc<Queue>,
    begun: Option<oneshot::Sender<Begun>>,
    _over: DropGuard,
}

/// A connection as its own task has it.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) queue: Arc<Queue>,
    /// Resolves when the handshake is through, or with an error when it failed.
    pub(super) begun: oneshot::Receiver<Begun>,
    /// Cancelled when the connection is over.
    pub(super) over: CancellationToken,
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, HashMap<CallerId, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new connection; `None` past the bound.
    pub(super) fn add(&self, caller: CallerId) -> Option<Line> {
        let mut table = self.lock();
        if table.len() >= CALLERS {
            return None;
        }
        let (queue, over) = (Arc::<Queue>::default(), CancellationToken::new());
        let (sender, begun) = oneshot::channel();
        let entry = Entry { queue: queue.clone(), begun: Some(sender), _over: over.clone().drop_guard() };
        table.insert(caller, entry);
        Some(Line { queue, begun, over })
    }

    /// It is refused: nothing that the process says of it matters.
    pub(super) fn forget(&self, caller: CallerId) {
        self.lock().remove(&caller);
    }

    pub(super) fn begun(&self, begun: Begun) {
        let sender = self.lock().get_mut(&begun.caller).and_then(|entry| entry.begun.take());
        // A task that does not wait any more has asked for the connection's end.
        let _ = sender.map(|sender| sender.send(begun));
    }

    pub(super) fn data(&self, caller: CallerId, bytes: Bytes) {
        let queue = self.lock().get(&caller).map(|entry| entry.queue.clone());
        queue.into_iter().for_each(|queue| queue.push(bytes.clone()));
    }

    pub(super) fn stats(&self, stats: Stats) {
        if let Some(entry) = self.lock().get(&CallerId(stats.caller)) {
            entry.queue.tell(stats);
        }
    }

    pub(super) fn ended(&self, caller: CallerId, end: &End) {
        let Some(entry) = self.lock().remove(&caller) else { return };
        entry.queue.end(match end {
            End::Vanished => Why::Vanished,
            End::Told => Why::Told("the server has ended the stream".to_owned()),
            _ => Why::Closed,
        });
    }

    /// The process is gone, or is to go.
    pub(super) fn end(&self, why: &Why) {
        for (_, entry) in self.lock().drain() {
            entry.queue.end(why.clone());
        }
    }
}
