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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn verdict_counts_once() {
        let mut claims = Claims::new();
        assert!(claims.open("REQ_1", ()));
        assert_eq!(claims.settle("REQ_1", "SRV_other", "SRV_me"), Some(((), false)));
        assert_eq!(claims.settle("REQ_1", "SRV_me", "SRV_me"), None, "too late to win");
    }

    #[test]
    fn request_that_is_heard_twice_is_claimed_once() {
        let mut claims = Claims::new();
        assert!(claims.open("REQ_1", 1));
        assert!(!claims.open("REQ_1", 2));
        assert_eq!(claims.settle("REQ_1", "SRV_me", "SRV_me"), Some((1, true)));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Open(u8),
        Settle(u8, bool),
        Forget(u8),
        Clear,
    }

    fn step() -> impl Strategy<Value = Step> {
        let id = 0u8..4;
        prop_oneof![
            4 => id.clone().prop_map(Step::Open),
            4 => (id.clone(), any::<bool>()).prop_map(|(id, won)| Step::Settle(id, won)),
            2 => id.prop_map(Step::Forget),
            1 => Just(Step::Clear),
        ]
    }

    proptest! {
        #[test]
        fn every_offer_ends_exactly_once(steps in proptest::collection::vec(step(), 0..60)) {
            let mut claims = Claims::new();
            // The waiter of each open offer, by request: what the claims must agree with.
            let mut open: HashMap<u8, usize> = HashMap::new();
            for (serial, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Open(id) => {
                        prop_assert_eq!(claims.open(&id.to_string(), serial), !open.contains_key(&id));
                        open.entry(id).or_insert(serial);
                    }
                    Step::Settle(id, won) => {
                        let winner = if won { "me" } else { "other" };
                        let expected = open.remove(&id).map(|waiter| (waiter, won));
                        prop_assert_eq!(claims.settle(&id.to_string(), winner, "me"), expected);
                    }
                    Step::Forget(id) => {
                        claims.forget(&id.to_string());
                        open.remove(&id);
                    }
                    Step::Clear => {
                        claims.clear();
                        open.clear();
                    }
                }
                prop_assert_eq!(claims.open.len(), open.len());
            }
        }
    }
}
