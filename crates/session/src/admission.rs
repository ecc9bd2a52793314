use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::cost::Learned;
use crate::{Admitted, Costs, Demand, Work};

/// So long after its begin a session counts for what it is taken to need, then for what it uses: by then it is in its room,
/// had a keyframe, and knows who watches.
const YOUNG: Duration = Duration::from_secs(5);

/// A worker's first seconds are its start: nothing is learned from them.
const STARTING: Duration = Duration::from_secs(2);

/// Samples of the machine's other load that are looked at together.
const SAMPLES: usize = 5;

/// How much of a session's average use a new second is worth.
const WEIGHT: f64 = 0.3;

/// A connection that is here has come to the wrong server if it is refused: it may use so much of what `min_idle_ratio` keeps
/// free. Should its guess have been too low, the [`Governor`](crate::Governor) finds what is missing.
const FOR_ONE_THAT_IS_HERE: f64 = 0.75;

/// Decides whether the machine has room for one more session.
///
/// What is taken is what everything else on the machine uses, and what each session uses or, while it is young, is taken to
/// need. So a session counts once from its first moment on, and no longer from its last.
#[derive(Debug)]
pub struct Admission {
    costs: Costs,
    served: Vec<Work>,
    cores: f64,
    learned: Learned,
    /// Those of running sessions.
    grants: Vec<Grant>,
    /// What the last samples said that the machine does besides our sessions, in cores, oldest first.
    others: VecDeque<f64>,
    strained: bool,
    closed: bool,
}

/// A session's place; hold it until the session is over.
#[derive(Debug)]
#[must_use = "dropping it frees the place"]
pub struct Claim {
    place: Arc<()>,
}

/// What is known of a claim.
#[derive(Debug)]
struct Grant {
    /// Dead once the claim is dropped.
    claim: Weak<()>,
    demand: Demand,
    began: Instant,
    /// What it uses, averaged; `None` while it is not measured.
    used: Option<f64>,
}

impl Admission {
    /// For a machine (or cgroup) of `cores`, idle until told otherwise, that serves the kinds of sessions `served`.
    pub fn new(costs: Costs, served: impl IntoIterator<Item = Work>, cores: f64) -> Self {
        Self {
            costs,
            served: served.into_iter().collect(),
            cores,
            learned: Learned::nothing(),
            grants: Vec::new(),
            others: VecDeque::new(),
            strained: false,
            closed: false,
        }
    }

    /// Kinds of sessions that this machine can never take, even when idle, with the cost that was set and the cores that a
    /// session may have at most: worth one warning at start.
    pub fn never_met(&self) -> Vec<(Work, f64, f64)> {
        let most = self.cores - self.kept_free(FOR_ONE_THAT_IS_HERE);
        let set = self.served.iter().filter_map(|work| Some((*work, self.costs.of(*work)?)));
        set.filter(|(_, cost)| *cost >= most).map(|(work, cost)| (work, cost, most)).collect()
    }

    /// Takes a sample of the machine, about once a second: what was idle, and what all workers used in the same time, those
    /// that ended in it included; in cores. Of what the rest used the less of the newest sample and the mean of the last five
    /// counts: neither a burst of a second nor a load that is over refuses anybody.
    pub fn observe(&mut self, idle_cores: f64, worker_cores: f64) {
        if self.others.len() == SAMPLES {
            self.others.pop_front();
        }
        self.others.push_back((self.cores - idle_cores - worker_cores).clamp(0.0, self.cores));
    }

    /// Takes what the worker of a running session used in the last second, in cores. `whole`: all its layers are encoded, as
    /// they should be. One that nobody watches, or that does without something, says nothing about what another will cost.
    pub fn measure(&mut self, now: Instant, claim: &Claim, cores: f64, whole: bool) {
        let of_claim = |grant: &&mut Grant| std::ptr::eq(grant.claim.as_ptr(), Arc::as_ptr(&claim.place));
        let Some(grant) = self.grants.iter_mut().find(of_claim) else { return };
        if now < grant.began + STARTING {
            return;
        }
        let used = grant.used.map_or(cores, |before| before + WEIGHT * (cores - before));
        grant.used = Some(used);
        if whole {
            self.learned.observe(grant.demand, cores);
        }
    }

