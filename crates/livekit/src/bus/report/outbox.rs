//! Which state of one session goes to livekit-server next. Pure: it is told the time and what became of each attempt.

use std::time::{Duration, Instant};

use livekit_protocol::IngressState;

use crate::bus::status::{self, Constant, Outcome, Phase, Status};

/// The first wait after a failed attempt. livekit-server resubscribes within 0.1 s of a lost connection (bus.md §1.5).
const FIRST_RETRY: Duration = Duration::from_millis(250);
/// Waits double up to this: an API user sees the truth at most this (and one attempt) after livekit-server is back.
const LAST_RETRY: Duration = Duration::from_secs(5);
/// A live session says again what it last said after this long. livekit-server changes nothing by it, but its answer tells
/// a session whose DeleteIngress was lost, or went to another worker, that it is deleted (bus.md §2.4).
const REFRESH: Duration = Duration::from_secs(60);
/// How long a final state is offered to a livekit-server that does not take it. Past it the session counts as
/// [`Ending::Abandoned`]: an outage this long needs a person anyway, and the next session on that ingress corrects the store.
const KEEP_FINAL: Duration = Duration::from_secs(3600);
/// How often a final state is tried while the next session of that ingress waits for it. The next one's look-up has just
/// worked, so livekit-server is there, and one attempt is enough unless it is lost on the way.
const LAST_CHANCES: u32 = 3;
/// What an owner that vanished without a last word leaves behind (the Go worker's word for its own faults).
const ORPHANED: &str = "internal";

/// Both clocks, read by the caller.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// For waits.
    pub(super) instant: Instant,
    /// For `updated_at` and `ended_at`; may jump.
    pub(super) unix_ns: i64,
}

/// Why a session may post no more although its owner has not ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gone {
    /// The ingress is deleted.
    Deleted,
    /// A later session of the same ingress has reported, here or on another worker.
    Superseded,
}

/// How a session's reports ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// livekit-server has the final state.
    Delivered,
    /// livekit-server wants none.
    Gone(Gone),
    /// The final state was offered in vain: for an hour, or while the next session of that ingress waited.
    Abandoned,
    /// The owner went before it had anything to say.
    Unused,
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Stored,
    Refused(Gone),
    /// No answer, or one that may change.
    Failed,
}

/// What to do next.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// Post this and say what became of it.
    Post {
        state: Box<IngressState>,
        attempt: u32,
    },
    /// Nothing until then (`None`: until there is news).
    Wait(Option<Instant>),
    Over(Ending),
}

#[derive(Debug)]
enum Line {
    Idle,
    InFlight(Status),
    Waiting(Instant),
    Over(Ending),
}

/// The states of one session on their way out: at most one in flight, the newest kept, the final one last and once.
#[derive(Debug)]
pub(super) struct Outbox {
    session: Constant,
    line: Line,
    /// The newest status that livekit-server does not have and that is not in flight.
    pending: Option<Status>,
    /// The newest status of all.
    latest: Option<Status>,
    /// When the final status was put; `None` while the session lives.
    ended: Option<Now>,
    updated_at: i64,
    /// When livekit-server last took a state.
    confirmed: Option<Instant>,
    /// Failures since the last success.
    failures: u32,
    /// Waits no longer than [`FIRST_RETRY`].
    hurried: bool,
    /// Set once a later session has begun: how often a final state may still fail.
    superseded: Option<u32>,
}

impl Outbox {
    pub(super) fn new(session: Constant) -> Self {
        Self {
            updated_at: session.started_at,
            session,
            line: Line::Idle,
            pending: None,
            latest: None,
            ended: None,
            confirmed: None,
            failures: 0,
            hurried: false,
            superseded: None,
        }
    }

    /// Takes a status to post. False, and nothing happens, after the final one and after the end.
    pub(super) fn put(&mut self, now: Now, status: Status) -> bool {
        if self.ended.is_some() || self.superseded.is_some() || self.ending().is_some() {
            return false;
        }
        if status.is_terminal() {
            self.ended = Some(now);
        }
        self.pending = Some(status.clone());
        self.latest = Some(status);
        true
    }

    /// The owner is gone. A session that has said something but not its last word has failed.
    pub(super) fn orphan(&mut self, now: Now) {
        match &self.latest {
            _ if self.ending().is_some() => {}
            None => self.line = Line::Over(Ending::Unused),
            Some(latest) => {
                let phase = Phase::Ended(Outcome::Failed(ORPHANED.to_owned()));
                let last = Status { phase, ..latest.clone() };
                self.put(now, last);
            }
        }
    }

