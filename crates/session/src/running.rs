use std::time::{Duration, Instant};

use media::{Kind, Layer};

use crate::ingress::State;
use crate::meter::Meter;
use crate::room::{self, Room};
use crate::sources::Left;
use crate::worker::Verdict;
use crate::{
    Ingress, Input, Output, Qualities, Reason, Shutdown, SoundWay, SourceEnd, SourceId, SourceInfo, Why,
    WorkerId,
};

/// A session that joins, buffers or is live.
impl Ingress {
    pub(crate) fn running(&mut self, now: Instant, input: Input) {
        match input {
            Input::SourceAccepted(source) => self.hand_over(now, source),
            Input::TookOver(source) => self.take_over(now, source),
            Input::SourceEnded { source, end } => self.source_ended(now, source, end),
            Input::SourceFormat { source, kind } if self.sources.is_current(source) => {
                if self.settings.wants(kind) {
                    self.tracks.expect(kind);
                }
            }
            Input::SourceMedia { source, video_bytes, audio_bytes, refused }
                if self.sources.is_current(source) =>
            {
                self.source_media(now, video_bytes, audio_bytes, refused);
            }
            Input::SoundWay { source, way } if self.sources.is_current(source) && self.settings.audio => {
                self.sound_way(now, way);
            }
            Input::Forwarded { source, info, layers } if self.sources.is_current(source) => {
                self.forwarded(now, info, layers);
            }
            Input::Proxied { source, video, audio } if self.sources.is_current(source) => {
                self.proxied(now, video, audio);
            }
            Input::Passing(source) if self.sources.is_current(source) => {
                if self.layers.pass(now) {
                    self.apply_layers(now);
                }
            }
            Input::PassedKey(source) if self.sources.is_current(source) => self.layers.passed_key(now),
            Input::NotPassing { source, from } if self.sources.is_current(source) => {
                let worker = self.workers.id().is_some();
                self.layers.stop_passing(now, from, worker, &mut self.out);
            }
            Input::Update { token, enabled } => {
                self.wait(token);
                self.end(now, if enabled { Why::Updated } else { Why::Disabled });
            }
            Input::Delete { token } => {
                self.wait(token);
                self.end(now, Why::Deleted);
            }
            Input::StateRefused(refusal) => {
                self.reports.forbid();
                self.end(now, refusal.into());
            }
            Input::Shutdown(Shutdown::Now) => self.end(now, Why::Shutdown),
            Input::Shutdown(Shutdown::Drain) | Input::Tick => {}
            input if worker_of(&input).is_some_and(|worker| self.workers.is(worker)) => {
                self.worker(now, input);
            }
            input if worker_of(&input).is_none() => self.room(now, input),
            input => self.ignore(&input),
        }
        self.publish(now);
    }

    fn room(&mut self, now: Instant, input: Input) {
        match (self.room, input) {
            (Room::Joining { .. }, Input::RoomJoined { sid }) => {
                self.room = Room::In;
                self.facts.room_sid = Some(sid);
                self.state = State::Buffering;
            }
            (_, Input::RoomEnded(end)) => {
                self.room = Room::Gone;
                self.end(now, Why::Failed(room::reason(end)));
            }
            (Room::In, Input::RoomReconnecting) => {
                self.room = Room::Reconnecting { by: now + self.budget.reconnect };
            }
            (Room::In | Room::Reconnecting { .. }, Input::RoomResumed { rejoined }) => {
                self.resumed(now, rejoined)
            }
            (Room::In | Room::Reconnecting { .. }, Input::RoomConnected) => self.keyframes(now),
            (_, Input::Published(kind)) if self.tracks.published(kind) => {
                self.state = State::Live;
                self.report(now);
            }
            (_, Input::Wanted(wanted)) => {
                self.layers.want(wanted);
                self.apply_layers(now);
            }
            (_, Input::Withhold(withheld)) => {
                self.layers.withhold(withheld);
                self.apply_layers(now);
            }
            (_, Input::KeyframeNeeded(quality)) if self.makes_keyframes() => {
                self.layers.request(now, quality, &self.budget, &mut self.out);
            }
            (_, input) => self.ignore(&input),
        }
    }

    fn resumed(&mut self, now: Instant, rejoined: bool) {
        self.room = Room::In;
        self.tracks.ask_again(now, &self.budget);
        if rejoined {
            self.layers.want(Qualities::ALL);
            self.apply_layers(now);
        }
        self.keyframes(now);
    }

    pub(crate) fn keyframes(&mut self, now: Instant) {
        if self.makes_keyframes() {
            self.layers.request_all(now, &self.budget, &mut self.out);
        }
    }

