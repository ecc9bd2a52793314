use std::time::{Duration, Instant};

use livekit_protocol::signal_response::Message;

use super::{
    Event,
    link::Link,
    resume::{self, Outcome},
    task::{Exit, Task},
    verdict::{self, Verdict},
};

/// The SFU's first PLI may come before the subscriber can receive: that keyframe is lost, and the next PLI is due only after
/// a second. One more keyframe this long after the first subscription closes the gap.
const SUBSCRIBED_KEYFRAME: Duration = Duration::from_millis(300);

/// What is said on the signalling connection, and its loss.
impl Task {
    pub(super) fn on_signal_lost(&mut self, link: &mut Link, now: Instant, why: &str) -> Option<Exit> {
        if link.resuming.is_some() {
            return None; // the old connection's end, which the resume brought about
        }
        if link.clocks.goodbye.is_some() {
            return Some(Exit::Rejoin("the server closed both connections".into()));
        }
        if link.peer.awaits_answer() {
            return Some(Exit::Rejoin(format!("signalling lost during a negotiation: {why}")));
        }
        tracing::info!(%why, "signalling lost, resuming");
        self.ailing.get_or_insert(now);
        self.events.push(Event::Reconnecting(format!("signalling: {why}")));
        link.resuming = Some(resume::start(link.client.clone()));
        None
    }

    pub(super) async fn on_resume(
        &mut self,
        link: &mut Link,
        now: Instant,
        outcome: Outcome,
    ) -> Result<Option<Exit>, rtc::room::Error> {
        link.resuming = None;
        match outcome {
            Outcome::Open if link.resync(now)? => Ok(None),
            Outcome::Open => {
                self.on_resumed(link).await;
                Ok(None)
            }
            Outcome::Rejoin(why) => Ok(Some(Exit::Rejoin(why))),
            Outcome::End(reason) => Ok(Some(Exit::Ended(reason))),
        }
    }

    async fn on_resumed(&mut self, link: &mut Link) {
        link.release_signals().await;
        tracing::info!("resumed");
        self.ailing = None;
        self.events.push(Event::Resumed);
    }

    pub(super) async fn on_signal(
        &mut self,
        link: &mut Link,
        now: Instant,
        message: Message,
    ) -> Result<Option<Exit>, rtc::room::Error> {
        match message {
            Message::Answer(answer) => {
                let ended_restart = link.on_answer(now, &answer)?;
                if ended_restart {
                    self.on_resumed(link).await;
                }
            }
            Message::Trickle(trickle) => link.on_trickle(now, &trickle)?,
            Message::TrackPublished(published) => link.on_published(now, published, &mut self.events),
            Message::SubscribedQualityUpdate(update) => {
                link.on_quality(now, &update, &self.options, &mut self.events);
            }
            Message::TrackSubscribed(_) => link.peer.request_keyframes(now + SUBSCRIBED_KEYFRAME),
            Message::Leave(leave) => match verdict::of(&leave) {
                Verdict::End(reason) => return Ok(Some(Exit::Ended(reason))),
                Verdict::Rejoin(why) => return Ok(Some(Exit::Rejoin(why))),
                Verdict::Resume(why) => return Ok(self.on_signal_lost(link, now, &why)),
            },
            Message::RequestResponse(response) if response.reason != 0 => {
                tracing::warn!(reason = response.reason, text = response.message, "server refused a request");
            }
            _ => {}
        }
        Ok(None)
    }
}
