//! A publisher's simulcast layers: which of them is which, and which is the best one.
//!
//! Names and order of the layers are the client's affair (browsers send `q`, `h`, `f` or `low`, `mid`, `high`, OBS numbers with the
//! largest first): what counts is the pictures' sizes.

use std::time::{Duration, Instant};

use media::{Layer, Quality};

/// Layers that are told apart.
pub const MOST: usize = 4;

/// How long after the first layer's size the others' are waited for. Browsers begin with the smallest and add the others as
/// they find out what the network carries.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bits for each pixel at 30 pictures a second: what a layer is taken to need while nothing is known but its size. LiveKit's presets lie around it.
const BITS_PER_PIXEL: f64 = 0.07;

/// Width and height of pictures, in pixels.
pub type Size = (u32, u32);

/// Finds out which layer is which by the sizes of their key pictures. What a layer was found to be never changes; its size may.
#[derive(Debug)]
pub struct Layers {
    /// By the layers' places in the offer.
    sizes: Vec<Option<Size>>,
    first: Option<Instant>,
    /// By the layers' places; empty before it is known. `None` for the smallest of four.
    qualities: Vec<Option<Quality>>,
    /// As told.
    told: Vec<Layer>,
}

impl Layers {
    /// For so many layers, one at least.
    pub fn new(count: usize) -> Self {
        let sizes = vec![None; count.clamp(1, MOST)];
        Self { sizes, first: None, qualities: Vec::new(), told: Vec::new() }
    }

    /// A key picture of a layer came, of this size. Sizes of nothing are ignored.
    pub fn sized(&mut self, now: Instant, layer: usize, size: Size) {
        let Some(slot) = self.sizes.get_mut(layer).filter(|_| size.0 > 0 && size.1 > 0) else { return };
        *slot = Some(size);
        self.first.get_or_insert(now);
    }

    /// The layers, lowest first, once they are known, and again when a size has changed.
    pub fn news(&mut self, now: Instant) -> Option<Vec<Layer>> {
        let first = self.first?;
        if self.qualities.is_empty() {
            if self.sizes.contains(&None) && now.saturating_duration_since(first) < PATIENCE {
                return None;
            }
            self.qualities = self.rank();
        }
        let layers = self.layers();
        if layers == self.told {
            return None;
        }
        self.told.clone_from(&layers);
        Some(layers)
    }

    /// When [`Layers::news`] has something to say without anything new.
    pub fn deadline(&self) -> Option<Instant> {
        self.first.filter(|_| self.qualities.is_empty()).map(|first| first + PATIENCE)
    }

    /// What a layer is; `None` before it is known, and for one too many.
    pub fn quality(&self, layer: usize) -> Option<Quality> {
        self.qualities.get(layer).copied().flatten()
    }

    fn rank(&self) -> Vec<Option<Quality>> {
        let sizes = self.estimated();
        let mut places: Vec<usize> = (0..sizes.len()).collect();
        places.sort_by_key(|place| std::cmp::Reverse(area(sizes[*place])));
        let mut qualities = vec![None; sizes.len()];
        for (place, quality) in places.into_iter().zip(Quality::ALL.into_iter().rev()) {
            qualities[place] = Some(quality);
        }
        qualities
    }

    fn layers(&self) -> Vec<Layer> {
        let sizes = self.estimated();
        let known = self.qualities.iter().zip(sizes).filter_map(|(quality, size)| Some(((*quality)?, size)));
        let mut layers: Vec<Layer> = known.map(|(quality, size)| layer(quality, size)).collect();
        layers.sort_by_key(|layer| layer.quality);
        layers
    }

    /// Those that were not seen are taken to be half or twice as wide as the one beside them.
    fn estimated(&self) -> Vec<Size> {
        let seen = || self.sizes.iter().enumerate().filter_map(|(place, size)| Some((place, (*size)?)));
        let last = self.sizes.len() - 1;
        let rises = match (seen().next(), seen().next_back()) {
            (Some((one, small)), Some((other, large))) if one != other => area(small) <= area(large),
            // The smallest comes first: it stands at either end.
            (Some((place, _)), _) => place == 0 || place < last,
            _ => true,
        };
        let guess = |place: usize| {
            let nearest = seen().min_by_key(|(other, _)| other.abs_diff(place));
            let (other, (width, height)) = nearest.unwrap_or((place, (1, 1)));
            let steps = u32::try_from(other.abs_diff(place)).unwrap_or(0);
            let even = |side: u32| (side.max(2) / 2).saturating_mul(2);
            if (place > other) == rises {
                let scale = |side: u32| even(side.saturating_mul(1 << steps));
                (scale(width), scale(height))
            } else {
                let scale = |side: u32| even(side >> steps);
                (scale(width), scale(height))
            }
        };
        let size = |(place, size): (usize, &Option<Size>)| size.unwrap_or_else(|| guess(place));
        self.sizes.iter().enumerate().map(size).collect()
    }
}

