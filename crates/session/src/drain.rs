use std::time::Instant;

use crate::ingress::State;
use crate::room::Room;
use crate::{Answer, Ingress, Input, Outcome, Output, Shutdown, Token, Why};

/// So many requests wait for one final state at most: livekit-server sends one and repeats it twice. More are told to try again.
const MAX_WAITING: usize = 8;

/// What is left to do of a session that ends.
#[derive(Debug)]
pub(crate) struct Drain {
    outcome: Outcome,
    step: Step,
    /// When the step is over, done or not.
    until: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The worker gives out its last frames.
    Flushing,
    /// Everything was told to stop; the final state is being posted, or need not be.
    Stopping { reported: bool },
}

impl Drain {
    pub(crate) fn deadline(&self) -> Instant {
        self.until
    }
}

/// A session on its way out.
impl Ingress {
    /// Ends a running session: the publisher is cut at once, what it sent before still gets out if it ended well.
    pub(crate) fn end(&mut self, now: Instant, why: Why) {
        let why = self.as_pull(why);
        self.close_sources(&why);
        self.reports.close();
        let outcome = Outcome::Ended(why.clone());
        let well = matches!(why, Why::Finished | Why::Lost) && matches!(self.state, State::Live);
        match well.then(|| self.workers.finish()).flatten() {
            Some(worker) => {
                self.out.push(Output::FinishWorker(worker));
                self.state =
                    State::Draining(Drain { outcome, step: Step::Flushing, until: now + self.budget.flush });
            }
            None => self.stop(now, outcome),
        }
    }

    /// Stops whatever runs and posts the final state.
    pub(crate) fn stop(&mut self, now: Instant, outcome: Outcome) {
        self.stop_worker();
        if self.room.is_open() {
            self.room = Room::Leaving;
            self.out.push(Output::Leave);
        }
        self.facts.ended = Some((why_of(&outcome), now));
        let posted = self.reports.may_post();
        if posted {
            self.report(now);
        }
        let step = Step::Stopping { reported: !posted };
        self.state = State::Draining(Drain { outcome, step, until: now + self.budget.leave });
    }

    pub(crate) fn draining(&mut self, now: Instant, input: Input) {
        match input {
            Input::TookOver(source) => self.out.push(Output::DeferSource(source)),
            Input::RoomEnded(_) => {
                self.room = Room::Gone;
                self.cut_short(now);
            }
            Input::WorkerFinished(worker) | Input::WorkerFailed { worker, .. } if self.workers.is(worker) => {
                self.cut_short(now);
            }
            Input::WorkerDied { worker, .. } if self.workers.is(worker) => {
                self.workers.gone();
                self.cut_short(now);
            }
            Input::Update { token, .. } | Input::Delete { token } => {
                self.wait(token);
                self.cut_short(now);
            }
            Input::Shutdown(Shutdown::Now) => self.cut_short(now),
            Input::StateRefused(_) => {
                self.reports.forbid();
                self.cut_short(now);
                self.reported();
            }
            Input::Reported => self.reported(),
            Input::Shutdown(Shutdown::Drain) | Input::Tick => {}
            input => self.ignore(&input),
        }
        self.settle(now);
    }

    /// No more frames are waited for.
    fn cut_short(&mut self, now: Instant) {
        if let State::Draining(Drain { step: Step::Flushing, outcome, .. }) = &self.state {
            self.stop(now, outcome.clone());
        }
    }

    fn reported(&mut self) {
        if let State::Draining(Drain { step: Step::Stopping { reported }, .. }) = &mut self.state {
            *reported = true;
        }
    }

    /// Answers once the final state is posted; is over once the room is left, too.
    fn settle(&mut self, now: Instant) {
        let State::Draining(Drain { step: Step::Stopping { reported: true }, outcome, .. }) = &self.state
        else {
            return;
        };
        let outcome = outcome.clone();
        if self.room == Room::Leaving {
            self.answer();
        } else {
            self.over(now, outcome);
        }
    }

    /// Does what time alone brings, in whatever state.
    pub(crate) fn expire(&mut self, now: Instant) {
        match &self.state {
            State::Admitted if self.sources.overdue(now).is_some() => match self.settings.pull {
                true => self.open_overdue(now),
                false => self.give_up(now, Why::Lost),
            },
            State::Joining | State::Buffering | State::Live => self.expire_running(now),
            State::Draining(drain) if drain.until <= now => match drain.step {
                Step::Flushing => self.cut_short(now),
                Step::Stopping { .. } => self.over(now, drain.outcome.clone()),
            },
            _ => {}
        }
        self.settle(now);
    }

    /// A request that is answered when the final state is posted.
    pub(crate) fn wait(&mut self, token: Token) {
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push(token);
        } else {
            self.out.push(Output::Reply { token, answer: Answer::Busy });
        }
    }

    fn answer(&mut self) {
        let status = self.status();
        for token in self.waiting.drain(..) {
            self.out.push(Output::Reply { token, answer: Answer::State(status.clone()) });
        }
    }

    pub(crate) fn over(&mut self, now: Instant, outcome: Outcome) {
        self.facts.ended.get_or_insert((why_of(&outcome), now));
        self.answer();
        self.out.push(Output::Over(outcome));
        self.state = State::Over;
    }
}

fn why_of(outcome: &Outcome) -> Why {
    match outcome {
        Outcome::Refused(reason) => Why::Failed(reason.clone()),
        Outcome::Ended(why) => why.clone(),
    }
}