    /// Tells the worker what to pause and to resume; one that does not exist yet is told when it starts.
    pub(crate) fn apply_layers(&mut self, now: Instant) {
        if self.settings.forward || self.workers.id().is_some() {
            self.layers.apply(now, &self.budget, &mut self.out);
        } else {
            self.layers.open_or_close(&mut self.out);
        }
    }

    /// An input of the session's present worker.
    fn worker(&mut self, now: Instant, input: Input) {
        match input {
            Input::WorkerReady(worker) => self.workers.ready(worker),
            Input::SourceInfo { info, .. } => {
                self.describe(info);
                self.refresh(now);
            }
            Input::LayersReady { layers, .. } if self.settings.video => self.layers_ready(now, layers),
            Input::AudioReady { channels, .. } if self.settings.audio => {
                self.media_by = None;
                self.facts.channels = Some(channels);
                self.workers.sounds();
                self.tracks.ready(now, Kind::Audio);
            }
            Input::FrameOut(_) => {
                self.media_by = None;
                self.workers.gave();
            }
            Input::WorkerFinished(worker) => {
                self.out.push(Output::StopWorker(worker));
                self.worker_lost(now, "ended before its source".to_owned());
            }
            Input::WorkerFailed { worker, text } => {
                self.out.push(Output::StopWorker(worker));
                self.worker_lost(now, text);
            }
            Input::WorkerDied { text, .. } => self.worker_lost(now, text),
            input => self.ignore(&input),
        }
    }

    fn sound_way(&mut self, now: Instant, way: SoundWay) {
        self.workers.pass_sound_by(matches!(way, SoundWay::Untouched { .. }));
        if let SoundWay::Untouched { info, channels } = way {
            self.media_by = None;
            self.facts.channels = Some(channels);
            self.tracks.ready(now, Kind::Audio);
            self.describe(info);
            self.refresh(now);
        }
    }

    pub(crate) fn describe(&mut self, info: SourceInfo) {
        match info {
            SourceInfo::Video { codec, width, height, fps_milli } => {
                self.facts.describe_video(codec, width, height, fps_milli);
            }
            SourceInfo::Audio { codec, channels, sample_rate } => {
                self.facts.describe_audio(codec, channels, sample_rate);
            }
        }
    }

    pub(crate) fn layers_ready(&mut self, now: Instant, layers: Vec<Layer>) {
        self.media_by = None;
        if self.layers.set(layers) && self.tracks.is_asked(Kind::Video) {
            self.out.push(Output::UpdateLayers(self.layers.have().to_vec()));
        }
        self.tracks.ready(now, Kind::Video);
        self.apply_layers(now);
    }

    /// The present worker is gone, or is being stopped.
    fn worker_lost(&mut self, now: Instant, text: String) {
        tracing::warn!(text, "worker failed");
        self.layers.drop_requests();
        if self.sources.current().is_none() {
            // The next connection is being accepted, and gets a worker of its own.
            return self.workers.gone();
        }
        match self.workers.failed(now, &self.budget) {
            // Sound that goes past it flows on.
            Verdict::Restart if self.workers.is_passed_by() => {}
            Verdict::Restart => {
                self.media_by.get_or_insert(now + self.first_media());
            }
            Verdict::GiveUp => self.end(now, Why::Failed(Reason::Worker(text))),
        }
    }

    fn start_worker(&mut self, now: Instant, source: SourceId, replay: bool) {
        let worker = self.workers.start(now, &self.budget);
        let paused = self.layers.restart();
        self.out.push(Output::StartWorker { worker, source, replay, paused });
    }

    pub(crate) fn stop_worker(&mut self) {
        self.out.extend(self.workers.stop().map(Output::StopWorker));
    }

    /// Another connection wants to feed this session; the present one goes on until the new one was accepted.
    pub(crate) fn take_over(&mut self, now: Instant, source: SourceId) {
        let passed_over = self.sources.replace_next(source);
        self.out.extend(passed_over.map(|source| Output::CloseSource { source, why: Why::TakenOver }));
        self.accept_next(now);
    }

    fn hand_over(&mut self, now: Instant, source: SourceId) {
        let Some(old) = self.sources.accepted(source) else {
            return self.ignore(&Input::SourceAccepted(source));
        };
        self.out.extend(old.map(|source| Output::CloseSource { source, why: Why::TakenOver }));
        self.stop_worker();
        self.tracks.new_source();
        self.workers.forgive();
        self.new_source(now, source);
    }

    /// `source` feeds the session from now on, through a worker of its own where one is needed.
    pub(crate) fn new_source(&mut self, now: Instant, source: SourceId) {
        if self.settings.proxied {
            return self.await_notices(now);
        }
        self.media_by = Some(now + self.first_media());
        self.silent_at = Some(now + self.silence_limit());
        (self.facts.video_rate, self.facts.audio_rate) = (Meter::default(), Meter::default());
        self.layers.new_source();
        if !self.settings.forward {
            self.start_worker(now, source, false);
        }
    }

