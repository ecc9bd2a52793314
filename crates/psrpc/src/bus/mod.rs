mod connect;
mod drive;
mod error;
mod hash;
mod lock;
mod node;
mod registry;
mod tls;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::Config;
use connect::{Connector, Link};
pub use error::BusError;
use registry::Registry;
pub(crate) use registry::Subscription;

/// The connection to Redis that clients and servers share. Clones are the same bus.
///
/// A task of its own keeps two connections (commands, and pub/sub), finds lost ones, reconnects after 100 ms to 1 s
/// (through the sentinels where there are any), and subscribes again. What is published elsewhere in between is lost:
/// Redis replays nothing, so callers retry. When the last clone is gone the bus closes by itself; [`Bus::close`] also
/// waits for its tasks.
#[derive(Clone)]
pub struct Bus {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    tasks: TaskTracker,
    /// Ends the connection task with the last clone.
    _closes: DropGuard,
}

/// What the connection task and the bus both see.
struct Shared {
    registry: Arc<Registry>,
    /// The present connection; `None` while there is none, or while its subscriptions are not all confirmed.
    link: watch::Sender<Option<Arc<Link>>>,
    status: watch::Sender<Status>,
    closed: CancellationToken,
}

/// Whether Redis is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Connected, and subscribed to all that is wanted.
    Connected,
    /// No connection; the bus tries on.
    Lost,
    /// The bus was closed. The last status.
    Closed,
}

/// How long a new subscription may take to be confirmed. Redis needs milliseconds; this covers one reconnect.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(5);

impl Bus {
    /// Connects and logs in to Redis, and asks for a PING, once: a wrong address or password shows here.
    ///
    /// # Errors
    /// Wrong settings, no usable certificate, nobody reachable, or a login that is refused.
    pub async fn connect(config: Config) -> Result<Self, BusError> {
        let tasks = TaskTracker::new();
        let mut connector = Connector::new(config, tasks.clone())?;
        let first = connector.connect().await?;
        let shared = Arc::new(Shared {
            registry: Arc::default(),
            link: watch::Sender::new(None),
            status: watch::Sender::new(Status::Lost),
            closed: CancellationToken::new(),
        });
        tasks.spawn(drive::run(shared.clone(), connector, first));
        let closes = shared.closed.clone().drop_guard();
        let bus = Self { inner: Arc::new(Inner { shared, tasks, _closes: closes }) };
        bus.link(Instant::now() + SUBSCRIBE_TIMEOUT).await?;
        Ok(bus)
    }

    /// Whether Redis is there, now and on every change.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.inner.shared.status.subscribe()
    }

    /// Ends all clients and servers of this bus, whoever holds them, with the handlers that still run, then the
    /// connection, and waits for their tasks. Close [`Registration`](crate::Registration)s first to let handlers finish.
    pub async fn close(self) {
        self.inner.shared.closed.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    /// Subscribes, and waits until Redis has confirmed it.
    pub(crate) async fn subscribe(
        &self,
        channel: String,
        capacity: usize,
    ) -> Result<(Subscription, mpsc::Receiver<Bytes>), BusError> {
        let (mut subscription, messages) = self.inner.shared.registry.listen(channel, capacity);
        tokio::select! {
            () = self.closed() => Err(BusError::Closed),
            () = subscription.confirmed() => Ok((subscription, messages)),
            () = tokio::time::sleep(SUBSCRIBE_TIMEOUT) => Err(BusError::NotSubscribed {
                channel: subscription.channel().to_owned(),
                waited: SUBSCRIBE_TIMEOUT,
            }),
        }
    }

    /// Publishes once there is a connection, at the latest by `deadline`. Messages that are published one after the
    /// other arrive in that order. An error does not mean that nobody heard it.
    pub(crate) async fn publish(
        &self,
        channel: &str,
        payload: &[u8],
        deadline: Instant,
    ) -> Result<(), BusError> {
        let link = self.link(deadline).await?;
        let published = tokio::time::timeout_at(deadline, link.publish(channel, payload)).await;
        published.map_err(|_| BusError::NotConnected)?
    }

    /// Tries to be the only one on the bus to handle `payload`. Trouble with Redis means that somebody else is.
    pub(crate) async fn acquire(&self, key: &str) -> bool {
        let Some(link) = self.inner.shared.link.borrow().clone() else { return false };
        link.acquire(key).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "queue lock not acquired; the request is left to others");
            false
        })
    }

    /// Runs a task that [`Bus::close`] waits for. It must end when [`Bus::closing`] is cancelled.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.inner.tasks.spawn(task);
    }

    /// Cancelled when the bus is closed; children of it also earlier.
    pub(crate) fn closing(&self) -> &CancellationToken {
        &self.inner.shared.closed
    }

    async fn closed(&self) {
        self.inner.shared.closed.cancelled().await;
    }

    async fn link(&self, deadline: Instant) -> Result<Arc<Link>, BusError> {
        let mut links = self.inner.shared.link.subscribe();
        let found = tokio::select! {
            () = self.closed() => return Err(BusError::Closed),
            found = tokio::time::timeout_at(deadline, links.wait_for(Option::is_some)) => found,
        };
        let link = found.map_err(|_| BusError::NotConnected)?.map_err(|_| BusError::Closed)?;
        link.clone().ok_or(BusError::NotConnected)
    }
}
