//! The surroundings of a session: they carry out what it says, and check every word of it.

#![allow(unreachable_pub, reason = "a part of a test")]

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use media::{Kind, Layer, MediaTime, Quality};
use sluicegate_session::*;

use crate::rig::*;

/// Something that may happen; names of sources and workers are filled in when it does.
#[derive(Debug, Clone)]
pub enum Event {
    /// What a healthy world would do next.
    Progress,
    Admission(Admitted),
    Accepted(Pick),
    TookOver,
    Format(Pick, Kind),
    Media(Pick),
    Sound(Pick, SoundWay),
    Passing(Pick),
    PassedKey(Pick),
    NotPassing(Pick),
    SourceEnded(Pick, SourceEnd),
    Joined,
    Connected,
    Reconnecting,
    Resumed(bool),
    RoomEnded(RoomEnd),
    Published(Kind),
    Wanted(Qualities),
    Withhold(bool),
    Key(Quality),
    Ready(Pick),
    Info(Pick),
    Layers(Pick, Vec<Layer>),
    Audio(Pick),
    FrameOut(Pick),
    Finished(Pick),
    Failed(Pick),
    Died(Pick),
    Update(bool),
    Delete,
    Reported,
    Refused(StateRefusal),
    Shutdown(Shutdown),
}

/// The newest source or worker, or the one before it.
#[derive(Debug, Clone, Copy)]
pub enum Pick {
    Newest,
    Older,
}

/// The session's surroundings, which carry out its outputs and check every one.
pub struct World {
    pub rig: Rig,
    settings: Settings,
    sources: Vec<SourceId>,
    /// Told to go on or still asking; not closed, and not gone.
    pub open: HashSet<SourceId>,
    accepting: Option<SourceId>,
    workers: Vec<WorkerId>,
    /// Started, not stopped, and not dead.
    alive: Option<WorkerId>,
    paused: Qualities,
    wanted: Qualities,
    withheld: bool,
    ladder: Qualities,
    /// The publisher said that its own pictures are the top layer, and nothing has ended that since.
    passing: bool,
    /// The worker makes the top layer for a while all the same.
    bridged: bool,
    shown: bool,
    keys: HashMap<Quality, Instant>,
    joined: bool,
    in_room: bool,
    asked: HashSet<Kind>,
    published: HashSet<Kind>,
    tokens: HashSet<Token>,
    next_token: u64,
    last_phase: Option<Phase>,
    refused: bool,
    pub over: bool,
}

impl World {
    pub fn new(settings: Settings) -> Self {
        Self {
            rig: Rig::new(settings.clone()),
            settings,
            sources: vec![FIRST],
            open: HashSet::from([FIRST]),
            accepting: None,
            workers: Vec::new(),
            alive: None,
            paused: Qualities::NONE,
            wanted: Qualities::ALL,
            withheld: false,
            ladder: Qualities::NONE,
            passing: false,
            bridged: false,
            shown: true,
            keys: HashMap::new(),
            joined: false,
            in_room: false,
            asked: HashSet::new(),
            published: HashSet::new(),
            tokens: HashSet::new(),
            next_token: 0,
            last_phase: None,
            refused: false,
            over: false,
        }
    }

    /// A session that came to `stage` in an ordinary way.
    pub fn at(stage: Stage) -> Self {
        World::with(SETTINGS, stage)
    }

    /// The same with other settings.
    pub fn with(settings: Settings, stage: Stage) -> Self {
        let mut world = World::new(settings);
        while world.rig.ingress.stage() < stage {
            world.happen(Event::Progress);
        }
        world
    }

    pub fn live_through(&mut self, steps: Vec<(Duration, Event)>) {
        for (pause, event) in steps {
            self.pass(pause);
            self.happen(event);
        }
    }

    fn source(&self, pick: Pick) -> SourceId {
        let back = matches!(pick, Pick::Older) as usize + 1;
        self.sources[self.sources.len().saturating_sub(back)]
    }

