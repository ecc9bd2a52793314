mod serve;

use std::collections::{BTreeMap, HashSet};
use std::future::Future;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::FutureExt as _;
use prost::Message;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::bus::Subscription;
use crate::envelope::Envelope;
use crate::{Bus, BusError, Code, Error, Method, channel, clock};
use serve::{Offer, Route};

/// Serves methods of one service under one server id. Clones are the same server.
#[derive(Clone)]
pub struct Server {
    bus: Bus,
    service: &'static str,
    id: Arc<str>,
    /// Request channels that have a handler: a second one would offer itself under the same id.
    taken: Arc<Mutex<HashSet<String>>>,
}

/// What came with a request.
#[derive(Clone, Debug)]
pub struct Metadata {
    /// Of this attempt; a caller's retry has another one.
    pub request_id: String,
    /// Who asks.
    pub client_id: String,
    /// When the caller stops waiting. The handler's future is dropped then, and nothing is answered.
    pub deadline: Instant,
    /// Free pairs from the caller, such as a trace context.
    pub entries: BTreeMap<String, String>,
}

/// Requests of one registration between their arrival and their end: offers that wait for the client's choice, and
/// handlers. Past it requests wait in the buffer, other servers of the queue come first, and late ones are dropped.
const MAX_PENDING: usize = 256;
/// Handlers of one registration that run at the same time; the next ones wait for their turn, at most until their expiry.
const MAX_RUNNING: usize = 64;
/// Requests that were not looked at yet, as the Go servers buffer. Past it they are lost.
const REQUEST_BUFFER: usize = 100;
/// Choices that were not looked at yet: every client of a method sends its choices to all its servers.
const VERDICT_BUFFER: usize = 1000;

impl Server {
    /// A server of `service`. It hears nothing until methods are registered.
    pub fn new(bus: &Bus, service: &'static str) -> Self {
        Self { bus: bus.clone(), service, id: clock::id("SRV_").into(), taken: Arc::default() }
    }

    /// The id with which this server answers.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Serves `method` for `topic` (empty for methods without topics) until the registration is dropped. Returns once
    /// Redis has confirmed the subscriptions: a request that is sent afterwards is heard.
    ///
    /// `affinity` is asked before every offer of a method with claims: how well this server fits, where only > 0 can
    /// win, and < 0 says nothing at all (so that others are chosen at once). `|_| 1.0` is right for all methods whose
    /// servers are equal.
    ///
    /// # Errors
    /// No confirmation within 5 s, a method of another service, or one that is registered here already.
    pub async fn register<Req, Res, Handler, Answer>(
        &self,
        method: &Method,
        topic: &[&str],
        handler: Handler,
        affinity: impl Fn(&Req) -> f32 + Send + Sync + 'static,
    ) -> Result<Registration, BusError>
    where
        Req: Message + Default + 'static,
        Res: Message + 'static,
        Handler: Fn(Req, Metadata) -> Answer + Send + Sync + 'static,
        Answer: Future<Output = Result<Res, Error>> + Send + 'static,
    {
        method.check(self.service, topic)?;
        let name = *method;
        let handler = Arc::new(handler);
        let accept = move |raw: Bytes| {
            let request = Req::decode(raw);
            let request =
                request.map_err(|error| Error::new(Code::MalformedRequest, format!("{name}: {error}")))?;
            let affinity = if name.claim { affinity(&request) } else { 1.0 };
            let handler = handler.clone();
            let run =
                move |metadata| async move { Ok(handler(request, metadata).await?.encode_to_vec()) }.boxed();
            Ok(Offer { affinity, run: Box::new(run) })
        };
        self.open(method, topic, Box::new(accept)).await
    }

