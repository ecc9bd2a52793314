//! What livekit-server asks of this worker while sessions live: the services IngressHandler (topics are ingress ids) and
//! IngressInternal. StartIngress is in `pulls.rs`.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use livekit_protocol::{DeleteIngressRequest, IngressState, UpdateIngressRequest};
use media::StreamKey;
use psrpc::{Bus, BusError, Code, Metadata, Server};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{
    messages::{IngressSession, ListActiveIngressRequest, ListActiveIngressResponse},
    methods::{DELETE_INGRESS, LIST_ACTIVE_INGRESS, UPDATE_INGRESS},
    notices::Notices,
    pulls::{Puller, Pulls},
    whip,
};

/// Requests that a session has not looked at. Any of them ends it, and livekit-server asks three times; past it the answer
/// is `unavailable` at once, on which livekit-server tries again.
const MAILBOX: usize = 4;

/// Every service of this worker. Dropping it ends the listing of sessions; registrations live on.
pub struct Handlers {
    bus: Bus,
    active: Arc<Active>,
    /// Held while a registration is on its way to Redis, so that two sessions of one ingress share one slot.
    slots: tokio::sync::Mutex<HashMap<String, Weak<Slot>>>,
    _listing: psrpc::Registration,
}

/// The subscriptions for one ingress, shared by its sessions: while an old one drains, the newest gets the requests.
struct Slot {
    newest: Arc<Mutex<mpsc::Sender<Request>>>,
    _registrations: [psrpc::Registration; 2],
}

/// One session's place on the bus, and its mailbox. Dropped: not listed any more, and the topics are unsubscribed.
#[must_use = "dropping it unsubscribes"]
pub struct Registration {
    requests: mpsc::Receiver<Request>,
    session: IngressSession,
    active: Arc<Active>,
    _slot: Arc<Slot>,
}

/// What livekit-server wants of a session. Both end it (the Go worker's behaviour, bus.md §2.4); they differ in what comes
/// after, which is livekit-server's business.
#[derive(Debug)]
#[non_exhaustive]
pub enum Request {
    /// The record changes: end, and let the publisher come back to get the new settings.
    Update {
        /// What changes; absent and empty fields stay as they are.
        change: Box<UpdateIngressRequest>,
        /// Where the answer goes.
        reply: Reply,
    },
    /// The ingress is deleted as soon as this is answered: the final state must be delivered before
    /// ([`Reporter::flush`](super::Reporter::flush)).
    Delete {
        /// Where the answer goes.
        reply: Reply,
    },
}

/// The way back of a [`Request`]. Dropped without an answer, it says `not_found`: the session is over.
#[derive(Debug)]
pub struct Reply {
    answer: oneshot::Sender<IngressState>,
    deadline: Instant,
}

#[derive(Default)]
struct Active(Mutex<Vec<IngressSession>>);

impl Handlers {
    /// Lists this worker's sessions to whoever asks (IngressInternal.ListActiveIngress).
    ///
    /// # Errors
    /// Redis does not confirm the subscription.
    pub async fn serve(bus: &Bus) -> Result<Self, BusError> {
        let active = Arc::new(Active::default());
        let listed = active.clone();
        let list = move |_: ListActiveIngressRequest, _: Metadata| {
            let answer = listed.answer();
            async move { Ok(answer) }
        };
        let server = Server::new(bus, LIST_ACTIVE_INGRESS.service);
        // The open-source livekit-server asks under the empty topic.
        let listing = server.register(&LIST_ACTIVE_INGRESS, &[""], list, |_| 1.0).await?;
        Ok(Self { bus: bus.clone(), active, slots: tokio::sync::Mutex::default(), _listing: listing })
    }

    /// Offers `puller` to livekit-server for URLs, until what is returned is dropped.
    ///
    /// # Errors
    /// Redis does not confirm the subscription.
    pub async fn serve_pulls(&self, puller: impl Puller) -> Result<Pulls, BusError> {
        Pulls::serve(&self.bus, puller).await
    }

