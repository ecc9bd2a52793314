use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Instant,
};

use gstreamer::ClockTime;
use pipeline::Load;

/// Pictures whose arrival is remembered: more than there can be between the decoder and the last encoder (some 60).
const MAX_KNOWN: usize = 128;

/// When the pictures under way came.
#[derive(Debug, Default)]
pub(crate) struct Arrivals(VecDeque<(ClockTime, Instant)>);

impl Arrivals {
    /// The picture at `time` waits since `since`.
    pub(crate) fn note(&mut self, time: ClockTime, since: Instant) {
        if self.0.len() >= MAX_KNOWN {
            self.0.pop_front();
        }
        self.0.push_back((time, since));
    }

    /// Since when the picture at `time` waits.
    pub(crate) fn of(&self, time: ClockTime) -> Option<Instant> {
        self.0.iter().rev().find(|(known, _)| *known == time).map(|(_, since)| *since)
    }
}

/// How far behind the worker is: encoders report from their threads, the command thread takes it once in a while.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gauge(Arc<Reading>);

#[derive(Debug, Default)]
struct Reading {
    behind_ms: AtomicU32,
    encoding: AtomicBool,
}

impl Gauge {
    /// An encoder begins with a picture that has waited since `since`.
    pub(crate) fn begin(&self, since: Option<Instant>) {
        let waited = since.map_or(0, |since| since.elapsed().as_millis());
        self.0.behind_ms.fetch_max(u32::try_from(waited).unwrap_or(u32::MAX), Ordering::Relaxed);
        self.0.encoding.store(true, Ordering::Release);
    }

    /// The longest wait since the last call; `None` when nothing was encoded.
    pub(crate) fn take(&self) -> Option<u32> {
        let encoding = self.0.encoding.swap(false, Ordering::Acquire);
        encoding.then(|| self.0.behind_ms.swap(0, Ordering::Relaxed))
    }
}

/// What has not been told yet: a server that does not read gets it all at once when it does.
#[derive(Debug, Default)]
pub(crate) struct Untold(Option<Load>);

impl Untold {
    /// Adds what a [`Gauge`] showed, and pictures that were dropped.
    pub(crate) fn add(&mut self, behind_ms: Option<u32>, dropped: u64) {
        if behind_ms.is_none() && dropped == 0 {
            return;
        }
        let load = self.0.get_or_insert_default();
        load.behind_ms = load.behind_ms.max(behind_ms.unwrap_or(0));
        load.dropped = load.dropped.saturating_add(u32::try_from(dropped).unwrap_or(u32::MAX));
    }

    /// Tells it, unless `tell` finds no way.
    pub(crate) fn tell(&mut self, tell: impl FnOnce(Load) -> bool) {
        if self.0.is_some_and(tell) {
            self.0 = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_gauge_shows_the_longest_wait_once_and_nothing_while_nothing_is_encoded() {
        let gauge = Gauge::default();
        assert_eq!(gauge.take(), None);
        let ago = |ms| Instant::now().checked_sub(Duration::from_millis(ms));
        for ms in [40, 900, 10] {
            gauge.clone().begin(ago(ms));
        }
        assert!(gauge.take().is_some_and(|ms| (900..2000).contains(&ms)));
        assert_eq!(gauge.take(), None);
        gauge.begin(None);
        assert_eq!(gauge.take(), Some(0));
    }

    #[test]
    fn what_could_not_be_told_is_added_up() {
        let mut untold = Untold::default();
        untold.tell(|_| panic!("there is nothing to tell"));
        untold.add(Some(30), 2);
        untold.tell(|_| false);
        untold.add(None, 0);
        untold.add(Some(20), 3);
        untold.tell(|load| load == Load { behind_ms: 30, dropped: 5 });
        untold.tell(|_| panic!("it has been told"));
    }

    #[test]
    fn arrivals_are_known_by_time_and_bounded() {
        let (mut arrivals, now) = (Arrivals::default(), Instant::now());
        for n in 0..200 {
            arrivals.note(ClockTime::from_mseconds(n), now + Duration::from_millis(n));
        }
        assert_eq!(arrivals.of(ClockTime::from_mseconds(199)), Some(now + Duration::from_millis(199)));
        assert_eq!(arrivals.of(ClockTime::from_mseconds(71)), None);
        assert_eq!(arrivals.of(ClockTime::from_mseconds(1)), None);
    }
}
