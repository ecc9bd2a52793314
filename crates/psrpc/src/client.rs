use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};
use tokio::time::Instant;
use tokio_util::sync::DropGuard;

use crate::envelope::{ClaimResponse, Envelope, Request, Response};
use crate::select::{Progress, Rule, Selection};
use crate::{Bus, BusError, Code, Error, Method, channel, clock};

/// Calls the methods of one service. Clones are the same client.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    bus: Bus,
    service: &'static str,
    id: String,
    calls: Arc<Calls>,
    in_flight: Semaphore,
    /// Ends the task that routes the answers.
    _routes: DropGuard,
}

/// How a call is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long the call may take, everything included.
    pub timeout: Duration,
    /// Free pairs for the handler, such as a trace context.
    pub metadata: BTreeMap<String, String>,
}

/// What LiveKit's services wait by default.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Calls of one client at the same time. The next one waits for its turn, at most until its deadline.
const MAX_IN_FLIGHT: usize = 1000;
/// Answers that one client has not looked at yet; as livekit-server buffers. Past it they are lost.
const ANSWER_BUFFER: usize = 1000;
/// Offers and replies that one call has not looked at yet: more servers than one method has. Past it they are lost.
const CALL_BUFFER: usize = 100;

impl Default for Options {
    fn default() -> Self {
        Self { timeout: TIMEOUT, metadata: BTreeMap::new() }
    }
}

impl Options {
    /// The defaults with another timeout.
    pub fn timeout(timeout: Duration) -> Self {
        Self { timeout, ..Self::default() }
    }
}

impl Client {
    /// A client of `service`, once Redis has confirmed the subscriptions for its answers.
    ///
    /// # Errors
    /// No confirmation within 5 s.
    pub async fn new(bus: &Bus, service: &'static str) -> Result<Self, BusError> {
        let id = clock::id("CLI_");
        let replies = bus.subscribe(channel::reply(service, &id), ANSWER_BUFFER).await?;
        let claims = bus.subscribe(channel::claim(service, &id), ANSWER_BUFFER).await?;
        let calls = Arc::new(Calls::default());
        let token = bus.closing().child_token();
        let routes = token.clone().drop_guard();
        let router = route(calls.clone(), replies, claims);
        let open_calls = calls.clone();
        bus.spawn(async move {
            token.run_until_cancelled(router).await;
            // Calls that still wait learn that nothing will come.
            open_calls.lock().clear();
        });
        let in_flight = Semaphore::new(MAX_IN_FLIGHT);
        let inner = Inner { bus: bus.clone(), service, id, calls, in_flight, _routes: routes };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Calls a method that one server answers.
    ///
    /// # Errors
    /// What the handler answered; `unavailable` when no server offers itself (after 1 s) or Redis is away;
    /// `deadline_exceeded` when one did and no answer came in time; `malformed_result` for an answer that is no `Res`.
    pub async fn call<Req: Message, Res: Message + Default>(
        &self,
        method: &Method,
        topic: &[&str],
        request: &Req,
        options: Options,
    ) -> Result<Res, Error> {
        let mut call = self.start(method, topic, request, options).await?;
        if method.claim {
            let winner = call.select(if method.affinity { Rule::Best } else { Rule::First }).await?;
            let choice = ClaimResponse { request_id: call.id().to_owned(), server_id: winner };
            let verdicts = channel::verdict(method, topic);
            self.inner
                .bus
                .publish(&verdicts, &Envelope::ClaimResponse(choice).encode(), call.deadline)
                .await?;
        }
        match call.reply().await {
            Some(response) => decode(method, response).1,
            None if Instant::now() < call.deadline => Err(BusError::Closed.into()),
            None => Err(Error::new(Code::DeadlineExceeded, "request timed out")),
        }
    }

    /// Calls a method that every server answers.
    ///
    /// # Errors
    /// Redis is away; what servers answer is in [`Replies`].
    pub async fn call_multi<Req: Message, Res: Message + Default>(
        &self,
        method: &Method,
        topic: &[&str],
        request: &Req,
        options: Options,
    ) -> Result<Replies<'_, Res>, Error> {
        let call = self.start(method, topic, request, options).await?;
        Ok(Replies { call, method: *method, _result: std::marker::PhantomData })
    }

    /// Sends the request.
    async fn start<Req: Message>(
        &self,
        method: &Method,
        topic: &[&str],
        request: &Req,
        options: Options,
    ) -> Result<Call<'_>, Error> {
        method.check(self.inner.service, topic)?;
        let deadline = Instant::now() + options.timeout;
        let turn = tokio::time::timeout_at(deadline, self.inner.in_flight.acquire()).await;
        let too_many = || Error::new(Code::ResourceExhausted, format!("{MAX_IN_FLIGHT} calls are in flight"));
        let turn = turn.ok().and_then(Result::ok).ok_or_else(too_many)?;
        let sent_at = clock::unix_nanos();
        let request = Request {
            request_id: clock::id("REQ_"),
            client_id: self.inner.id.clone(),
            sent_at,
            expiry: clock::expiry(sent_at, deadline - Instant::now()),
            multi: method.multi,
            metadata: options.metadata,
            raw_request: request.encode_to_vec().into(),
        };
        let open = self.inner.calls.open(&request.request_id);
        let payload = Envelope::Request(request).encode();
        self.inner.bus.publish(&channel::request(method, topic), &payload, deadline).await?;
        Ok(Call { open, deadline, _turn: turn })
    }
}

