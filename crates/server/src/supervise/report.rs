//! A session's states on their way out, in the control plane's words.

use std::{sync::Arc, time::Duration};

use livekit::bus::{self, Audio, IngressState, IoInfo, Outcome, Phase, Post, Video};
use session::{Answer, Input, StateRefusal, Status, Token};

use super::actor::Actor;
use crate::metrics::Metrics;

/// Posts states, and counts those that have to be posted again.
pub struct Counted {
    io: IoInfo,
    metrics: Metrics,
}

impl Counted {
    /// Posts through `io`.
    pub fn new(io: IoInfo, metrics: Metrics) -> Self {
        Self { io, metrics }
    }
}

impl Post for Counted {
    async fn post(&self, ingress_id: &str, state: IngressState, attempt: u32) -> Result<(), bus::Error> {
        if attempt > 1 {
            self.metrics.report_retried();
        }
        self.io.post(ingress_id, state, attempt).await
    }
}

/// How long the final state is waited for before a request is answered. The state machine waits less long.
const FINAL_STATE: Duration = Duration::from_secs(3);

impl Actor {
    pub(super) fn report(&mut self, status: &Status) {
        let reporter = self.reporter().clone();
        reporter.put(words(status));
        if status.phase.is_final() {
            let mail = self.mail.clone();
            self.spawn(async move {
                if !reporter.flush(FINAL_STATE).await {
                    tracing::warn!("the final state is not delivered yet; it is kept and tried again");
                }
                mail.input(Input::Reported).await;
            });
        }
    }

    pub(super) fn reporter(&mut self) -> &Arc<bus::Reporter> {
        if self.reporter.is_none() {
            let reporter = Arc::new(self.shared.reporters.open(&self.record, &self.resource_id));
            self.reporter = Some(reporter.clone());
            let mail = self.mail.clone();
            self.spawn(async move {
                // A session that ends first closes its mailbox; the reporter is then let go.
                let refusal = tokio::select! {
                    gone = reporter.gone() => match gone {
                        bus::Gone::Deleted => StateRefusal::Deleted,
                        bus::Gone::Superseded => StateRefusal::Superseded,
                    },
                    () = mail.closed() => return,
                };
                mail.input(Input::StateRefused(refusal)).await;
            });
        }
        self.reporter.as_ref().expect("opened above")
    }

    pub(super) fn asked(&mut self, request: bus::Request) {
        let token = Token(self.next_token);
        self.next_token += 1;
        let input = match request {
            bus::Request::Update { change, reply } => {
                self.replies.insert(token, reply);
                Input::Update { token, enabled: change.enabled != Some(false) }
            }
            bus::Request::Delete { reply } => {
                self.replies.insert(token, reply);
                Input::Delete { token }
            }
            _ => return,
        };
        self.handle(input);
    }

    pub(super) fn reply(&mut self, token: Token, answer: Answer) {
        let Some(reply) = self.replies.remove(&token) else { return };
        match (answer, &self.reporter) {
            (Answer::State(_), Some(reporter)) => reply.send(reporter.state()),
            (Answer::State(_), None) => reply.send(Default::default()),
            // Dropped, it says that the session is over, which it is about to be.
            (Answer::Busy, _) => {}
        }
    }
}

/// The control plane's words for a session's state. Times are the reporter's own.
fn words(status: &Status) -> bus::Status {
    bus::Status {
        phase: phase(status),
        room_sid: status.room_sid.clone().unwrap_or_default(),
        video: status.video.map(|video| Video {
            mime_type: video.codec.mime_type().to_owned(),
            bitrate_bps: video.bitrate_bps,
            width: video.width,
            height: video.height,
            fps: f64::from(video.fps_milli) / 1000.0,
        }),
        audio: status.audio.map(|audio| Audio {
            mime_type: audio.codec.mime_type().to_owned(),
            bitrate_bps: audio.bitrate_bps,
            channels: audio.channels,
            sample_rate: audio.sample_rate,
        }),
    }
}

fn phase(status: &Status) -> Phase {
    match status.phase {
        session::Phase::Buffering => Phase::Buffering,
        session::Phase::Publishing => Phase::Publishing,
        session::Phase::Inactive | session::Phase::Complete => Phase::Ended(Outcome::Stopped),
        session::Phase::Error => {
            Phase::Ended(Outcome::Failed(status.error.as_ref().map(ToString::to_string).unwrap_or_default()))
        }
    }
}
