use prometheus_client::{metrics::family::Family, registry::Registry};

use super::{Metrics, Reason, counter::Counter};

/// What URL inputs took, and why they ended before their time.
#[derive(Debug, Clone, Default)]
pub(super) struct Url {
    bytes: Counter,
    failures: Family<Reason, Counter>,
}

impl Url {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Bytes of media that URL inputs were read for";
        registry.register("url_bytes_total", help, self.bytes.clone());
        let help = "URLs that could not be played, or not to their end, by reason";
        registry.register("url_failures_total", help, self.failures.clone());
    }

    fn failed(&self, reason: &'static str) {
        self.failures.get_or_create(&Reason { reason }).inc();
    }
}

impl Metrics {
    /// Counts bytes that were read of a URL.
    pub fn url_fetched(&self, bytes: usize) {
        self.url.bytes.add(bytes as u64);
    }

    /// Counts a URL that could not be played.
    pub fn url_failed(&self, reason: &'static str) {
        self.url.failed(reason);
    }
}
