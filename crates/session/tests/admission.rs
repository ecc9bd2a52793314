//! Admission beside publishers that come and go, on the machine of the soak in which it took one session at a time: two
//! cores, sessions of 1 to 10 s, other work of 0.3 to 0.6 core.

use std::time::{Duration, Instant};

use sluicegate_session::*;

const TICK: Duration = Duration::from_millis(100);
const TICKS_PER_SECOND: u64 = 10;
const CORES: f64 = 2.0;

/// A small generator of the same numbers each time (Numerical Recipes' LCG).
struct Random(u64);

impl Random {
    /// 0 to 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223) % (1 << 32);
        self.0 as f64 / (1u64 << 32) as f64
    }

    fn between(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * self.next()
    }
}

struct Live {
    claim: Claim,
    age: u64,
    /// In ticks.
    life: u64,
}

impl Live {
    /// Start-up takes a core for half a second; the first picture comes with it.
    fn cores(&self, steady: f64) -> f64 {
        if self.age < 5 { 1.0 } else { steady }
    }
}

struct Machine {
    now: Instant,
    admission: Admission,
    random: Random,
    /// One for each publisher.
    live: Vec<Option<Live>>,
    others: f64,
    /// What was wanted and was not there, in core seconds.
    missing: f64,
    /// Ticks that each publisher was live, and all.
    served: Vec<u32>,
    ticks: u32,
}

impl Machine {
    fn new(publishers: usize) -> Self {
        Self {
            now: Instant::now(),
            admission: Admission::new(Costs::default(), [Work::Rtmp], CORES),
            random: Random(7),
            live: (0..publishers).map(|_| None).collect(),
            others: 0.45,
            missing: 0.0,
            served: vec![0; publishers],
            ticks: 0,
        }
    }

    /// Runs for so many seconds; a publisher that is refused tries again at once.
    fn run(&mut self, seconds: u64, steady: f64, life: (f64, f64), others: (f64, f64)) {
        let (mut idle, mut sessions) = (0.0, 0.0);
        for tick in 0..seconds * TICKS_PER_SECOND {
            self.now += TICK;
            self.ticks += 1;
            let used: f64 = self.live.iter().flatten().map(|live| live.cores(steady)).sum();
            let wanted = used + self.others;
            self.missing += (wanted - CORES).max(0.0) / TICKS_PER_SECOND as f64;
            idle += (CORES - wanted).max(0.0) / TICKS_PER_SECOND as f64;
            sessions += used * (CORES / wanted.max(CORES)) / TICKS_PER_SECOND as f64;
            for at in 0..self.live.len() {
                self.publisher(at, steady, life);
            }
            if tick % TICKS_PER_SECOND == 0 {
                self.admission.observe(std::mem::take(&mut idle), std::mem::take(&mut sessions));
                self.others = self.random.between(others.0, others.1);
            }
        }
    }

    /// For each publisher, the part of the time so far in which it was live.
    fn served_parts(&self) -> Vec<f64> {
        self.served.iter().map(|ticks| f64::from(*ticks) / f64::from(self.ticks)).collect()
    }

    fn publisher(&mut self, at: usize, steady: f64, life: (f64, f64)) {
        match &mut self.live[at] {
            Some(live) if live.age < live.life => {
                live.age += 1;
                self.served[at] += 1;
                if live.age % TICKS_PER_SECOND == 0 {
                    let cores = live.cores(steady);
                    self.admission.measure(self.now, &live.claim, cores, true);
                }
            }
            Some(_) => self.live[at] = None,
            None => {
                if let Ok(claim) = self.admission.admit(self.now, Demand::usual(Work::Rtmp)) {
                    let life = (self.random.between(life.0, life.1) * TICKS_PER_SECOND as f64) as u64;
                    self.live[at] = Some(Live { claim, age: 0, life });
                }
            }
        }
    }
}

/// What the old rules (a guess of 0.6 core beside the measured load for 5 s, nothing learned from sessions under 10 s, 0.3
/// core kept free) made of the same numbers: 82 % of the time served with little other work, half of it with more.
#[test]
fn two_publishers_that_come_and_go_are_both_served() {
    for (steady, others) in [(0.35, (0.3, 0.6)), (0.55, (0.3, 0.6)), (0.35, (0.6, 0.9)), (0.45, (0.6, 0.9))] {
        let mut machine = Machine::new(2);
        machine.run(300, steady, (1.0, 10.0), others);
        let (served, missing) = (machine.served_parts(), machine.missing);
        assert!(served.iter().all(|part| *part >= 0.93), "{steady} beside {others:?}: {served:?}");
        // Starts are what is left, half a second of a whole core each: 3 % at most.
        assert!(missing <= 18.0, "{steady} beside {others:?}: {missing} core seconds of 600");
    }
}

#[test]
fn three_sessions_of_one_layer_are_taken_and_so_many_that_fit() {
    for (steady, most) in [(0.45, 3), (0.35, 4), (0.28, 5)] {
        let mut machine = Machine::new(8);
        machine.run(600, steady, (10_000.0, 10_000.0), (0.3, 0.5));
        assert_eq!(machine.live.iter().flatten().count(), most, "of {steady} core each");
        machine.missing = 0.0;
        machine.run(60, steady, (10_000.0, 10_000.0), (0.3, 0.5));
        assert_eq!(machine.missing, 0.0, "{most} sessions of {steady} core have what they need");
    }
}

#[test]
fn a_full_machine_is_not_filled_further_by_publishers_that_insist() {
    let mut machine = Machine::new(6);
    machine.run(300, 0.5, (60.0, 60.0), (0.5, 0.8));
    let at_once: f64 = machine.served_parts().iter().sum();
    assert!(at_once < 2.5, "{at_once} sessions of 0.5 core beside 0.65");
    assert!(machine.missing <= 18.0, "{} core seconds of 600", machine.missing);
}