    /// Hears requests for a session from now on. A session of the same ingress that is registered already gets no more.
    ///
    /// # Errors
    /// Redis does not confirm the subscriptions.
    pub async fn register(&self, ingress_id: &str, resource_id: &str) -> Result<Registration, BusError> {
        let (mailbox, requests) = mpsc::channel(MAILBOX);
        let mut slots = self.slots.lock().await;
        slots.retain(|_, slot| slot.strong_count() > 0);
        let slot = match slots.get(ingress_id).and_then(Weak::upgrade) {
            Some(slot) => {
                *lock(&slot.newest) = mailbox;
                slot
            }
            None => {
                let slot = Arc::new(Slot::open(&self.bus, ingress_id, mailbox).await?);
                slots.insert(ingress_id.to_owned(), Arc::downgrade(&slot));
                slot
            }
        };
        let session = IngressSession { ingress_id: ingress_id.into(), resource_id: resource_id.into() };
        lock(&self.active.0).push(session.clone());
        Ok(Registration { requests, session, active: self.active.clone(), _slot: slot })
    }

    /// Hears DELETEs and PATCHes of a WHIP session that came to other nodes, from now on; `key` is the one that it was made
    /// with, and requests that do not show it are refused.
    ///
    /// # Errors
    /// Redis does not confirm the subscriptions.
    pub async fn register_whip(
        &self,
        resource_id: &str,
        key: StreamKey,
        resource: impl whip::Resource,
    ) -> Result<whip::Registration, BusError> {
        whip::Registration::open(&self.bus, resource_id, key, resource).await
    }

    /// Hears what the SFU says of a WHIP publisher that it has itself, from now on. What it said before is lost: it says it
    /// again, but for the end.
    ///
    /// # Errors
    /// Redis does not confirm the subscription.
    pub async fn notices(&self, participant_sid: &str) -> Result<Notices, BusError> {
        Notices::open(&self.bus, participant_sid).await
    }
}

impl Slot {
    async fn open(bus: &Bus, ingress_id: &str, mailbox: mpsc::Sender<Request>) -> Result<Self, BusError> {
        let newest = Arc::new(Mutex::new(mailbox));
        let (to_update, to_delete) = (newest.clone(), newest.clone());
        let server = Server::new(bus, UPDATE_INGRESS.service);
        let update = move |change: UpdateIngressRequest, metadata: Metadata| {
            let request = |reply| Request::Update { change: Box::new(change), reply };
            answer(ask(&to_update, &metadata, request))
        };
        let delete = move |_: DeleteIngressRequest, metadata: Metadata| {
            answer(ask(&to_delete, &metadata, |reply| Request::Delete { reply }))
        };
        let registrations = [
            server.register(&UPDATE_INGRESS, &[ingress_id], update, |_| 1.0).await?,
            server.register(&DELETE_INGRESS, &[ingress_id], delete, |_| 1.0).await?,
        ];
        Ok(Self { newest, _registrations: registrations })
    }
}

/// Puts a request into the mailbox, at once or not at all.
fn ask(
    mailbox: &Mutex<mpsc::Sender<Request>>,
    metadata: &Metadata,
    request: impl FnOnce(Reply) -> Request,
) -> Result<oneshot::Receiver<IngressState>, psrpc::Error> {
    let (answer, answered) = oneshot::channel();
    let reply = Reply { answer, deadline: metadata.deadline };
    match lock(mailbox).try_send(request(reply)) {
        Ok(()) => Ok(answered),
        Err(mpsc::error::TrySendError::Closed(_)) => Err(over()),
        Err(mpsc::error::TrySendError::Full(_)) => {
            Err(psrpc::Error::new(Code::Unavailable, "the session has too many requests to answer"))
        }
    }
}

async fn answer(
    asked: Result<oneshot::Receiver<IngressState>, psrpc::Error>,
) -> Result<IngressState, psrpc::Error> {
    asked?.await.map_err(|_| over())
}

fn over() -> psrpc::Error {
    psrpc::Error::new(Code::NotFound, "the session is over")
}

impl Registration {
    /// The next request. Cancel safe. Pends for ever when there is none: a session ends for other reasons too.
    pub async fn recv(&mut self) -> Request {
        match self.requests.recv().await {
            Some(request) => request,
            // A newer session of this ingress has the mailbox.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut active = lock(&self.active.0);
        if let Some(at) = active.iter().position(|session| *session == self.session) {
            active.swap_remove(at);
        }
    }
}

impl Reply {
    /// When livekit-server stops waiting (3 s after it asked, at first). An answer after it goes nowhere.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Answers with the session's state: its final one, mostly.
    pub fn send(self, state: IngressState) {
        // An error means that livekit-server has stopped waiting.
        let _ = self.answer.send(state);
    }
}

impl Active {
    fn answer(&self) -> ListActiveIngressResponse {
        let sessions = lock(&self.0).clone();
        ListActiveIngressResponse {
            ingress_ids: sessions.iter().map(|session| session.ingress_id.clone()).collect(),
            ingress_sessions: sessions,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
