//! The governor beside a machine of so many cores, whose sessions want more or less of them.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use sluicegate_session::*;

const SECOND: Duration = Duration::from_secs(1);
const MACHINE: f64 = 2.0;

/// A session by what it wants, in cores, when nothing is taken from it.
#[derive(Debug, Clone, Copy)]
struct Wants {
    cores: f64,
    top: Top,
}

struct Member {
    id: SessionId,
    wants: Wants,
    behind: Duration,
}

/// A machine with sessions, and other work beside them.
struct World {
    now: Instant,
    governor: Governor,
    members: Vec<Member>,
    /// Cores that other work takes.
    others: f64,
    steps: Vec<(Instant, Step)>,
    /// Seconds in which some session was short.
    short: u32,
}

/// What a step leaves of a session's use.
fn part(level: Degradation) -> f64 {
    match level {
        Degradation::None => 1.0,
        Degradation::Speed1 => 0.75,
        Degradation::Speed2 => 0.65,
        Degradation::HalfRate => 0.45,
        Degradation::Withheld => 0.3,
    }
}

impl World {
    fn new(wants: &[Wants]) -> Self {
        let now = Instant::now();
        let mut governor = Governor::new(MACHINE);
        let mut member = |wants| Member { id: governor.enter(now), wants, behind: Duration::ZERO };
        let members = wants.iter().map(|wants| member(*wants)).collect();
        Self { now, governor, members, others: 0.0, steps: Vec::new(), short: 0 }
    }

    fn with(cores: &[f64]) -> Self {
        let wants: Vec<_> = cores.iter().map(|cores| Wants { cores: *cores, top: Top::Above }).collect();
        Self::new(&wants)
    }

    fn demand(&self, member: &Member) -> f64 {
        member.wants.cores * part(self.governor.level(member.id))
    }

    /// One second: who gets less than it wants is behind, up to what its queues hold, and drops.
    fn second(&mut self) -> Option<Step> {
        self.now += SECOND;
        let wanted: f64 = self.members.iter().map(|member| self.demand(member)).sum();
        let left = (MACHINE - self.others).max(0.2);
        let share = (left / wanted.max(0.001)).min(1.0);
        self.governor.observe_idle(MACHINE - self.others - wanted * share);
        self.short += u32::from(share < 1.0);
        for at in 0..self.members.len() {
            let demand = self.demand(&self.members[at]);
            let member = &mut self.members[at];
            member.behind = match share < 1.0 {
                true => (member.behind + SECOND.mul_f64(1.0 - share)).min(Duration::from_millis(900)),
                false => Duration::from_millis(20),
            };
            let dropped = u64::from(member.behind >= Duration::from_millis(900)) * 10;
            let cores = demand * share;
            let vitals = Vitals { cores, behind: member.behind, dropped, top: member.wants.top };
            self.governor.report(self.now, member.id, vitals);
        }
        let before: Vec<_> = self.levels();
        let step = self.governor.decide(self.now);
        self.check(&before, step);
        self.steps.extend(step.map(|step| (self.now, step)));
        step
    }

    fn levels(&self) -> Vec<Degradation> {
        self.members.iter().map(|member| self.governor.level(member.id)).collect()
    }

    /// What holds for every step.
    fn check(&self, before: &[Degradation], step: Option<Step>) {
        let after = self.levels();
        let changed: Vec<_> = (0..after.len()).filter(|at| before[*at] != after[*at]).collect();
        assert_eq!(changed.len(), usize::from(step.is_some()), "a step is one session's");
        let Some(step) = step else { return };
        assert_eq!((before[changed[0]], after[changed[0]]), (step.from, step.to));
        let neighbour = match step.cause {
            Cause::Pressure { .. } => step.from.deeper(),
            Cause::Quiet { .. } => step.from.shallower(),
        };
        assert_eq!(neighbour, Some(step.to), "{step:?}");
        if let Some((last, _)) = self.steps.last() {
            let pause = if matches!(step.cause, Cause::Quiet { .. }) { 10 } else { 2 };
            assert!(self.now - *last >= pause * SECOND, "{step:?} too soon");
        }
    }

    fn pass(&mut self, seconds: u32) -> Vec<Step> {
        (0..seconds).filter_map(|_| self.second()).collect()
    }

    fn number(&self, step: &Step) -> usize {
        self.members.iter().position(|member| member.id == step.session).expect("a member")
    }

