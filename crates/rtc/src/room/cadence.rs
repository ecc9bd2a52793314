use std::time::{Duration, Instant};

use media::MediaTime;

use super::epoch::shift;

/// What a source's bursts may be spread over. Encoders write sound together with the next picture, so it comes in bursts of one
/// picture's time: 33 or 40 ms. Sound that comes later than this leaves at once.
const SPREAD_LIMIT: Duration = Duration::from_millis(60);

/// Earliest and latest arrivals are those of this time and of as much before it.
const WINDOW: Duration = Duration::from_secs(2);

/// A source whose sound has stopped for this long has none.
const SILENCE: Duration = Duration::from_secs(1);

/// When sound leaves, so that it leaves as evenly as it was made.
///
/// A receiver's jitter buffer must hold as much as the worst burst, and one packet more; the same hold on our side costs no
/// more, is the same for every receiver, and lets their buffers shrink to one packet: sound comes out sooner and without
/// stretching.
#[derive(Debug, Default)]
pub struct Cadence {
    now: Option<Extremes>,
    before: Option<Extremes>,
    last: Option<Instant>,
}

/// The zero of the media clock as the earliest and the latest packet of a window saw it.
#[derive(Debug, Clone, Copy)]
struct Extremes {
    since: Instant,
    last: Instant,
    early: Instant,
    late: Instant,
}

impl Cadence {
    /// When the packet `pts` that came at `now` is to leave: not before `now`, never before the one before it, and at
    /// most 60 ms later.
    pub fn due(&mut self, now: Instant, pts: MediaTime) -> Instant {
        let Some(zero) = zero(now, pts) else { return now };
        self.note(now, zero);
        let (early, spread) = self.extent(zero);
        let held = spread.saturating_sub(zero.duration_since(early));
        let due = self.last.map_or(now + held, |last| (now + held).max(last)).min(now + SPREAD_LIMIT);
        self.last = Some(due);
        due
    }

    /// When sound of this time leaves, or left; `None` while there is no sound.
    pub fn leaves(&self, now: Instant, pts: MediaTime) -> Option<Instant> {
        let window = self.now.filter(|window| now.saturating_duration_since(window.last) < SILENCE)?;
        let (early, spread) = self.extent(window.early);
        shift(early + spread, pts.nanos())
    }

    /// The earliest zero, and how much later others may be that are waited for.
    fn extent(&self, zero: Instant) -> (Instant, Duration) {
        let windows = [self.now, self.before].into_iter().flatten();
        let (early, late) =
            windows.fold((zero, zero), |(early, late), x| (early.min(x.early), late.max(x.late)));
        (early, late.duration_since(early).min(SPREAD_LIMIT))
    }

    fn note(&mut self, now: Instant, zero: Instant) {
        match &mut self.now {
            Some(window) if now.saturating_duration_since(window.since) < WINDOW => {
                window.last = now;
                window.early = window.early.min(zero);
                window.late = window.late.max(zero);
            }
            window => {
                self.before = window.replace(Extremes { since: now, last: now, early: zero, late: zero });
            }
        }
    }
}

fn zero(now: Instant, pts: MediaTime) -> Option<Instant> {
    shift(now, pts.nanos().saturating_neg())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    /// The largest and the smallest step between departures of packets of 20 ms that arrive at `arrivals` (ms), once the
    /// cadence has seen a second.
    fn steps(arrivals: impl Iterator<Item = u64>) -> (Duration, Duration) {
        let start = Instant::now() + 3600 * 1000 * MS;
        let mut cadence = Cadence::default();
        let due: Vec<_> = (0..)
            .zip(arrivals)
            .map(|(i, at)| {
                let now = start + u32::try_from(at).unwrap() * MS;
                let due = cadence.due(now, MediaTime::from_millis(i * 20));
                assert!(due >= now && due <= now + SPREAD_LIMIT);
                due
            })
            .collect();
        let steps: Vec<_> = due.windows(2).skip(50).map(|pair| pair[1].duration_since(pair[0])).collect();
        (*steps.iter().max().unwrap(), *steps.iter().min().unwrap())
    }

    #[test]
    fn sound_that_comes_with_each_picture_leaves_evenly() {
        let with_pictures = (0..1000_u64).map(|i| (i * 20).div_ceil(40) * 40);
        assert_eq!(steps(with_pictures), (20 * MS, 20 * MS));
    }

    #[test]
    fn even_sound_is_not_held() {
        let start = Instant::now() + 3600 * 1000 * MS;
        let mut cadence = Cadence::default();
        for i in 0..500 {
            let now = start + i * 20 * MS;
            assert_eq!(cadence.due(now, MediaTime::from_millis(i64::from(i) * 20)), now);
        }
    }

    #[test]
    fn a_stall_is_forgotten_after_two_windows() {
        let stall = |i: u64| if (100..150).contains(&i) { 3000 } else { i * 20 };
        let start = Instant::now() + 3600 * 1000 * MS;
        let mut cadence = Cadence::default();
        let mut held = Duration::ZERO;
        for i in 0..500_u64 {
            let now = start + u32::try_from(stall(i)).unwrap() * MS;
            held = cadence.due(now, MediaTime::from_millis(i as i64 * 20)).duration_since(now);
        }
        assert_eq!(held, Duration::ZERO);
    }

    proptest! {
        #[test]
        fn departures_keep_their_order_and_the_limit(
            packets in prop::collection::vec((0_u32..2000, -10_000_i64..10_000), 1..200)
        ) {
            let mut now = Instant::now() + 3600 * 1000 * MS;
            let (mut cadence, mut last) = (Cadence::default(), now);
            for (step, pts) in packets {
                now += step * MS;
                let due = cadence.due(now, MediaTime::from_millis(pts));
                prop_assert!(due >= now && due <= now + SPREAD_LIMIT && due >= last);
                last = due;
            }
        }
    }
}