/// The answers of all servers to one call, in the order in which they come.
pub struct Replies<'a, Res> {
    call: Call<'a>,
    method: Method,
    _result: std::marker::PhantomData<fn() -> Res>,
}

impl<Res: Message + Default> Replies<'_, Res> {
    /// The next answer and the id of the server that gave it; `None` when the time is over or the bus is closed.
    pub async fn next(&mut self) -> Option<(String, Result<Res, Error>)> {
        self.call.reply().await.map(|response| decode(&self.method, response))
    }

    /// All answers that come until the time is over.
    pub async fn collect(mut self) -> Vec<(String, Result<Res, Error>)> {
        let mut all = Vec::new();
        while let Some(reply) = self.next().await {
            all.push(reply);
        }
        all
    }
}

/// Who answered, and what.
fn decode<Res: Message + Default>(method: &Method, response: Response) -> (String, Result<Res, Error>) {
    let result = if response.error.is_empty() && response.code.is_empty() {
        Res::decode(response.raw_response)
            .map_err(|error| Error::new(Code::MalformedResult, format!("reply to {method}: {error}")))
    } else {
        Err(Error::new(Code::from_wire(&response.code), response.error))
    };
    (response.server_id, result)
}

/// One call in progress.
struct Call<'a> {
    open: OpenCall,
    deadline: Instant,
    _turn: SemaphorePermit<'a>,
}

impl Call<'_> {
    fn id(&self) -> &str {
        &self.open.request_id
    }

    /// Waits for offers and chooses.
    async fn select(&mut self, rule: Rule) -> Result<String, Error> {
        let mut selection = Selection::new(rule, Instant::now().into_std());
        loop {
            let until = match selection.poll(Instant::now().into_std()) {
                Progress::Wait(until) => Instant::from_std(until).min(self.deadline),
                Progress::Chosen(server_id) => return Ok(server_id),
                Progress::Failed(error) => return Err(error),
            };
            let answer = tokio::time::timeout_at(until, self.open.answers.recv()).await;
            let now = Instant::now();
            match answer {
                Ok(Some(Answer::Claim { server_id, affinity })) => {
                    selection.claim(now.into_std(), &server_id, affinity);
                }
                Ok(Some(Answer::Reply(response))) => {
                    // Only a request that a server cannot read is answered without a claim.
                    let error = Error::new(Code::from_wire(&response.code), response.error);
                    selection.refuse(now.into_std(), error);
                }
                Ok(None) => return Err(BusError::Closed.into()),
                Err(_) if now >= self.deadline => selection.end(now.into_std()),
                Err(_) => {}
            }
        }
    }

    /// The next reply; `None` at the deadline, or when the bus is closed.
    async fn reply(&mut self) -> Option<Response> {
        loop {
            match tokio::time::timeout_at(self.deadline, self.open.answers.recv()).await {
                Ok(Some(Answer::Reply(response))) => return Some(response),
                Ok(Some(Answer::Claim { .. })) => {}
                Ok(None) | Err(_) => return None,
            }
        }
    }
}

/// What servers say to a call.
enum Answer {
    Claim { server_id: String, affinity: f32 },
    Reply(Response),
}

/// The calls that wait for answers, by request id.
#[derive(Default)]
struct Calls {
    open: Mutex<HashMap<String, mpsc::Sender<Answer>>>,
}

/// The place of one call among them, until it is dropped.
struct OpenCall {
    calls: Arc<Calls>,
    request_id: String,
    answers: mpsc::Receiver<Answer>,
}

impl Calls {
    fn open(self: &Arc<Self>, request_id: &str) -> OpenCall {
        let (sender, answers) = mpsc::channel(CALL_BUFFER);
        self.lock().insert(request_id.to_owned(), sender);
        OpenCall { calls: self.clone(), request_id: request_id.to_owned(), answers }
    }

    fn answer(&self, payload: &[u8]) {
        let (request_id, answer) = match Envelope::decode(payload) {
            Ok(Envelope::Response(response)) => (response.request_id.clone(), Answer::Reply(response)),
            Ok(Envelope::ClaimRequest(claim)) => {
                (claim.request_id, Answer::Claim { server_id: claim.server_id, affinity: claim.affinity })
            }
            Ok(Envelope::Request(_) | Envelope::ClaimResponse(_)) => {
                return tracing::debug!("a message for servers on a client's channel, ignored");
            }
            Err(error) => return tracing::debug!(%error, "unreadable answer, ignored"),
        };
        // Answers to calls that are over are normal.
        let Some(call) = self.lock().get(&request_id).cloned() else { return };
        if call.try_send(answer).is_err() {
            tracing::debug!(request_id, "answer to a call that does not listen, dropped");
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, mpsc::Sender<Answer>>> {
        self.open.lock().expect("no code panics while it holds the calls")
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.calls.lock().remove(&self.request_id);
    }
}

type Channel = (crate::bus::Subscription, mpsc::Receiver<Bytes>);

async fn route(calls: Arc<Calls>, (_replies, mut replies): Channel, (_claims, mut claims): Channel) {
    loop {
        let payload = tokio::select! {
            Some(payload) = replies.recv() => payload,
            Some(payload) = claims.recv() => payload,
            else => return,
        };
        calls.answer(&payload);
    }
}
