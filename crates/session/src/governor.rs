use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::{Cause, Degradation, SessionId, Step, Top, Vitals};

/// A worker with CPU to spare begins a picture within a frame's time or two (33 to 66 ms); raw pictures find room for 200 ms
/// of them before they are dropped. Between the two.
const BEHIND: Duration = Duration::from_millis(150);

/// Reports that are looked at together, one a second: so many of them with drops, or the last two late, are pressure. One
/// alone is a burst out of the network, a keyframe, or another session that starts.
const REPORTS: usize = 3;
const PRESSED: usize = 2;

/// With this part of its cores idle in the last second the machine is not short of CPU: queues then grow because the source comes in bursts,
/// which no step changes. A worker that fills a whole core may be short on any machine: one thread can't use two.
const IDLE_PART: f64 = 0.25;
const ONE_THREAD: f64 = 0.9;

/// Samples of the idle time that are looked at together, one a second.
const SAMPLES: usize = 5;

/// A worker that starts decodes since the last keyframe first, and is behind until it has: that is no lack of CPU.
const STARTING: Duration = Duration::from_secs(3);

/// A step shows for good in what is reported this long after it: new encoders start, and what had waited is worked off. No
/// other step is taken before, and the first half of it is not looked at.
const SETTLE: Duration = Duration::from_secs(2);

/// No pressure anywhere for this long, and no step either: one step is taken back. Past a scene of much motion or a burst of
/// other work, and short enough that a viewer sees it.
const QUIET: Duration = Duration::from_secs(10);

/// A step that must be taken within this time after one was taken back shows that it was too early: the wait doubles.
const RETAKEN: Duration = Duration::from_secs(30);

/// The longest wait: a viewer sees a change of quality, each way, twelve times an hour at most.
const LONGEST_QUIET: Duration = Duration::from_secs(300);

/// What a session has to use, in cores, before anything is taken from it; and as part of what the most expensive one uses.
/// A step saves a quarter to a half: less is not worth what a viewer loses, nor the wait for its effect.
const WORTH_CORES: f64 = 0.1;
const WORTH_PART: f64 = 0.25;

/// How much of the average use a new second is worth.
const WEIGHT: f64 = 0.3;

/// Pressure keeps new sessions out for this long: as long as it takes until it shows in all the samples of idle time.
const STRAINED: Duration = Duration::from_secs(5);

/// A part of the machine that has to stay idle when a step is taken back.
const SPARE_PART: f64 = 0.05;

/// Shares what the machine lacks among the sessions of this process.
///
/// Feed it with [`report`](Self::report) and [`observe_idle`](Self::observe_idle) once a second and ask
/// [`decide`](Self::decide) as often. A step of one kind is taken from every session that is worth it, the most expensive
/// first, before the next kind is taken from any; they are given back in reverse. Of several sessions the last one that has
/// its full picture rate keeps it until nothing else is left to take. Sound is never touched.
#[derive(Debug)]
pub struct Governor {
    cores: f64,
    idle: VecDeque<f64>,
    sessions: BTreeMap<SessionId, Session>,
    next: u64,
    /// The last step, either way.
    stepped: Option<Instant>,
    /// The last that was taken back, while none was taken since.
    eased: Option<Instant>,
    pressed: Option<Instant>,
    /// What [`QUIET`] is at present.
    quiet: Duration,
}

#[derive(Debug)]
struct Session {
    level: Degradation,
    /// When it got there.
    since: Option<Instant>,
    cores: Option<f64>,
    top: Top,
    /// Until then its worker starts.
    starting: Instant,
    reports: VecDeque<(Duration, u64)>,
}

impl Session {
    fn dropped(&self) -> u64 {
        self.reports.iter().map(|(_, dropped)| dropped).sum()
    }

    fn behind(&self) -> Duration {
        self.reports.back().map_or(Duration::ZERO, |(behind, _)| *behind)
    }

