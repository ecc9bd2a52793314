//! A WHIP publisher that livekit-server has itself (`whip_proxy_enabled`): its offer goes to livekit-server's own WHIP endpoint, its
//! media past us, and what comes of it is told over the bus.

use std::{convert::Infallible, sync::Arc};

use intake::whip::{PatchError, Patches, Relay, RelayAnswer, Request, Status, Why};
use livekit::{
    bus::{Notice, Notices},
    token,
    whip::{Endpoint, Error, Patch, Patched, Published},
};
use media::Codec;
use session::{AudioState, Input, SourceEnd, SourceId, VideoState};

use super::{Shared, mail::Mail, publisher::Closer};

/// A participant that nobody removes stays until its publisher stops sending: worth a second try. Both fit into what a session
/// waits for its last tasks.
const REMOVALS: u32 = 2;

/// Who publishes, as livekit-server knows it.
struct Guest {
    shared: Arc<Shared>,
    endpoint: Endpoint,
    claims: token::Claims,
    sid: String,
}

/// What the notices do not say, or say in words that we lack.
#[derive(Clone, Copy)]
struct Offered {
    video: Option<Codec>,
}

/// Hands the publisher over, and serves its resource to its end.
pub(super) async fn run(
    id: SourceId,
    request: Request,
    shared: Arc<Shared>,
    mail: Mail,
    claims: token::Claims,
) {
    // As for any WHIP publisher, it is not the session's.
    let resource = crate::id::random("WH_");
    let _announced = shared.announce(&resource, &request.key).await;
    let offered = Offered { video: request.offer.video.as_ref().map(|video| video.codec) };
    let end = match enter(request, &shared, claims, resource).await {
        Some((guest, relay, notices)) => serve(id, &guest, relay, notices, offered, &mail).await,
        None => SourceEnd::Lost,
    };
    mail.input(Input::SourceEnded { source: id, end }).await;
}

/// Has livekit-server make a participant of it, and tells the publisher what it answers.
async fn enter(
    request: Request,
    shared: &Arc<Shared>,
    claims: token::Claims,
    resource: String,
) -> Option<(Guest, Relay, Notices)> {
    let endpoint = shared.sfu.clone()?;
    let (guest, published) = match Guest::publish(shared.clone(), endpoint, claims, &request).await {
        Ok(published) => published,
        Err(error) => {
            // Its words may quote the offer, which holds a password.
            tracing::warn!(status = status_of(&error), "livekit-server does not take the publisher");
            request.reject(refusal(&error), &error.to_string()).await;
            return None;
        }
    };
    let notices = match shared.handlers.notices(&guest.sid).await {
        Ok(notices) => notices,
        Err(error) => {
            tracing::error!(%error, "cannot listen for what livekit-server says of the publisher");
            request.reject(Status::Unavailable, "the control plane cannot be reached").await;
            guest.remove().await;
            return None;
        }
    };
    let Published { answer: sdp, ice_session, links, .. } = published;
    match request.relay(resource, RelayAnswer { sdp, ice_session, links }) {
        Ok(relay) => Some((guest, relay, notices)),
        Err(error) => {
            tracing::debug!(%error, "publisher went before it was accepted");
            guest.remove().await;
            None
        }
    }
}

async fn serve(
    id: SourceId,
    guest: &Guest,
    relay: Relay,
    mut notices: Notices,
    offered: Offered,
    mail: &Mail,
) -> SourceEnd {
    tracing::info!(source = %id, participant_sid = %guest.sid, "livekit-server has the publisher");
    let closer = Closer::Proxied(relay.closer());
    let (mut end, mut patches) = relay.split();
    if !mail.accepted(id, closer).await {
        guest.remove().await;
        return SourceEnd::Lost;
    }
    let why = tokio::select! {
        why = end.wait() => Some(why),
        () = tell(id, &mut notices, offered, mail) => None,
        never = pass(guest, &mut patches) => match never {},
    };
    // Whoever hears of the end finds the resource gone.
    drop(end);
    let Some(why) = why else {
        tracing::info!(source = %id, "publisher ended: livekit-server has closed its participant");
        return SourceEnd::Lost;
    };
    tracing::info!(source = %id, "publisher ended: {why}");
    guest.remove().await;
    match why {
        Why::Deleted => SourceEnd::Finished,
        _ => SourceEnd::Lost,
    }
}

/// Tells the session what livekit-server says, until the participant is gone.
async fn tell(id: SourceId, notices: &mut Notices, offered: Offered, mail: &Mail) {
    loop {
        let notice = notices.changed().await;
        if notice.closed {
            return;
        }
        mail.input(offered.input(id, notice)).await;
    }
}

/// Hands PATCHes on, one after the other.
async fn pass(guest: &Guest, patches: &mut Patches) -> Infallible {
    loop {
        let mut passed = patches.next().await;
        let fragment = std::mem::take(&mut passed.fragment.0);
        let patch = if passed.restart { Patch::Restart } else { Patch::Trickle(&passed.ice_session) };
        match guest.patch(patch, &fragment).await {
            Ok(Patched { fragment, ice_session }) => patches.done(passed, fragment, ice_session),
            Err(error) => patches.refused(passed, patch_error(&error)),
        }
    }
}

