//! `process_*`, with the names that every Prometheus client library has.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::cpu;

/// Reads this process's own figures at each scrape. What cannot be read is left out.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut add = |name: &str, help: &str, kind: MetricType, value: Option<f64>| {
            let Some(value) = value else { return Ok(()) };
            // A counter without `_total` being added once more: see `Counter`.
            ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, kind)?)
        };
        let times = cpu::process_times("self").ok();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;

        let used = times.map(|times| times.used.as_secs_f64());
        add("process_cpu_seconds_total", "User and system CPU time", MetricType::Counter, used)?;
        let started = times.zip(boot_time(&stat)).map(|(times, boot)| boot + times.started.as_secs_f64());
        add(
            "process_start_time_seconds",
            "Start, in seconds since the Unix epoch",
            MetricType::Gauge,
            started,
        )?;
        let open = fs::read_dir("/proc/self/fd").ok().map(|fds| fds.count() as f64 - READING_IT);
        add("process_open_fds", "Open file descriptors", MetricType::Gauge, open)?;
        let limit = descriptors.map(|limit| limit as f64);
        add("process_max_fds", "Most file descriptors that may be open", MetricType::Gauge, limit)?;
        let resident = status_bytes(&status, "VmRSS:");
        add("process_resident_memory_bytes", "Resident memory", MetricType::Gauge, resident)?;
        let virtual_memory = status_bytes(&status, "VmSize:");
        add("process_virtual_memory_bytes", "Virtual memory", MetricType::Gauge, virtual_memory)
    }
}

/// The descriptor of `/proc/self/fd` itself, open while it is listed.
const READING_IT: f64 = 1.0;

/// A line of `/proc/self/status`, `VmRSS:     1234 kB`.
fn status_bytes(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0)
}

/// The `btime` line of `/proc/stat`: seconds since the Unix epoch.
fn boot_time(stat: &str) -> Option<f64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kilobytes_of_status_become_bytes() {
        let status = "VmPeak:\t  999 kB\nVmSize:\t  200 kB\nVmRSS:\t     12 kB\n";
        assert_eq!(status_bytes(status, "VmRSS:"), Some(12_288.0));
        assert_eq!(status_bytes(status, "VmSwap:"), None);
        assert_eq!(boot_time("cpu 1 2\nbtime 1700000000\nprocesses 5\n"), Some(1_700_000_000.0));
    }
}
