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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn failed(message: &str) -> Progress {
        Progress::Failed(Error::new(Code::Unavailable, message))
    }

    fn chosen(id: &str) -> Progress {
        Progress::Chosen(id.to_owned())
    }

    #[test]
    fn first_claim_wins_at_once() {
        let t0 = Instant::now();
        let mut selection = Selection::new(Rule::First, t0);
        selection.claim(t0 + 5 * MS, "one", 0.5);
        selection.claim(t0 + 5 * MS, "two", 1.0);
        assert_eq!(selection.poll(t0 + 5 * MS), chosen("one"));
    }

    #[test]
    fn nobody_within_a_second_is_no_response() {
        let t0 = Instant::now();
        for rule in [Rule::First, Rule::Best] {
            let selection = Selection::new(rule, t0);
            assert_eq!(selection.poll(t0 + 999 * MS), Progress::Wait(t0 + 1000 * MS));
            assert_eq!(selection.poll(t0 + 1000 * MS), failed("no response from servers"));
        }
    }

    #[test]
    fn best_affinity_within_200_ms_of_the_first_wins() {
        let t0 = Instant::now();
        let mut selection = Selection::new(Rule::Best, t0);
        selection.claim(t0 + 100 * MS, "half", 0.5);
        assert_eq!(selection.poll(t0 + 299 * MS), Progress::Wait(t0 + 300 * MS));
        selection.claim(t0 + 299 * MS, "full", 1.0);
        selection.claim(t0 + 299 * MS, "late tie", 1.0);
        assert_eq!(selection.poll(t0 + 300 * MS), chosen("full"));
    }

    #[test]
    fn patience_after_the_first_claim_ends_with_the_overall_second() {
        let t0 = Instant::now();
        let mut selection = Selection::new(Rule::Best, t0);
        selection.claim(t0 + 900 * MS, "late", 0.1);
        assert_eq!(selection.poll(t0 + 950 * MS), Progress::Wait(t0 + 1000 * MS));
        assert_eq!(selection.poll(t0 + 1000 * MS), chosen("late"));
    }

    #[test]
    fn zero_affinity_never_wins_and_does_not_start_the_200_ms() {
        let t0 = Instant::now();
        for rule in [Rule::First, Rule::Best] {
            let mut selection = Selection::new(rule, t0);
            selection.claim(t0, "zero", 0.0);
            selection.claim(t0, "nan", f32::NAN);
            selection.claim(t0, "negative", -1.0);
            assert_eq!(selection.poll(t0 + 500 * MS), Progress::Wait(t0 + 1000 * MS));
            assert_eq!(selection.poll(t0 + 1000 * MS), failed("no servers available (received 3 responses)"));
        }
    }

    #[test]
    fn refusal_decides_at_once_where_one_server_answers() {
        let t0 = Instant::now();
        let mut selection = Selection::new(Rule::First, t0);
        let error = Error::new(Code::MalformedRequest, "bad");
        selection.refuse(t0 + MS, error.clone());
        assert_eq!(selection.poll(t0 + MS), Progress::Failed(error));
    }

    #[test]
    fn refusal_by_one_leaves_the_others_their_chance() {
        let t0 = Instant::now();
        let mut selection = Selection::new(Rule::Best, t0);
        let error = Error::new(Code::MalformedRequest, "too new for me");
        selection.refuse(t0 + MS, error.clone());
        assert_eq!(selection.poll(t0 + 999 * MS), Progress::Wait(t0 + 1000 * MS));
        assert_eq!(selection.poll(t0 + 1000 * MS), Progress::Failed(error));
        selection.claim(t0 + 2 * MS, "newer", 1.0);
        assert_eq!(selection.poll(t0 + 202 * MS), chosen("newer"));
    }

    #[test]
    fn the_callers_deadline_ends_the_wait() {
        let t0 = Instant::now();
        let mut selection = Selection::new(Rule::Best, t0);
        selection.claim(t0, "one", 1.0);
        selection.end(t0 + 50 * MS);
        assert_eq!(selection.poll(t0 + 50 * MS), chosen("one"));
    }

    proptest! {
        #[test]
        fn winner_is_the_first_of_the_highest_above_zero(
            claims in proptest::collection::vec((0u32..1200, -2i8..4), 0..20)
        ) {
            let t0 = Instant::now();
            let mut claims = claims;
            claims.sort_by_key(|(at, _)| *at);
            let mut selection = Selection::new(Rule::Best, t0);
            let mut heard: Vec<(usize, i8)> = Vec::new();
            for (index, (at, affinity)) in claims.iter().enumerate() {
                let now = t0 + *at * MS;
                if !matches!(selection.poll(now), Progress::Wait(_)) {
                    break;
                }
                selection.claim(now, &index.to_string(), f32::from(*affinity));
                heard.push((index, *affinity));
            }
            let best = heard.iter().map(|(_, affinity)| *affinity).max().filter(|best| *best > 0);
            let expected = best.and_then(|best| heard.iter().find(|(_, affinity)| *affinity == best));
            match (selection.poll(t0 + OVERALL), expected) {
                (Progress::Chosen(id), Some((index, _))) => prop_assert_eq!(id, index.to_string()),
                (Progress::Failed(error), None) => prop_assert_eq!(error.code, Code::Unavailable),
                (progress, expected) => prop_assert!(false, "{progress:?} but expected {expected:?}"),
            }
        }
    }
}
