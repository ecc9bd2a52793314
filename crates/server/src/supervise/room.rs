//! The participant: what it tells, in the session's words.

use std::collections::BTreeMap;

use livekit::{
    bus,
    room::{AudioTrack, Error, Event, Events, Options, Participant, Reason, TokenSource, VideoTrack},
    token,
};
use media::{Codec, Layer};
use session::{Input, RoomEnd};

use super::{
    Shared,
    actor::Actor,
    mail::{Mail, Message},
};
use crate::metrics::Metrics;

impl Actor {
    pub(super) fn join(&mut self) {
        self.running = Some(self.shared.metrics.session(self.input, self.forward.is_none()));
        let codec = match &self.forward {
            // Without pictures in the first offer the room's connection has to be given one all the same.
            Some(way) => way.codec().unwrap_or(Codec::H264),
            None => self.codec(),
        };
        let forward = self.forward.is_some();
        let options = self.shared.room_options(&self.record, &self.resource_id, codec, forward);
        let mail = self.mail.clone();
        self.joining = Some(self.spawn(async move {
            let joined = livekit::room::join(options).await;
            mail.tell(Message::Joined(joined)).await;
        }));
    }

    pub(super) fn joined(&mut self, joined: Result<(Participant, Events), Error>) {
        let awaited = self.joining.take().is_some();
        match joined {
            // The session ended while this was on its way: nobody will ask the participant to leave.
            Ok((participant, events)) if !awaited => {
                drop(events);
                self.spawn(async move { participant.leave().await });
            }
            Ok((participant, events)) => {
                // Set once: a session joins once.
                let _ = self.room.set(participant);
                self.spawn(listen(events, self.mail.clone(), self.shared.metrics.clone()));
            }
            Err(error) => {
                tracing::error!(%error, "cannot join the room");
                self.handle(Input::RoomEnded(RoomEnd::JoinFailed));
            }
        }
    }

    pub(super) fn leave(&mut self) {
        if let Some(joining) = self.joining.take() {
            joining.abort();
            let mail = self.mail.clone();
            self.spawn(async move { mail.input(Input::RoomEnded(RoomEnd::Left)).await });
        } else if let Some(participant) = self.room.get().cloned() {
            self.spawn(async move { participant.leave().await });
        }
    }

    pub(super) fn publish(&self, video: Option<Vec<Layer>>, audio: Option<u8>) {
        let (Some(room), Some(media)) = (self.room.get(), &self.media) else { return };
        let picture = video.map(|layers| {
            let (name, source) = (media.video.name.clone(), media.video.source);
            room.publish_video(VideoTrack { name, source, layers })
        });
        let sound = audio.map(|channels| {
            let (name, source, dtx) = (media.audio.name.clone(), media.audio.source, media.audio.dtx);
            room.publish_audio(AudioTrack { name, source, channels, dtx })
        });
        for error in [picture, sound].into_iter().flatten().filter_map(Result::err) {
            tracing::error!(%error, "cannot publish");
        }
    }

    pub(super) fn update_layers(&self, layers: Vec<Layer>) {
        if let Some(room) = self.room.get()
            && let Err(error) = room.update_layers(layers)
        {
            tracing::warn!(%error, "the room keeps the old sizes");
        }
    }
}

/// Passes a participant's events on, to its end.
pub(super) async fn listen(mut events: Events, mail: Mail, metrics: Metrics) {
    while let Some(event) = events.recv().await {
        let input = match event {
            Event::Joined(joined) => Input::RoomJoined { sid: joined.room_sid },
            Event::Connected => Input::RoomConnected,
            Event::Published { kind, .. } => Input::Published(kind),
            Event::KeyframeNeeded(quality) => {
                metrics.keyframe_requested(quality);
                Input::KeyframeNeeded(quality)
            }
            Event::Wanted(wanted) => Input::Wanted(wanted.into_iter().collect()),
            Event::SoundLoss(percent) => {
                tracing::info!(percent, "sound gets lost on the way");
                mail.tell(Message::SoundLoss(percent)).await;
                continue;
            }
            Event::Reconnecting(reason) => {
                tracing::warn!(%reason, "connection to the room is broken, mending it");
                Input::RoomReconnecting
            }
            Event::Resumed => {
                metrics.reconnected("room");
                Input::RoomResumed { rejoined: false }
            }
            Event::Rejoined(joined) => {
                metrics.reconnected("room");
                tracing::info!(participant_sid = %joined.participant_sid, "joined the room anew");
                Input::RoomResumed { rejoined: true }
            }
            Event::Ended(reason) => {
                tracing::info!(?reason, "out of the room");
                Input::RoomEnded(end(&reason))
            }
            _ => continue,
        };
        mail.input(input).await;
    }
}

fn end(reason: &Reason) -> RoomEnd {
    match reason {
        Reason::Left => RoomEnd::Left,
        Reason::Removed => RoomEnd::Removed,
        Reason::RoomDeleted => RoomEnd::Deleted,
        Reason::DuplicateIdentity => RoomEnd::Duplicate,
        Reason::ServerAsked(_) | Reason::Refused(_) => RoomEnd::AskedToLeave,
        _ => RoomEnd::ConnectionLost,
    }
}

/// The participant's attributes and the rest that a room is joined with.
impl Shared {
    fn room_options(
        &self,
        record: &bus::Record,
        resource_id: &str,
        video_codec: Codec,
        forward: bool,
    ) -> Options {
        Options {
            ws_url: self.ws_url.clone(),
            token: TokenSource::minted(self.keys.clone(), token::Claims::of(record)),
            attributes: BTreeMap::from([(token::RESOURCE_ID.to_owned(), resource_id.to_owned())]),
            video_codec,
            red: false,
            forward,
            stream: record.ingress_id.clone(),
            network: self.network.clone(),
        }
    }
}
