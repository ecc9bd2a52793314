use std::{collections::VecDeque, time::Duration};

use media::MediaTime;

/// The frame rate is that of the last two seconds, once there is one.
const RATE_WINDOW: Duration = Duration::from_secs(2);
const RATE_LEAST: Duration = Duration::from_secs(1);

/// Pictures that are looked at: two seconds of 240 per second. More of them are just as much too many.
const RATE_PICTURES: usize = 480;

/// The bitrate is that of whole groups of pictures, two seconds of them at least: key pictures are large.
const BITRATE_LEAST: Duration = Duration::from_secs(2);

/// How fast pictures come, by their own clock.
#[derive(Debug, Default)]
pub(super) struct Rate {
    times: VecDeque<MediaTime>,
}

impl Rate {
    pub(super) fn note(&mut self, dts: MediaTime) {
        self.times.push_back(dts);
        let is_old = |first: &MediaTime| dts.duration_since(*first) > RATE_WINDOW;
        while self.times.len() > RATE_PICTURES || self.times.front().is_some_and(is_old) {
            self.times.pop_front();
        }
    }

    /// Frames per 1 000 s.
    pub(super) fn fps_milli(&self) -> Option<u32> {
        let span = self.times.back()?.duration_since(*self.times.front()?);
        if span < RATE_LEAST && self.times.len() < RATE_PICTURES {
            return None;
        }
        let steps = self.times.len() as u128 - 1;
        Some(u32::try_from(steps * 1_000_000_000_000 / span.as_nanos().max(1)).unwrap_or(u32::MAX))
    }
}

/// How large whole groups of pictures are.
#[derive(Debug, Default)]
pub(super) struct Bitrate {
    groups: VecDeque<(u64, Duration)>,
}

impl Bitrate {
    pub(super) fn note(&mut self, bytes: u64, span: Duration) {
        self.groups.push_back((bytes, span));
        while self.groups.front().is_some_and(|(_, first)| self.span() - *first >= BITRATE_LEAST) {
            self.groups.pop_front();
        }
    }

    fn span(&self) -> Duration {
        self.groups.iter().map(|(_, span)| *span).sum()
    }

    /// Bit/s.
    pub(super) fn bps(&self) -> Option<u64> {
        let span = self.span();
        let bytes: u64 = self.groups.iter().map(|(bytes, _)| bytes).sum();
        let bps = u128::from(bytes) * 8_000_000_000 / span.as_nanos().max(1);
        (span >= BITRATE_LEAST).then(|| u64::try_from(bps).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_takes_a_second_to_know_and_two_to_forget() {
        let mut rate = Rate::default();
        let mut note = |from: i64, to: i64, step: usize| {
            (from..to).step_by(step).for_each(|ms| rate.note(MediaTime::from_millis(ms)));
            rate.fps_milli()
        };
        assert_eq!(note(0, 1000, 40), None);
        assert_eq!(note(1000, 1001, 40), Some(25_000));
        assert_eq!(note(1020, 3001, 20), Some(50_000));
    }

    #[test]
    fn a_clock_that_stands_still_is_too_fast() {
        let mut rate = Rate::default();
        (0..RATE_PICTURES).for_each(|_| rate.note(MediaTime::ZERO));
        assert_eq!(rate.fps_milli(), Some(u32::MAX));
    }

    #[test]
    fn a_bitrate_is_that_of_the_fewest_whole_groups_that_make_two_seconds() {
        let mut bitrate = Bitrate::default();
        let mut note = |bytes, ms| {
            bitrate.note(bytes, Duration::from_millis(ms));
            bitrate.bps()
        };
        assert_eq!(note(1_000_000, 1000), None);
        assert_eq!(note(500_000, 1000), Some(6_000_000));
        assert_eq!(note(500_000, 1000), Some(4_000_000));
        assert_eq!(note(500_000, 4000), Some(1_000_000));
    }
}