    /// Whose, and to which level.
    fn story(&self, steps: &[Step]) -> Vec<(usize, Degradation)> {
        steps.iter().map(|step| (self.number(step), step.to)).collect()
    }
}

use Degradation::{HalfRate, None as Nothing, Speed1, Speed2, Withheld};

#[test]
fn a_starved_session_gives_up_one_thing_after_the_other_and_gets_all_back() {
    let mut world = World::with(&[0.8]);
    assert_eq!(world.pass(20), []);
    world.others = 1.85;
    let taken = world.pass(20);
    assert_eq!(world.story(&taken), [(0, Speed1), (0, Speed2), (0, HalfRate), (0, Withheld)]);
    assert!(matches!(taken[0].cause, Cause::Pressure { behind, .. } if behind > Duration::from_millis(150)));
    assert_eq!(world.pass(60), [], "nothing is left to take");
    world.others = 0.0;
    let back = world.pass(60);
    assert_eq!(world.story(&back), [(0, HalfRate), (0, Speed2), (0, Speed1), (0, Nothing)]);
}

#[test]
fn the_first_step_comes_with_the_second_bad_report() {
    let mut world = World::with(&[0.8]);
    world.pass(20);
    world.others = 1.9;
    assert_eq!(world.second(), None);
    assert!(world.second().is_some());
}

#[test]
fn every_step_waits_for_the_effect_of_the_one_before() {
    let mut world = World::with(&[1.0, 0.9, 0.8]);
    let steps = world.pass(60);
    let story = world.story(&steps);
    assert_eq!(story[..3], [(0, Speed1), (1, Speed1), (2, Speed1)], "the most expensive first");
    assert!(story.iter().all(|(_, to)| !to.half_rate()), "{story:?}: faster presets were enough");
    assert!(!world.governor.is_strained(world.now));
}

#[test]
fn the_last_full_picture_rate_is_the_last_thing_to_go() {
    let mut world = World::with(&[1.0, 0.9]);
    world.pass(20);
    world.others = 2.0;
    let steps = world.pass(60);
    let story = world.story(&steps);
    let at = |step| story.iter().position(|one| *one == step).expect("it was taken");
    assert_eq!(story.len(), 8);
    assert!(at((0, Withheld)) < at((1, HalfRate)), "{story:?}");
    assert!(world.governor.is_strained(world.now));
}

#[test]
fn an_only_layer_stays_and_one_that_nobody_watches_has_nothing_to_give() {
    for (top, last) in [(Top::Alone, HalfRate), (Top::Idle, Speed2)] {
        let mut world = World::new(&[Wants { cores: 1.0, top }]);
        world.others = 2.0;
        assert_eq!(world.pass(60).last().map(|step| step.to), Some(last));
    }
}

#[test]
fn sessions_that_use_next_to_nothing_are_left_alone() {
    let mut world = World::with(&[0.03, 1.6, 0.2, 0.04]);
    world.others = 1.2;
    let steps = world.pass(40);
    assert!(!steps.is_empty() && steps.iter().all(|step| world.number(step) == 1), "{steps:?}");
}

#[test]
fn late_reports_of_a_machine_with_idle_cores_are_the_sources_bursts() {
    let mut governor = Governor::new(4.0);
    let mut now = Instant::now();
    let id = governor.enter(now);
    let mut ten_seconds = |governor: &mut Governor, cores| {
        (0..10).find_map(|_| {
            now += SECOND;
            governor.observe_idle(2.0);
            let behind = Duration::from_millis(500);
            governor.report(now, id, Vitals { cores, behind, dropped: 1, top: Top::Above });
            governor.decide(now)
        })
    };
    assert_eq!(ten_seconds(&mut governor, 0.4), None);
    assert!(ten_seconds(&mut governor, 1.0).is_some(), "a worker that fills a core is short of it");
}

#[test]
fn a_worker_that_starts_may_be_late() {
    let mut governor = Governor::new(2.0);
    let start = Instant::now();
    let id = governor.enter(start);
    let vitals = Vitals { cores: 1.0, behind: Duration::from_millis(700), dropped: 5, top: Top::Above };
    governor.worker_started(start + 10 * SECOND, id);
    for second in 10..13 {
        governor.report(start + second * SECOND, id, vitals);
        assert_eq!(governor.decide(start + second * SECOND), None);
    }
    governor.report(start + 13 * SECOND, id, vitals);
    governor.report(start + 14 * SECOND, id, vitals);
    assert!(governor.decide(start + 14 * SECOND).is_some());
}

