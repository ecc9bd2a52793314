//! One session: its state machine fed with all that happens, and what it decides carried out.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Instant,
};

use livekit::{bus, room::Participant};
use media::{Ladder, MediaTime, Quality};
use pipeline::Command;
use session::{
    Admitted, Claim, Degradation, Hold, Ingress, Input, Outcome, Output, Qualities, SourceId, SourceInfo,
    Token, Why,
};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
};
use tracing::Instrument;

use super::{
    Shared, Supervisor,
    forward::Forward,
    govern::Seat,
    mail::{Mail, Mailbox, Message},
    over,
    passage::Passage,
    publisher::{Closer, Request},
    pull::Attendance,
    sound::Outlet,
    source::{Source, Stage},
    worker::Worker,
};
use crate::metrics::{self, Running};

/// What a session is made of, besides its state machine.
pub(super) struct Setup {
    pub(super) supervisor: Supervisor,
    /// The session's place in the registry.
    pub(super) hold: Hold<Mail>,
    pub(super) record: bus::Record,
    pub(super) resource_id: String,
    /// `None` for a session that is refused.
    pub(super) media: Option<bus::Media>,
    /// Packets go to the room as they come.
    pub(super) forward: bool,
    pub(super) admitted: Result<Claim, Admitted>,
    pub(super) registration: Option<bus::Registration>,
    pub(super) ingress: Ingress,
    pub(super) first: Request,
    pub(super) epoch: Instant,
    pub(super) mail: Mail,
    pub(super) mailbox: Mailbox,
}

/// The number of a session's first connection.
pub(super) const FIRST: SourceId = SourceId(0);

pub(super) struct Actor {
    pub(super) supervisor: Supervisor,
    pub(super) shared: Arc<Shared>,
    pub(super) hold: Hold<Mail>,
    pub(super) record: bus::Record,
    pub(super) resource_id: String,
    /// What the first publisher came by.
    pub(super) input: metrics::Input,
    pub(super) media: Option<bus::Media>,
    pub(super) claim: Option<Claim>,
    pub(super) registration: Option<bus::Registration>,
    pub(super) ingress: Ingress,
    pub(super) epoch: Instant,
    pub(super) mail: Mail,
    pub(super) mailbox: mpsc::Receiver<Message>,
    pub(super) sources: HashMap<SourceId, Source>,
    /// The one that feeds the worker.
    pub(super) source_id: Option<SourceId>,
    pub(super) next_source: u64,
    /// Connections that came too late for this session.
    pub(super) deferred: Vec<Request>,
    pub(super) worker: Option<Worker>,
    /// Those that the worker has.
    pub(super) layers: Qualities,
    pub(super) paused: Qualities,
    /// Percent of the sound's packets that the receiver misses.
    pub(super) sound_loss: u8,
    /// From the first worker on.
    pub(super) seat: Option<Seat>,
    /// What the session does without at present.
    pub(super) degradation: Degradation,
    pub(super) room: Arc<OnceLock<Participant>>,
    pub(super) outlet: Outlet,
    pub(super) passage: Arc<Passage>,
    /// Of a session whose packets go to the room as they come: it has no worker.
    pub(super) forward: Option<Arc<Forward>>,
    pub(super) joining: Option<AbortHandle>,
    pub(super) reporter: Option<Arc<bus::Reporter>>,
    pub(super) attendance: Attendance,
    pub(super) replies: HashMap<Token, bus::Reply>,
    pub(super) next_token: u64,
    pub(super) running: Option<Running>,
    pub(super) tasks: JoinSet<()>,
    pub(super) over: Option<Outcome>,
}

enum News {
    Input(Input),
    Message(Message),
    Asked(bus::Request),
    Order(Degradation),
}

impl Actor {
    /// Runs a session to its end.
    pub(super) async fn run(setup: Setup) {
        let admitted = match &setup.admitted {
            Ok(_) => Admitted::Yes,
            Err(answer) => *answer,
        };
        let mut actor = Self::new(setup);
        actor.handle(Input::Admission(admitted));
        while actor.over.is_none() {
            let news = actor.next().await;
            actor.take(news);
        }
        actor.end().await;
    }

    fn new(setup: Setup) -> Self {
        let (shared, room) = (setup.supervisor.shared.clone(), Arc::<OnceLock<Participant>>::default());
        let (metrics, input) = (|| shared.metrics.clone(), setup.first.input());
        let outlet = Outlet::new(room.clone(), setup.epoch, metrics(), input);
        let passage = Passage::new(room.clone(), metrics(), input, setup.epoch, shared.passthrough);
        let forward = setup
            .forward
            .then(|| Arc::new(Forward::new(room.clone(), metrics(), setup.epoch, setup.first.video_codec())));
        let mut actor = Self {
            shared,
            supervisor: setup.supervisor,
            hold: setup.hold,
            record: setup.record,
            resource_id: setup.resource_id,
            input,
            media: setup.media,
            claim: setup.admitted.ok(),
            registration: setup.registration,
            ingress: setup.ingress,
            epoch: setup.epoch,
            mail: setup.mail,
            mailbox: setup.mailbox.0,
            sources: HashMap::new(),
            source_id: None,
            next_source: FIRST.0,
            deferred: Vec::new(),
            worker: None,
            layers: Qualities::NONE,
            paused: Qualities::NONE,
            sound_loss: 0,
            seat: None,
            degradation: Degradation::None,
            outlet,
            room,
            passage: Arc::new(passage),
            forward,
            joining: None,
            reporter: None,
            attendance: Attendance::new(),
            replies: HashMap::new(),
            next_token: 0,
            running: None,
            tasks: JoinSet::new(),
            over: None,
        };
        actor.add_source(setup.first);
        actor
    }

