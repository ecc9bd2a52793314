use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::Admitted;

/// A granted session's cost counts for this long beside the measured load, until it shows in all the samples that are looked
/// at together. (The Go worker: 1 s, beside the newest sample alone.)
const PENDING: Duration = Duration::from_secs(5);

/// Samples of the idle time that are looked at together.
const SAMPLES: usize = 5;

/// What a transcoded session is taken to need before any was measured, in cores.
const TRANSCODED_CORES: f64 = 0.6;

/// What a session that is passed through is taken to need before any was measured, in cores.
const PASSED_CORES: f64 = 0.05;

/// How much of what was learned a new measurement is worth: with one a second, about two minutes are remembered.
const WEIGHT: f64 = 0.01;

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
    /// Those of running sessions, and of sessions that ended since the last sample but one.
    grants: Vec<Grant>,
    /// The last samples of the idle time, oldest first.
    samples: VecDeque<f64>,
    closed: bool,
}

/// A session's place; hold it until the session is over.
#[derive(Debug)]
#[must_use = "dropping it frees the place"]
pub struct Claim {
    _place: Arc<()>,
}

/// What is known of a claim.
#[derive(Debug)]
struct Grant {
    /// Dead once the claim is dropped.
    claim: Weak<()>,
    cores: f64,
    /// By then its load shows in the samples.
    shows: Instant,
    /// It was dead at the last sample already.
    past: bool,
}

impl Grant {
    fn is_held(&self) -> bool {
        self.claim.strong_count() > 0
    }
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
            grants: Vec::new(),
            samples: VecDeque::new(),
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

    /// Takes the measured idle time of the machine, in cores; about once a second. The better of the newest sample and the
    /// mean of the last five counts: neither a burst of a second nor a load that is over refuses anybody.
    pub fn observe_idle(&mut self, idle_cores: f64) {
        let sample = idle_cores.clamp(0.0, self.cores);
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        let mean = self.samples.iter().sum::<f64>() / self.samples.len() as f64;
        self.idle_cores = sample.max(mean);
        // The first sample after a session's end still shows a part of it.
        self.grants.retain_mut(|grant| grant.is_held() || !std::mem::replace(&mut grant.past, true));
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
        self.grants.iter().filter(|grant| grant.is_held()).count()
    }