#[test]
fn without_idle_cores_nothing_is_given_back() {
    let mut world = World::with(&[1.0]);
    world.others = 1.3;
    world.pass(30);
    assert_eq!(world.levels(), [Speed2]);
    assert_eq!(world.pass(120), [], "0.05 idle cores are not the 0.2 that the preset costs");
}

#[test]
fn a_step_that_must_be_retaken_makes_the_next_one_wait_longer_and_longer() {
    // Needs one step, and looks as if it did not: the others sleep while nothing is taken back.
    let mut world = World::with(&[1.0]);
    let mut pauses = Vec::new();
    for _ in 0..4000 {
        world.others = if world.levels() == [Nothing] { 1.9 } else { 0.2 };
        if let Some(step) = world.second()
            && step.to == Nothing
        {
            pauses.push(world.steps[world.steps.len() - 1].0 - world.steps[world.steps.len() - 2].0);
        }
    }
    assert_eq!(pauses[..6].iter().map(Duration::as_secs).collect::<Vec<_>>(), [10, 20, 40, 80, 160, 300]);
    world.others = 0.0;
    world.pass(600);
    assert_eq!(world.levels(), [Nothing]);
}

#[test]
fn a_session_that_leaves_takes_its_steps_along() {
    let mut world = World::with(&[1.0, 1.4]);
    let first = (0..10).find_map(|_| world.second()).expect("a step");
    assert_eq!(world.number(&first), 1);
    assert_eq!(world.governor.count(Speed1), 1);
    world.governor.leave(world.members[1].id);
    world.members.pop();
    assert_eq!(world.governor.count(Speed1), 0);
    assert_eq!(world.pass(60), []);
}

fn wants() -> impl Strategy<Value = Wants> {
    let top = prop_oneof![3 => Just(Top::Above), 2 => Just(Top::Alone), 1 => Just(Top::Idle)];
    (0.01..1.2, top).prop_map(|(cores, top)| Wants { cores, top })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// `World::check` holds each step against the documented order and its distance from the last one.
    #[test]
    fn steps_are_few_ordered_and_given_back(
        wants in proptest::collection::vec(wants(), 1..6),
        loads in proptest::collection::vec((0.0..2.5, 1u32..90), 0..8),
    ) {
        let mut world = World::new(&wants);
        for (others, seconds) in loads {
            world.others = others;
            world.pass(seconds);
        }
        let pressed = |step: &Step| matches!(step.cause, Cause::Pressure { .. });
        let taken = world.steps.iter().filter(|(_, step)| pressed(step)).count();
        prop_assert!(2 * taken <= world.short as usize, "a step needs two bad seconds of its own");
        let minute = |from: &Instant| world.steps.iter().filter(|(at, _)| at >= from && *at - *from < 60 * SECOND).count();
        prop_assert!(world.steps.iter().all(|(at, _)| minute(at) <= 30), "a step each two seconds at most");
        // The sessions alone may be too much for the machine; then only what fits comes back.
        world.others = 0.0;
        for member in &mut world.members {
            member.wants.cores *= 1.0 / wants.len() as f64;
        }
        world.pass(600 * 4 * wants.len() as u32);
        prop_assert!(world.levels().iter().all(|level| *level == Nothing), "{:?}", world.levels());
    }

    /// Whatever is reported: no step unless two reports of one session were bad since the last one.
    #[test]
    fn no_step_without_pressure(
        reports in proptest::collection::vec((0usize..3, 0u64..400, 0u64..3, 0.0..1.5, 0.0..2.0), 1..300)
    ) {
        let (mut governor, mut now) = (Governor::new(MACHINE), Instant::now());
        let ids = [(); 3].map(|()| governor.enter(now));
        let mut bad = [0; 3];
        for (at, behind, dropped, cores, idle) in reports {
            now += SECOND / 3;
            governor.observe_idle(idle);
            let vitals = Vitals { cores, behind: Duration::from_millis(behind), dropped, top: Top::Above };
            governor.report(now, ids[at], vitals);
            bad[at] += u32::from(behind > 150 || dropped > 0);
            if let Some(step) = governor.decide(now) {
                match step.cause {
                    Cause::Pressure { session, .. } => {
                        let of = ids.iter().position(|id| *id == session).expect("one of ours");
                        prop_assert!(bad[of] >= 2, "{step:?}");
                    }
                    Cause::Quiet { lasted, .. } => prop_assert!(lasted >= 10 * SECOND),
                }
                bad = [0; 3];
            }
        }
    }
}