    async fn next(&mut self) -> News {
        let deadline = self.ingress.next_deadline();
        let asked = async {
            match &mut self.registration {
                Some(registration) => registration.recv().await,
                None => std::future::pending().await,
            }
        };
        let tick = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        let order = async {
            match &mut self.seat {
                Some(seat) => seat.order().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            message = self.mailbox.recv() => match message {
                Some(message) => News::Message(message),
                None => unreachable!("the session holds a sender of its own"),
            },
            request = asked => News::Asked(request),
            order = order => News::Order(order),
            () = tick => News::Input(Input::Tick),
        }
    }

    fn take(&mut self, news: News) {
        while let Some(joined) = self.tasks.try_join_next() {
            over::ended_well(joined);
        }
        match news {
            News::Input(input) | News::Message(Message::Input(input)) => {
                self.note_layers(&input);
                self.handle(input);
            }
            News::Message(Message::Accepted(id, closer)) => {
                if let Some(source) = self.sources.get_mut(&id) {
                    if let (Some(way), Closer::Whip(_, control)) = (&self.forward, &closer) {
                        way.follow(id, control.clone());
                    }
                    source.stage = Stage::Flows(closer);
                    self.handle(Input::SourceAccepted(id));
                } else {
                    closer.close(&Why::TakenOver);
                }
            }
            News::Message(Message::TakeOver(request)) => {
                self.shared.metrics.taken_over();
                tracing::info!(peer = %request.peer(), encoder = %request.encoder(), "another publisher with the same key");
                if self.forward.as_ref().is_some_and(|way| way.codec() != request.video_codec()) {
                    return self.make_way(request);
                }
                let id = self.add_source(request);
                self.handle(Input::TookOver(id));
            }
            News::Message(Message::Ask(answer)) => self.answer_start(answer),
            News::Message(Message::Joined(joined)) => self.joined(joined),
            News::Message(Message::Measured(worker, pulse)) => self.measured(worker, pulse),
            News::Message(Message::SoundLoss(percent)) => {
                self.sound_loss = percent;
                self.command(Command::SoundLoss(percent));
            }
            News::Asked(request) => self.asked(request),
            News::Order(degradation) => self.degrade(degradation),
        }
    }

    pub(super) fn handle(&mut self, input: Input) {
        self.attendance.note(&input);
        for output in self.ingress.handle(Instant::now(), input) {
            self.carry_out(output);
        }
        self.attendance.follow(self.ingress.stage());
        let watched = !self.layers.without(self.paused).is_empty();
        if let Some(worker) = &mut self.worker {
            worker.set_watched(watched);
        }
    }

    /// The worker says which layers there will be, and of what size the source is.
    fn note_layers(&mut self, input: &Input) {
        if let Input::SourceInfo { worker, info: SourceInfo::Video { width, height, .. } } = input
            && self.worker.as_ref().is_some_and(|ours| ours.id == *worker)
            && let Some(source) = self.source_id.and_then(|id| self.sources.get(&id))
        {
            source.feed.sized(*width, *height);
        }
        if let Input::LayersReady { worker, layers } = input
            && let Some(ours) = self.worker.as_mut().filter(|ours| ours.id == *worker)
        {
            ours.laid_out();
            self.layers = layers.iter().map(|layer| layer.quality).collect();
            self.passage.fit(&Ladder { layers: layers.clone(), ..self.plan().video });
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::AcceptSource(id) => self.accept(id),
            Output::RejectSource { source, why } | Output::CloseSource { source, why } => {
                self.close(source, &why)
            }
            Output::DeferSource(id) => self.defer(id),
            Output::Join => self.join(),
            Output::Leave => self.leave(),
            Output::Publish { video, audio } => self.publish(video, audio),
            Output::UpdateLayers(layers) => self.update_layers(layers),
            Output::StartWorker { worker, source, replay, paused } => {
                self.start_worker(worker, source, replay, paused)
            }
            Output::FinishWorker(id) => self.with_worker(id, Worker::finish),
            Output::StopWorker(id) => self.with_worker(id, Worker::stop),
            Output::Pause(quality) => self.pause(quality),
            Output::Resume(quality) => self.resume(quality, None),
            Output::ResumeAt(quality, from) => self.resume(quality, Some(from)),
            Output::Bridge(quality) => self.bridge(quality),
            Output::ShowTop(shown) => self.passage.show(shown),
            Output::Keyframe(quality) => match &self.forward {
                Some(way) => way.keyframe(quality),
                None => self.command(Command::Keyframe(quality)),
            },
            Output::Report(status) => self.report(&status),
            Output::Reply { token, answer } => self.reply(token, answer),
            Output::Over(outcome) => self.over = Some(outcome),
        }
    }

    fn pause(&mut self, quality: Quality) {
        if let Some(way) = &self.forward {
            return way.pause(quality);
        }
        self.paused = self.paused.iter().chain([quality]).collect();
        self.command(Command::Pause(quality));
    }

    fn resume(&mut self, quality: Quality, from: Option<MediaTime>) {
        if let Some(way) = &self.forward {
            return way.resume(quality);
        }
        self.paused = self.paused.iter().filter(|paused| *paused != quality).collect();
        self.command(match from {
            Some(from) => Command::ResumeAt(quality, from),
            None => Command::Resume(quality),
        });
    }

    /// The worker's decoder may be at rest: it has as long as it needs to catch up.
    fn bridge(&mut self, quality: Quality) {
        let feed = self.source_id.and_then(|id| self.sources.get(&id)).map(|source| &source.feed);
        let lead = feed.map(|feed| feed.lead()).unwrap_or_default();
        let from = self.passage.bridge(lead);
        self.resume(quality, from);
    }

    pub(super) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.tasks.spawn(task.in_current_span())
    }
}
