//! A publisher's connection, whatever it came by.

use intake::{
    rtmp, srt,
    whip::{self, Status},
};
use livekit::bus;
use media::{Codec, StreamKey};
use session::{Reason, Why, Work};
use tokio_util::sync::CancellationToken;

use super::pull;
use crate::metrics;

/// A connection that asks to publish.
#[derive(Debug)]
pub enum Request {
    /// Over RTMP.
    Rtmp(rtmp::Request),
    /// Over WHIP.
    Whip(Box<whip::Request>),
    /// Over SRT.
    Srt(srt::Request),
    /// By us, from a URL.
    Pull(Box<pull::Request>),
}

/// Ends a connection that publishes. Clones share it.
#[derive(Debug, Clone)]
pub(super) enum Closer {
    Rtmp(rtmp::Closer),
    Whip(whip::Closer, whip::Control),
    /// livekit-server has its media.
    Proxied(whip::Closer),
    Srt(srt::Closer),
    /// A URL that is played.
    Pull(CancellationToken),
}

impl From<rtmp::Request> for Request {
    fn from(request: rtmp::Request) -> Self {
        Self::Rtmp(request)
    }
}

impl From<srt::Request> for Request {
    fn from(request: srt::Request) -> Self {
        Self::Srt(request)
    }
}

impl From<whip::Request> for Request {
    fn from(request: whip::Request) -> Self {
        Self::Whip(Box::new(request))
    }
}

impl From<pull::Request> for Request {
    fn from(request: pull::Request) -> Self {
        Self::Pull(Box::new(request))
    }
}

impl Request {
    /// For logs: where it comes from.
    pub(super) fn peer(&self) -> String {
        match self {
            Self::Rtmp(request) => request.peer.to_string(),
            Self::Whip(request) => request.peer.to_string(),
            Self::Srt(request) => request.peer.to_string(),
            Self::Pull(request) => request.shown(),
        }
    }

    /// `None`: it is not by a key that it was let in.
    pub(super) fn key(&self) -> Option<&StreamKey> {
        match self {
            Self::Rtmp(request) => Some(&request.key),
            Self::Whip(request) => Some(&request.key),
            Self::Srt(request) => Some(&request.key),
            Self::Pull(_) => None,
        }
    }

    /// The program that sends, as it says.
    pub(super) fn encoder(&self) -> &str {
        match self {
            Self::Rtmp(request) => &request.encoder,
            Self::Whip(request) => &request.encoder,
            Self::Srt(_) => "SRT",
            Self::Pull(_) => "",
        }
    }

    /// For metrics.
    pub(super) fn input(&self) -> metrics::Input {
        match self {
            Self::Rtmp(_) => metrics::Input::Rtmp,
            Self::Whip(_) => metrics::Input::Whip,
            Self::Srt(_) => metrics::Input::Srt,
            Self::Pull(_) => metrics::Input::Url,
        }
    }

    /// The type of ingress that such a connection is for.
    pub(super) fn ingress_type(&self) -> bus::Input {
        match self {
            // LiveKit's API has no type for SRT: who has the key of an RTMP ingress may come over either.
            Self::Rtmp(_) | Self::Srt(_) => bus::Input::Rtmp,
            Self::Whip(_) => bus::Input::Whip,
            Self::Pull(_) => bus::Input::Url,
        }
    }

    /// What its pictures are coded as, where that is known before they come.
    pub(super) fn video_codec(&self) -> Option<Codec> {
        match self {
            Self::Rtmp(_) | Self::Srt(_) | Self::Pull(_) => None,
            Self::Whip(request) => request.offer.video.as_ref().map(|video| video.codec),
        }
    }

    /// What its session has to do.
    pub(super) fn work(&self, transcode: bool) -> Work {
        match self {
            Self::Rtmp(_) | Self::Srt(_) => Work::Rtmp,
            Self::Whip(_) if transcode => Work::Whip,
            Self::Whip(_) => Work::WhipBypass,
            Self::Pull(_) => Work::Url,
        }
    }

    /// What the ids of sessions begin with that such a connection starts, as the Go worker names them.
    pub(super) fn id_prefix(&self) -> &'static str {
        match self {
            Self::Rtmp(_) | Self::Srt(_) => "RT_",
            Self::Whip(_) => "WH_",
            Self::Pull(_) => "UR_",
        }
    }

    pub(super) async fn reject(self, why: &Why) {
        match self {
            Self::Rtmp(request) => request.reject(&why.broadcaster()).await,
            Self::Whip(request) => request.reject(status(why), &why.broadcaster()).await,
            Self::Srt(request) => request.reject(super::srt::refusal(why)).await,
            // Nobody is at the other end.
            Self::Pull(_) => {}
        }
    }

    /// Its key is none, or unknown.
    pub(super) async fn wrong_key(self) {
        match self {
            Self::Rtmp(request) => request.wrong_key().await,
            Self::Srt(request) => request.wrong_key().await,
            Self::Whip(request) => request.wrong_key().await,
            Self::Pull(_) => {}
        }
    }
}

impl Closer {
    pub(super) fn close(&self, why: &Why) {
        match self {
            Self::Rtmp(closer) => closer.close(&why.broadcaster()),
            Self::Srt(closer) => closer.close(&why.broadcaster()),
            Self::Whip(closer, _) | Self::Proxied(closer) => closer.close(&why.broadcaster()),
            Self::Pull(closer) => closer.cancel(),
        }
    }
}

/// The HTTP status of a refusal, as the Go worker has it (bus.md section 6.5).
fn status(why: &Why) -> Status {
    let Why::Failed(reason) = why else { return Status::Conflict };
    match reason {
        Reason::Disabled => Status::Forbidden,
        Reason::MissingKey | Reason::UnknownKey => Status::NotFound,
        Reason::WrongType | Reason::NoRoom | Reason::Invalid(_) => Status::BadRequest,
        Reason::Unsupported(_) => Status::NotAcceptable,
        Reason::Full => Status::TooMany,
        _ => Status::Unavailable,
    }
}
