use std::fmt;
use std::time::Instant;

use media::{Codec, Kind};

use crate::drain::Drain;
use crate::layers::Layers;
use crate::meter::Meter;
use crate::reports::Reports;
use crate::room::Room;
use crate::sources::Sources;
use crate::status::final_phase;
use crate::tracks::Tracks;
use crate::worker::Workers;
use crate::{
    Admitted, AudioState, Budget, Input, Outcome, Output, Phase, Reason, Shutdown, SourceId, Status, Token,
    VideoState, Why,
};

/// What the control plane says about the ingress, as far as the session cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Why the ingress takes no publisher as it is: disabled, of another type, without a room, with options that cannot be met.
    pub refusal: Option<Reason>,
    /// Its stored state says that another session is live (on another server). A refusal is then not posted: it would hide
    /// the healthy session, which could not post any more (bus.md §7).
    pub active_elsewhere: bool,
    /// It may be used again after its end: RTMP and WHIP.
    pub reusable: bool,
    /// Pictures are to be published.
    pub video: bool,
    /// Sound is to be published.
    pub audio: bool,
    /// What the publisher sends goes to the room as it is: no worker is needed.
    pub forward: bool,
    /// The publisher's media goes to the SFU directly, which has made a participant of it: no worker is needed, and no room to join.
    pub proxied: bool,
    /// The source is a URL that this server plays: users see the session from its admission on, before the URL is open.
    pub pull: bool,
}

impl Settings {
    fn check(&self) -> Result<(), Reason> {
        match &self.refusal {
            Some(reason) => Err(reason.clone()),
            None => Ok(()),
        }
    }

    pub(crate) fn wants(&self, kind: Kind) -> bool {
        match kind {
            Kind::Video => self.video,
            Kind::Audio => self.audio,
        }
    }
}

/// One session: from a connection that asks, over all its takeovers, restarts and reconnections, to its end.
///
/// The caller feeds it with everything that happens, calls it with [`Input::Tick`] at [`Ingress::next_deadline`], and carries
/// out what it says, until [`Output::Over`].
#[derive(Debug)]
pub struct Ingress {
    pub(crate) settings: Settings,
    pub(crate) budget: Budget,
    pub(crate) state: State,
    pub(crate) sources: Sources,
    pub(crate) room: Room,
    pub(crate) workers: Workers,
    pub(crate) tracks: Tracks,
    pub(crate) layers: Layers,
    pub(crate) reports: Reports,
    pub(crate) facts: Facts,
    /// By when playable media has to come, while none has.
    pub(crate) media_by: Option<Instant>,
    /// When the publisher counts as silent.
    pub(crate) silent_at: Option<Instant>,
    /// Requests to be answered once the final state is posted.
    pub(crate) waiting: Vec<Token>,
    pub(crate) out: Vec<Output>,
}

#[derive(Debug)]
pub(crate) enum State {
    Asked,
    Admitted,
    Joining,
    Buffering,
    Live,
    Draining(Drain),
    Over,
}

/// What the status is made of.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) started: Instant,
    pub(crate) ended: Option<(Why, Instant)>,
    pub(crate) room_sid: Option<String>,
    pub(crate) video: Option<VideoState>,
    pub(crate) audio: Option<AudioState>,
    pub(crate) channels: Option<u8>,
    pub(crate) video_rate: Meter,
    pub(crate) audio_rate: Meter,
}

/// Where a session stands, for logs and pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// A publisher asks; admission has not answered.
    Asked,
    /// The publisher is being told to go on.
    Admitted,
    /// The room is being joined.
    Joining,
    /// In the room, nothing published yet.
    Buffering,
    /// At least one track is published.
    Live,
    /// Ending.
    Draining,
    /// Ended.
    Over,
}

