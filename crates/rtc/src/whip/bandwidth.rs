//! The bandwidth that a publisher is told which understands REMB only (draft-alvestrand-rmcat-remb-03): older encoders, and aiortc.
//!
//! A simple estimate, by loss alone (draft-ietf-rmcat-gcc-02 section 6): a path that fills its queues before it loses something is
//! found out late. Publishers with transport-wide feedback estimate for themselves and are told nothing.

use std::{
    collections::VecDeque,
    ops::Range,
    time::{Duration, Instant},
};

/// As often as browsers say it.
const EVERY: Duration = Duration::from_secs(1);

/// Bits per second at first, and the least and the most that anybody is told: a small picture, and more than encoders send.
const START: u64 = 1_000_000;
const LEAST: u64 = 150_000;
const MOST: u64 = 20_000_000;

/// Above so many lost of 1000 the publisher should send less, below so many it may send more.
const MUCH_LOSS: u64 = 100;
const LITTLE_LOSS: u64 = 20;

/// Gaps of a stream that may yet be filled by packets that were overtaken; past it the oldest counts as lost.
const MAX_GAPS: usize = 64;

/// What came since the last word, of all layers, and what was said.
#[derive(Debug, Default)]
pub(super) struct Bandwidth {
    since: Option<Instant>,
    bytes: u64,
    expected: u64,
    missed: u64,
    told: Option<u64>,
}

/// Where one stream's numbers have gaps.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    next: Option<u64>,
    open: VecDeque<(Range<u64>, Instant)>,
}

impl Bandwidth {
    /// A packet came. One that fills a gap within `round_trip` was overtaken; later it is a resent one, and was lost before.
    pub(super) fn note(
        &mut self,
        now: Instant,
        gaps: &mut Gaps,
        sequence: u64,
        bytes: usize,
        round_trip: Duration,
    ) {
        self.since.get_or_insert(now);
        self.bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
        let next = *gaps.next.get_or_insert(sequence);
        if sequence < next {
            let overtaken = |(range, opened): &(Range<u64>, Instant)| {
                range.contains(&sequence) && now.saturating_duration_since(*opened) < round_trip
            };
            if gaps.open.iter().any(overtaken) {
                self.missed = self.missed.saturating_sub(1);
            }
            return;
        }
        self.expected += sequence - next + 1;
        self.missed += sequence - next;
        if sequence > next {
            if gaps.open.len() >= MAX_GAPS {
                gaps.open.pop_front();
            }
            gaps.open.push_back((next..sequence, now));
        }
        gaps.next = Some(sequence + 1);
    }

    /// When [`Bandwidth::tell`] has something to say; `None` while nothing comes.
    pub(super) fn due(&self) -> Option<Instant> {
        Some(self.since? + EVERY)
    }

