use std::time::{Duration, Instant};

use media::MediaTime;

/// Past this lag the anchor moves: a source whose clock stood still or jumped back by more will not catch up.
const LAG_LIMIT: Duration = Duration::from_secs(10);

/// When on our clock the media clock was zero: one answer for sound and picture, so that the sender reports
/// (RFC 3550 section 6.4.1) of both tracks name the same instant for the same pts, which is what keeps lips in sync.
///
/// The anchor is set by the frame that came soonest after its capture, so that no frame is ever captured in the future (a
/// report for the future says RTP time 0). It outlives a peer connection: a rejoined participant keeps it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Epoch {
    /// An instant, and the pts in nanoseconds that belongs to it.
    anchor: Option<(Instant, i64)>,
}

impl Epoch {
    /// The capture time of a frame that is here at `now`; never after `now`. Moves the anchor when the frame proves it wrong.
    pub fn wallclock(&mut self, now: Instant, pts: MediaTime) -> Instant {
        let pts = pts.nanos();
        let captured = self.anchor.and_then(|(at, anchor)| shift(at, pts.saturating_sub(anchor)));
        match captured {
            Some(captured) if captured <= now && now.duration_since(captured) <= LAG_LIMIT => captured,
            _ => {
                self.anchor = Some((now, pts));
                now
            }
        }
    }
}

/// `nanos` after `at`, or before it when negative.
pub(super) fn shift(at: Instant, nanos: i64) -> Option<Instant> {
    let by = Duration::from_nanos(nanos.unsigned_abs());
    if nanos < 0 { at.checked_sub(by) } else { at.checked_add(by) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn sound_and_picture_of_one_pts_are_captured_at_one_instant() {
        let start = Instant::now();
        let mut epoch = Epoch::default();
        epoch.wallclock(start, MediaTime::ZERO);
        let picture = epoch.wallclock(start + 80 * MS, MediaTime::from_90khz(40 * 90));
        let sound = epoch.wallclock(start + 45 * MS, MediaTime::from_millis(40));
        assert_eq!(picture, sound);
        assert_eq!(picture, start + 40 * MS);
    }

    #[test]
    fn a_pause_does_not_move_the_anchor() {
        let start = Instant::now();
        let mut epoch = Epoch::default();
        epoch.wallclock(start, MediaTime::ZERO);
        let resumed = epoch.wallclock(start + 60_020 * MS, MediaTime::from_millis(60_000));
        assert_eq!(resumed, start + 60_000 * MS);
    }

    #[test]
    fn a_source_clock_that_ran_ahead_pulls_the_anchor() {
        let start = Instant::now();
        let mut epoch = Epoch::default();
        epoch.wallclock(start, MediaTime::ZERO);
        assert_eq!(epoch.wallclock(start + 10 * MS, MediaTime::from_millis(30)), start + 10 * MS);
        assert_eq!(epoch.wallclock(start + 21 * MS, MediaTime::from_millis(40)), start + 20 * MS);
    }

    #[test]
    fn a_source_clock_that_fell_far_behind_is_anchored_anew() {
        let start = Instant::now();
        let mut epoch = Epoch::default();
        epoch.wallclock(start, MediaTime::from_millis(3_600_000));
        let now = start + 20 * MS;
        assert_eq!(epoch.wallclock(now, MediaTime::ZERO), now);
    }

    proptest! {
        #[test]
        fn no_frame_is_captured_in_the_future_or_long_ago(
            frames in proptest::collection::vec((0_u64..5_000, any::<i64>()), 1..50),
        ) {
            let mut now = Instant::now();
            let mut epoch = Epoch::default();
            for (wait, pts) in frames {
                now += Duration::from_millis(wait);
                let captured = epoch.wallclock(now, MediaTime::from_millis(pts));
                prop_assert!(captured <= now && now - captured <= LAG_LIMIT);
            }
        }

        #[test]
        fn once_settled_the_mapping_is_exact(delays in proptest::collection::vec(0_u64..500, 1..50)) {
            let start = Instant::now();
            let mut epoch = Epoch::default();
            epoch.wallclock(start, MediaTime::ZERO);
            for (i, delay) in delays.into_iter().enumerate() {
                let pts = 33 * i as u64;
                let now = start + Duration::from_millis(pts + delay);
                let captured = epoch.wallclock(now, MediaTime::from_millis(pts as i64));
                prop_assert_eq!(captured, start + Duration::from_millis(pts));
            }
        }
    }
}
