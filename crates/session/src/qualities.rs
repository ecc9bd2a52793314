use std::fmt;

use media::Quality;

/// A set of [`Quality`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Qualities(u8);

impl Qualities {
    /// No layer.
    pub const NONE: Qualities = Qualities(0);
    /// Every layer that LiveKit has a name for.
    pub const ALL: Qualities = Qualities(0b111);

    /// True when `quality` is a member.
    pub fn contains(self, quality: Quality) -> bool {
        self.0 & (1 << quality.number()) != 0
    }

    /// True when nothing is.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Members of `self` that are not in `other`.
    pub fn without(self, other: Qualities) -> Qualities {
        Qualities(self.0 & !other.0)
    }

    /// The members, lowest first.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = Quality> {
        Quality::ALL.into_iter().filter(move |quality| self.contains(*quality))
    }
}

impl FromIterator<Quality> for Qualities {
    fn from_iter<I: IntoIterator<Item = Quality>>(qualities: I) -> Self {
        Qualities(qualities.into_iter().fold(0, |bits, quality| bits | 1 << quality.number()))
    }
}

impl fmt::Debug for Qualities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in_lowest_first() {
        let set: Qualities = [Quality::High, Quality::Low, Quality::High].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [Quality::Low, Quality::High]);
        assert_eq!(Qualities::ALL.without(set).iter().collect::<Vec<_>>(), [Quality::Medium]);
        assert!(set.without(Qualities::ALL).is_empty());
    }
}
