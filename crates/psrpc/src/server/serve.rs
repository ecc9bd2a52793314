//! One request, from its arrival to its reply.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

use super::Metadata;
use crate::claims::Claims;
use crate::envelope::{ClaimRequest, ClaimResponse, Envelope, Request, Response, lock_key};
use crate::{Bus, Code, Error, Method, channel, clock};

/// Reads a request and says what it would take to handle it.
pub(super) type Accept = dyn Fn(Bytes) -> Result<Offer, Error> + Send + Sync;

/// A request that could be handled here.
pub(super) struct Offer {
    pub(super) affinity: f32,
    pub(super) run: Box<Run>,
}

/// The handler with its request; gives the serialised reply.
pub(super) type Run = dyn FnOnce(Metadata) -> BoxFuture<'static, Result<Vec<u8>, Error>> + Send;

/// What all requests of one registration share.
pub(super) struct Route {
    bus: Bus,
    method: Method,
    server_id: Arc<str>,
    accept: Box<Accept>,
    claims: Mutex<Claims<oneshot::Sender<bool>>>,
    running: Semaphore,
}

/// The longest that a request holds its place here, whatever expiry its client's clock says. Callers wait seconds.
const MAX_WAIT: Duration = Duration::from_secs(300);

impl Route {
    pub(super) fn new(
        bus: Bus,
        method: Method,
        server_id: Arc<str>,
        accept: Box<Accept>,
        max_running: usize,
    ) -> Self {
        let claims = Mutex::new(Claims::new());
        Self { bus, method, server_id, accept, claims, running: Semaphore::new(max_running) }
    }

    pub(super) fn method(&self) -> &Method {
        &self.method
    }

    /// A client has chosen somebody.
    pub(super) fn settle(&self, choice: &ClaimResponse) {
        let settled = self.claims().settle(&choice.request_id, &choice.server_id, &self.server_id);
        if let Some((waiter, won)) = settled {
            // The request may have expired in this very moment.
            let _ = waiter.send(won);
        }
    }

    /// No more choices will be heard.
    pub(super) fn abandon_claims(&self) {
        self.claims().clear();
    }

    fn claims(&self) -> MutexGuard<'_, Claims<oneshot::Sender<bool>>> {
        self.claims.lock().expect("no code panics while it holds the claims")
    }

    /// Whether the client wants us, of those that offer themselves.
    async fn claim(&self, request: &Request, affinity: f32, deadline: Instant) -> bool {
        let (waiter, verdict) = oneshot::channel();
        if !self.claims().open(&request.request_id, waiter) {
            return false;
        }
        let _forget = Forget { route: self, request_id: &request.request_id };
        let claim = Envelope::ClaimRequest(ClaimRequest {
            request_id: request.request_id.clone(),
            server_id: self.server_id.to_string(),
            affinity,
        });
        let channel = channel::claim(self.method.service, &request.client_id);
        if let Err(error) = self.bus.publish(&channel, &claim.encode(), deadline).await {
            tracing::warn!(method = %self.method, %error, "claim not sent");
            return false;
        }
        matches!(timeout_at(deadline, verdict).await, Ok(Ok(true)))
    }

    async fn reply(&self, request: &Request, result: Result<Vec<u8>, Error>, deadline: Instant) {
        let (raw_response, error, code) = match result {
            Ok(raw) => (raw.into(), String::new(), String::new()),
            Err(error) => (Bytes::new(), error.message, error.code.as_str().to_owned()),
        };
        let response = Envelope::Response(Response {
            request_id: request.request_id.clone(),
            server_id: self.server_id.to_string(),
            sent_at: clock::unix_nanos(),
            error,
            code,
            raw_response,
        });
        let channel = channel::reply(self.method.service, &request.client_id);
        if let Err(error) = self.bus.publish(&channel, &response.encode(), deadline).await {
            tracing::warn!(method = %self.method, %error, "reply not sent");
        }
    }
}

/// Closes an offer on every way out.
struct Forget<'a> {
    route: &'a Route,
    request_id: &'a str,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.route.claims().forget(self.request_id);
    }
}

pub(super) async fn serve(route: Arc<Route>, payload: Bytes) {
    // Before anything else is looked at: all servers of the queue must compete in the same way.
    if route.method.queue && !route.bus.acquire(&lock_key(&payload)).await {
        return;
    }
    let request = match Envelope::decode(&payload) {
        Ok(Envelope::Request(request)) => request,
        Ok(_) => {
            return tracing::debug!(method = %route.method, "not a request on the request channel, ignored");
        }
        Err(error) => return tracing::debug!(method = %route.method, %error, "unreadable request, ignored"),
    };
    let now = clock::unix_nanos();
    let Some(left) = clock::until(request.expiry, now) else {
        let late_ms = now.saturating_sub(request.expiry) / 1_000_000;
        return tracing::warn!(method = %route.method, late_ms, "request expired; are the clocks of both hosts right?");
    };
    let deadline = Instant::now() + left.min(MAX_WAIT);
    let offer = match (route.accept)(request.raw_request.clone()) {
        Ok(offer) => offer,
        Err(error) => return route.reply(&request, Err(error), deadline).await,
    };
    // Not a number is as little an offer as a negative one.
    if offer.affinity.is_nan() || offer.affinity < 0.0 {
        return;
    }
    if route.method.claim && !route.claim(&request, offer.affinity, deadline).await {
        return;
    }
    match timeout_at(deadline, run(&route, &request, offer, deadline)).await {
        Ok(result) => route.reply(&request, result, deadline).await,
        Err(_) => {
            tracing::warn!(method = %route.method, request_id = request.request_id, "handler took too long")
        }
    }
}

async fn run(route: &Route, request: &Request, offer: Offer, deadline: Instant) -> Result<Vec<u8>, Error> {
    let closed = |_| Error::new(Code::Unavailable, "the server is closing");
    let _turn = route.running.acquire().await.map_err(closed)?;
    let metadata = Metadata {
        request_id: request.request_id.clone(),
        client_id: request.client_id.clone(),
        deadline,
        entries: request.metadata.clone(),
    };
    // Built inside the future: the handler's synchronous part may panic as well.
    let handler = async move { (offer.run)(metadata).await };
    AssertUnwindSafe(handler).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!(method = %route.method, "handler panicked");
        Err(Error::new(Code::Internal, "the handler panicked"))
    })
}