    /// A place for a publisher that has connected, or the answer to give to [`Input::Admission`](crate::Input::Admission).
    ///
    /// A connection that is here has come to the wrong server if it is refused, so it may use half of what is else left free.
    pub fn admit(&mut self, now: Instant, work: Work) -> Result<Claim, Admitted> {
        if self.closed {
            return Err(Admitted::ShuttingDown);
        }
        if !self.has_room(now, work, self.costs.min_idle_ratio / 2.0) {
            return Err(Admitted::Full);
        }
        let place = Arc::default();
        let claim = Arc::downgrade(&place);
        self.grants.push(Grant { claim, cores: self.cost(work), shows: now + PENDING, past: false });
        Ok(Claim { _place: place })
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
        let cores = |wanted: fn(bool, bool) -> bool| -> f64 {
            let wanted = |grant: &&Grant| wanted(grant.is_held(), grant.shows <= now);
            self.grants.iter().filter(wanted).map(|grant| grant.cores).sum()
        };
        let pending = cores(|held, shows| held && !shows);
        let given_back = cores(|held, shows| !held && shows);
        let idle = (self.idle_cores + given_back).min(self.cores);
        idle - pending - idle_ratio * self.cores > self.cost(work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVED: [Work; 2] = [Work::Rtmp, Work::WhipBypass];

    fn unset(cores: f64) -> (Admission, Instant) {
        (Admission::new(Costs::default(), SERVED, cores), Instant::now())
    }

    fn set(rtmp: f64, cores: f64) -> (Admission, Instant) {
        let costs = Costs { rtmp: Some(rtmp), ..Costs::default() };
        (Admission::new(costs, [Work::Rtmp], cores), Instant::now())
    }

    #[test]
    fn a_machine_without_sessions_takes_the_first_one_however_small_it_is() {
        let (mut admission, now) = unset(0.5);
        admission.observe_idle(0.1);
        assert!(admission.available(now));
        let claim = admission.admit(now, Work::Rtmp).unwrap();
        assert!(!admission.available(now));
        assert_eq!(admission.admit(now, Work::Rtmp).unwrap_err(), Admitted::Full);
        drop(claim);
        assert_eq!(admission.active(), 0);
        assert!(admission.admit(now, Work::Rtmp).is_ok());
    }

    #[test]
    fn a_cost_that_is_set_is_honoured_even_when_nothing_ever_fits() {
        let (mut admission, now) = set(2.0, 2.0);
        assert!(!admission.available(now));
        assert_eq!(admission.admit(now, Work::Rtmp).unwrap_err(), Admitted::Full);
        assert_eq!(admission.never_met(), [(Work::Rtmp, 2.0, 1.7)]);
        let (admission, _) = set(1.6, 2.0);
        assert_eq!(admission.never_met(), []);
    }

    #[test]
    fn a_granted_cost_counts_until_it_can_be_measured() {
        let (mut admission, now) = set(1.0, 2.0);
        let _first = admission.admit(now, Work::Rtmp).unwrap();
        assert_eq!(admission.admit(now + PENDING / 2, Work::Rtmp).unwrap_err(), Admitted::Full);
        // The measured load says that the first one needs less than it was taken to.
        admission.observe_idle(1.9);
        assert!(admission.admit(now + PENDING, Work::Rtmp).is_ok());
    }

    #[test]
    fn a_busy_second_refuses_nobody_and_a_busy_while_does() {
        let (mut admission, now) = set(1.0, 2.0);
        (0..4).for_each(|_| admission.observe_idle(1.9));
        admission.observe_idle(0.1);
        assert!(admission.admit(now, Work::Rtmp).is_ok());
        (0..5).for_each(|_| admission.observe_idle(0.1));
        assert_eq!(admission.admit(now + PENDING, Work::Rtmp).unwrap_err(), Admitted::Full);
    }

    #[test]
    fn what_a_session_gives_back_can_be_had_at_once() {
        let (mut admission, now) = set(0.6, 2.0);
        let (_other, claim) =
            (admission.admit(now, Work::Rtmp).unwrap(), admission.admit(now, Work::Rtmp).unwrap());
        let later = now + PENDING;
        (0..5).for_each(|_| admission.observe_idle(0.5));
        assert_eq!(admission.admit(later, Work::Rtmp).unwrap_err(), Admitted::Full);
        drop(claim);
        let again = admission.admit(later, Work::Rtmp).unwrap();
        drop(again);
        (0..2).for_each(|_| admission.observe_idle(0.5));
        assert_eq!(admission.admit(later + PENDING, Work::Rtmp).unwrap_err(), Admitted::Full, "only once");
    }

    #[test]
    fn sessions_that_are_over_leave_nothing_pending() {
        let (mut admission, now) = set(0.6, 2.0);
        for _ in 0..3 {
            drop(admission.admit(now, Work::Rtmp).unwrap());
            (0..2).for_each(|_| admission.observe_idle(2.0));
        }
        assert!(admission.admit(now, Work::Rtmp).is_ok());
    }

    #[test]
    fn a_storm_of_short_sessions_makes_no_room_that_is_not_there() {
        let (mut admission, now) = set(0.1, 2.0);
        let claims: Vec<_> = (0..10).map(|_| admission.admit(now, Work::Rtmp).unwrap()).collect();
        (0..5).for_each(|_| admission.observe_idle(0.2));
        drop(claims);
        assert_eq!(
            admission.admit(now, Work::Rtmp).unwrap_err(),
            Admitted::Full,
            "they had used nothing yet"
        );
    }

    #[test]
    fn a_publisher_that_is_here_may_use_half_of_what_is_left_free_for_others() {
        let (mut admission, now) = set(1.5, 2.0);
        assert!(!admission.available(now), "2.0 - 0.6 is not over 1.5");
        assert!(admission.admit(now, Work::Rtmp).is_ok(), "2.0 - 0.3 is");
    }

    #[test]
    fn availability_needs_room_for_the_most_expensive_kind() {
        let (mut admission, now) = unset(2.0);
        let _claim = admission.admit(now, Work::WhipBypass).unwrap();
        let later = now + PENDING;
        admission.observe_idle(1.0);
        assert!(!admission.available(later), "1.0 - 0.6 is not over 0.6");
        admission.observe_idle(1.3);
        assert!(admission.available(later));
    }

    #[test]
    fn costs_are_learned_from_sessions_of_the_same_sort() {
        let (mut admission, _) = unset(8.0);
        assert_eq!((admission.cost(Work::Rtmp), admission.cost(Work::WhipBypass)), (0.6, 0.05));
        for _ in 0..1000 {
            admission.observe_session(Work::Rtmp, 1.2);
        }
        assert!((admission.cost(Work::Rtmp) - 1.2).abs() < 0.001);
        assert_eq!(admission.cost(Work::Url), admission.cost(Work::Rtmp));
        assert_eq!(admission.cost(Work::WhipBypass), 0.05);
        for _ in 0..1000 {
            admission.observe_session(Work::Rtmp, 0.0);
        }
        assert!((admission.cost(Work::Rtmp) - 0.15).abs() < 1e-9, "a still picture is no promise");
    }

    #[test]
    fn a_closed_server_takes_nothing() {
        let (mut admission, now) = unset(2.0);
        admission.close();
        assert!(!admission.available(now));
        assert_eq!(admission.admit(now, Work::Rtmp).unwrap_err(), Admitted::ShuttingDown);
    }
}