impl Ingress {
    /// A session for the connection `source`, which asks to publish. Its first input is [`Input::Admission`].
    pub fn new(now: Instant, source: SourceId, settings: Settings, budget: Budget) -> Self {
        let facts = Facts {
            started: now,
            ended: None,
            room_sid: None,
            video: None,
            audio: None,
            channels: None,
            video_rate: Meter::default(),
            audio_rate: Meter::default(),
        };
        Self {
            settings,
            budget,
            state: State::Asked,
            sources: Sources::new(source),
            room: Room::Out,
            workers: Workers::new(),
            tracks: Tracks::default(),
            layers: Layers::new(),
            reports: Reports::default(),
            facts,
            media_by: None,
            silent_at: None,
            waiting: Vec::new(),
            out: Vec::new(),
        }
    }

    /// Takes one input; gives back what is to be done now, in order.
    pub fn handle(&mut self, now: Instant, input: Input) -> Vec<Output> {
        let (before, slept) = (self.stage(), self.layers.are_asleep());
        match self.state {
            State::Asked => self.asked(now, input),
            State::Admitted => self.admitted(now, input),
            State::Joining | State::Buffering | State::Live => self.running(now, input),
            State::Draining(_) => self.draining(now, input),
            State::Over => self.ignore(&input),
        }
        self.expire(now);
        if slept && !self.layers.are_asleep() {
            self.workers.wake();
        }
        if before != self.stage() {
            tracing::info!(from = %before, to = %self.stage(), "session");
        }
        std::mem::take(&mut self.out)
    }

