//! One worker process: fed from a source's queue, heard, and ended.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use media::{Encoded, Output};
use pipeline::{Command, Event, Incoming, Launch, Load, Plan, Receiver, Sender, Start};
use session::{Input, Qualities, SourceId, SourceInfo, WorkerId};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    actor::Actor,
    feed::Feed,
    mail::Mail,
    passage::Passage,
    processes::Processes,
    sound::Outlet,
    source::{SUMMARY, Source},
};
use crate::{cpu::ProcessMeter, metrics::Metrics};

/// Commands that wait for a worker. A session gives a handful at a time; one that takes none of them is stuck, and the
/// state machine's own limits end it.
const COMMANDS: usize = 64;

/// How often a running worker's pulse is felt. The kernel counts CPU time in steps of 10 ms: a hundredth of this.
const MEASURE: Duration = Duration::from_secs(1);

/// A running worker, as the session's actor holds it.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) id: WorkerId,
    orders: mpsc::Sender<Order>,
    stop: CancellationToken,
    laid_out: bool,
    watched: bool,
}

/// How a worker has fared since it was last looked at.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pulse {
    /// CPU time.
    pub(super) cores: f64,
    /// The longest that a picture waited, in the queue before the worker and in the worker.
    pub(super) behind: Duration,
    /// Dropped there because there was no room.
    pub(super) dropped: u64,
}

#[derive(Debug)]
enum Order {
    Send(Command),
    /// Nobody watches: no pictures from here on.
    Sleep,
    /// Somebody does again.
    Wake,
    /// Nothing more comes from the source.
    Finish,
}

/// What a worker is started with.
pub(super) struct Job {
    pub(super) id: WorkerId,
    pub(super) plan: Plan,
    pub(super) feed: Arc<Feed>,
    /// It takes the place of one that died.
    pub(super) replay: bool,
    pub(super) paused: Qualities,
    pub(super) outlet: Outlet,
    pub(super) passage: Arc<Passage>,
    pub(super) processes: Arc<Processes>,
}

impl Worker {
    /// The handle, and the task that runs the worker to its end. The task never fails: what goes wrong is told by mail.
    pub(super) fn start(
        launch: Launch,
        job: Job,
        mail: Mail,
        metrics: Metrics,
    ) -> (Self, impl Future<Output = ()>) {
        let (orders, waiting) = mpsc::channel(COMMANDS);
        let stop = CancellationToken::new();
        let worker = Self { id: job.id, orders, stop: stop.clone(), laid_out: false, watched: true };
        (worker, run(launch, job, waiting, stop, mail, metrics))
    }

    /// Passes a command on, after what has been passed on before.
    pub(super) fn send(&self, command: Command) {
        self.order(Order::Send(command));
    }

    /// The worker knows its layers: pictures can be kept from it while nobody watches.
    pub(super) fn laid_out(&mut self) {
        self.laid_out = true;
    }

    /// Gives it pictures or keeps them from it, if that is a change.
    pub(super) fn set_watched(&mut self, watched: bool) {
        if self.laid_out && self.watched != watched {
            self.watched = watched;
            self.order(if watched { Order::Wake } else { Order::Sleep });
        }
    }

    /// Lets it give out what it has, then end.
    pub(super) fn finish(&self) {
        self.order(Order::Finish);
    }

    /// Kills it.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    fn order(&self, order: Order) {
        if let Err(error) = self.orders.try_send(order) {
            tracing::debug!(%error, worker = %self.id, "worker takes no orders");
        }
    }
}

impl Actor {
    pub(super) fn codec(&self) -> media::Codec {
        self.plan().video.codec
    }

    pub(super) fn plan(&self) -> Plan {
        let media = self.media.as_ref().expect("a session that is not refused has media options");
        super::plan(media, &self.shared.encoders)
    }

    pub(super) fn start_worker(&mut self, id: WorkerId, source: SourceId, replay: bool, paused: Qualities) {
        self.outlet.begin(source);
        let Some(Source { feed, .. }) = self.sources.get(&source) else { return };
        if replay {
            self.shared.metrics.worker_restarted();
        }
        tracing::info!(worker = %id, replay, "starting a worker");
        self.paused = paused;
        self.source_id = Some(source);
        self.passage.follow(source);
        let job = Job {
            id,
            plan: self.plan(),
            feed: feed.clone(),
            replay,
            paused,
            outlet: self.outlet.clone(),
            passage: self.passage.clone(),
            processes: self.shared.processes.clone(),
        };
        let launch = self.shared.launch.clone();
        let (worker, task) = Worker::start(launch, job, self.mail.clone(), self.shared.metrics.clone());
        if self.sound_loss > 0 {
            worker.send(Command::SoundLoss(self.sound_loss));
        }
        self.worker = Some(worker);
        self.spawn(task);
        self.govern_worker();
    }

    pub(super) fn with_worker(&self, id: WorkerId, act: impl FnOnce(&Worker)) {
        if let Some(worker) = self.worker.as_ref().filter(|worker| worker.id == id) {
            act(worker);
        }
    }

    pub(super) fn command(&self, command: Command) {
        if let Some(worker) = &self.worker {
            worker.send(command);
        }
    }
}

async fn run(
    launch: Launch,
    job: Job,
    orders: mpsc::Receiver<Order>,
    stop: CancellationToken,
    mail: Mail,
    metrics: Metrics,
) {
    let newest = job.feed.rewind();
    let start = Start { plan: job.plan.clone(), output_from: if job.replay { newest } else { None } };
    let (sender, receiver) = match pipeline::Handle::spawn(&launch, start) {
        Ok(halves) => halves,
        Err(error) => {
            mail.input(Input::WorkerDied { worker: job.id, text: error.to_string() }).await;
            return;
        }
    };
    let mut ear = Ear::new(&job, &mail, metrics);
    tokio::select! {
        // The worker's end is told by its ear; a broken pipe is no news of its own.
        () = ear.listen(receiver, stop) => {}
        () = async {
            feed(sender, &job, orders).await;
            std::future::pending().await
        } => {}
    }
}

