use intake::srt::Stats;
use prometheus_client::{
    metrics::histogram::{Histogram, exponential_buckets},
    registry::Registry,
};

use super::{Metrics, counter::Counter};

/// What SRT connections are like, all together.
#[derive(Debug, Clone)]
pub(super) struct Srt {
    received: Counter,
    lost: Counter,
    resent: Counter,
    dropped: Counter,
    undecrypted: Counter,
    unread: Counter,
    rtt: Histogram,
}

impl Default for Srt {
    fn default() -> Self {
        Self {
            received: Counter::default(),
            lost: Counter::default(),
            resent: Counter::default(),
            dropped: Counter::default(),
            undecrypted: Counter::default(),
            unread: Counter::default(),
            // 1 ms to 2 s.
            rtt: Histogram::new(exponential_buckets(0.001, 2.0, 12)),
        }
    }
}

impl Srt {
    pub(super) fn register(&self, registry: &mut Registry) {
        for (name, help, counter) in [
            ("srt_packets_received_total", "SRT packets that came, resent ones included", &self.received),
            ("srt_packets_lost_total", "SRT packets that were missing at first", &self.lost),
            (
                "srt_packets_resent_total",
                "SRT packets that came because they were asked for again",
                &self.resent,
            ),
            ("srt_packets_dropped_total", "SRT packets that did not come within the latency", &self.dropped),
            ("srt_packets_undecrypted_total", "SRT packets that could not be decrypted", &self.undecrypted),
            ("srt_unread_bytes_total", "Bytes over SRT that a session did not take in time", &self.unread),
        ] {
            registry.register(name, help, counter.clone());
        }
        let help = "Round trip to SRT peers, of each once a second";
        registry.register("srt_rtt_seconds", help, self.rtt.clone());
    }
}

impl Metrics {
    /// Counts what a connection has been like since the last call for it.
    pub fn srt(&self, before: &(Stats, u64), now: &(Stats, u64)) {
        let (old, new) = (&before.0, &now.0);
        self.srt.received.add(new.received.saturating_sub(old.received));
        self.srt.lost.add(new.lost.saturating_sub(old.lost));
        self.srt.resent.add(new.resent.saturating_sub(old.resent));
        self.srt.dropped.add(new.dropped.saturating_sub(old.dropped));
        self.srt.undecrypted.add(new.undecrypted.saturating_sub(old.undecrypted));
        self.srt.unread.add(now.1.saturating_sub(before.1));
        if new.received > old.received {
            self.srt.rtt.observe(new.rtt_ms / 1000.0);
        }
    }
}