impl Guest {
    async fn publish(
        shared: Arc<Shared>,
        endpoint: Endpoint,
        claims: token::Claims,
        request: &Request,
    ) -> Result<(Self, Published), Error> {
        let mut guest = Self { shared, endpoint, claims, sid: String::new() };
        let token = guest.token()?;
        let published = guest.endpoint.publish(&token, &request.encoder, request.sdp.0.clone()).await?;
        guest.sid.clone_from(&published.participant_sid);
        Ok((guest, published))
    }

    async fn patch(&self, patch: Patch<'_>, fragment: &str) -> Result<Patched, Error> {
        self.endpoint.patch(&self.token()?, &self.sid, patch, fragment).await
    }

    async fn remove(&self) {
        for attempt in 1..=REMOVALS {
            let removed = match self.token() {
                Ok(token) => self.endpoint.delete(&token, &self.sid).await,
                Err(error) => Err(error),
            };
            match removed {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(%error, attempt, "livekit-server does not remove the participant");
                }
            }
        }
    }

    /// A new one each time: a session may outlast a token.
    fn token(&self) -> Result<String, Error> {
        token::participant(&self.shared.keys, &self.claims).map_err(|error| {
            tracing::error!(%error, "cannot make a token");
            Error::Malformed("no token can be made for this ingress")
        })
    }
}

impl Offered {
    /// A notice in the session's words.
    fn input(self, source: SourceId, notice: Notice) -> Input {
        let video = notice.video.and_then(|video| {
            Some(VideoState {
                codec: Codec::of_mime_type(&video.mime_type).or(self.video)?,
                bitrate_bps: video.bitrate_bps,
                width: video.width,
                height: video.height,
                // `as` saturates.
                fps_milli: (video.fps * 1000.0).round() as u32,
            })
        });
        let audio = notice.audio.map(|audio| AudioState {
            // `audio/red` is Opus, said more than once.
            codec: Codec::of_mime_type(&audio.mime_type).unwrap_or(Codec::Opus),
            bitrate_bps: audio.bitrate_bps,
            channels: audio.channels,
            sample_rate: audio.sample_rate,
        });
        Input::Proxied { source, video, audio }
    }
}

fn status_of(error: &Error) -> Option<u16> {
    match error {
        Error::Refused { status, .. } => Some(*status),
        _ => None,
    }
}

/// What the publisher is told. A 401 or 404 of livekit-server's is about our token or its endpoint: to the publisher it would say
/// that its stream key is wrong.
fn refusal(error: &Error) -> Status {
    match error {
        Error::Refused { status, .. } => match status {
            400 | 413 | 415 | 422 => Status::BadRequest,
            406 => Status::NotAcceptable,
            409 => Status::Conflict,
            429 => Status::TooMany,
            503 => Status::Unavailable,
            _ => Status::BadGateway,
        },
        Error::Unreachable(_) => Status::Unavailable,
        _ => Status::BadGateway,
    }
}

fn patch_error(error: &Error) -> PatchError {
    let text = error.to_string();
    match error {
        Error::Refused { status: 404, .. } => PatchError::Unknown,
        Error::Refused { status: 412, .. } => PatchError::Stale,
        Error::Refused { status: 400, .. } => PatchError::Invalid(text),
        Error::Refused { status: 405 | 415 | 422 | 501, .. } => PatchError::Unsupported(text),
        _ => PatchError::Unavailable(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livekit::bus::{Audio, Video};

    fn refused(status: u16) -> Error {
        Error::Refused { status, text: String::new() }
    }

    #[test]
    fn what_is_not_the_publishers_fault_does_not_look_like_it() {
        for status in [401, 403, 404, 302, 500] {
            assert_eq!(refusal(&refused(status)), Status::BadGateway, "{status}");
        }
        assert_eq!(refusal(&refused(400)), Status::BadRequest);
        assert_eq!(refusal(&refused(503)), Status::Unavailable);
        assert_eq!(refusal(&Error::Unreachable("too slow")), Status::Unavailable);
        assert_eq!(patch_error(&refused(404)), PatchError::Unknown);
        assert!(matches!(patch_error(&refused(500)), PatchError::Unavailable(_)));
    }

    #[test]
    fn a_notice_is_told_in_known_codecs() {
        let video = |mime_type: &str| Video {
            mime_type: mime_type.into(),
            bitrate_bps: 1,
            width: 2,
            height: 3,
            fps: 29.97,
        };
        let audio = Audio { mime_type: "audio/red".into(), bitrate_bps: 4, channels: 2, sample_rate: 48_000 };
        let told = |offered: Option<Codec>, mime_type| {
            let notice = Notice { closed: false, video: Some(video(mime_type)), audio: Some(audio.clone()) };
            match (Offered { video: offered }).input(SourceId(1), notice) {
                Input::Proxied { video, audio, .. } => (video, audio),
                other => panic!("{other:?}"),
            }
        };
        let (pictures, sound) = told(None, "video/vp8");
        let expected =
            VideoState { codec: Codec::Vp8, bitrate_bps: 1, width: 2, height: 3, fps_milli: 29_970 };
        assert_eq!(pictures, Some(expected));
        assert_eq!(sound.unwrap().codec, Codec::Opus);
        assert_eq!(told(Some(Codec::H264), "video/new").0.unwrap().codec, Codec::H264);
        assert_eq!(told(None, "video/new").0, None);
    }
}
