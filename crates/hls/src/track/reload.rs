//! When a playlist is loaded again, and what a new copy of it means (RFC 8216 6.3.4).

use std::time::{Duration, Instant};

use url::Url;

use crate::{Failure, Reason, Shown, What, limits, playlist::Media};

/// The loading of one playlist.
pub(super) struct Reload {
    /// `None` while it is being loaded, and when it is complete.
    due: Option<Instant>,
    opened: Instant,
    /// When it last had something new, and how long that may take.
    fresh: Option<(Instant, Duration)>,
    failed: Option<(u32, Failure)>,
    /// Copies in a row that went back.
    back: u32,
}

/// What a copy of a playlist is, next to the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The first, or it goes on.
    New,
    /// It says the same, perhaps under new addresses.
    Same,
    /// Older than the one that is known: not used.
    Old,
    /// Its numbers began anew.
    Restarted,
}

/// The wait after a number of failures.
pub(super) fn backoff(failures: u32) -> Duration {
    limits::RETRY_FIRST.saturating_mul(1 << failures.min(8)).min(limits::RETRY_MOST)
}

impl Reload {
    pub(super) fn new(now: Instant) -> Self {
        Self { due: Some(now), opened: now, fresh: None, failed: None, back: 0 }
    }

    /// Whether to load now; it is being loaded then.
    pub(super) fn begin(&mut self, now: Instant) -> bool {
        self.due.take_if(|due| *due <= now).is_some()
    }

    /// A copy has come, whose load began at `begun`.
    pub(super) fn loaded(
        &mut self,
        now: Instant,
        begun: Instant,
        known: Option<&Media>,
        new: &Media,
    ) -> Verdict {
        self.failed = None;
        let verdict = known.map_or(Verdict::New, |known| self.judge(known, new));
        self.back = if verdict == Verdict::Old { self.back } else { 0 };
        let used = if verdict == Verdict::Old { known.unwrap_or(new) } else { new };
        let fresh = matches!(verdict, Verdict::New | Verdict::Restarted);
        let patience = (used.target * limits::STALL_TARGETS).clamp(limits::STALL_LEAST, limits::STALL_MOST);
        let since = self.fresh.map(|(since, _)| since).filter(|_| !fresh).unwrap_or(now);
        let wait = if fresh { used.target } else { used.target / 2 };
        self.fresh = (!used.complete).then_some((since, patience));
        self.due =
            (!used.complete).then(|| now.max(begun + wait.clamp(limits::RELOAD_LEAST, limits::RELOAD_MOST)));
        verdict
    }

    fn judge(&mut self, known: &Media, new: &Media) -> Verdict {
        if new.end() > known.end() || new.complete {
            return Verdict::New;
        }
        if new.end() == known.end() && !new.segments.is_empty() {
            return Verdict::Same;
        }
        // The same segment under the same number: a copy from before, or one that shrank.
        let is_known = |s: &crate::playlist::Segment| {
            known.segment(s.sequence).is_some_and(|k| k.uri == s.uri && k.at == s.at)
        };
        if new.segments.is_empty() || new.segments.iter().any(is_known) {
            return Verdict::Old;
        }
        self.back += 1;
        if self.back > limits::OLD_COPIES { Verdict::Restarted } else { Verdict::Old }
    }

    /// The load failed: it is tried again, or all is over.
    pub(super) fn failed(&mut self, now: Instant, url: &Url, failure: Failure) -> Result<(), Reason> {
        let count = self.failed.as_ref().map_or(0, |(count, _)| *count);
        let again = now + backoff(count);
        let until = self.fresh.map_or(self.opened + limits::OPENING, |(since, patience)| since + patience);
        if !failure.passes() || again > until {
            return Err(Reason::Fetch { what: What::Playlist, url: Shown::of(url), failure });
        }
        self.failed = Some((count + 1, failure));
        self.due = Some(again);
        Ok(())
    }

    /// Whether it has had nothing new for too long.
    pub(super) fn check(&self, now: Instant, url: &Url) -> Result<(), Reason> {
        let Some((since, patience)) = self.fresh.filter(|(since, patience)| *since + *patience <= now) else {
            return Ok(());
        };
        let (url, after) = (Shown::of(url), (now - since).max(patience));
        Err(match &self.failed {
            Some((_, failure)) => Reason::Fetch { what: What::Playlist, url, failure: failure.clone() },
            None => Reason::Stalled { url, after },
        })
    }

    /// When to be asked again.
    pub(super) fn wake(&self) -> Option<Instant> {
        let stalls = self.fresh.map(|(since, patience)| since + patience);
        [self.due, stalls].into_iter().flatten().min()
    }
}