    /// A later session of the same ingress begins: ends now, or with the final state if that is known.
    pub(super) fn supersede(&mut self) {
        self.superseded = Some(LAST_CHANCES);
        self.hurry();
        if self.ended.is_none() && !matches!(self.line, Line::InFlight(_) | Line::Over(_)) {
            self.line = Line::Over(Ending::Gone(Gone::Superseded));
        }
    }

    /// The ingress is known to be deleted, or was never fit to be posted to.
    pub(super) fn delete(&mut self) {
        self.line = Line::Over(Ending::Gone(Gone::Deleted));
    }

    /// The process ends soon: retries at once, and quickly from now on.
    pub(super) fn hurry(&mut self) {
        self.hurried = true;
        if let Line::Waiting(_) = self.line {
            self.line = Line::Idle;
        }
    }

    /// What to do now.
    pub(super) fn poll(&mut self, now: Now) -> Step {
        match self.line {
            Line::Over(ending) => return Step::Over(ending),
            Line::InFlight(_) => return Step::Wait(None),
            Line::Waiting(until) if until > now.instant => return Step::Wait(Some(until)),
            Line::Waiting(_) | Line::Idle => {}
        }
        let Some(status) = self.pending.take().or_else(|| self.due(now)) else {
            self.line = Line::Idle;
            return Step::Wait(self.confirmed.map(|at| at + REFRESH));
        };
        self.updated_at = now.unix_ns.max(self.updated_at.saturating_add(1));
        let state = status::state(&self.session, &status, self.ended_at(&status), self.updated_at);
        self.line = Line::InFlight(status);
        Step::Post { state: Box::new(state), attempt: self.failures + 1 }
    }

    /// Takes the result of the attempt that [`Step::Post`] asked for.
    pub(super) fn answered(&mut self, now: Now, answer: Answer) {
        let Line::InFlight(status) = std::mem::replace(&mut self.line, Line::Idle) else { return };
        let live_and_superseded = self.superseded.is_some() && self.ended.is_none();
        match answer {
            Answer::Refused(gone) => self.line = Line::Over(Ending::Gone(gone)),
            _ if live_and_superseded => self.line = Line::Over(Ending::Gone(Gone::Superseded)),
            Answer::Stored => {
                self.failures = 0;
                self.confirmed = Some(now.instant);
                if status.is_terminal() {
                    self.line = Line::Over(Ending::Delivered);
                }
            }
            Answer::Failed => {
                self.failures = self.failures.saturating_add(1);
                self.pending.get_or_insert(status);
                self.line = match self.may_retry(now) {
                    true => Line::Waiting(now.instant + self.delay()),
                    false => Line::Over(Ending::Abandoned),
                };
            }
        }
    }

    /// How it ended, once it has.
    pub(super) fn ending(&self) -> Option<Ending> {
        match self.line {
            Line::Over(ending) => Some(ending),
            _ => None,
        }
    }

    /// livekit-server has all that was put, or wants no more.
    pub(super) fn is_settled(&self) -> bool {
        self.ending().is_some() || (matches!(self.line, Line::Idle) && self.pending.is_none())
    }

    /// The newest state as it is or will be posted; before the first status, an empty one of this session.
    pub(super) fn state(&self) -> IngressState {
        match &self.latest {
            Some(latest) => status::state(&self.session, latest, self.ended_at(latest), self.updated_at),
            None => IngressState {
                resource_id: self.session.resource_id.clone(),
                started_at: self.session.started_at,
                ..IngressState::default()
            },
        }
    }

    /// The newest status of a live session, when it is time to say it again.
    fn due(&self, now: Now) -> Option<Status> {
        self.confirmed.filter(|at| now.instant >= *at + REFRESH).and(self.latest.clone())
    }

    fn ended_at(&self, status: &Status) -> i64 {
        match self.ended {
            // The wall clock may have been set back since the start.
            Some(ended) if status.is_terminal() => ended.unix_ns.max(self.session.started_at),
            _ => 0,
        }
    }

    fn may_retry(&mut self, now: Now) -> bool {
        if let Some(chances) = &mut self.superseded {
            *chances = chances.saturating_sub(1);
            return *chances > 0;
        }
        self.ended.is_none_or(|end| now.instant.saturating_duration_since(end.instant) < KEEP_FINAL)
    }

    fn delay(&self) -> Duration {
        let longest = if self.hurried { FIRST_RETRY } else { LAST_RETRY };
        let doublings = (self.failures - 1).min(16);
        FIRST_RETRY.saturating_mul(1 << doublings).min(longest)
    }
}

#[cfg(test)]
mod tests;
