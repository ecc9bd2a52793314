//! A session's states on their way to livekit-server (bus.md §2.2): complete, one at a time per ingress, the newest kept and
//! offered again while livekit-server is away, the final one last and once.

mod outbox;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use livekit_protocol::IngressState;
use tokio::{
    sync::{Notify, watch},
    time::{self, Instant},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::outbox::{Answer, Ending, Now, Outbox, Step};
use super::{
    error::Error,
    io_info::IoInfo,
    record::Record,
    status::{Constant, Status},
};

pub use outbox::Gone;

/// Where states go: livekit-server over the bus, or a test.
pub trait Post: Send + Sync + 'static {
    /// Delivers one complete state. `attempt` is 1 at first, and counts up while attempts fail.
    ///
    /// # Errors
    /// [`Error::NoIngress`] and [`Error::Superseded`] end the session's reports; any other is tried again later.
    fn post(
        &self,
        ingress_id: &str,
        state: IngressState,
        attempt: u32,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

/// All sessions' reports of one process. Each [`Reporter`] has a task here, which outlives it until its final state is
/// delivered; [`Reporters::shutdown`] joins them.
pub struct Reporters<P = IoInfo> {
    post: Arc<P>,
    /// Unix ns.
    clock: Arc<dyn Fn() -> i64 + Send + Sync>,
    tasks: TaskTracker,
    cancel: CancellationToken,
    newest: Arc<Newest>,
    opened: Notify,
}

/// The newest session of each ingress that has one.
#[derive(Default)]
struct Newest(Mutex<HashMap<String, Arc<watch::Sender<Outbox>>>>);

/// One session's reports. Dropped without a final status, it reports ERROR: nothing stays PUBLISHING that is not.
pub struct Reporter {
    outbox: Arc<watch::Sender<Outbox>>,
    clock: Arc<dyn Fn() -> i64 + Send + Sync>,
}

impl<P: Post> Reporters<P> {
    /// Reports through `post`, dated by `clock` (unix ns, may jump).
    pub fn new(post: Arc<P>, clock: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self {
            post,
            clock: Arc::new(clock),
            tasks: TaskTracker::new(),
            cancel: CancellationToken::new(),
            newest: Arc::default(),
            opened: Notify::new(),
        }
    }

    /// Begins the reports of a session that starts now. An earlier session of the same ingress may finish saying how it
    /// ended; if it has not ended, it is superseded.
    ///
    /// Not for a publisher that is refused while a session of that ingress lives: its ERROR would replace the healthy
    /// session's state. Requests should be heard ([`Handlers::register`](super::Handlers::register)) before the first status
    /// is put, because livekit-server asks as soon as it has one.
    ///
    /// A record without a stored state takes none: the reporter is [`Gone::Deleted`] at once.
    pub fn open(&self, record: &Record, resource_id: &str) -> Reporter {
        let mut outbox = Outbox::new(Constant {
            resource_id: resource_id.to_owned(),
            // Clocks of workers differ, and a session that starts "before" the last one is refused.
            started_at: (self.clock)().max(record.last_started_at.unwrap_or(0).saturating_add(1)),
            reusable: record.reusable,
        });
        if record.last_started_at.is_none() {
            outbox.delete();
        }
        let outbox = Arc::new(watch::Sender::new(outbox));
        let before = self.newest.lock().insert(record.ingress_id.clone(), outbox.clone());
        if let Some(before) = &before {
            before.send_modify(Outbox::supersede);
        }
        self.opened.notify_one();
        let driver = Driver {
            ingress_id: record.ingress_id.clone(),
            outbox: outbox.clone(),
            post: self.post.clone(),
            clock: self.clock.clone(),
        };
        let (cancel, newest) = (self.cancel.clone(), self.newest.clone());
        self.tasks.spawn(async move {
            let driven = async {
                if let Some(before) = before {
                    let over = |before: &Outbox| before.ending().is_some();
                    before.subscribe().wait_for(over).await.expect("`before` is held here");
                }
                driver.run().await;
            };
            cancel.run_until_cancelled(driven).await;
            newest.forget(&driver.ingress_id, &driver.outbox);
        });
        Reporter { outbox, clock: self.clock.clone() }
    }

    /// Waits until a session begins that began after the last call. Cancel safe; for one caller.
    pub(super) async fn opened(&self) {
        self.opened.notified().await;
    }

    /// Ingress and resource id of each session whose final state livekit-server does not have.
    pub fn open_sessions(&self) -> Vec<(String, String)> {
        let newest = self.newest.lock();
        let open = |(ingress_id, outbox): (&String, &Arc<watch::Sender<Outbox>>)| {
            let outbox = outbox.borrow();
            outbox.ending().is_none().then(|| (ingress_id.clone(), outbox.state().resource_id))
        };
        newest.iter().filter_map(open).collect()
    }

    /// Waits until every session has ended and its final state is delivered, for at most `within`; then gives up.
    /// Sessions must be ended (or their reporters dropped) by their owners. Retries are quick from now on. Sessions that
    /// are opened afterwards report nothing.
    ///
    /// Gives the number of sessions whose last state livekit-server has not taken.
    pub async fn shutdown(&self, within: Duration) -> usize {
        for outbox in self.newest.lock().values() {
            outbox.send_modify(Outbox::hurry);
        }
        self.tasks.close();
        let late = time::timeout(within, self.tasks.wait()).await.is_err();
        let undelivered = if late { self.tasks.len() } else { 0 };
        self.cancel.cancel();
        self.tasks.wait().await;
        undelivered
    }
}

impl Newest {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<watch::Sender<Outbox>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, ingress_id: &str, outbox: &Arc<watch::Sender<Outbox>>) {
        let mut newest = self.lock();
        if newest.get(ingress_id).is_some_and(|at| Arc::ptr_eq(at, outbox)) {
            newest.remove(ingress_id);
        }
    }
}

impl Reporter {
    /// Reports a status. It is on its way at once, unless a newer one overtakes it. False, and nothing is reported, after a
    /// final status and after [`Reporter::gone`].
    pub fn put(&self, status: Status) -> bool {
        let now = now(&*self.clock);
        let mut taken = false;
        self.outbox.send_modify(|outbox| taken = outbox.put(now, status));
        taken
    }

    /// Resolves when livekit-server wants no more reports although the session has not ended: end it. Otherwise never.
    /// Cancel safe.
    pub async fn gone(&self) -> Gone {
        let mut news = self.outbox.subscribe();
        loop {
            if let Some(Ending::Gone(gone)) = news.borrow_and_update().ending() {
                return gone;
            }
            news.changed().await.expect("the sender is in self");
        }
    }

    /// Waits, for at most `within`, until livekit-server has all that was put; true when it has, or wants no more.
    /// To be called between the final status and the answer to DeleteIngress, else its webhook is lost (bus.md §2.4).
    pub async fn flush(&self, within: Duration) -> bool {
        self.outbox.send_modify(Outbox::hurry);
        let mut news = self.outbox.subscribe();
        time::timeout(within, news.wait_for(Outbox::is_settled)).await.is_ok()
    }

    /// The newest state, complete, as it is posted: what an answer to UpdateIngress or DeleteIngress holds.
    pub fn state(&self) -> IngressState {
        self.outbox.borrow().state()
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        let now = now(&*self.clock);
        self.outbox.send_modify(|outbox| outbox.orphan(now));
    }
}

struct Driver<P> {
    ingress_id: String,
    outbox: Arc<watch::Sender<Outbox>>,
    post: Arc<P>,
    clock: Arc<dyn Fn() -> i64 + Send + Sync>,
}

impl<P: Post> Driver<P> {
    /// Runs until the outbox is over.
    async fn run(&self) {
        let mut news = self.outbox.subscribe();
        loop {
            news.mark_unchanged();
            match self.poll() {
                Step::Post { state, attempt } => {
                    let answer = self.attempt(state, attempt).await;
                    let now = now(&*self.clock);
                    self.outbox.send_modify(|outbox| outbox.answered(now, answer));
                }
                Step::Wait(None) => news.changed().await.expect("the sender is in self"),
                Step::Wait(Some(until)) => {
                    // Either way: look again.
                    let _ = time::timeout_at(Instant::from_std(until), news.changed()).await;
                }
                Step::Over(ending) => return self.log_ending(ending),
            }
        }
    }

    /// Notifies others (a flush, ourselves) only of a change, or we would wake ourselves for ever.
    fn poll(&self) -> Step {
        let now = now(&*self.clock);
        let mut step = Step::Wait(None);
        self.outbox.send_if_modified(|outbox| {
            step = outbox.poll(now);
            matches!(step, Step::Post { .. })
        });
        step
    }

    async fn attempt(&self, state: Box<IngressState>, attempt: u32) -> Answer {
        let (ingress_id, status) = (&self.ingress_id, state.status());
        match self.post.post(ingress_id, *state, attempt).await {
            Ok(()) if attempt > 1 => {
                tracing::info!(ingress_id, ?status, attempt, "state delivered at last");
                Answer::Stored
            }
            Ok(()) => {
                tracing::debug!(ingress_id, ?status, "state delivered");
                Answer::Stored
            }
            Err(Error::NoIngress) => Answer::Refused(Gone::Deleted),
            Err(Error::Superseded) => Answer::Refused(Gone::Superseded),
            Err(error) if attempt == 1 => {
                tracing::warn!(ingress_id, ?status, %error, "state not delivered, will try again");
                Answer::Failed
            }
            Err(error) => {
                tracing::debug!(ingress_id, ?status, attempt, %error, "state not delivered");
                Answer::Failed
            }
        }
    }

    fn log_ending(&self, ending: Ending) {
        let ingress_id = &self.ingress_id;
        match ending {
            Ending::Delivered | Ending::Unused => tracing::debug!(ingress_id, ?ending, "reports end"),
            Ending::Gone(why) => tracing::info!(ingress_id, ?why, "livekit-server wants no more reports"),
            Ending::Abandoned => tracing::error!(ingress_id, "final state never delivered, given up"),
        }
    }
}

fn now(clock: &(dyn Fn() -> i64 + Send + Sync)) -> Now {
    Now { instant: Instant::now().into_std(), unix_ns: clock() }
}
