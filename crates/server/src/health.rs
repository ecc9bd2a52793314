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

    /// The same on the port for WHIP, where other paths are publishers'.
    pub fn whip_routes(&self) -> Router {
        let available = self.clone();
        Router::new()
            .route("/health", any(|| async { "Healthy" }))
            .route("/availability", any(move || async move { available.availability() }))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tests::Page;

    fn ready() -> Health {
        let health = Health::new();
        health.set_redis_connected(true);
        health.set_accepting(true);
        health
    }

    #[tokio::test]
    async fn the_go_workers_pages_are_there() {
        let page = Page::serve(ready().router()).await;
        for path in ["/", "/health", "/healthz", "/any/thing?at=all"] {
            assert_eq!(page.get(path).await, (200, "Healthy".to_owned()), "{path}");
        }
        assert_eq!(page.get("/availability").await, (200, "Available".to_owned()));
        page.close().await;
    }

    #[tokio::test]
    async fn readiness_names_what_is_missing() {
        let health = Health::new();
        let page = Page::serve(health.router()).await;
        let ready = async || {
            let (status, body) = page.get("/readyz").await;
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(body["ready"], status == 200);
            (status, body["checks"].clone())
        };
        let checks = |redis: bool, accepting: bool, not_draining: bool| serde_json::json!({"redis_connected": redis, "accepting": accepting, "not_draining": not_draining});
        assert_eq!(ready().await, (503, checks(false, false, true)));
        health.set_redis_connected(true);
        assert_eq!(ready().await, (503, checks(true, false, true)));
        health.set_accepting(true);
        assert_eq!(ready().await, (200, checks(true, true, true)));
        health.set_draining();
        assert_eq!(ready().await, (503, checks(true, true, false)));
        page.close().await;
    }

    #[tokio::test]
    async fn a_full_server_is_healthy_and_not_available() {
        let health = ready();
        health.set_accepting(false);
        let page = Page::serve(health.router()).await;
        assert_eq!(page.get("/availability").await, (503, "No availability".to_owned()));
        assert_eq!(page.get("/healthz").await, (200, "Healthy".to_owned()));
        page.close().await;
    }
}
