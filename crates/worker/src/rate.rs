use std::collections::VecDeque;

/// Frames that a measurement looks at: two seconds of a usual source.
const WINDOW: usize = 61;

/// Rates that a picture can have, in frames per 1 000 s: what lies outside is a broken clock.
const PLAUSIBLE: std::ops::RangeInclusive<u32> = 1_000..=240_000;

/// A measured rate that differs by less than 15 % changes nothing: rate control bears that, a refit costs a keyframe.
const TOLERANCE_PERCENT: u32 = 15;

/// The frame rate of a source: what its caps say if that is plausible, until the timestamps say otherwise. Encoders and
/// broadcasters do write wrong rates, or none.
#[derive(Debug)]
pub(crate) struct Measure {
    fps_milli: u32,
    times: VecDeque<u64>,
}

impl Measure {
    /// Starts with `declared`, or with `fallback` when that is no plausible rate.
    pub(crate) fn new(declared: u32, fallback: u32) -> Self {
        let fps_milli = if PLAUSIBLE.contains(&declared) { declared } else { fallback };
        Self { fps_milli, times: VecDeque::with_capacity(WINDOW) }
    }

    /// What is believed now.
    pub(crate) fn fps_milli(&self) -> u32 {
        self.fps_milli
    }

    /// Notes a frame at `nanos`; true when the rate turns out to be another. The median is taken: frames lost on the
    /// way widen a few intervals, not most.
    pub(crate) fn note(&mut self, nanos: u64) -> bool {
        self.times.push_back(nanos);
        if self.times.len() < WINDOW {
            return false;
        }
        let times: Vec<u64> = self.times.drain(..).collect();
        // Four frames apart: milliseconds of rounding weigh a quarter.
        let mut spans: Vec<u64> = times.windows(5).map(|w| w[4].saturating_sub(w[0])).collect();
        spans.sort_unstable();
        let median = spans[spans.len() / 2].max(1);
        let measured = u32::try_from(4_000_000_000_000 / median).unwrap_or(u32::MAX);
        let differs = measured.abs_diff(self.fps_milli) > self.fps_milli / 100 * TOLERANCE_PERCENT;
        if !PLAUSIBLE.contains(&measured) || !differs {
            return false;
        }
        self.fps_milli = measured;
        true
    }
}

/// Lets at most so many frames a second pass, evenly, without touching their timestamps. (`videorate` rewrites them, or
/// with `average-period` drops single frames of a source that is a little uneven.)
#[derive(Debug)]
pub(crate) struct Limit {
    interval: u64,
    due: u64,
}

impl Limit {
    pub(crate) fn new(max_fps_milli: u32) -> Self {
        Self { interval: 1_000_000_000_000 / u64::from(max_fps_milli.max(1)), due: 0 }
    }

    /// Whether the frame at `nanos` passes. A frame may be early by 0.4 of an interval, so that uneven timestamps of a
    /// source at just the limit lose nothing; the mean stays at the limit all the same.
    pub(crate) fn passes(&mut self, nanos: u64) -> bool {
        if nanos.saturating_add(self.interval * 2 / 5) < self.due && self.due - nanos < self.interval * 3 {
            return false;
        }
        // After a gap nothing is caught up, and after a jump back everything starts anew.
        let on_time = self.due.abs_diff(nanos) <= self.interval;
        self.due = if on_time { self.due } else { nanos } + self.interval;
        true
    }
}

/// Frames that [`Halve`] remembers: more than there can be between the decoder and an encoder.
const MAX_LEFT_OUT: usize = 64;

/// Leaves out every second frame of one layer. It is decided as a frame comes, and asked for when its scaled copy does.
#[derive(Debug, Default)]
pub(crate) struct Halve {
    pub(crate) on: bool,
    turn: bool,
    left_out: VecDeque<u64>,
}

impl Halve {
    /// Notes the frame at `nanos`.
    pub(crate) fn note(&mut self, nanos: u64) {
        self.turn = self.on && !self.turn;
        if self.on && !self.turn {
            if self.left_out.len() >= MAX_LEFT_OUT {
                self.left_out.pop_front();
            }
            self.left_out.push_back(nanos);
        }
    }

    /// Whether the frame at `nanos` is left out.
    pub(crate) fn leaves_out(&self, nanos: u64) -> bool {
        self.on && self.left_out.contains(&nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(source_fps: u64, limit_fps_milli: u32, jitter: impl Fn(u64) -> u64) -> u64 {
        let mut limit = Limit::new(limit_fps_milli);
        let at = |n: u64| 7_000_000_000 + n * 1_000_000_000 / source_fps / 1_000_000 * 1_000_000 + jitter(n);
        (0..source_fps * 10).filter(|&n| limit.passes(at(n))).count() as u64
    }

    #[test]
    fn slower_sources_keep_every_frame_and_faster_ones_are_thinned_to_the_limit() {
        let even = |_| 0;
        assert_eq!(passed(15, 30_000, even), 150);
        assert_eq!(passed(30, 30_000, even), 300);
        assert!((299..=305).contains(&passed(60, 30_000, even)), "{}", passed(60, 30_000, even));
        assert!((299..=305).contains(&passed(50, 30_000, even)), "{}", passed(50, 30_000, even));
        assert!((249..=256).contains(&passed(30, 25_000, even)), "{}", passed(30, 25_000, even));
    }

    #[test]
    fn jitter_at_the_limit_loses_nothing() {
        assert_eq!(passed(30, 30_000, |n| n * 7919 % 10 * 1_000_000), 300);
    }

    #[test]
    fn every_second_frame_is_left_out_while_it_is_asked_for() {
        let mut halve = Halve::default();
        let mut left_out = |on, times: std::ops::Range<u64>| {
            halve.on = on;
            times
                .filter(|&time| {
                    halve.note(time);
                    halve.leaves_out(time)
                })
                .collect::<Vec<u64>>()
        };
        assert_eq!(left_out(false, 0..5), [0; 0]);
        assert_eq!(left_out(true, 5..11), [6, 8, 10]);
        assert_eq!(left_out(false, 11..15), [0; 0]);
        assert_eq!(left_out(true, 15..18), [16]);
        assert_eq!(left_out(true, 18..300).len(), 141);
        assert!(halve.left_out.len() <= MAX_LEFT_OUT);
    }

    #[test]
    fn a_gap_is_not_caught_up_and_a_jump_back_starts_anew() {
        let mut limit = Limit::new(10_000);
        let second = 1_000_000_000;
        assert!(limit.passes(second) && limit.passes(9 * second));
        assert!(!limit.passes(9 * second + second / 100), "no burst after a gap");
        assert!(limit.passes(2 * second));
    }

    #[test]
    fn timestamps_win_over_a_wrong_or_missing_rate_and_lost_frames_do_not_matter() {
        let note = |measure: &mut Measure, step: u64, lost: u64| {
            (0..200_u64).filter(|n| lost == 0 || n % lost != 0).any(|n| measure.note(n * step * 1_000_000))
        };
        let mut wrong = Measure::new(60_000, 30_000);
        assert!(note(&mut wrong, 40, 0));
        assert_eq!(wrong.fps_milli(), 25_000);
        let mut missing = Measure::new(0, 30_000);
        assert_eq!(missing.fps_milli(), 30_000);
        assert!(!note(&mut missing, 33, 11));
        assert_eq!(missing.fps_milli(), 30_000);
        assert!(!note(&mut missing, 0, 0), "a stuck clock is not believed");
    }
}
