use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;

/// The connections that are not publishing yet. When there are too many, the one that has been in the handshake for
/// longest is sent away: a real encoder is through it after one round trip, so an attacker's idle connections go first.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    next: u64,
    /// By age.
    shaking_hands: BTreeMap<u64, CancellationToken>,
    /// By age.
    talking: BTreeMap<u64, CancellationToken>,
}

/// A place in [`Waiting`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(u64);

impl Waiting {
    /// Adds a connection that `leave` sends away; at `limit` another one must go first.
    pub(crate) fn enter(&mut self, leave: CancellationToken, limit: usize) -> Place {
        while !self.is_empty() && self.len() >= limit {
            self.send_one_away();
        }
        let place = Place(self.next);
        self.next += 1;
        self.shaking_hands.insert(place.0, leave);
        place
    }

    /// The handshake is done.
    pub(crate) fn talks(&mut self, place: Place) {
        if let Some(leave) = self.shaking_hands.remove(&place.0) {
            self.talking.insert(place.0, leave);
        }
    }

    /// The connection publishes, or is closed.
    pub(crate) fn leaves(&mut self, place: Place) {
        self.shaking_hands.remove(&place.0);
        self.talking.remove(&place.0);
    }

    /// Makes room; false when nobody waits.
    pub(crate) fn send_one_away(&mut self) -> bool {
        let oldest = self.shaking_hands.pop_first().or_else(|| self.talking.pop_first());
        oldest.map(|(_, leave)| leave.cancel()).is_some()
    }

    fn len(&self) -> usize {
        self.shaking_hands.len() + self.talking.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(waiting: &mut Waiting) -> (Place, CancellationToken) {
        let leave = CancellationToken::new();
        (waiting.enter(leave.clone(), 3), leave)
    }

    #[test]
    fn the_oldest_in_the_handshake_makes_room() {
        let mut waiting = Waiting::default();
        let (first, a) = enter(&mut waiting);
        let (_, b) = enter(&mut waiting);
        let (_, c) = enter(&mut waiting);
        waiting.talks(first);
        let (_, d) = enter(&mut waiting);
        assert_eq!([&a, &b, &c, &d].map(CancellationToken::is_cancelled), [false, true, false, false]);
    }

    #[test]
    fn with_no_handshake_left_the_oldest_goes() {
        let mut waiting = Waiting::default();
        let entered: Vec<_> = (0..3).map(|_| enter(&mut waiting)).collect();
        entered.iter().for_each(|(place, _)| waiting.talks(*place));
        let (_, last) = enter(&mut waiting);
        assert!(entered[0].1.is_cancelled() && !last.is_cancelled());
    }

    #[test]
    fn who_has_left_counts_no_more() {
        let mut waiting = Waiting::default();
        let (place, a) = enter(&mut waiting);
        waiting.leaves(place);
        let others: Vec<_> = (0..3).map(|_| enter(&mut waiting).1).collect();
        assert!(!a.is_cancelled() && others.iter().all(|o| !o.is_cancelled()));
        assert_eq!(waiting.len(), 3);
    }
}
