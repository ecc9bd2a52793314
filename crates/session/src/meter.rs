use std::time::{Duration, Instant};

/// A bitrate is measured over this long: a GOP of most encoders, so that keyframes don't make it jump.
const WINDOW: Duration = Duration::from_secs(2);

/// How much of the average a new window is worth: about ten seconds are remembered.
const WEIGHT: f64 = 0.2;

/// The average bitrate of one kind of media.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    since: Option<Instant>,
    bytes: u64,
    average_bps: Option<f64>,
}

impl Meter {
    pub(crate) fn add(&mut self, now: Instant, bytes: u64) {
        let Some(since) = self.since else {
            // What came before the first input is of an unknown time.
            self.since = Some(now);
            return;
        };
        self.bytes = self.bytes.saturating_add(bytes);
        let elapsed = now.duration_since(since);
        if elapsed < WINDOW {
            return;
        }
        let bps = self.bytes as f64 * 8.0 / elapsed.as_secs_f64();
        self.average_bps = Some(self.average_bps.map_or(bps, |average| average + WEIGHT * (bps - average)));
        (self.since, self.bytes) = (Some(now), 0);
    }

    /// bit/s; 0 = not known yet.
    pub(crate) fn average_bps(&self) -> u32 {
        // `as` saturates.
        self.average_bps.unwrap_or(0.0).round() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_has_its_bitrate_after_one_window() {
        let (start, mut meter) = (Instant::now(), Meter::default());
        for step in 0..=10 {
            assert_eq!(meter.average_bps(), 0, "at step {step}");
            meter.add(start + step * Duration::from_millis(200), 50_000);
        }
        assert_eq!(meter.average_bps(), 2_000_000);
    }

    #[test]
    fn one_odd_window_moves_the_average_by_a_fifth() {
        let (start, mut meter) = (Instant::now(), Meter::default());
        for (second, bytes) in [(0, 0), (2, 250_000), (4, 500_000)] {
            meter.add(start + Duration::from_secs(second), bytes);
        }
        assert_eq!(meter.average_bps(), 1_200_000);
    }
}
