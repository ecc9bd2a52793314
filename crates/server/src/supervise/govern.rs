//! What each session tells the governor, and what it is told to do without.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use pipeline::{Command, Effort};
use session::{Cause, Degradation, Governor, Input, SessionId, Step, Top, Vitals, WorkerId};
use tokio::sync::watch;

use super::{actor::Actor, worker::Pulse};
use crate::metrics::Metrics;

/// The governor, with the way to each session.
#[derive(Debug)]
pub struct Govern {
    inner: Mutex<Inner>,
    metrics: Metrics,
}

#[derive(Debug)]
struct Inner {
    governor: Governor,
    ways: HashMap<SessionId, Way>,
}

#[derive(Debug)]
struct Way {
    ingress_id: String,
    orders: watch::Sender<Degradation>,
}

/// A session's place at the governor. It is left when this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    id: SessionId,
    govern: Arc<Govern>,
    orders: watch::Receiver<Degradation>,
}

impl Govern {
    /// For a machine (or cgroup) of `cores`.
    pub fn new(cores: f64, metrics: Metrics) -> Self {
        let inner = Mutex::new(Inner { governor: Governor::new(cores), ways: HashMap::new() });
        Self { inner, metrics }
    }

    /// Takes the machine's idle cores into account, once a second, and the step that is due. True when no new session
    /// should come.
    pub(super) fn observe(&self, now: Instant, idle_cores: f64) -> bool {
        let mut inner = self.lock();
        inner.governor.observe_idle(idle_cores);
        if let Some(step) = inner.governor.decide(now) {
            let way = inner.ways.get(&step.session).expect("the governor knows sessions with a way alone");
            way.orders.send_replace(step.to);
            self.metrics.degradation_step(step.from, step.to);
            log(&inner.ways, &step);
            self.count(&inner);
        }
        inner.governor.is_strained(now)
    }

    pub(super) fn enter(self: &Arc<Self>, ingress_id: &str) -> Seat {
        let (sender, orders) = watch::channel(Degradation::None);
        let mut inner = self.lock();
        let id = inner.governor.enter(Instant::now());
        inner.ways.insert(id, Way { ingress_id: ingress_id.to_owned(), orders: sender });
        Seat { id, govern: self.clone(), orders }
    }

    fn count(&self, inner: &Inner) {
        for level in Degradation::ALL {
            self.metrics.degraded(level, inner.governor.count(level));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The governor is arithmetic on its own fields: a panic elsewhere leaves it whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Resolves with the next order. Cancel safe.
    pub(super) async fn order(&mut self) -> Degradation {
        match self.orders.changed().await {
            Ok(()) => *self.orders.borrow_and_update(),
            Err(_) => unreachable!("the way is there until the seat is left"),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut inner = self.govern.lock();
        inner.governor.leave(self.id);
        inner.ways.remove(&self.id);
        self.govern.count(&inner);
    }
}

impl Actor {
    /// A new worker knows nothing of what was taken from its session. (Of a withheld layer it is told with the others.)
    pub(super) fn govern_worker(&mut self) {
        let seat = self.seat.get_or_insert_with(|| self.shared.govern.enter(&self.record.ingress_id));
        seat.govern.lock().governor.worker_started(Instant::now(), seat.id);
        if self.degradation != Degradation::None {
            self.command(Command::Effort(effort(self.degradation)));
        }
    }

    /// Carries an order out.
    pub(super) fn degrade(&mut self, to: Degradation) {
        let from = std::mem::replace(&mut self.degradation, to);
        if effort(from) != effort(to) {
            self.command(Command::Effort(effort(to)));
        }
        if from.withheld() != to.withheld() {
            self.handle(Input::Withhold(to.withheld()));
        }
    }

    /// What the worker's last second was like.
    pub(super) fn measured(&mut self, worker: WorkerId, pulse: Pulse) {
        if self.worker.as_ref().is_none_or(|ours| ours.id != worker) {
            return;
        }
        if let Some(claim) = &self.claim {
            let whole = self.paused.is_empty() && self.degradation == Degradation::None;
            self.shared.admission().measure(Instant::now(), claim, pulse.cores, whole);
        }
        let Some(seat) = &self.seat else { return };
        let vitals =
            Vitals { cores: pulse.cores, behind: pulse.behind, dropped: pulse.dropped, top: self.top() };
        seat.govern.lock().governor.report(Instant::now(), seat.id, vitals);
    }

    fn top(&self) -> Top {
        let mut layers = self.layers.iter();
        match layers.next_back() {
            Some(top) if !self.paused.contains(top) => match layers.next() {
                Some(_) => Top::Above,
                None => Top::Alone,
            },
            _ => Top::Idle,
        }
    }
}

fn effort(degradation: Degradation) -> Effort {
    Effort { speed: degradation.speed(), half_rate: degradation.half_rate() }
}

/// One line a step: what, whose, why.
fn log(ways: &HashMap<SessionId, Way>, step: &Step) {
    let name = |id: &SessionId| ways.get(id).map_or("", |way| way.ingress_id.as_str());
    let ingress_id = name(&step.session);
    match step.cause {
        Cause::Pressure { session, behind, dropped } => tracing::warn!(
            ingress_id,
            step = step.to.label(),
            short = name(&session),
            behind_ms = behind.as_millis(),
            dropped,
            "too little CPU: {}",
            taken(step.to)
        ),
        Cause::Quiet { lasted, idle_cores } => tracing::info!(
            ingress_id,
            step = step.from.label(),
            quiet_s = lasted.as_secs(),
            idle_cores,
            "CPU to spare again, taken back: {}",
            taken(step.from)
        ),
    }
}

/// What a step means, for a person.
fn taken(step: Degradation) -> &'static str {
    match step {
        Degradation::None => "nothing",
        Degradation::Speed1 => "the session's encoders work faster and look worse",
        Degradation::Speed2 => "the session's encoders work faster still",
        Degradation::HalfRate => "the session's top layer has half its frame rate",
        Degradation::Withheld => "the session's top layer is not encoded, its viewers get the next lower one",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::health::Health;

    #[tokio::test]
    async fn a_session_under_pressure_gets_its_order_and_its_end_is_counted() {
        let metrics = Metrics::new("NE_test", Health::new());
        let govern = Arc::new(Govern::new(2.0, metrics.clone()));
        let mut seat = govern.enter("IN_one");
        let start = Instant::now() + Duration::from_secs(10);
        for second in 0..2 {
            let now = start + Duration::from_secs(second);
            let vitals =
                Vitals { cores: 1.0, behind: Duration::from_millis(500), dropped: 0, top: Top::Alone };
            govern.lock().governor.report(now, seat.id, vitals);
            assert_eq!(govern.observe(now, 0.0), second == 1);
        }
        assert_eq!(seat.order().await, Degradation::Speed1);
        let gauge = |sessions| format!("sluicegate_degraded_sessions{{level=\"speed_1\"}} {sessions}\n");
        assert!(metrics.text().contains(&gauge(1)));
        let steps = "sluicegate_degradation_steps_total{direction=\"down\",step=\"speed_1\"} 1\n";
        assert!(metrics.text().contains(steps));
        drop(seat);
        assert!(metrics.text().contains(&gauge(0)));
    }
}