/// Feeds the worker until it is gone or the source's end has been passed on.
async fn feed(mut sender: Sender, job: &Job, mut orders: mpsc::Receiver<Order>) {
    // It starts while there is nothing to give to it: a file is not played before it is ready.
    if sender.flush().await.is_err() {
        return;
    }
    for quality in job.paused.iter() {
        if sender.send(Command::Pause(quality)).await.is_err() {
            return;
        }
    }
    loop {
        let command = tokio::select! {
            biased;
            order = orders.recv() => match order {
                Some(Order::Send(command)) => command,
                Some(Order::Sleep) => {
                    job.feed.sleep();
                    continue;
                }
                Some(Order::Wake) => match job.feed.wake() {
                    Some(newest) => Command::SkipTo(newest),
                    None => continue,
                },
                Some(Order::Finish) | None => break,
            },
            unit = job.feed.next() => Command::Unit(unit),
        };
        if let Err(error) = sender.send(command).await
            && error.kind() != std::io::ErrorKind::InvalidInput
        {
            return;
        }
    }
    while let Some(unit) = job.feed.try_next() {
        if sender.send(Command::Unit(unit)).await.is_err() {
            return;
        }
    }
    if sender.send(Command::EndOfStream).await.is_ok() {
        // Dropping the sender would cut the worker off from its own last frames.
        std::future::pending::<()>().await;
    }
}

/// Listens to one worker.
struct Ear<'a> {
    job: &'a Job,
    mail: &'a Mail,
    metrics: Metrics,
    told: Option<Instant>,
    lost: u64,
    /// What the worker said of itself since the last measurement.
    load: Load,
}

impl<'a> Ear<'a> {
    fn new(job: &'a Job, mail: &'a Mail, metrics: Metrics) -> Self {
        Self { job, mail, metrics, told: None, lost: 0, load: Load::default() }
    }

    async fn listen(&mut self, mut receiver: Receiver, stop: CancellationToken) {
        let _counted = receiver.pid().map(|pid| self.job.processes.count(pid));
        let mut meter = receiver.pid().and_then(|pid| ProcessMeter::new(pid, Instant::now()).ok());
        let mut measure = tokio::time::interval(MEASURE);
        measure.reset();
        loop {
            let incoming = tokio::select! {
                incoming = receiver.recv() => incoming,
                () = stop.cancelled() => {
                    receiver.kill();
                    while !matches!(receiver.recv().await, Incoming::Exit(_)) {}
                    return;
                }
                _ = measure.tick() => {
                    if let Some(cores) = meter.as_mut().and_then(|meter| meter.cores(Instant::now()).ok()) {
                        let pulse = self.pulse(cores);
                        self.mail.measured(self.job.id, pulse).await;
                    }
                    continue;
                }
            };
            match incoming {
                Incoming::Event(event) => self.hear(event).await,
                Incoming::Exit(exit) => {
                    let text = exit.to_string();
                    self.mail.input(Input::WorkerDied { worker: self.job.id, text }).await;
                    return;
                }
            }
        }
    }

    async fn hear(&mut self, event: Event) {
        let worker = self.job.id;
        let input = match event {
            Event::Encoded(encoded) => return self.pass_on(encoded).await,
            Event::Warning(text) => {
                tracing::warn!(%worker, "{text}");
                return;
            }
            Event::Load(load) => {
                self.load.behind_ms = self.load.behind_ms.max(load.behind_ms);
                self.load.dropped = self.load.dropped.saturating_add(load.dropped);
                return;
            }
            Event::Ready => Input::WorkerReady(worker),
            Event::Source(source) => Input::SourceInfo { worker, info: source_info(source) },
            Event::Layers(layers) => Input::LayersReady { worker, layers },
            Event::Audio { channels } => Input::AudioReady { worker, channels },
            Event::Failed(text) => Input::WorkerFailed { worker, text },
            Event::Ended => Input::WorkerFinished(worker),
        };
        self.mail.input(input).await;
    }

    fn pulse(&mut self, cores: f64) -> Pulse {
        let load = std::mem::take(&mut self.load);
        let (waiting, dropped) = self.job.feed.take_strain();
        Pulse {
            cores,
            behind: waiting + Duration::from_millis(load.behind_ms.into()),
            dropped: dropped + u64::from(load.dropped),
        }
    }

    async fn pass_on(&mut self, encoded: Encoded) {
        let now = Instant::now();
        if encoded.output == Output::Audio {
            self.job.outlet.worker_made(encoded);
        } else {
            let sent = self.job.passage.worker(encoded, now);
            self.lost += sent.lost;
            if let Some(input) = sent.input {
                self.mail.input(input).await;
            }
        }
        if self.told.is_some_and(|told| now.duration_since(told) < SUMMARY) {
            return;
        }
        self.told = Some(now);
        if self.lost > 0 {
            let dropped = std::mem::take(&mut self.lost);
            self.metrics.queue_dropped("worker_to_room", dropped);
            tracing::debug!(dropped, "frames dropped between worker and room");
        }
        self.mail.input(Input::FrameOut(self.job.id)).await;
    }
}

fn source_info(source: pipeline::Source) -> SourceInfo {
    match source {
        pipeline::Source::Video { codec, width, height, fps_milli } => {
            SourceInfo::Video { codec, width, height, fps_milli }
        }
        pipeline::Source::Audio { codec, channels, sample_rate } => {
            SourceInfo::Audio { codec, channels, sample_rate }
        }
    }
}
