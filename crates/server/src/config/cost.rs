//! The `cpu_cost` section (`spec/bus.md` §6.2).

use super::section::Section;

/// What a session of each kind is taken to cost, in cores. Unset: learned from running sessions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CpuCost {
    /// RTMP, always transcoded.
    pub rtmp: Option<f64>,
    /// WHIP, transcoded.
    pub whip: Option<f64>,
    /// WHIP, passed through.
    pub whip_bypass: Option<f64>,
    /// URL input, always transcoded.
    pub url: Option<f64>,
    /// The part of all cores that stays idle, 0 to 1: a session that would use it is refused.
    pub min_idle_ratio: f64,
}

/// The Go worker's, which it also takes for 0.
const MIN_IDLE_RATIO: f64 = 0.3;

impl Default for CpuCost {
    fn default() -> Self {
        Self { rtmp: None, whip: None, whip_bypass: None, url: None, min_idle_ratio: MIN_IDLE_RATIO }
    }
}

pub(super) fn read(s: &mut Section<'_>) -> CpuCost {
    let mut cores = |key| s.number(key, 0.0..=1024.0, "a number of cores from 0 to 1024, such as 0.6");
    let rtmp = cores("rtmp_cpu_cost");
    let whip = cores("whip_cpu_cost");
    let whip_bypass = cores("whip_bypass_transcoding_cpu_cost");
    let url = cores("url_cpu_cost");
    let idle = s.number("min_idle_ratio", 0.0..=0.99, "a part of all cores from 0 to 0.99, such as 0.3");
    let min_idle_ratio = idle.filter(|ratio| *ratio > 0.0).unwrap_or(MIN_IDLE_RATIO);
    CpuCost { rtmp, whip, whip_bypass, url, min_idle_ratio }
}
