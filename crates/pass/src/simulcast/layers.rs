use std::time::{Duration, Instant};

use media::{Layer, Quality};

use super::{ASK_AGAIN, MOST, Size};

/// How long after the first layer's size the others' are waited for. Browsers begin with the smallest and add the others as
/// they find out what the network carries.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bits for each pixel at 30 pictures a second: what a layer is taken to need while nothing is known but its size. LiveKit's presets lie around it.
const BITS_PER_PIXEL: f64 = 0.07;

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
    /// By the layers' places: when a key picture was asked for, at first when a packet came.
    asked: Vec<Option<Instant>>,
}

impl Layers {
    /// For so many layers, one at least.
    pub fn new(count: usize) -> Self {
        let count = count.clamp(1, MOST);
        let (sizes, asked) = (vec![None; count], vec![None; count]);
        Self { sizes, first: None, qualities: Vec::new(), told: Vec::new(), asked }
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

    /// A packet without a size came. True when the layer should be asked for a key picture: its size is not known yet, because
    /// its first one, or the packet with its size, was lost. Twice a second at most.
    pub fn unsized_packet(&mut self, now: Instant, layer: usize) -> bool {
        let (Some(None), Some(asked)) = (self.sizes.get(layer), self.asked.get_mut(layer)) else {
            return false;
        };
        let last = *asked.get_or_insert(now);
        let due = now.saturating_duration_since(last) >= ASK_AGAIN;
        if due {
            *asked = Some(now);
        }
        due
    }

    /// The layers that have a quality, by their places.
    pub fn places(&self) -> impl Iterator<Item = (usize, Quality)> {
        self.qualities.iter().enumerate().filter_map(|(place, quality)| Some((place, (*quality)?)))
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
        assert_eq!((layers.news(now), layers.quality(0)), (None, None));
        layers.sized(now, 1, M);
        assert_eq!(found(&layers.news(now).unwrap()), [(Medium, S), (High, M)]);
        assert_eq!(layers.news(now), None);
        layers.sized(now, 0, (0, 5));
        layers.sized(now, 7, L);
        assert_eq!(layers.news(now), None);
        layers.sized(now, 0, L);
        assert_eq!(found(&layers.news(now).unwrap()), [(Medium, L), (High, M)]);
        assert_eq!(layers.quality(0), Some(Medium));
    }

    #[test]
    fn a_layer_is_asked_for_a_key_picture_until_its_size_is_known() {
        let (mut layers, now) = (Layers::new(2), Instant::now());
        let mut asked = |at: u32| layers.unsized_packet(now + at * MS, 1);
        assert_eq!([0, 499, 500, 600, 999, 1000].map(&mut asked), [false, false, true, false, false, true]);
        layers.sized(now, 1, L);
        assert!(!layers.unsized_packet(now + 9000 * MS, 1), "it is known");
        assert!(
            !layers.unsized_packet(now, 0) && layers.unsized_packet(now + 500 * MS, 0),
            "each for itself"
        );
        assert!(!layers.unsized_packet(now, 7) && !layers.unsized_packet(now + 500 * MS, 7), "no such layer");
    }
}
