use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Admitted;

/// A granted session's cost counts for this long beside the measured load, until it shows there (as the Go worker's).
const PENDING: Duration = Duration::from_secs(1);

/// What a transcoded session is taken to need before any was measured, in cores.
const TRANSCODED_CORES: f64 = 0.6;

/// What a session that is passed through is taken to need before any was measured, in cores.
const PASSED_CORES: f64 = 0.05;

/// How much of what was learned a new measurement is worth: with one each ten seconds, about two minutes are remembered.
const WEIGHT: f64 = 0.1;

/// What is learned never falls below this part of what it started with: a still picture costs little until it moves.
const LEAST_PART: f64 = 0.25;

/// What a session is, as far as its cost goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Work {
    /// RTMP, transcoded.
    Rtmp,
    /// WHIP, transcoded.
    Whip,
    /// WHIP, passed through.
    WhipBypass,
    /// A URL, transcoded.
    Url,
}

impl Work {
    /// Decoded and encoded again.
    pub fn is_transcoded(self) -> bool {
        self != Work::WhipBypass
    }
}

/// The configuration's `cpu_cost`: cores per session, None where the operator set nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Costs {
    /// `rtmp_cpu_cost`.
    pub rtmp: Option<f64>,
    /// `whip_cpu_cost`.
    pub whip: Option<f64>,
    /// `whip_bypass_transcoding_cpu_cost`.
    pub whip_bypass: Option<f64>,
    /// `url_cpu_cost`.
    pub url: Option<f64>,
    /// `min_idle_ratio`: this part of the machine is left free, 0..1.
    pub min_idle_ratio: f64,
}

impl Default for Costs {
    fn default() -> Self {
        Self { rtmp: None, whip: None, whip_bypass: None, url: None, min_idle_ratio: 0.3 }
    }
}

impl Costs {
    /// What the operator set for `work`.
    pub fn of(&self, work: Work) -> Option<f64> {
        match work {
            Work::Rtmp => self.rtmp,
            Work::Whip => self.whip,
            Work::WhipBypass => self.whip_bypass,
            Work::Url => self.url,
        }
    }
}

/// Decides whether the machine has room for one more session.
#[derive(Debug)]
pub struct Admission {
    costs: Costs,
    served: Vec<Work>,
    cores: f64,
    idle_cores: f64,
    transcoded: Learned,
    passed: Learned,
    /// Granted lately: until when, and how many cores.
    pending: Vec<(Instant, f64)>,
    /// One more reference per claim.
    claims: Arc<()>,
    closed: bool,
}

/// A session's place; hold it until the session is over.
#[derive(Debug)]
#[must_use = "dropping it frees the place"]
pub struct Claim {
    _place: Arc<()>,
}

#[derive(Debug)]
struct Learned {
    cores: f64,
    least: f64,
}

impl Learned {
    fn starting_at(cores: f64) -> Self {
        Self { cores, least: cores * LEAST_PART }
    }

    fn observe(&mut self, cores: f64) {
        self.cores = (self.cores + WEIGHT * (cores - self.cores)).max(self.least);
    }
}

impl Admission {
    /// For a machine (or cgroup) of `cores`, idle until told otherwise, that serves the kinds of sessions `served`.
    pub fn new(costs: Costs, served: impl IntoIterator<Item = Work>, cores: f64) -> Self {
        Self {
            costs,
            served: served.into_iter().collect(),
            cores,
            idle_cores: cores,
            transcoded: Learned::starting_at(TRANSCODED_CORES),
            passed: Learned::starting_at(PASSED_CORES),
            pending: Vec::new(),
            claims: Arc::new(()),
            closed: false,
        }
    }

    /// Kinds of sessions that this machine can never take, even when idle, with the cost that was set and the cores that a
    /// session may have at most: worth one warning at start.
    pub fn never_met(&self) -> Vec<(Work, f64, f64)> {
        let most = self.cores * (1.0 - self.costs.min_idle_ratio / 2.0);
        let set = self.served.iter().filter_map(|work| Some((*work, self.costs.of(*work)?)));
        set.filter(|(_, cost)| *cost >= most).map(|(work, cost)| (work, cost, most)).collect()
    }

    /// Takes the measured idle time of the machine, in cores.
    pub fn observe_idle(&mut self, idle_cores: f64) {
        self.idle_cores = idle_cores.clamp(0.0, self.cores);
    }

    /// Takes the measured CPU time of one running session, in cores. Only of a session all of whose layers are encoded:
    /// one that nobody watches says nothing about what it will cost.
    pub fn observe_session(&mut self, work: Work, cores: f64) {
        match work.is_transcoded() {
            true => self.transcoded.observe(cores),
            false => self.passed.observe(cores),
        }
    }

    /// What a session of `work` is taken to need, in cores: what was set, else what was learned.
    pub fn cost(&self, work: Work) -> f64 {
        let learned = if work.is_transcoded() { self.transcoded.cores } else { self.passed.cores };
        self.costs.of(work).unwrap_or(learned)
    }

    /// Takes no new sessions any more.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Sessions that hold a claim.
    pub fn active(&self) -> usize {
        Arc::strong_count(&self.claims) - 1
    }

    /// A place for a publisher that has connected, or the answer to give to [`Input::Admission`](crate::Input::Admission).
    ///
    /// A connection that is here has come to the wrong server if it is refused, so it may use half of what is else left free.
    pub fn admit(&mut self, now: Instant, work: Work) -> Result<Claim, Admitted> {
        if self.closed {
            return Err(Admitted::ShuttingDown);
        }
        self.pending.retain(|(until, _)| *until > now);
        if !self.has_room(now, work, self.costs.min_idle_ratio / 2.0) {
            return Err(Admitted::Full);
        }
        self.pending.push((now + PENDING, self.cost(work)));
        Ok(Claim { _place: self.claims.clone() })
    }

    /// True when there is room for the most expensive kind of session (`/availability`), with all of `min_idle_ratio` left free.
    pub fn available(&self, now: Instant) -> bool {
        !self.closed && self.served.iter().all(|work| self.has_room(now, *work, self.costs.min_idle_ratio))
    }

    fn has_room(&self, now: Instant, work: Work, idle_ratio: f64) -> bool {
        // What was learned elsewhere must not keep a small machine from doing anything at all.
        if self.costs.of(work).is_none() && self.active() == 0 {
            return true;
        }
        let pending: f64 =
            self.pending.iter().filter(|(until, _)| *until > now).map(|(_, cores)| cores).sum();
        self.idle_cores - pending - idle_ratio * self.cores > self.cost(work)
    }
}
