use std::time::{Duration, Instant};

use media::MediaTime;

/// Two distances between key pictures that differ by more than this part of the longer one foretell nothing: an encoder
/// that also makes key pictures where the scene changes.
const REGULAR: u32 = 10;

/// When the source's key pictures come.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    last: Option<(MediaTime, Instant)>,
    /// The last two distances, newest first.
    intervals: [Option<Duration>; 2],
}

impl Keys {
    pub(crate) fn note(&mut self, now: Instant, pts: MediaTime) {
        if let Some((last, _)) = self.last {
            self.intervals = [Some(pts.duration_since(last)), self.intervals[0]];
        }
        self.last = Some((pts, now));
    }

    pub(crate) fn age(&self, now: Instant) -> Option<Duration> {
        self.last.map(|(_, came)| now.saturating_duration_since(came))
    }

    /// How long until the next one; `None` when that is not known, or it is overdue.
    pub(crate) fn next(&self, now: Instant) -> Option<Duration> {
        let (age, [Some(newer), Some(older)]) = (self.age(now)?, self.intervals) else { return None };
        let regular = newer.abs_diff(older) * REGULAR <= newer.max(older);
        newer.checked_sub(age).filter(|_| regular)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(millis: &[u64]) -> (Keys, Instant) {
        let (mut keys, start) = (Keys::default(), Instant::now());
        for &ms in millis {
            keys.note(start + Duration::from_millis(ms + 5), MediaTime::from_millis(ms as i64));
        }
        (keys, start)
    }

    #[test]
    fn regular_key_pictures_foretell_the_next_one() {
        let (keys, start) = keys(&[0, 2000, 4033]);
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(keys.next(at(5038)), Some(Duration::from_millis(1033)));
        assert_eq!(keys.age(at(5038)), Some(Duration::from_millis(1000)));
        assert_eq!(keys.next(at(6072)), None, "overdue");
    }

    #[test]
    fn irregular_or_too_few_ones_foretell_nothing() {
        for millis in [&[0, 2000][..], &[0, 2000, 3000], &[]] {
            let (keys, start) = keys(millis);
            assert_eq!(keys.next(start + Duration::from_millis(3100)), None, "{millis:?}");
        }
    }
}