    fn is_late(&self) -> bool {
        let late = self.reports.iter().rev().take(PRESSED).filter(|(behind, _)| *behind > BEHIND).count();
        let drops = self.reports.iter().filter(|(_, dropped)| *dropped > 0).count();
        late == PRESSED || drops >= PRESSED
    }

    fn cores(&self) -> f64 {
        self.cores.unwrap_or(0.0)
    }

    /// The next step that would save anything.
    fn next(&self) -> Option<Degradation> {
        self.level.deeper().filter(|step| match step {
            Degradation::HalfRate => self.top != Top::Idle,
            Degradation::Withheld => self.top == Top::Above,
            _ => true,
        })
    }
}

impl Governor {
    /// For a machine (or cgroup) of `cores`.
    pub fn new(cores: f64) -> Self {
        Self {
            cores,
            idle: VecDeque::new(),
            sessions: BTreeMap::new(),
            next: 0,
            stepped: None,
            eased: None,
            pressed: None,
            quiet: QUIET,
        }
    }

    /// A session begins.
    pub fn enter(&mut self, now: Instant) -> SessionId {
        let id = SessionId(self.next);
        self.next += 1;
        let session = Session {
            level: Degradation::None,
            since: None,
            cores: None,
            top: Top::Idle,
            starting: now + STARTING,
            reports: VecDeque::new(),
        };
        self.sessions.insert(id, session);
        id
    }

    /// A session is over.
    pub fn leave(&mut self, id: SessionId) {
        self.sessions.remove(&id);
        if self.sessions.is_empty() {
            // What was learned about the load went with them.
            self.quiet = QUIET;
        }
    }

