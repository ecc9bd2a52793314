//! Metrics in Prometheus' text format: the Go worker's with its exact names (`spec/bus.md` §6.4), ours with the prefix
//! `sluicegate_`, and the usual `process_*`.

mod counter;
mod frames;
mod input;
mod process;
mod srt;
#[cfg(test)]
mod tests;
mod url;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::Router;
use axum::http::header;
use prometheus_client::encoding::{
    EncodeLabelSet, EncodeLabelValue, EncodeMetric, LabelValueEncoder, MetricEncoder,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use session::Degradation;

use crate::health::Health;
use crate::logs;
use counter::Counter;
pub use frames::Origin;
pub use input::Input;

/// How an attempt to publish ended, as the Go worker sorts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Publication {
    /// Accepted.
    Success,
    /// Refused with a reason that is the caller's: unknown key, disabled, full.
    Refused,
    /// The upstream server answered with an HTTP status of 500 or more.
    Upstream,
    /// Anything else, a bus that does not answer included.
    Internal,
}

impl EncodeLabelValue for Publication {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        let name = match self {
            Self::Success => "success",
            Self::Refused => "4xx",
            Self::Upstream => "5xx",
            Self::Internal => "internal",
        };
        name.encode(encoder)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Requests {
    r#type: Input,
    transcoding: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Publications {
    r#type: Input,
    status: Publication,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Latency {
    track: &'static str,
    ingress_type: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Queue {
    queue: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Way {
    way: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Peer {
    peer: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Layer {
    layer: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Level {
    level: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Taken {
    direction: &'static str,
    step: &'static str,
}

/// All metrics of the process. Clones share them; every call is a few atomic operations.
///
/// Labels are `&'static str` so that nothing from the network can become one.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    cpu_load: Gauge<f64, AtomicU64>,
    requests: Family<Requests, Gauge>,
    publications: Family<Publications, Counter>,
    latency: Family<Latency, Histogram>,
    queue_drops: Family<Queue, Counter>,
    sound_packets: Family<Way, Counter>,
    refusals: Family<Reason, Counter>,
    worker_restarts: Counter,
    reconnects: Family<Peer, Counter>,
    keyframe_requests: Family<Layer, Counter>,
    takeovers: Counter,
    degraded: Family<Level, Gauge>,
    degradation_steps: Family<Taken, Counter>,
    report_retries: Counter,
    url: url::Url,
    srt: srt::Srt,
    frames: frames::Frames,
}

impl Metrics {
    /// Registers all metrics. `node_id`: this process on the bus. `health` answers `livekit_ingress_available`.
    pub fn new(node_id: &str, health: Health) -> Self {
        let mut registry = Registry::default();
        let metrics = Self {
            registry: Arc::default(),
            cpu_load: Gauge::default(),
            requests: Family::default(),
            publications: Family::default(),
            // The Go worker's: 5 ms to 10.24 s.
            latency: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.005, 2.0, 12))),
            queue_drops: Family::default(),
            sound_packets: Family::default(),
            refusals: Family::default(),
            worker_restarts: Counter::default(),
            reconnects: Family::default(),
            keyframe_requests: Family::default(),
            takeovers: Counter::default(),
            degraded: Family::default(),
            degradation_steps: Family::default(),
            report_retries: Counter::default(),
            url: url::Url::default(),
            srt: srt::Srt::default(),
            frames: frames::Frames::default(),
        };
        metrics.register_go(&mut registry, node_id, health);
        metrics.register_ours(&mut registry);
        Degradation::ALL.into_iter().for_each(|level| metrics.degraded(level, 0));
        registry.register_collector(Box::new(process::Process));
        Self { registry: Arc::new(registry), ..metrics }
    }

    fn register_go(&self, registry: &mut Registry, node_id: &str, health: Health) {
        registry.register(
            "livekit_ingress_packet_latency_seconds",
            "Observed end-to-end packet latency within the ingress pipeline",
            self.latency.clone(),
        );
        let node = || ("node_id".into(), node_id.to_owned().into());
        let of_type = [node(), ("node_type".into(), "INGRESS".into())].into_iter();
        let help = "Used part of the cores that this node may use, 0 to 1";
        registry.sub_registry_with_labels(of_type).register(
            "livekit_node_cpu_load",
            help,
            self.cpu_load.clone(),
        );
        let of_node = registry.sub_registry_with_label(node());
        of_node.register(
            "livekit_ingress_available",
            "1 when a new session would be taken",
            Available(health),
        );
        of_node.register("livekit_ingress_requests", "Sessions that are running", self.requests.clone());
        let help = "Attempts to publish, by how they ended";
        of_node.register("livekit_ingress_publish_status", help, self.publications.clone());
    }

    fn register_ours(&self, registry: &mut Registry) {
        let ours = registry.sub_registry_with_prefix("sluicegate");
        ours.register("build_info", "Always 1; the label has the version", build_info());
        let help = "Packets dropped by a full queue";
        ours.register("queue_dropped_packets_total", help, self.queue_drops.clone());
        let help = "Packets of sound for rooms: as the publisher made them, or encoded by a worker";
        ours.register("sound_packets_total", help, self.sound_packets.clone());
        ours.register("refusals_total", "Publishers that were refused, by reason", self.refusals.clone());
        let help = "Workers started in the place of one that died";
        ours.register("worker_restarts_total", help, self.worker_restarts.clone());
        let help = "Connections to a peer that were made again after they had been lost";
        ours.register("reconnects_total", help, self.reconnects.clone());
        let help = "Keyframes asked for by subscribers, by layer, before the rate limit";
        ours.register("keyframe_requests_total", help, self.keyframe_requests.clone());
        let help = "Sessions that a second publisher with the same key took over";
        ours.register("takeovers_total", help, self.takeovers.clone());
        let help = "Sessions that do without something for want of CPU, by what was taken last";
        ours.register("degraded_sessions", help, self.degraded.clone());
        let help = "Steps of the governor: down takes something from a session, up gives it back";
        ours.register("degradation_steps_total", help, self.degradation_steps.clone());
        let help = "Session states that had to be sent to livekit-server again";
        ours.register("report_retries_total", help, self.report_retries.clone());
        self.url.register(ours);
        self.srt.register(ours);
        self.frames.register(ours);
        let help = "Log lines dropped because nobody read them fast enough";
        ours.register("log_lines_dropped_total", help, LogLinesDropped);
    }

    /// The machine's load, 0 to 1 ([`crate::cpu::Usage::load`]).
    pub fn set_cpu_load(&self, load: f64) {
        self.cpu_load.set(load);
    }

    /// Counts a running session until the returned guard is dropped.
    pub fn session(&self, input: Input, transcoding: bool) -> Running {
        let gauge = self.requests.get_or_create_owned(&Requests { r#type: input, transcoding });
        gauge.inc();
        Running(gauge)
    }

    /// Counts an attempt to publish.
    pub fn published(&self, input: Input, how: Publication) {
        self.publications.get_or_create(&Publications { r#type: input, status: how }).inc();
    }

    /// Time that a packet of an output took from the socket of the publisher to the room.
    pub fn packet_latency(&self, kind: media::Kind, input: Input, latency: Duration) {
        let track = match kind {
            media::Kind::Audio => "output.audio",
            media::Kind::Video => "output.video",
        };
        let ingress_type = match input {
            // SRT comes by the key of an RTMP ingress.
            Input::Rtmp | Input::Srt => "RTMP_INPUT",
            Input::Whip => "WHIP_INPUT",
            Input::Url => "URL_INPUT",
        };
        self.latency.get_or_create(&Latency { track, ingress_type }).observe(latency.as_secs_f64());
    }

    /// Counts packets that the queue of that name dropped.
    pub fn queue_dropped(&self, queue: &'static str, packets: u64) {
        self.queue_drops.get_or_create(&Queue { queue }).add(packets);
    }

    /// Counts a packet of sound for a room: `untouched` or `encoded`.
    pub fn sound_packet(&self, way: &'static str) {
        self.sound_packets.get_or_create(&Way { way }).inc();
    }

    /// Counts a refused publisher.
    pub fn refused(&self, reason: &'static str) {
        self.refusals.get_or_create(&Reason { reason }).inc();
    }

    /// Counts a worker that took a dead one's place.
    pub fn worker_restarted(&self) {
        self.worker_restarts.inc();
    }

    /// Counts a connection that was made again: `redis`, `room`.
    pub fn reconnected(&self, peer: &'static str) {
        self.reconnects.get_or_create(&Peer { peer }).inc();
    }

    /// Counts a subscriber's request for a keyframe.
    pub fn keyframe_requested(&self, layer: media::Quality) {
        let layer = self::layer(layer);
        self.keyframe_requests.get_or_create(&Layer { layer }).inc();
    }

    /// Counts a session taken over.
    pub fn taken_over(&self) {
        self.takeovers.inc();
    }

    /// So many sessions are at this level of degradation.
    pub fn degraded(&self, level: Degradation, sessions: usize) {
        if level != Degradation::None {
            let sessions = i64::try_from(sessions).unwrap_or(i64::MAX);
            self.degraded.get_or_create(&Level { level: level.label() }).set(sessions);
        }
    }

    /// Counts a step of the governor between two neighbours, by what is taken or given back.
    pub fn degradation_step(&self, from: Degradation, to: Degradation) {
        let direction = if from < to { "down" } else { "up" };
        let step = from.max(to).label();
        self.degradation_steps.get_or_create(&Taken { direction, step }).inc();
    }

    /// Counts a state that was sent again.
    pub fn report_retried(&self) {
        self.report_retries.inc();
    }

    /// All metrics as text, version 0.0.4 of the format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode_registry(&mut text, &self.registry)
            .expect("writing into a String does not fail");
        text
    }

    /// The page of `prometheus_port`: the metrics at any path, as the Go worker has them.
    pub fn router(&self) -> Router {
        let metrics = self.clone();
        let page = move || async move {
            // Not OpenMetrics, which would want `_total` on the counters that Go names without it.
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.text())
        };
        Router::new().fallback(page)
    }
}

/// Counts its session as running until dropped.
#[derive(Debug)]
pub struct Running(Gauge);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A layer's name as a label.
fn layer(quality: media::Quality) -> &'static str {
    match quality {
        media::Quality::Low => "low",
        media::Quality::Medium => "medium",
        media::Quality::High => "high",
    }
}

fn build_info() -> Family<[(&'static str, &'static str); 1], Gauge> {
    let info = Family::<[(&'static str, &'static str); 1], Gauge>::default();
    info.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
    info
}

/// `livekit_ingress_available`, asked for at each scrape so that it cannot differ from `/availability`.
#[derive(Debug)]
struct Available(Health);

impl EncodeMetric for Available {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> std::fmt::Result {
        encoder.encode_gauge(&u64::from(self.0.available()))
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

/// Asked for at each scrape: the log exists before the metrics do.
#[derive(Debug)]
struct LogLinesDropped;

impl EncodeMetric for LogLinesDropped {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> std::fmt::Result {
        encoder.encode_gauge(&logs::dropped_lines())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}
