//! StartIngress: a URL becomes a session.

use std::time::{Duration, Instant};

use intake::url::Wish;
use livekit::bus::{self, IngressState, NotStarted, Pull, Puller};
use media::Ladder;
use session::{Admitted, Budget, Claim, Demand, Entry, Hold, Ingress, Work};
use tokio::sync::oneshot;
use tracing::Instrument as _;

use super::{Playlist, Request};
use crate::{
    logs,
    supervise::{
        self, Supervisor,
        actor::{Actor, FIRST, Setup},
        door,
        mail::{Mail, Mailbox},
    },
};

/// More than any server without it can offer: an ingress that is asked for again is known here.
const RUNS_HERE: f32 = 2.0;

/// What an idle machine offers that is too small for what a session is taken to need.
const LEAST: f32 = 0.001;

/// How long a session's first state is waited for before its start is answered. The session's life does not depend on it.
const FIRST_STATE: Duration = Duration::from_millis(700);

/// What a stored state of another server's session is looked up for.
const LOOK_UP: Duration = Duration::from_secs(1);

/// Where the answer to StartIngress goes.
pub(in super::super) type Answer = oneshot::Sender<Result<IngressState, NotStarted>>;

impl Puller for Supervisor {
    fn affinity(&self, ingress_id: &str) -> Option<f32> {
        if self.sessions.has(ingress_id) {
            return Some(RUNS_HERE);
        }
        let spare = self.shared.admission().spare(Instant::now(), Demand::usual(Work::Url))?;
        // More cores are more, and it stays under one: the Go worker offers one.
        Some(((spare / (spare + 1.0)) as f32).max(LEAST))
    }

    async fn start(&self, pull: Pull) -> Result<IngressState, NotStarted> {
        let (answer, answered) = oneshot::channel();
        let supervisor = self.clone();
        // In a task of its own: this future is dropped when livekit-server waits no longer.
        self.tasks.spawn(async move { supervisor.pull(pull, answer).await });
        answered
            .await
            .unwrap_or_else(|_| Err(NotStarted::Unavailable("the session ended as it began".to_owned())))
    }
}

impl Supervisor {
    /// A session of its own, or the state of the one that runs.
    async fn pull(self, pull: Pull, mut answer: Answer) {
        loop {
            let (mail, mailbox) = Mail::new();
            match self.sessions.enter(&pull.record.ingress_id, mail.clone()) {
                Entry::New(hold) => return self.begin_pull(pull, answer, mail, mailbox, hold).await,
                Entry::TakeOver(running) => match running.ask(answer).await {
                    Ok(()) => return,
                    // It has ended just now, and its place is free in a moment.
                    Err(back) => answer = back,
                },
            }
            tokio::task::yield_now().await;
        }
    }

    async fn begin_pull(self, pull: Pull, answer: Answer, mail: Mail, mailbox: Mailbox, hold: Hold<Mail>) {
        let resource_id = crate::id::random("UR_");
        let span = logs::session_span(&pull.record.ingress_id, &resource_id, Some(&pull.record.room));
        async {
            let begun = match self.prepare(&pull, &resource_id).await {
                Ok(begun) => begun,
                Err(Refusal::Refused(why)) => {
                    tracing::warn!("pull refused: {why}");
                    // An error means that nobody waits any more.
                    let _ = answer.send(Err(why));
                    return;
                }
                Err(Refusal::Elsewhere) => {
                    tracing::info!("another server has begun this pull");
                    let _ = answer.send(self.elsewhere_state(&pull).await);
                    return;
                }
            };
            let settings = session::Settings { pull: true, ..door::settings(&pull.record, None, false) };
            let epoch = Instant::now();
            let setup = Setup {
                ingress: Ingress::new(epoch, FIRST, settings, Budget::default()),
                record: pull.record,
                resource_id: resource_id.clone(),
                media: Some(begun.media),
                forward: false,
                admitted: Ok(begun.claim),
                registration: Some(begun.registration),
                first: begun.request.into(),
                epoch,
                mail: mail.clone(),
                mailbox,
                supervisor: self,
                hold,
            };
            // Its own mailbox is open and empty.
            let _ = mail.ask(answer).await;
            Actor::run(setup).await;
        }
        .instrument(span)
        .await;
    }

    /// All that may refuse a pull before there is a session.
    async fn prepare(&self, pull: &Pull, resource_id: &str) -> Result<Begun, Refusal> {
        let invalid = |why: String| Refusal::Refused(NotStarted::Invalid(why));
        let record = &pull.record;
        let media = record.admit(bus::Input::Url).map_err(|refusal| invalid(refusal.to_string()))?;
        let playlist = Playlist::read(pull.url(), &record.participant_metadata, &self.shared.aliases)
            .map_err(invalid)?;
        let ladder = supervise::plan(&media, &self.shared.encoders).video;
        let demand = Demand::new(Work::Url, &ladder);
        let claim = self.shared.admission().admit(Instant::now(), demand);
        let claim = claim.map_err(|answer| {
            Refusal::Refused(match answer {
                Admitted::ShuttingDown => unavailable("server shutting down"),
                _ => NotStarted::Full,
            })
        })?;
        let registration = self.shared.handlers.register(&record.ingress_id, resource_id).await;
        let registration = registration.map_err(|error| {
            tracing::error!(%error, "cannot listen for requests about the session");
            Refusal::Refused(unavailable("control plane unavailable"))
        })?;
        match self.shared.io.create(pull).await {
            Ok(()) => {}
            Err(bus::Error::Superseded) => return Err(Refusal::Elsewhere),
            Err(error) => {
                tracing::error!(%error, "cannot store the ingress");
                return Err(Refusal::Refused(unavailable("control plane unavailable")));
            }
        }
        Ok(Begun { media, claim, registration, request: Request { playlist, wish: wish(&ladder) } })
    }

    async fn elsewhere_state(&self, pull: &Pull) -> Result<IngressState, NotStarted> {
        let state = self.shared.io.state(&pull.record.ingress_id, LOOK_UP).await;
        state.map_err(|_| unavailable("control plane unavailable"))
    }
}

impl Actor {
    /// Answers a start of this very session, once its state is posted.
    pub(in super::super) fn answer_start(&mut self, answer: Answer) {
        let reporter = self.reporter().clone();
        self.spawn(async move {
            reporter.flush(FIRST_STATE).await;
            // An error means that livekit-server waits no longer.
            let _ = answer.send(Ok(reporter.state()));
        });
    }
}

/// What a session begins with.
struct Begun {
    media: bus::Media,
    claim: Claim,
    registration: bus::Registration,
    request: Request,
}

enum Refusal {
    Refused(NotStarted),
    /// Another server's session of it has posted a state.
    Elsewhere,
}

fn unavailable(text: &str) -> NotStarted {
    NotStarted::Unavailable(text.to_owned())
}

/// The variant of a stream that fits the highest layer.
fn wish(ladder: &Ladder) -> Wish {
    let lines = ladder.layers.last().map_or(u64::MAX, |top| top.width.min(top.height).into());
    Wish { most_lines: lines, ..Wish::default() }
}
