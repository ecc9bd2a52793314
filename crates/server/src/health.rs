//! What probes and load balancers ask: alive, ready, room for another session.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::any;

/// The state that probes see. Clones share it. A new one has no Redis, accepts nothing and does not drain.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    redis: AtomicBool,
    accepting: AtomicBool,
    draining: AtomicBool,
}

impl Health {
    /// A state to share.
    pub fn new() -> Self {
        Self::default()
    }

    /// Redis answers, or no longer does.
    pub fn set_redis_connected(&self, connected: bool) {
        self.0.redis.store(connected, Ordering::Relaxed);
    }

    /// The listeners are up and admission has room for another session, or not.
    pub fn set_accepting(&self, accepting: bool) {
        self.0.accepting.store(accepting, Ordering::Relaxed);
    }

    /// The process has been told to end; there is no way back.
    pub fn set_draining(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    /// True when a new session would be taken: all of [`Health::checks`] pass.
    pub fn available(&self) -> bool {
        self.checks().iter().all(|(_, passes)| *passes)
    }

    /// The named checks of `/readyz`, and whether each passes.
    pub fn checks(&self) -> [(&'static str, bool); 3] {
        [
            ("redis_connected", self.0.redis.load(Ordering::Relaxed)),
            ("accepting", self.0.accepting.load(Ordering::Relaxed)),
            ("not_draining", !self.0.draining.load(Ordering::Relaxed)),
        ]
    }

    /// The pages of `health_port`, as the Go worker has them (`spec/bus.md` §6.3), with `/healthz` and `/readyz`
    /// for orchestrators:
    ///
    /// * `/availability`: 200 `Available`, or 503 `No availability`;
    /// * `/readyz`: 200 or 503 with `{"ready":…,"checks":{…}}`;
    /// * `/healthz` and any other path: 200 `Healthy`, as long as the process runs.
    pub fn router(&self) -> Router {
        let (ready, available) = (self.clone(), self.clone());
        Router::new()
            .route("/readyz", any(move || async move { ready.readiness() }))
            .route("/availability", any(move || async move { available.availability() }))
            .fallback(|| async { "Healthy" })
    }

    fn availability(&self) -> (StatusCode, &'static str) {
        if self.available() {
            (StatusCode::OK, "Available")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "No availability")
        }
    }

    fn readiness(&self) -> impl IntoResponse + use<> {
        let checks = self.checks();
        let ready = checks.iter().all(|(_, passes)| *passes);
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let checks: serde_json::Map<_, _> =
            checks.into_iter().map(|(name, passes)| (name.to_owned(), passes.into())).collect();
        let body = serde_json::json!({ "ready": ready, "checks": checks });
        (status, [(header::CONTENT_TYPE, "application/json")], body.to_string())
    }
}
