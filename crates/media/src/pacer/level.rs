use std::time::Duration;

use crate::MediaTime;

/// Segments come in bursts: how much there is at least in this time is what tells whether it is enough. Longer than a segment.
const WINDOW: Duration = Duration::from_secs(20);

/// What should be there at least: less is made more, more that is there from the beginning is kept.
const LEAST: Duration = Duration::from_secs(1);

/// So much more or less than should be there is none of our business: the bursts of a source are not quite even.
const BAND: f64 = 0.3;

/// An error is made good within so many seconds, where the limit allows it: no faster than it is measured.
const WITHIN: f64 = 40.0;

/// Parts in a million: 2 %, which receivers stretch sound by without anybody hearing it.
const LIMIT: f64 = 20_000.0;

/// So much too late is left out at once: at 2 % it would be made good in five minutes.
const SKIP: f64 = 6.0;

/// How full the buffer before a live source is, over a window.
#[derive(Debug, Default)]
pub(super) struct Level {
    window: Option<(MediaTime, Duration)>,
    /// What should be there at least; known after the first window.
    target: Option<Duration>,
    correcting: bool,
}

/// What is to be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Parts in a million by which to play faster.
    Rate(i64),
    /// Leave out so much.
    Skip(Duration),
}

impl Level {
    /// The window starts anew: something has happened that says nothing about the source.
    pub(super) fn reset(&mut self) {
        self.window = None;
    }

    /// Takes how much there is now, before more comes. Gives a verdict at the end of a window.
    pub(super) fn look(&mut self, now: MediaTime, low: Option<Duration>) -> Option<Verdict> {
        let low = low?;
        let (since, least) = *self.window.get_or_insert((now, low));
        let least = least.min(low);
        self.window = Some((since, least));
        if now.duration_since(since) < WINDOW {
            return None;
        }
        self.window = None;
        let target = *self.target.get_or_insert(least.max(LEAST));
        Some(self.judge(least.as_secs_f64() - target.as_secs_f64()))
    }

    /// `error`: seconds more than there should be.
    fn judge(&mut self, error: f64) -> Verdict {
        if error > SKIP {
            self.correcting = false;
            return Verdict::Skip(Duration::from_secs_f64(error));
        }
        // Once it corrects it goes on to the middle, else it would stay at the edge of the band for ever.
        self.correcting = error.abs() > if self.correcting { BAND / 3.0 } else { BAND };
        let ppm = if self.correcting { (error / WITHIN * 1e6).clamp(-LIMIT, LIMIT) } else { 0.0 };
        Verdict::Rate(ppm as i64)
    }
}
