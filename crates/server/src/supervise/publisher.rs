//! A publisher's connection, whatever it came by.

use std::net::SocketAddr;

use intake::rtmp;
use livekit::bus;
use media::StreamKey;
use session::Why;

use crate::metrics;

/// A connection that asks to publish.
#[derive(Debug)]
pub enum Request {
    /// Over RTMP.
    Rtmp(rtmp::Request),
}

/// Ends a connection that publishes. Clones share it.
#[derive(Debug, Clone)]
pub(super) enum Closer {
    Rtmp(rtmp::Closer),
}

impl From<rtmp::Request> for Request {
    fn from(request: rtmp::Request) -> Self {
        Self::Rtmp(request)
    }
}

impl Request {
    pub(super) fn peer(&self) -> SocketAddr {
        match self {
            Self::Rtmp(request) => request.peer,
        }
    }

    pub(super) fn key(&self) -> &StreamKey {
        match self {
            Self::Rtmp(request) => &request.key,
        }
    }

    /// The program that sends, as it says.
    pub(super) fn encoder(&self) -> &str {
        match self {
            Self::Rtmp(request) => &request.encoder,
        }
    }

    /// For metrics.
    pub(super) fn input(&self) -> metrics::Input {
        match self {
            Self::Rtmp(_) => metrics::Input::Rtmp,
        }
    }

    /// The type of ingress that such a connection is for.
    pub(super) fn ingress_type(&self) -> bus::Input {
        match self {
            Self::Rtmp(_) => bus::Input::Rtmp,
        }
    }

    /// What the ids of sessions begin with that such a connection starts, as the Go worker names them.
    pub(super) fn id_prefix(&self) -> &'static str {
        match self {
            Self::Rtmp(_) => "RT_",
        }
    }

    pub(super) async fn reject(self, why: &Why) {
        match self {
            Self::Rtmp(request) => request.reject(&why.broadcaster()).await,
        }
    }

    /// Its key is none, or unknown.
    pub(super) async fn wrong_key(self) {
        match self {
            Self::Rtmp(request) => request.wrong_key().await,
        }
    }
}

impl Closer {
    pub(super) fn close(&self, why: &Why) {
        match self {
            Self::Rtmp(closer) => closer.close(&why.broadcaster()),
        }
    }
}
