use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::{Budget, WorkerId};

/// `SourceMedia` further apart than this is a pause of the source, not of the worker.
const PAUSE: Duration = Duration::from_millis(600);

/// The one worker of a session, and the failures of those before it.
#[derive(Debug)]
pub(crate) struct Workers {
    last: u32,
    state: State,
    /// When the latest ones failed, oldest first.
    failures: VecDeque<Instant>,
    /// How many in a row gave out nothing.
    fruitless: u32,
    /// This one gave out something.
    fruitful: bool,
    /// This one encodes sound.
    sound: bool,
    /// Pictures are wanted of it again, and nothing has come out since.
    woken: bool,
    /// The source's sound goes past it.
    untouched: bool,
    fed: Option<Fed>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    None,
    Starting { id: WorkerId, by: Instant },
    Running(WorkerId),
    Finishing(WorkerId),
    Waiting { until: Instant },
}

/// Media went in without a pause, and nothing has come out since.
#[derive(Debug, Clone, Copy)]
struct Fed {
    since: Instant,
    last: Instant,
}

/// What a failure leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A new one starts when [`Workers::restart_due`].
    Restart,
    /// It is no use.
    GiveUp,
}

impl Workers {
    pub(crate) fn new() -> Self {
        let failures = VecDeque::new();
        Self {
            last: 0,
            state: State::None,
            failures,
            fruitless: 0,
            fruitful: false,
            sound: false,
            untouched: false,
            woken: false,
            fed: None,
        }
    }

    /// The one that exists, whatever it does.
    pub(crate) fn id(&self) -> Option<WorkerId> {
        match self.state {
            State::Starting { id, .. } | State::Running(id) | State::Finishing(id) => Some(id),
            State::None | State::Waiting { .. } => None,
        }
    }

    pub(crate) fn is(&self, id: WorkerId) -> bool {
        self.id() == Some(id)
    }

    pub(crate) fn is_running(&self) -> bool {
        matches!(self.state, State::Running(_))
    }

    pub(crate) fn start(&mut self, now: Instant, budget: &Budget) -> WorkerId {
        self.last += 1;
        let id = WorkerId(self.last);
        self.state = State::Starting { id, by: now + budget.worker_start };
        (self.fruitful, self.sound, self.woken, self.fed) = (false, false, false, None);
        id
    }

    pub(crate) fn ready(&mut self, id: WorkerId) {
        if matches!(self.state, State::Starting { id: starting, .. } if starting == id) {
            self.state = State::Running(id);
        }
    }

    pub(crate) fn sounds(&mut self) {
        self.sound = true;
    }

    /// Sound that goes in comes out.
    pub(crate) fn has_sound(&self) -> bool {
        self.sound && !self.untouched
    }

    /// Whether the source's sound goes past the worker from now on.
    pub(crate) fn pass_sound_by(&mut self, untouched: bool) {
        self.untouched = untouched;
    }

    pub(crate) fn is_passed_by(&self) -> bool {
        self.untouched
    }

    /// Media went in, of which something should come out. False when nothing has for too long.
    pub(crate) fn feed(&mut self, now: Instant, budget: &Budget) -> bool {
        let fed = match self.fed {
            Some(fed) if now.duration_since(fed.last) <= PAUSE => Fed { last: now, ..fed },
            _ => Fed { since: now, last: now },
        };
        self.fed = Some(fed);
        let limit = if self.woken { budget.worker_start } else { budget.worker_stall };
        !(self.is_running() && self.fruitful && fed.last.duration_since(fed.since) >= limit)
    }

    /// Somebody watches again: what was kept meanwhile is decoded before anything comes out.
    pub(crate) fn wake(&mut self) {
        (self.woken, self.fed) = (true, None);
    }

    /// Media came out, or none is expected to.
    pub(crate) fn rest(&mut self) {
        self.fed = None;
    }

    pub(crate) fn gave(&mut self) {
        (self.fed, self.woken) = (None, false);
        self.fruitful = true;
        self.fruitless = 0;
    }

    /// The current one failed, and is gone or will be.
    pub(crate) fn failed(&mut self, now: Instant, budget: &Budget) -> Verdict {
        while self.failures.front().is_some_and(|at| *at + budget.restart_window <= now) {
            self.failures.pop_front();
        }
        self.failures.push_back(now);
        if !self.fruitful {
            self.fruitless += 1;
        }
        self.state = State::None;
        if self.failures.len() >= budget.restart_limit || self.fruitless >= budget.fruitless_limit {
            return Verdict::GiveUp;
        }
        let delay = match self.failures.len() {
            1 => Duration::ZERO,
            n => budget.restart_delay * 2u32.saturating_pow(n as u32 - 2),
        };
        self.state = State::Waiting { until: now + delay };
        Verdict::Restart
    }

    /// A new source has a new chance, and sound of its own.
    pub(crate) fn forgive(&mut self) {
        self.failures.clear();
        self.fruitless = 0;
        self.untouched = false;
    }

    /// True when a worker is to be started again.
    pub(crate) fn restart_due(&self, now: Instant) -> bool {
        matches!(self.state, State::Waiting { until } if until <= now)
    }

    /// The one that was not ready in time.
    pub(crate) fn overdue(&self, now: Instant) -> Option<WorkerId> {
        match self.state {
            State::Starting { id, by } if by <= now => Some(id),
            _ => None,
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Starting { by, .. } => Some(by),
            State::Waiting { until } => Some(until),
            State::None | State::Running(_) | State::Finishing(_) => None,
        }
    }

    /// A running one, that now gives out its last.
    pub(crate) fn finish(&mut self) -> Option<WorkerId> {
        let State::Running(id) = self.state else { return None };
        self.state = State::Finishing(id);
        Some(id)
    }

    /// The one that exists, to be stopped; none is started any more.
    pub(crate) fn stop(&mut self) -> Option<WorkerId> {
        let id = self.id();
        self.state = State::None;
        id
    }

    /// The current one is gone by itself.
    pub(crate) fn gone(&mut self) {
        self.state = State::None;
    }
}
