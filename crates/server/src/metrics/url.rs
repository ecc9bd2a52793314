use prometheus_client::{metrics::family::Family, registry::Registry};

use super::{Reason, counter::Counter};

/// What URL inputs took, and why they ended before their time.
#[derive(Debug, Clone, Default)]
pub(super) struct Url {
    pub(super) bytes: Counter,
    failures: Family<Reason, Counter>,
}

impl Url {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Bytes of media that URL inputs were read for";
        registry.register("url_bytes_total", help, self.bytes.clone());
        let help = "URLs that could not be played, or not to their end, by reason";
        registry.register("url_failures_total", help, self.failures.clone());
    }

    pub(super) fn failed(&self, reason: &'static str) {
        self.failures.get_or_create(&Reason { reason }).inc();
    }
}