    /// A session has a new worker, which is behind at first.
    pub fn worker_started(&mut self, now: Instant, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.starting = now + STARTING;
            session.reports.clear();
        }
    }

    /// The machine's idle time of the last second, in cores.
    pub fn observe_idle(&mut self, idle_cores: f64) {
        if self.idle.len() == SAMPLES {
            self.idle.pop_front();
        }
        self.idle.push_back(idle_cores.clamp(0.0, self.cores));
    }

    /// What a session's last second was like.
    pub fn report(&mut self, now: Instant, id: SessionId, vitals: Vitals) {
        let echo = self.stepped.is_some_and(|stepped| now < stepped + SETTLE / 2);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.top = vitals.top;
        let cores = session.cores.map_or(vitals.cores, |before| before + WEIGHT * (vitals.cores - before));
        session.cores = Some(cores);
        if echo || now < session.starting {
            return;
        }
        if session.reports.len() == REPORTS {
            session.reports.pop_front();
        }
        session.reports.push_back((vitals.behind, vitals.dropped));
    }

    /// What is taken from a session at present.
    pub fn level(&self, id: SessionId) -> Degradation {
        self.sessions.get(&id).map_or(Degradation::None, |session| session.level)
    }

    /// How many sessions are at `level`.
    pub fn count(&self, level: Degradation) -> usize {
        self.sessions.values().filter(|session| session.level == level).count()
    }

    /// No new session should come: one has just been short of CPU, or pays for it in pictures. Faster presets are no reason:
    /// a publisher that is refused has nothing at all.
    pub fn is_strained(&self, now: Instant) -> bool {
        self.pressed.is_some_and(|pressed| now < pressed + STRAINED)
            || self.sessions.values().any(|session| session.level.half_rate())
    }

    /// The step that is due, if any; it counts as taken.
    pub fn decide(&mut self, now: Instant) -> Option<Step> {
        let pressed = self.pressed();
        if pressed.is_some() {
            self.pressed = Some(now);
        }
        if self.stepped.is_some_and(|stepped| now < stepped + SETTLE) {
            return None;
        }
        match pressed {
            Some(cause) => self.degrade(now, cause),
            None => self.ease(now),
        }
    }

    fn idle_cores(&self) -> f64 {
        // Before the first sample nothing is known, and nothing is given back.
        self.idle.iter().sum::<f64>() / self.idle.len().max(1) as f64
    }

    /// The session that lacks CPU most, if one does.
    fn pressed(&self) -> Option<Cause> {
        let idle = self.idle.back().is_some_and(|idle| *idle > IDLE_PART * self.cores);
        let short = |session: &&Session| session.is_late() && (!idle || session.cores() > ONE_THREAD);
        let late = self.sessions.iter().filter(|(_, session)| short(session));
        let (id, session) = late.max_by_key(|(_, session)| (session.behind(), session.dropped()))?;
        Some(Cause::Pressure { session: *id, behind: session.behind(), dropped: session.dropped() })
    }

    fn degrade(&mut self, now: Instant, cause: Cause) -> Option<Step> {
        let (id, to) = self.next_step()?;
        if self.eased.take().is_some_and(|eased| now < eased + RETAKEN) {
            self.quiet = (self.quiet * 2).min(LONGEST_QUIET);
        }
        Some(self.step(now, id, to, cause))
    }

    /// From whom what is taken next: the mildest kind that anybody has left, of the most expensive one that has it.
    fn next_step(&self) -> Option<(SessionId, Degradation)> {
        let most = self.sessions.values().map(Session::cores).fold(0.0, f64::max);
        let worth = (WORTH_PART * most).max(WORTH_CORES);
        let worth: Vec<_> = self.sessions.iter().filter(|(_, session)| session.cores() >= worth).collect();
        let full_rate = worth.iter().filter(|(_, session)| !session.level.half_rate()).count();
        let spared = |level: Degradation| worth.len() > 1 && full_rate == 1 && !level.half_rate();
        let steps = worth.iter().filter_map(|(id, session)| {
            let to = session.next()?;
            let last = to == Degradation::HalfRate && spared(session.level);
            Some((last, to, session.cores(), **id))
        });
        // Of equals the oldest: the first.
        let (.., to, _, id) =
            steps.min_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then(b.2.total_cmp(&a.2)).then(a.3.cmp(&b.3)))?;
        Some((id, to))
    }

    /// Takes one step back: the deepest, and of equals the newest.
    fn ease(&mut self, now: Instant) -> Option<Step> {
        let quiet_since = self.pressed.max(self.stepped)?;
        let lasted = now.saturating_duration_since(quiet_since);
        if lasted < self.quiet {
            return None;
        }
        let (id, session) = self.sessions.iter().max_by_key(|(_, session)| (session.level, session.since))?;
        let (id, to) = (*id, session.level.shallower()?);
        let idle_cores = self.idle_cores();
        let price = price(session.level) * session.cores().max(WORTH_CORES);
        if idle_cores < price + SPARE_PART * self.cores {
            return None;
        }
        if self.eased.replace(now).is_some() {
            self.quiet = (self.quiet / 2).max(QUIET);
        }
        Some(self.step(now, id, to, Cause::Quiet { lasted, idle_cores }))
    }

    fn step(&mut self, now: Instant, id: SessionId, to: Degradation, cause: Cause) -> Step {
        self.stepped = Some(now);
        self.sessions.values_mut().for_each(|session| session.reports.clear());
        let session = self.sessions.get_mut(&id).expect("a step is chosen among the sessions");
        session.since = Some(now);
        let from = std::mem::replace(&mut session.level, to);
        Step { session: id, from, to, cause }
    }
}

/// What taking a step back costs, as a part of what the session uses now. With x264 on 720p30 in three layers: veryfast to
/// superfast saves a quarter; HIGH is half of all. On the low side, since one that proves too early waits longer the next time.
fn price(step: Degradation) -> f64 {
    match step {
        Degradation::None => 0.0,
        Degradation::Speed1 | Degradation::Speed2 => 0.3,
        Degradation::HalfRate => 0.4,
        Degradation::Withheld => 1.0,
    }
}