    /// What a session is taken to need, in cores: what was set, else what was learned.
    pub fn cost(&self, demand: Demand) -> f64 {
        self.costs.of(demand.work).unwrap_or_else(|| self.learned.cores(demand))
    }

    /// Sessions lack CPU, or pay for it ([`Governor::is_strained`](crate::Governor::is_strained)): no other is
    /// taken, unless its cost was set: who sets it decides how full the machine may be.
    pub fn set_strained(&mut self, strained: bool) {
        self.strained = strained;
    }

    /// Takes no new sessions any more.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Sessions that hold a claim.
    pub fn active(&self) -> usize {
        self.held().count()
    }

    /// A place for a publisher that has connected, or the answer to give to [`Input::Admission`](crate::Input::Admission).
    pub fn admit(&mut self, now: Instant, demand: Demand) -> Result<Claim, Admitted> {
        if self.closed {
            return Err(Admitted::ShuttingDown);
        }
        self.grants.retain(|grant| grant.claim.strong_count() > 0);
        if !self.has_room(now, demand, self.kept_free(FOR_ONE_THAT_IS_HERE)) {
            return Err(Admitted::Full);
        }
        let place = Arc::default();
        self.grants.push(Grant { claim: Arc::downgrade(&place), demand, began: now, used: None });
        Ok(Claim { place })
    }

    /// What would be left with one more session that may as well go to another server, in cores; `None` when there is no room
    /// for it with all of `min_idle_ratio` left free.
    pub fn spare(&self, now: Instant, demand: Demand) -> Option<f64> {
        let has_room = !self.closed && self.has_room(now, demand, self.kept_free(0.0));
        has_room.then(|| (self.cores - self.taken(now) - self.cost(demand)).max(0.0))
    }

    /// True when there is room for the most expensive kind of session (`/availability`), with all of `min_idle_ratio` left free.
    pub fn available(&self, now: Instant) -> bool {
        let has_room = |work: &Work| self.has_room(now, Demand::usual(*work), self.kept_free(0.0));
        !self.closed && self.served.iter().all(has_room)
    }

    /// What `min_idle_ratio` keeps free, in cores, less the part of it that may be used.
    fn kept_free(&self, but: f64) -> f64 {
        self.cores * self.costs.min_idle_ratio * (1.0 - but)
    }

    fn held(&self) -> impl Iterator<Item = &Grant> {
        self.grants.iter().filter(|grant| grant.claim.strong_count() > 0)
    }

    fn has_room(&self, now: Instant, demand: Demand, kept_free: f64) -> bool {
        // Who sets 0 wants none to be refused, and everything else together may well take the whole machine for a moment.
        if self.costs.of(demand.work) == Some(0.0) {
            return true;
        }
        // What was learned elsewhere must not keep a small machine from doing anything at all.
        if self.costs.of(demand.work).is_none() && self.active() == 0 {
            return true;
        }
        let strained = self.strained && self.costs.of(demand.work).is_none();
        !strained && self.cores - self.taken(now) - kept_free > self.cost(demand)
    }

    /// By everything else on the machine and by the sessions, in cores.
    fn taken(&self, now: Instant) -> f64 {
        let needs = |grant: &Grant| match grant.used {
            Some(used) if grant.began + YOUNG <= now => used,
            _ => self.cost(grant.demand),
        };
        self.others() + self.held().map(needs).sum::<f64>()
    }

