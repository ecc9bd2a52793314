//! The offers that a server has made and that no client has answered yet. No I/O, no clock.

use std::collections::HashMap;

/// Open offers by request id, each with whatever waits for it. An offer ends exactly once: by the client's choice, or
/// when it is forgotten.
#[derive(Debug)]
pub(crate) struct Claims<W> {
    open: HashMap<String, W>,
}

impl<W> Claims<W> {
    pub(crate) fn new() -> Self {
        Self { open: HashMap::new() }
    }

    /// Opens an offer. `false`, and nothing changes, if one is open for this request: the same request was heard twice.
    pub(crate) fn open(&mut self, request_id: &str, waiter: W) -> bool {
        if self.open.contains_key(request_id) {
            return false;
        }
        self.open.insert(request_id.to_owned(), waiter);
        true
    }

    /// The client chose `winner`. Gives back who waits and whether `me` has won, once per offer; `None` for a request
    /// that is not ours, is over, or was never offered for.
    pub(crate) fn settle(&mut self, request_id: &str, winner: &str, me: &str) -> Option<(W, bool)> {
        self.open.remove(request_id).map(|waiter| (waiter, winner == me))
    }

    /// Nobody waits for this one any more.
    pub(crate) fn forget(&mut self, request_id: &str) {
        self.open.remove(request_id);
    }

    /// Ends all offers; those who wait are dropped.
    pub(crate) fn clear(&mut self) {
        self.open.clear();
    }
}
