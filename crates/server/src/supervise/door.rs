//! The way in: a connection with a key becomes a session, takes one over, or is refused with a reason.

use std::time::{Duration, Instant};

use livekit::bus::{self, Refusal};
use media::StreamKey;
use session::{Budget, Demand, Entry, Hold, Ingress, Reason, Settings, Why, Work};
use tracing::Instrument;

use super::{
    Supervisor,
    actor::{Actor, FIRST, Setup},
    mail::{Mail, Mailbox},
    publisher::Request,
};
use crate::logs;

/// How long a key is looked up while livekit-server or Redis is away. Encoders wait about 10 s for an answer.
const LOOK_UP: Duration = Duration::from_secs(4);

impl Supervisor {
    /// Serves a connection that asks to publish, in a task of its own.
    pub fn admit(&self, request: Request) {
        let (supervisor, peer) = (self.clone(), request.peer());
        let Some(key) = request.key().cloned() else { return };
        let span = tracing::info_span!("publisher", %peer, %key);
        self.tasks.spawn(async move { supervisor.enter(request, key).await }.instrument(span));
    }

    async fn enter(self, request: Request, key: StreamKey) {
        if key.is_empty() {
            return self.turn_away(request, Reason::MissingKey).await;
        }
        let record = match self.shared.io.ingress_by_key(&key, LOOK_UP).await {
            Ok(record) => record,
            Err(bus::Error::NoIngress) => return self.turn_away(request, Reason::UnknownKey).await,
            Err(error) => {
                tracing::error!(%error, "cannot look the stream key up");
                return self.turn_away(request, Reason::ControlUnavailable).await;
            }
        };
        self.connect(record, request).await;
    }

    /// Refused before there is an ingress to have a state.
    async fn turn_away(&self, request: Request, reason: Reason) {
        self.shared.refused(request.input(), &reason);
        tracing::warn!(reason = reason.label(), encoder = %request.encoder(), "publisher refused: {reason}");
        match reason {
            Reason::MissingKey | Reason::UnknownKey => request.wrong_key().await,
            reason => request.reject(&Why::Failed(reason)).await,
        }
    }

    /// A session of its own, or one more connection for the session that runs.
    async fn connect(self, record: bus::Record, mut request: Request) {
        loop {
            let (mail, mailbox) = Mail::new();
            match self.sessions.enter(&record.ingress_id, mail.clone()) {
                Entry::New(hold) => return self.begin(record, request, mail, mailbox, hold).await,
                Entry::TakeOver(running) => match running.take_over(request).await {
                    Ok(()) => return,
                    // It has ended just now, and its place is free in a moment.
                    Err(back) => request = back,
                },
            }
            tokio::task::yield_now().await;
        }
    }

    async fn begin(
        self,
        record: bus::Record,
        request: Request,
        mail: Mail,
        mailbox: Mailbox,
        hold: Hold<Mail>,
    ) {
        let (resource_id, epoch) = (crate::id::random(request.id_prefix()), Instant::now());
        let span = logs::session_span(&record.ingress_id, &resource_id, Some(&record.room));
        let asked = record.admit(request.ingress_type());
        let work = request.work(record.transcode);
        let ladder = asked.as_ref().ok().map(|media| super::plan(media, &self.shared.encoders).video);
        let demand = ladder.map_or_else(|| Demand::usual(work), |ladder| Demand::new(work, &ladder));
        let admitted = self.shared.admission().admit(epoch, demand);
        let registration = match (&asked, &admitted) {
            (Ok(_), Ok(_)) => match self.shared.handlers.register(&record.ingress_id, &resource_id).await {
                Ok(registration) => Some(registration),
                Err(error) => {
                    tracing::error!(%error, "cannot listen for requests about the session");
                    return self.turn_away(request, Reason::ControlUnavailable).await;
                }
            },
            _ => None,
        };
        let proxied = work == Work::WhipBypass && self.shared.sfu.is_some();
        let forward = work == Work::WhipBypass && !proxied;
        let settings = Settings { proxied, ..settings(&record, asked.as_ref().err(), forward) };
        let setup = Setup {
            supervisor: self,
            hold,
            ingress: Ingress::new(epoch, FIRST, settings, Budget::default()),
            record,
            resource_id,
            media: asked.ok(),
            forward,
            admitted,
            registration,
            first: request,
            epoch,
            mail,
            mailbox,
        };
        Actor::run(setup).instrument(span).await;
    }
}

pub(super) fn settings(record: &bus::Record, refusal: Option<&Refusal>, forward: bool) -> Settings {
    let refusal = refusal.map(|refusal| match refusal {
        Refusal::Disabled => Reason::Disabled,
        Refusal::NoRoom => Reason::NoRoom,
        Refusal::WrongType => Reason::WrongType,
        other => Reason::Invalid(other.to_string()),
    });
    Settings {
        refusal,
        active_elsewhere: record.live,
        reusable: record.reusable,
        video: true,
        audio: true,
        forward,
        proxied: false,
        pull: false,
    }
}