    fn source_media(&mut self, now: Instant, video_bytes: u64, audio_bytes: u64, refused: bool) {
        self.silent_at = Some(now + self.silence_limit());
        self.facts.video_rate.add(now, video_bytes);
        self.facts.audio_rate.add(now, audio_bytes);
        self.refresh(now);
        if self.settings.forward {
            return;
        }
        let pictures = video_bytes > 0 && !refused && !self.layers.active().is_empty();
        let expected = pictures || (audio_bytes > 0 && self.workers.has_sound());
        if !expected {
            return self.workers.rest();
        }
        if !self.workers.feed(now, &self.budget) {
            self.stop_worker_lost(now, "takes media and gives none");
        }
    }

    fn stop_worker_lost(&mut self, now: Instant, text: &str) {
        self.out.extend(self.workers.id().map(Output::StopWorker));
        self.worker_lost(now, text.to_owned());
    }

    fn source_ended(&mut self, now: Instant, source: SourceId, end: SourceEnd) {
        match self.sources.ended(source, end.clone().into()) {
            Left::Unknown => self.ignore(&Input::SourceEnded { source, end }),
            Left::Another => {
                if self.sources.current().is_none() && self.workers.id().is_none() {
                    self.workers.gone();
                }
            }
            Left::Nobody(why) => self.end(now, why),
        }
    }

    fn first_media(&self) -> Duration {
        if self.settings.pull { self.budget.pull_media } else { self.budget.first_media }
    }

    fn silence_limit(&self) -> Duration {
        if self.settings.pull { self.budget.pull_silence } else { self.budget.silence }
    }

    /// Asks the room for the tracks whose time has come.
    fn publish(&mut self, now: Instant) {
        if self.room != Room::In || !self.is_running() {
            return;
        }
        let Some(due) = self.tracks.take_due(now, &self.budget) else { return };
        self.out.push(Output::Publish {
            video: due.video.then(|| self.layers.have().to_vec()),
            audio: self.facts.channels.filter(|_| due.audio),
        });
    }

    /// Posts a better description of what is live.
    pub(crate) fn refresh(&mut self, now: Instant) {
        if matches!(self.state, State::Live) {
            self.report(now);
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        matches!(self.state, State::Joining | State::Buffering | State::Live)
    }

    pub(crate) fn running_deadline(&self) -> Option<Instant> {
        let in_room = self.room == Room::In;
        let handing_over = self.sources.is_handing_over();
        [
            self.sources.deadline(),
            self.room.deadline(),
            self.media_by.filter(|_| !handing_over),
            self.silent_at.filter(|_| !handing_over),
            self.tracks.answer_by().filter(|_| in_room),
            self.tracks.due_at(&self.budget).filter(|_| in_room),
            self.workers.deadline(),
            self.layers.deadline(),
            self.reports.deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Why the session cannot go on, when a deadline says so. A connection that is being accepted is waited for first.
    fn overdue(&self, now: Instant) -> Option<Reason> {
        let past = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let waiting = !self.sources.is_handing_over();
        self.room
            .overdue(now)
            .or_else(|| (waiting && past(self.media_by)).then_some(Reason::NoMedia))
            .or_else(|| (waiting && past(self.silent_at)).then(|| self.silence()))
            .or_else(|| {
                (self.room == Room::In && past(self.tracks.answer_by())).then_some(Reason::NotPublished)
            })
    }

    /// Does what time alone brings.
    pub(crate) fn expire_running(&mut self, now: Instant) {
        if let Some(source) = self.sources.overdue(now) {
            self.out.push(Output::CloseSource { source, why: Why::Lost });
            self.source_ended(now, source, SourceEnd::Lost);
        }
        if let Some(reason) = self.overdue(now).filter(|_| self.is_running()) {
            self.end(now, Why::Failed(reason));
        }
        if self.is_running() && self.workers.overdue(now).is_some() {
            self.stop_worker_lost(now, "was not ready in time");
        }
        if !self.is_running() {
            return;
        }
        if self.workers.restart_due(now)
            && let Some(source) = self.sources.current()
        {
            self.start_worker(now, source, true);
        }
        self.publish(now);
        self.layers.expire(now, &mut self.out);
        self.refresh(now);
    }
}

/// The worker that an input is of.
fn worker_of(input: &Input) -> Option<WorkerId> {
    match input {
        Input::WorkerReady(worker) | Input::FrameOut(worker) | Input::WorkerFinished(worker) => Some(*worker),
        Input::SourceInfo { worker, .. }
        | Input::LayersReady { worker, .. }
        | Input::AudioReady { worker, .. }
        | Input::WorkerFailed { worker, .. }
        | Input::WorkerDied { worker, .. } => Some(*worker),
        _ => None,
    }
}
