//! How a client chooses among the servers that offer themselves. No I/O, no clock: claims and time in, a choice out.

use std::time::{Duration, Instant};

use crate::{Code, Error};

/// How long a client waits for offers. A server answers within milliseconds; nobody within this = nobody there.
pub(crate) const OVERALL: Duration = Duration::from_secs(1);
/// How long a better offer may come after the first one that would do.
pub(crate) const AFTER_FIRST: Duration = Duration::from_millis(200);

/// What to do with offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The first one wins.
    First,
    /// The highest affinity wins, on a tie the earlier one.
    Best,
}

/// One choice in progress.
#[derive(Debug)]
pub(crate) struct Selection {
    rule: Rule,
    until: Instant,
    best: Option<(String, f32)>,
    /// Acceptable or not, for the error text.
    received: usize,
    refusal: Option<Error>,
}

/// Where a choice stands.
#[derive(Debug, PartialEq)]
pub(crate) enum Progress {
    /// Ask again at this time, or after the next input.
    Wait(Instant),
    /// This server id.
    Chosen(String),
    /// Nobody to choose.
    Failed(Error),
}

impl Selection {
    pub(crate) fn new(rule: Rule, now: Instant) -> Self {
        Self { rule, until: now + OVERALL, best: None, received: 0, refusal: None }
    }

    /// An offer came in. An affinity of 0, below, or not a number can never win.
    pub(crate) fn claim(&mut self, now: Instant, server_id: &str, affinity: f32) {
        self.received += 1;
        if affinity.is_nan() || affinity <= 0.0 {
            return;
        }
        match &self.best {
            None => {
                let patience = if self.rule == Rule::First { Duration::ZERO } else { AFTER_FIRST };
                self.until = self.until.min(now + patience);
            }
            Some((_, best)) if self.rule == Rule::First || affinity <= *best => return,
            Some(_) => {}
        }
        self.best = Some((server_id.to_owned(), affinity));
    }

    /// A server answered at once with an error: it could not read the request. The others can still offer themselves,
    /// unless the first answer decides.
    pub(crate) fn refuse(&mut self, now: Instant, error: Error) {
        if self.rule == Rule::First {
            self.until = self.until.min(now);
        }
        self.refusal.get_or_insert(error);
    }

    /// No more time: what is there decides.
    pub(crate) fn end(&mut self, now: Instant) {
        self.until = self.until.min(now);
    }

    pub(crate) fn poll(&self, now: Instant) -> Progress {
        if now < self.until {
            return Progress::Wait(self.until);
        }
        match (&self.best, &self.refusal, self.received) {
            (Some((server_id, _)), ..) => Progress::Chosen(server_id.clone()),
            (None, Some(error), _) => Progress::Failed(error.clone()),
            (None, None, 0) => Progress::Failed(Error::new(Code::Unavailable, "no response from servers")),
            (None, None, n) => Progress::Failed(Error::new(
                Code::Unavailable,
                format!("no servers available (received {n} responses)"),
            )),
        }
    }
}