fn area((width, height): Size) -> u64 {
    u64::from(width) * u64::from(height)
}

fn layer(quality: Quality, (width, height): Size) -> Layer {
    let bitrate_bps = (area((width, height)) as f64 * 30.0 * BITS_PER_PIXEL) as u32;
    Layer { quality, width, height, bitrate_bps }
}

/// How long bytes count.
const WINDOW: Duration = Duration::from_secs(1);

/// Another layer has to have so many times the bytes.
const BETTER: (u64, u64) = (5, 4);

/// All layers have had time to begin.
const BEGINNING: Duration = Duration::from_millis(2500);

/// Requests for a key picture of a better layer are so far apart.
const ASK_AGAIN: Duration = Duration::from_millis(500);

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
    use Quality::{High, Low, Medium};

    const MS: Duration = Duration::from_millis(1);

    fn found(layers: &[Layer]) -> Vec<(Quality, Size)> {
        layers.iter().map(|layer| (layer.quality, (layer.width, layer.height))).collect()
    }

    /// Sizes by place; what is found out at once, and a second later.
    fn find(sizes: &[Option<Size>]) -> [Option<Vec<(Quality, Size)>>; 2] {
        let (mut layers, now) = (Layers::new(sizes.len()), Instant::now());
        for (place, size) in sizes.iter().enumerate() {
            if let Some(size) = size {
                layers.sized(now, place, *size);
            }
        }
        let at_once = layers.news(now).map(|layers| found(&layers));
        [at_once, layers.news(now + PATIENCE).map(|layers| found(&layers))]
    }

    const S: Size = (320, 180);
    const M: Size = (640, 360);
    const L: Size = (1280, 720);

    #[test]
    fn sizes_tell_which_layer_is_which_in_any_order() {
        let all = Some(vec![(Low, S), (Medium, M), (High, L)]);
        for order in [[S, M, L], [L, M, S], [M, L, S]] {
            assert_eq!(find(&order.map(Some)), [all.clone(), None]);
        }
        assert_eq!(find(&[Some(L)]), [Some(vec![(High, L)]), None]);
        assert_eq!(find(&[Some(L), Some(S)]), [Some(vec![(Medium, S), (High, L)]), None]);
    }

    #[test]
    fn of_four_the_smallest_is_left_out() {
        let (mut layers, now) = (Layers::new(4), Instant::now());
        for (place, size) in [(160, 90), L, S, M].into_iter().enumerate() {
            layers.sized(now, place, size);
        }
        assert_eq!(found(&layers.news(now).unwrap()), [(Low, S), (Medium, M), (High, L)]);
        assert_eq!(
            [0, 1, 2, 3].map(|place| layers.quality(place)),
            [None, Some(High), Some(Low), Some(Medium)]
        );
    }

    #[test]
    fn layers_that_are_late_are_guessed_from_those_that_came() {
        let all = Some(vec![(Low, S), (Medium, M), (High, L)]);
        for seen in
            [[Some(S), None, None], [None, None, Some(S)], [Some(L), Some(M), None], [None, Some(M), Some(L)]]
        {
            assert_eq!(find(&seen), [None, all.clone()], "{seen:?}");
        }
    }

    #[test]
    fn a_size_may_change_but_not_what_a_layer_is() {
        let (mut layers, now) = (Layers::new(2), Instant::now());
        layers.sized(now, 0, S);
        assert_eq!(
            (layers.news(now), layers.deadline(), layers.quality(0)),
            (None, Some(now + PATIENCE), None)
        );
        layers.sized(now, 1, M);
        assert_eq!(found(&layers.news(now).unwrap()), [(Medium, S), (High, M)]);
        assert_eq!((layers.news(now), layers.deadline()), (None, None));
        layers.sized(now, 0, (0, 5));
        layers.sized(now, 7, L);
        assert_eq!(layers.news(now), None);
        layers.sized(now, 0, L);
        assert_eq!(found(&layers.news(now).unwrap()), [(Medium, L), (High, M)]);
        assert_eq!(layers.quality(0), Some(Medium));
    }

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
        assert!(best.takes(now, 0, 100, true) && best.takes(now, 0, 100, false));
        assert_eq!(best.wants(now), None);
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