    async fn open(
        &self,
        method: &Method,
        topic: &[&str],
        accept: Box<serve::Accept>,
    ) -> Result<Registration, BusError> {
        let requests = channel::request(method, topic);
        let taken = Taken::new(&self.taken, &requests)?;
        // Verdicts first: the one for the first request must not be missed.
        let verdicts = match method.claim {
            true => Some(self.bus.subscribe(channel::verdict(method, topic), VERDICT_BUFFER).await?),
            false => None,
        };
        let requests = self.bus.subscribe(requests, REQUEST_BUFFER).await?;
        let (verdict_subscription, verdicts) = verdicts.unzip();
        let (request_subscription, requests) = requests;
        let route = Route::new(self.bus.clone(), *method, self.id.clone(), accept, MAX_RUNNING);
        let stop = CancellationToken::new();
        let tokens = (self.bus.closing().clone(), stop.clone());
        let (done, ended) = oneshot::channel();
        let listening = listen(Arc::new(route), requests, verdicts, tokens);
        self.bus.spawn(async move {
            listening.await;
            // Nobody waits when the registration was dropped.
            let _ = done.send(());
        });
        let subscriptions = [Some(request_subscription), verdict_subscription];
        Ok(Registration { subscriptions, taken, stop: Stop(stop), ended })
    }
}

/// A method that is served. Dropping it unsubscribes at once; handlers that run then end by themselves, at the latest at
/// the expiry of their requests, and still answer.
#[must_use = "dropping it unsubscribes"]
pub struct Registration {
    stop: Stop,
    subscriptions: [Option<Subscription>; 2],
    taken: Taken,
    ended: oneshot::Receiver<()>,
}

/// Stops the registration's task when dropped.
struct Stop(CancellationToken);

impl Registration {
    /// Unsubscribes and waits for the handlers that run.
    pub async fn close(self) {
        let Self { subscriptions, taken, stop, ended } = self;
        drop((stop, subscriptions, taken));
        // An error means that the bus was closed, which ends the handlers as well.
        let _ = ended.await;
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// The place of a registration among those of its server, until it is dropped.
struct Taken {
    all: Arc<Mutex<HashSet<String>>>,
    channel: String,
}

impl Taken {
    fn new(all: &Arc<Mutex<HashSet<String>>>, channel: &str) -> Result<Self, BusError> {
        if !all.lock().expect("no code panics while it holds the set").insert(channel.to_owned()) {
            return Err(BusError::AlreadyRegistered { channel: channel.to_owned() });
        }
        Ok(Self { all: all.clone(), channel: channel.to_owned() })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.all.lock().expect("no code panics while it holds the set").remove(&self.channel);
    }
}

/// Takes requests until `stop`, then lets the running ones end; ends them all when the bus is `closing`.
async fn listen(
    route: Arc<Route>,
    mut requests: mpsc::Receiver<Bytes>,
    mut verdicts: Option<mpsc::Receiver<Bytes>>,
    (closing, stop): (CancellationToken, CancellationToken),
) {
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = closing.cancelled() => break,
            () = stop.cancelled() => break,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            Some(payload) = next(&mut verdicts) => settle(&route, &payload),
            Some(payload) = requests.recv(), if tasks.len() < MAX_PENDING => {
                tasks.spawn(serve::serve(route.clone(), payload));
            }
        }
    }
    drop((requests, verdicts));
    route.abandon_claims();
    if closing.run_until_cancelled(async { while tasks.join_next().await.is_some() {} }).await.is_none() {
        tasks.shutdown().await;
    }
}

async fn next(messages: &mut Option<mpsc::Receiver<Bytes>>) -> Option<Bytes> {
    messages.as_mut()?.recv().await
}

fn settle(route: &Route, payload: &[u8]) {
    match Envelope::decode(payload) {
        Ok(Envelope::ClaimResponse(choice)) => route.settle(&choice),
        Ok(_) => tracing::debug!(method = %route.method(), "not a choice on the verdict channel, ignored"),
        Err(error) => tracing::debug!(method = %route.method(), %error, "unreadable choice, ignored"),
    }
}
