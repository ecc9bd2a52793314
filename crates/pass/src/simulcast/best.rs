use std::time::{Duration, Instant};

use super::{ASK_AGAIN, MOST};

/// How long bytes count.
const WINDOW: Duration = Duration::from_secs(1);

/// Another layer has to have so many times the bytes.
const BETTER: (u64, u64) = (5, 4);

/// All layers have had time to begin.
const BEGINNING: Duration = Duration::from_millis(2500);

/// Chooses the best of the layers that come, for one decoder: the one with the most bytes, changing at key pictures only.
#[derive(Debug)]
pub struct Best {
    layers: Vec<Count>,
    chosen: Option<usize>,
    /// When the first key picture came.
    first: Option<Instant>,
    asked: Option<Instant>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    since: Option<Instant>,
    bytes: u64,
    /// Of the window before this one.
    before: u64,
    keyed: bool,
    last: Option<Instant>,
}

impl Best {
    /// For so many layers, one at least.
    pub fn new(count: usize) -> Self {
        let layers = vec![Count::default(); count.clamp(1, MOST)];
        Self { layers, chosen: None, first: None, asked: None }
    }

    /// Whether the next picture of a layer is to be decoded.
    pub fn takes(&mut self, now: Instant, layer: usize, bytes: usize, key: bool) -> bool {
        let Some(count) = self.layers.get_mut(layer) else { return false };
        count.add(now, bytes as u64, key);
        if key {
            self.first.get_or_insert(now);
        }
        if key && self.best(now) == Some(layer) {
            self.chosen = Some(layer);
        }
        self.chosen == Some(layer)
    }

    /// The layer whose pictures are decoded.
    pub fn chosen(&self) -> Option<usize> {
        self.chosen
    }

    /// The layer that should be asked for a key picture, so that it can take over. Call it after each picture; it says so twice
    /// a second at most.
    pub fn wants(&mut self, now: Instant) -> Option<usize> {
        let best = self.best(now).filter(|best| Some(*best) != self.chosen)?;
        if self.asked.is_some_and(|asked| now.saturating_duration_since(asked) < ASK_AGAIN) {
            return None;
        }
        self.asked = Some(now);
        Some(best)
    }

    fn best(&self, now: Instant) -> Option<usize> {
        let first = self.first?;
        let began = self.layers.iter().all(|count| count.keyed);
        if self.chosen.is_none() && !began && now.saturating_duration_since(first) < BEGINNING {
            return None;
        }
        let alive = |place: &usize| self.layers[*place].is_alive(now);
        let most = (0..self.layers.len()).filter(alive).max_by_key(|place| self.layers[*place].weight())?;
        let Some(chosen) = self.chosen.filter(|chosen| alive(chosen)) else { return Some(most) };
        let (old, new) = (self.layers[chosen].weight(), self.layers[most].weight());
        Some(if new * BETTER.1 > old * BETTER.0 { most } else { chosen })
    }
}

impl Count {
    fn add(&mut self, now: Instant, bytes: u64, key: bool) {
        self.last = Some(now);
        self.keyed |= key;
        let since = *self.since.get_or_insert(now);
        if now.saturating_duration_since(since) >= WINDOW {
            (self.since, self.before, self.bytes) = (Some(now), self.bytes, 0);
        }
        self.bytes += bytes;
    }

    fn is_alive(&self, now: Instant) -> bool {
        self.last.is_some_and(|last| now.saturating_duration_since(last) < WINDOW)
    }

    fn weight(&self) -> u64 {
        self.before.max(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A second of pictures, 25 of each layer, of so many bytes; the places of those that were taken.
    fn second(best: &mut Best, from: Instant, bytes: &[usize], key: bool) -> Vec<usize> {
        let mut taken = Vec::new();
        for n in 0..25 {
            for (place, bytes) in bytes.iter().enumerate().filter(|(_, bytes)| **bytes > 0) {
                if best.takes(from + n * 40 * MS, place, *bytes, key && n == 0) {
                    taken.push(place);
                }
            }
        }
        taken
    }

    #[test]
    fn a_single_layer_is_taken_from_its_first_key_picture_on() {
        let (mut best, now) = (Best::new(1), Instant::now());
        assert!(!best.takes(now, 0, 100, false));
        assert_eq!(best.chosen(), None);
        assert!(best.takes(now, 0, 100, true) && best.takes(now, 0, 100, false));
        assert_eq!((best.wants(now), best.chosen()), (None, Some(0)));
        assert!(!best.takes(now, 1, 100, true), "there is no such layer");
    }

    #[test]
    fn the_largest_is_chosen_when_all_have_begun_and_asked_for_a_key_picture() {
        let (mut best, now) = (Best::new(3), Instant::now());
        assert_eq!(second(&mut best, now, &[900, 300, 0], true), []);
        assert_eq!(best.wants(now + 970 * MS), None, "one has not begun");
        assert_eq!(
            second(&mut best, now + 1000 * MS, &[900, 300, 100], true),
            [],
            "its key picture was before"
        );
        assert_eq!(best.wants(now + 1970 * MS), Some(0));
        assert_eq!(second(&mut best, now + 2000 * MS, &[900, 300, 100], true), [0; 25]);
        assert_eq!(best.wants(now + 2970 * MS), None);
    }

    #[test]
    fn one_that_grows_larger_takes_over_with_a_key_picture() {
        let (mut best, now) = (Best::new(2), Instant::now());
        second(&mut best, now, &[300, 100], true);
        assert_eq!(second(&mut best, now + 1000 * MS, &[300, 100], true), [0; 25]);
        assert_eq!(second(&mut best, now + 2000 * MS, &[300, 900], false), [0; 25]);
        let later = now + 3000 * MS;
        assert_eq!((best.wants(later), best.wants(later + 100 * MS)), (Some(1), None));
        assert!(best.takes(later + 100 * MS, 1, 900, true));
        assert!(!best.takes(later + 110 * MS, 0, 300, true), "a step back needs a reason");
    }

    #[test]
    fn when_the_best_one_stops_the_next_takes_over() {
        let (mut best, now) = (Best::new(2), Instant::now());
        second(&mut best, now, &[100, 900], true);
        assert!(best.takes(now + 1000 * MS, 1, 900, true));
        second(&mut best, now + 1040 * MS, &[100, 0], false);
        let later = now + 2100 * MS;
        assert!(!best.takes(later, 0, 100, false));
        assert_eq!(best.wants(later), Some(0));
        assert!(best.takes(later + 50 * MS, 0, 100, true));
    }

    #[test]
    fn one_that_never_comes_is_not_waited_for_long() {
        let (mut best, now) = (Best::new(2), Instant::now());
        assert!(!best.takes(now, 0, 100, true));
        for n in 1..62 {
            assert!(!best.takes(now + n * 40 * MS, 0, 100, false));
        }
        assert_eq!(best.wants(now + BEGINNING), Some(0));
        assert!(best.takes(now + BEGINNING, 0, 100, true));
    }
}