    fn worker(&self, pick: Pick) -> Option<WorkerId> {
        let back = matches!(pick, Pick::Older) as usize + 1;
        self.workers.get(self.workers.len().saturating_sub(back)).copied()
    }

    fn token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }

    pub fn pass(&mut self, time: Duration) {
        let until = self.rig.now + time;
        while let Some(at) = self.rig.ingress.next_deadline().filter(|at| *at <= until) {
            assert!(at > self.rig.now, "a deadline in the past would never let the caller sleep");
            self.rig.now = at;
            self.feed(Input::Tick);
        }
        self.rig.now = until;
    }

    pub fn happen(&mut self, event: Event) {
        if let Some(input) = self.input(event) {
            self.feed(input);
        }
    }

    pub fn feed(&mut self, input: Input) {
        self.before(&input);
        let out = self.rig.feed(input);
        assert!(!self.over || out.is_empty(), "after the end: {out:?}");
        for out in out {
            self.check(out);
        }
        self.check_layers();
    }

    /// The event as an input; None when nobody is there whom it could happen to.
    fn input(&mut self, event: Event) -> Option<Input> {
        Some(match event {
            Event::Progress => return self.progress(),
            Event::Admission(answer) => Input::Admission(answer),
            Event::Accepted(pick) => Input::SourceAccepted(self.source(pick)),
            Event::TookOver => {
                let source = SourceId(self.sources.len() as u64 + 1);
                self.sources.push(source);
                Input::TookOver(source)
            }
            Event::Format(pick, kind) => Input::SourceFormat { source: self.source(pick), kind },
            Event::Media(pick) => Input::SourceMedia {
                source: self.source(pick),
                video_bytes: 50_000,
                audio_bytes: 2_000,
                refused: false,
            },
            Event::Sound(pick, way) => Input::SoundWay { source: self.source(pick), way },
            Event::Passing(pick) => Input::Passing(self.source(pick)),
            Event::PassedKey(pick) => Input::PassedKey(self.source(pick)),
            Event::NotPassing(pick) => {
                Input::NotPassing { source: self.source(pick), from: MediaTime::from_millis(7) }
            }
            Event::SourceEnded(pick, end) => Input::SourceEnded { source: self.source(pick), end },
            Event::Joined => Input::RoomJoined { sid: "RM_1".into() },
            Event::Connected => Input::RoomConnected,
            Event::Reconnecting => Input::RoomReconnecting,
            Event::Resumed(rejoined) => Input::RoomResumed { rejoined },
            Event::RoomEnded(end) => Input::RoomEnded(end),
            Event::Published(kind) => Input::Published(kind),
            Event::Wanted(set) => Input::Wanted(set),
            Event::Withhold(on) => Input::Withhold(on),
            Event::Key(quality) => Input::KeyframeNeeded(quality),
            Event::Ready(pick) => Input::WorkerReady(self.worker(pick)?),
            Event::Info(pick) => Input::SourceInfo { worker: self.worker(pick)?, info: VIDEO },
            Event::Layers(pick, layers) => Input::LayersReady { worker: self.worker(pick)?, layers },
            Event::Audio(pick) => Input::AudioReady { worker: self.worker(pick)?, channels: 2 },
            Event::FrameOut(pick) => Input::FrameOut(self.worker(pick)?),
            Event::Finished(pick) => Input::WorkerFinished(self.worker(pick)?),
            Event::Failed(pick) => Input::WorkerFailed { worker: self.worker(pick)?, text: "x".into() },
            Event::Died(pick) => Input::WorkerDied { worker: self.worker(pick)?, text: "x".into() },
            Event::Update(enabled) => Input::Update { token: self.token(), enabled },
            Event::Delete => Input::Delete { token: self.token() },
            Event::Reported => Input::Reported,
            Event::Refused(refusal) => Input::StateRefused(refusal),
            Event::Shutdown(shutdown) => Input::Shutdown(shutdown),
        })
    }

    fn progress(&self) -> Option<Input> {
        if let Some(source) = self.accepting {
            return Some(Input::SourceAccepted(source));
        }
        let unpublished = self.asked.difference(&self.published).next();
        Some(match (self.rig.ingress.stage(), unpublished) {
            (Stage::Asked, _) => Input::Admission(Admitted::Yes),
            (Stage::Joining, _) => Input::RoomJoined { sid: "RM_1".into() },
            (_, Some(kind)) => Input::Published(*kind),
            (Stage::Buffering, _) => Input::LayersReady { worker: self.alive?, layers: layers() },
            _ => Input::FrameOut(self.alive?),
        })
    }

    /// Keeps the books on what the world itself does.
    fn before(&mut self, input: &Input) {
        let alive = |worker: &WorkerId| self.alive == Some(*worker);
        let stage = self.rig.ingress.stage();
        let running = (Stage::Joining..=Stage::Live).contains(&stage);
        // One that opens its URL has posted a state already.
        let posts = running || stage == Stage::Draining || (self.settings.pull && stage == Stage::Admitted);
        match input {
            Input::SourceAccepted(source) if self.accepting == Some(*source) => self.accepting = None,
            Input::TookOver(source) if !self.over => _ = self.open.insert(*source),
            Input::SourceEnded { source, .. } => {
                self.open.remove(source);
                self.accepting.take_if(|accepting| accepting == source);
            }
            Input::RoomEnded(_) if running || self.rig.ingress.stage() == Stage::Draining => {
                self.in_room = false
            }
            Input::RoomResumed { rejoined: true } if running && self.rig.ingress.stage() > Stage::Joining => {
                self.wanted = Qualities::ALL;
            }
            Input::Wanted(set) if running => self.wanted = *set,
            Input::Withhold(on) if running => self.withheld = *on,
            Input::LayersReady { worker, layers } if running && alive(worker) => {
                self.ladder = layers.iter().map(|layer| layer.quality).collect();
            }
            Input::Passing(_) if running => self.passing = true,
            Input::WorkerDied { worker, .. } if alive(worker) => self.alive = None,
            Input::Published(kind) if self.asked.contains(kind) => _ = self.published.insert(*kind),
            Input::Update { token, .. } | Input::Delete { token } if !self.over => {
                _ = self.tokens.insert(*token)
            }
            Input::StateRefused(_) if posts => self.refused = true,
            _ => {}
        }
    }

    fn check(&mut self, out: Output) {
        assert!(!self.over, "after the end: {out:?}");
        match out {
            Output::AcceptSource(source) => {
                assert!(self.open.contains(&source));
                self.accepting = Some(source);
            }
            Output::RejectSource { source, .. } | Output::CloseSource { source, .. } => {
                assert!(self.open.remove(&source), "{source} is not open");
                self.accepting.take_if(|accepting| *accepting == source);
            }
            Output::DeferSource(source) => assert!(self.open.remove(&source)),
            Output::Join => {
                assert!(!std::mem::replace(&mut self.joined, true), "joined twice");
                self.in_room = true;
            }
            Output::Leave => assert!(std::mem::take(&mut self.in_room), "left, and not there"),
            Output::Publish { video, audio } => self.check_publish(video.is_some(), audio.is_some()),
            Output::UpdateLayers(_) => assert!(self.asked.contains(&Kind::Video)),
            Output::StartWorker { worker, source, paused, .. } => {
                assert_eq!(self.alive.replace(worker), None, "two workers at once");
                assert!(!self.workers.contains(&worker) && self.open.contains(&source));
                self.workers.push(worker);
                self.paused = paused;
                self.keys.clear();
            }
            Output::FinishWorker(worker) => assert_eq!(self.alive, Some(worker)),
            Output::StopWorker(worker) => assert_eq!(self.alive.take(), Some(worker)),
            Output::Pause(quality) => self.check_pause(quality, true),
            Output::Resume(quality) => self.check_pause(quality, false),
            Output::Keyframe(quality) => self.check_key(quality),
            Output::Bridge(quality) | Output::ResumeAt(quality, _) => {
                assert!(self.passing && self.top() == Some(quality), "{quality} is not passed");
                (self.passing, self.bridged) = (false, true);
                self.check_pause(quality, false);
                self.check_key(quality);
            }
            Output::ShowTop(shown) => {
                assert_ne!(std::mem::replace(&mut self.shown, shown), shown, "it is so already");
                self.passing &= shown;
            }
            Output::Report(status) => self.check_report(&status),
            Output::Reply { token, .. } => assert!(self.tokens.remove(&token), "answered twice"),
            Output::Over(_) => self.check_over(),
        }
    }

    fn check_publish(&mut self, video: bool, audio: bool) {
        assert!(self.in_room && (video || audio));
        for (kind, _) in [(Kind::Video, video), (Kind::Audio, audio)].into_iter().filter(|(_, is)| *is) {
            assert!(self.asked.insert(kind), "{kind} published twice");
        }
    }

    fn check_pause(&mut self, quality: Quality, pause: bool) {
        assert!(self.alive.is_some());
        assert_ne!(self.paused.contains(quality), pause, "{quality} is so already");
        let one: Qualities = [quality].into_iter().collect();
        self.bridged &= !(pause && self.top() == Some(quality));
        self.paused = match pause {
            true => self.paused.iter().chain([quality]).collect(),
            false => self.paused.without(one),
        };
        if !pause {
            self.keys.remove(&quality);
        }
    }

    fn check_key(&mut self, quality: Quality) {
        assert!(self.alive.is_some() && !self.paused.contains(quality));
        let last = self.keys.insert(quality, self.rig.now);
        assert!(last.is_none_or(|last| self.rig.now - last >= Budget::default().keyframe), "too soon");
    }

    fn check_report(&mut self, status: &Status) {
        assert!(
            self.last_phase.is_none_or(|last| last <= status.phase && !last.is_final()),
            "a report goes back"
        );
        assert!(!self.refused, "nobody wants it");
        assert!(status.phase != Phase::Publishing || !self.published.is_empty());
        assert!(status.phase != Phase::Complete || !self.settings.reusable);
        assert_eq!(status.phase.is_final(), status.ended.is_some());
        assert_eq!(status.phase == Phase::Error, status.error.is_some());
        self.last_phase = Some(status.phase);
    }

    fn check_over(&mut self) {
        self.over = true;
        assert!(self.open.is_empty(), "open connections: {:?}", self.open);
        assert_eq!((self.alive, self.in_room), (None, false));
        assert!(self.tokens.is_empty(), "unanswered: {:?}", self.tokens);
        let begun = self.last_phase.is_some();
        assert!(!begun || self.refused || self.last_phase.is_some_and(Phase::is_final), "no final state");
        assert_eq!(self.rig.ingress.next_deadline(), None);
    }

    fn top(&self) -> Option<Quality> {
        self.ladder.iter().last()
    }

    /// What the worker was told is what the room wants of the layers that there are; of the top one nothing while it is
    /// withheld, or while the publisher's own pictures are it.
    fn check_layers(&self) {
        let running = (Stage::Joining..=Stage::Live).contains(&self.rig.ingress.stage());
        if !running || self.alive.is_none() {
            return;
        }
        let unwanted = self.ladder.without(self.wanted);
        let top = self.top().filter(|top| self.wanted.contains(*top) && self.ladder.iter().count() > 1);
        match top.filter(|_| self.withheld) {
            Some(top) if !self.bridged && !self.passing => {
                assert!(self.paused.contains(top), "the top layer is withheld");
                assert!(self.ladder.iter().any(|one| one < top && !self.paused.contains(one)));
            }
            Some(_) => {}
            None => {
                let top: Qualities = self.top().filter(|_| self.passing).into_iter().collect();
                assert!(unwanted.without(self.paused).is_empty());
                assert!(self.paused.without(unwanted).without(top).is_empty(), "paused without a reason");
            }
        }
    }
}