    /// When to call with [`Input::Tick`] at the latest; None = only an input can change anything.
    pub fn next_deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Asked | State::Over => None,
            State::Admitted => self.sources.deadline(),
            State::Joining | State::Buffering | State::Live => self.running_deadline(),
            State::Draining(drain) => Some(drain.deadline()),
        }
    }

    /// Where it stands.
    pub fn stage(&self) -> Stage {
        match self.state {
            State::Asked => Stage::Asked,
            State::Admitted => Stage::Admitted,
            State::Joining => Stage::Joining,
            State::Buffering => Stage::Buffering,
            State::Live => Stage::Live,
            State::Draining(_) => Stage::Draining,
            State::Over => Stage::Over,
        }
    }

    /// The state as the control plane is to see it: the only place where it is made.
    pub fn status(&self) -> Status {
        let facts = &self.facts;
        // What is proxied is measured by the SFU.
        let measured = |rate: &Meter, told| if self.settings.proxied { told } else { rate.average_bps() };
        let (phase, error) = match &facts.ended {
            Some((why, _)) => final_phase(why, self.settings.reusable),
            None if self.tracks.any_published() => (Phase::Publishing, None),
            None => (Phase::Buffering, None),
        };
        Status {
            phase,
            error,
            video: facts.video.map(|video| VideoState {
                bitrate_bps: measured(&facts.video_rate, video.bitrate_bps),
                ..video
            }),
            audio: facts.audio.map(|audio| AudioState {
                bitrate_bps: measured(&facts.audio_rate, audio.bitrate_bps),
                ..audio
            }),
            room_sid: facts.room_sid.clone(),
            started: facts.started,
            ended: facts.ended.as_ref().map(|(_, at)| *at),
        }
    }

    fn asked(&mut self, now: Instant, input: Input) {
        match input {
            Input::Admission(answer) => match (self.settings.check(), answer) {
                (_, Admitted::ShuttingDown) => self.turn_away(now, Reason::ShuttingDown),
                (Err(reason), _) => self.refuse(now, reason),
                (Ok(()), Admitted::Full) => self.refuse(now, Reason::Full),
                (Ok(()), Admitted::Yes) => {
                    self.state = State::Admitted;
                    if self.settings.pull {
                        self.facts.started = now;
                        self.report(now);
                    }
                    self.accept_next(now);
                }
            },
            Input::TookOver(source) => {
                let old = self.sources.replace_next(source);
                self.out.extend(old.map(|source| Output::RejectSource { source, why: Why::TakenOver }));
            }
            input => self.before_begin(now, input),
        }
    }

    fn admitted(&mut self, now: Instant, input: Input) {
        match input {
            Input::SourceAccepted(source) => self.begin(now, source),
            Input::TookOver(source) => self.take_over(now, source),
            input if self.settings.pull => self.opening(now, input),
            input => self.before_begin(now, input),
        }
    }

    /// What ends a session of which nobody has heard yet.
    fn before_begin(&mut self, now: Instant, input: Input) {
        match input {
            Input::SourceEnded { source, end } if self.sources.next() == Some(source) => {
                drop(self.sources.take());
                self.over(now, Outcome::Ended(end.into()));
            }
            Input::Update { token, enabled } => {
                self.wait(token);
                self.give_up(now, if enabled { Why::Updated } else { Why::Disabled });
            }
            Input::Delete { token } => {
                self.wait(token);
                self.give_up(now, Why::Deleted);
            }
            Input::Shutdown(Shutdown::Drain | Shutdown::Now) => self.turn_away(now, Reason::ShuttingDown),
            input => self.ignore(&input),
        }
    }

    /// Refused, and users of the ingress shall see why.
    fn refuse(&mut self, now: Instant, reason: Reason) {
        if self.settings.active_elsewhere {
            return self.turn_away(now, reason);
        }
        self.facts.started = now;
        self.close_sources(&Why::Failed(reason.clone()));
        self.stop(now, Outcome::Refused(reason));
    }

    /// Refused without a state: the ingress is fine, or belongs to another session.
    fn turn_away(&mut self, now: Instant, reason: Reason) {
        self.close_sources(&Why::Failed(reason.clone()));
        self.over(now, Outcome::Refused(reason));
    }

    pub(crate) fn give_up(&mut self, now: Instant, why: Why) {
        self.close_sources(&why);
        self.over(now, Outcome::Ended(why));
    }

    /// Tells every connection why it is closed.
    pub(crate) fn close_sources(&mut self, why: &Why) {
        let asked = matches!(self.state, State::Asked);
        for source in self.sources.take() {
            let why = why.clone();
            self.out.push(match asked {
                true => Output::RejectSource { source, why },
                false => Output::CloseSource { source, why },
            });
        }
    }

    /// Tells the next connection to go on.
    pub(crate) fn accept_next(&mut self, now: Instant) {
        let within = if self.settings.pull { self.budget.pull_open } else { self.budget.accept };
        self.out.extend(self.sources.accepting(now + within).map(Output::AcceptSource));
    }

    /// The publisher was accepted: from here on there is a session that users see.
    fn begin(&mut self, now: Instant, source: SourceId) {
        if self.sources.accepted(source).is_none() {
            return self.ignore(&Input::SourceAccepted(source));
        }
        if !self.settings.pull {
            self.facts.started = now;
        }
        if self.settings.proxied {
            return self.begin_proxied(now);
        }
        self.state = State::Joining;
        self.report(now);
        self.room = Room::Joining { by: now + self.budget.join };
        self.out.push(Output::Join);
        self.new_source(now, source);
    }

    /// Posts the state, if it is worth it.
    pub(crate) fn report(&mut self, now: Instant) {
        let status = self.status();
        self.out.extend(self.reports.offer(now, status, &self.budget).map(Output::Report));
    }

    pub(crate) fn ignore(&self, input: &Input) {
        tracing::debug!(stage = %self.stage(), input = input.name(), "ignored");
    }
}

impl Facts {
    pub(crate) fn describe_video(&mut self, codec: Codec, width: u32, height: u32, fps_milli: u32) {
        self.video = Some(VideoState { codec, bitrate_bps: 0, width, height, fps_milli });
    }

    pub(crate) fn describe_audio(&mut self, codec: Codec, channels: u32, sample_rate: u32) {
        self.audio = Some(AudioState { codec, bitrate_bps: 0, channels, sample_rate });
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Asked => "asked",
            Stage::Admitted => "admitted",
            Stage::Joining => "joining",
            Stage::Buffering => "buffering",
            Stage::Live => "live",
            Stage::Draining => "draining",
            Stage::Over => "over",
        })
    }
}