    /// Bits per second for all layers together, each second.
    pub(super) fn tell(&mut self, now: Instant) -> Option<u64> {
        let since = self.since.filter(|since| now >= *since + EVERY)?;
        let millis = u64::try_from((now - since).as_millis()).unwrap_or(u64::MAX).max(1);
        let came = self.bytes.saturating_mul(8000) / millis;
        let lost = self.missed.saturating_mul(1000) / self.expected.max(1);
        // What is not used is not known to be there.
        let tried = came.saturating_mul(3) / 2;
        let before = self.told.unwrap_or_else(|| tried.max(START));
        let estimate = match lost {
            _ if lost > MUCH_LOSS => before.min(tried) * (1000 - lost.min(1000) / 2) / 1000,
            _ if lost >= LITTLE_LOSS => before,
            _ => before.max(tried.min(before.max(came) * 108 / 100)),
        };
        let told = estimate.clamp(LEAST, MOST);
        *self = Self { told: Some(told), ..Self::default() };
        Some(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const ROUND_TRIP: Duration = Duration::from_millis(50);

    /// A second of 100 packets, those left out that `lost` says, and what is told then.
    fn second(
        bandwidth: &mut Bandwidth,
        now: &mut Instant,
        first: u64,
        bits: u64,
        lost: fn(u64) -> bool,
    ) -> u64 {
        let mut gaps = Gaps::default();
        for number in 0..100 {
            if !lost(number) {
                let bytes = usize::try_from(bits / 800).unwrap_or(0);
                bandwidth.note(*now, &mut gaps, first + number, bytes, ROUND_TRIP);
            }
            *now += 10 * MS;
        }
        assert_eq!(bandwidth.due(), Some(*now));
        bandwidth.tell(*now).unwrap_or(0)
    }

    fn none(_: u64) -> bool {
        false
    }

    #[test]
    fn without_loss_it_grows_to_half_as_much_again_as_comes_and_never_falls() {
        let (mut bandwidth, mut now) = (Bandwidth::default(), Instant::now());
        assert_eq!(second(&mut bandwidth, &mut now, 0, 400_000, none), START);
        assert_eq!(second(&mut bandwidth, &mut now, 0, 800_000, none), 1_080_000);
        assert_eq!(second(&mut bandwidth, &mut now, 0, 800_000, none), 1_166_400);
        assert_eq!(second(&mut bandwidth, &mut now, 0, 800_000, none), 1_200_000, "half as much again");
        assert_eq!(second(&mut bandwidth, &mut now, 0, 40_000, none), 1_200_000, "a still picture");
        assert_eq!(second(&mut bandwidth, &mut now, 0, 4_000_000, none), 4_320_000, "who does not listen");
    }

    #[test]
    fn much_loss_lowers_it_and_some_holds_it() {
        let (mut bandwidth, mut now) = (Bandwidth::default(), Instant::now());
        assert_eq!(second(&mut bandwidth, &mut now, 0, 4_000_000, none), 6_000_000);
        assert_eq!(second(&mut bandwidth, &mut now, 0, 4_000_000, |n| n % 20 == 7), 6_000_000);
        let lowered = second(&mut bandwidth, &mut now, 0, 4_000_000, |n| n % 5 == 2);
        assert!((4_200_000..4_400_000).contains(&lowered), "{lowered}: of 1.5 x 3.2 Mbit/s a tenth less");
        for _ in 0..100 {
            second(&mut bandwidth, &mut now, 0, 4_000, |n| n % 2 == 1);
        }
        assert_eq!(second(&mut bandwidth, &mut now, 0, 4_000, |n| n % 2 == 1), LEAST);
        assert_eq!(second(&mut bandwidth, &mut now, 0, 400_000_000, none), MOST);
    }

    #[test]
    fn what_was_overtaken_is_not_lost_and_what_was_resent_is() {
        for (after, lost) in [(20, 0), (60, 10)] {
            let (mut bandwidth, mut gaps, now) = (Bandwidth::default(), Gaps::default(), Instant::now());
            for number in (0..100).filter(|number| number % 10 != 5) {
                bandwidth.note(now, &mut gaps, number, 100, ROUND_TRIP);
            }
            for number in (0..100).filter(|number| number % 10 == 5) {
                bandwidth.note(now + after * MS, &mut gaps, number, 100, ROUND_TRIP);
            }
            assert_eq!((bandwidth.expected, bandwidth.missed), (100, lost), "after {after} ms");
        }
    }

    #[test]
    fn gaps_are_remembered_within_bounds_and_silence_says_nothing() {
        let (mut bandwidth, mut gaps, now) = (Bandwidth::default(), Gaps::default(), Instant::now());
        assert_eq!((bandwidth.due(), bandwidth.tell(now)), (None, None));
        for number in (0..100_000).step_by(3) {
            bandwidth.note(now, &mut gaps, number, 100, ROUND_TRIP);
        }
        assert_eq!(gaps.open.len(), MAX_GAPS);
        assert_eq!(bandwidth.tell(now + 999 * MS), None, "not yet");
        assert!(bandwidth.tell(now + 1000 * MS).is_some());
        assert_eq!(bandwidth.due(), None);
    }
}