    fn others(&self) -> f64 {
        let Some(newest) = self.others.back() else { return 0.0 };
        newest.min(self.others.iter().sum::<f64>() / self.others.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVED: [Work; 2] = [Work::Rtmp, Work::WhipBypass];
    const RTMP: fn() -> Demand = || Demand::usual(Work::Rtmp);

    fn unset(cores: f64) -> (Admission, Instant) {
        (Admission::new(Costs::default(), SERVED, cores), Instant::now())
    }

    fn set(rtmp: f64, cores: f64) -> (Admission, Instant) {
        let costs = Costs { rtmp: Some(rtmp), ..Costs::default() };
        (Admission::new(costs, [Work::Rtmp], cores), Instant::now())
    }

    fn is_full(answer: Result<Claim, Admitted>) -> bool {
        answer.is_err_and(|answer| answer == Admitted::Full)
    }

    #[test]
    fn a_machine_without_sessions_takes_the_first_one_however_small_it_is() {
        let (mut admission, now) = unset(0.5);
        admission.observe(0.1, 0.0);
        assert!(admission.available(now));
        let claim = admission.admit(now, RTMP()).unwrap();
        assert!(!admission.available(now));
        assert!(is_full(admission.admit(now, RTMP())));
        drop(claim);
        assert_eq!(admission.active(), 0);
        assert!(admission.admit(now, RTMP()).is_ok());
    }

    #[test]
    fn what_is_set_to_cost_nothing_is_never_refused() {
        let (mut admission, now) = set(0.0, 2.0);
        admission.observe(0.0, 0.0);
        assert!(admission.available(now));
        assert_eq!(admission.spare(now, RTMP()), Some(0.0));
        assert!(admission.admit(now, RTMP()).is_ok());
        admission.close();
        assert!(!admission.available(now));
        assert!(admission.admit(now, RTMP()).is_err());
    }

    #[test]
    fn a_cost_that_is_set_is_honoured_even_when_nothing_ever_fits() {
        let (mut admission, now) = set(2.0, 2.0);
        assert!(!admission.available(now));
        assert!(is_full(admission.admit(now, RTMP())));
        assert_eq!(admission.never_met(), [(Work::Rtmp, 2.0, 1.85)]);
        let (admission, _) = set(1.8, 2.0);
        assert_eq!(admission.never_met(), []);
    }

    #[test]
    fn a_session_counts_once_as_guessed_then_as_used_then_not_at_all() {
        let (mut admission, now) = set(1.0, 2.0);
        let first = admission.admit(now, RTMP()).unwrap();
        // Its load shows at once, and is not counted beside the guess.
        admission.observe(1.0, 0.9);
        assert!(is_full(admission.admit(now, RTMP())), "2.0 - 0.1 - 1.0 - 0.15 is not over 1.0");
        admission.measure(now + YOUNG, &first, 0.6, true);
        admission.observe(1.3, 0.6);
        let second = admission.admit(now + YOUNG, RTMP()).unwrap();
        drop((first, second));
        assert_eq!(admission.active(), 0);
        admission.observe(0.3, 1.6);
        assert!(admission.admit(now + YOUNG, RTMP()).is_ok(), "the last sample has both still in it");
    }

    #[test]
    fn a_busy_second_refuses_nobody_and_a_busy_while_does() {
        let (mut admission, now) = set(1.0, 2.0);
        (0..4).for_each(|_| admission.observe(1.9, 0.0));
        admission.observe(0.1, 0.0);
        assert!(admission.admit(now, RTMP()).is_ok());
        (0..5).for_each(|_| admission.observe(0.1, 0.0));
        assert!(is_full(admission.admit(now, RTMP())));
        admission.observe(1.9, 0.0);
        assert!(admission.admit(now, RTMP()).is_ok(), "the load is over");
    }

    #[test]
    fn a_publisher_that_is_here_may_use_most_of_what_is_left_free_for_others() {
        let (mut admission, now) = set(1.8, 2.0);
        assert!(!admission.available(now), "2.0 - 0.6 is not over 1.8");
        assert!(admission.admit(now, RTMP()).is_ok(), "2.0 - 0.15 is");
    }

    #[test]
    fn nobody_joins_sessions_that_lack_cpu() {
        let (mut admission, now) = unset(8.0);
        admission.set_strained(true);
        let _first = admission.admit(now, RTMP()).unwrap();
        assert!(!admission.available(now));
        assert!(is_full(admission.admit(now, RTMP())));
        admission.set_strained(false);
        assert!(admission.available(now));
        let (mut admission, now) = set(0.6, 8.0);
        admission.set_strained(true);
        let _first = admission.admit(now, RTMP()).unwrap();
        assert!(admission.admit(now, RTMP()).is_ok(), "a cost that is set is the operator's word");
    }

    #[test]
    fn availability_needs_room_for_the_most_expensive_kind() {
        let (mut admission, now) = unset(2.0);
        let _claim = admission.admit(now, Demand::usual(Work::WhipBypass)).unwrap();
        admission.observe(1.1, 0.05);
        assert!(!admission.available(now), "2.0 - 0.85 - 0.05 - 0.6 is not over 0.6");
        admission.observe(1.4, 0.05);
        assert!(admission.available(now));
    }

    #[test]
    fn costs_follow_the_layers_and_are_learned_from_sessions_of_the_same_sort() {
        let ladder = |width: u32, height: u32, fps_milli, count: usize| {
            let layer = |(quality, by): (media::Quality, u32)| media::Layer {
                quality,
                width: width / by,
                height: height / by,
                bitrate_bps: 1,
            };
            let layers = media::Quality::ALL.into_iter().zip([4, 2, 1]).skip(3 - count).map(layer).collect();
            let ladder = media::Ladder { codec: media::Codec::H264, max_fps_milli: fps_milli, layers };
            Demand::new(Work::Rtmp, &ladder)
        };
        let (mut admission, now) = unset(8.0);
        let about = |admission: &Admission, demand, cores: f64| (admission.cost(demand) - cores).abs() < 0.02;
        let (hd, one, full_hd) =
            (ladder(1280, 720, 30_000, 3), ladder(1280, 720, 30_000, 1), ladder(1920, 1080, 30_000, 3));
        assert_eq!(hd, RTMP());
        for (demand, cores) in
            [(hd, 0.6), (one, 0.48), (full_hd, 1.23), (Demand::usual(Work::WhipBypass), 0.05)]
        {
            assert!(about(&admission, demand, cores), "{demand:?}: {}", admission.cost(demand));
        }
        let claim = admission.admit(now, hd).unwrap();
        admission.measure(now, &claim, 8.0, true);
        assert!(about(&admission, hd, 0.6), "its start is no measure");
        for _ in 0..300 {
            admission.measure(now + STARTING, &claim, 0.3, true);
            admission.measure(now + STARTING, &claim, 0.01, false);
        }
        assert!(about(&admission, hd, 0.3) && about(&admission, one, 0.24), "half of what was guessed");
        assert_eq!(admission.cost(Demand::usual(Work::WhipBypass)), 0.05);
        (0..1000).for_each(|_| admission.measure(now + STARTING, &claim, 0.0, true));
        assert!(about(&admission, hd, 0.15), "a still picture is no promise");
    }

    #[test]
    fn what_is_spare_is_what_is_left_and_nothing_where_there_is_no_room() {
        let (mut admission, now) = set(0.5, 4.0);
        let url = || Demand::usual(Work::Url);
        let about = |spare: Option<f64>, cores: f64| spare.is_some_and(|spare| (spare - cores).abs() < 0.01);
        assert!(about(admission.spare(now, RTMP()), 3.5));
        let _claim = admission.admit(now, RTMP()).unwrap();
        assert!(about(admission.spare(now, url()), 2.9), "{:?}", admission.spare(now, url()));
        admission.observe(1.0, 0.0);
        assert_eq!(admission.spare(now, url()), None, "4.0 - 3.0 - 0.5 - 1.2 is not over 0.6");
        let (admission, now) = unset(0.5);
        assert_eq!(admission.spare(now, url()), Some(0.0), "an idle machine takes a first one");
    }

    #[test]
    fn a_closed_server_takes_nothing() {
        let (mut admission, now) = unset(2.0);
        admission.close();
        assert_eq!(admission.spare(now, RTMP()), None);
        assert!(!admission.available(now));
        assert_eq!(admission.admit(now, RTMP()).unwrap_err(), Admitted::ShuttingDown);
    }
}
