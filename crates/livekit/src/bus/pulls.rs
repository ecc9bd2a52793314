//! URLs to pull (IngressInternal.StartIngress, bus.md §2.3): livekit-server asks all workers, the one with the most room gets it.

use std::{fmt, sync::Arc};

use livekit_protocol::{IngressInfo, IngressState};
use psrpc::{Bus, BusError, Code, Metadata, Server};

use super::{messages::StartIngressRequest, methods::START_INGRESS, record::Record};

/// Serves StartIngress until dropped.
#[must_use = "dropping it unsubscribes"]
pub struct Pulls {
    _registration: psrpc::Registration,
}

/// A URL that somebody wants played, with all that the ingress asks for.
#[derive(Clone, PartialEq)]
pub struct Pull {
    /// The ingress. Not stored anywhere before the first [`IoInfo::create`](super::IoInfo::create).
    pub record: Record,
    info: IngressInfo,
}

/// Who can pull.
pub trait Puller: Send + Sync + 'static {
    /// How well this server fits for the ingress; the highest of all servers wins. `None`: not at all.
    fn affinity(&self, ingress_id: &str) -> Option<f32>;

    /// Begins to pull, or finds that it has begun already: the same ingress may be asked for again, when an answer took too long.
    /// Gives the session's state as soon as it is posted, within a second; what comes of the URL is told later.
    fn start(&self, pull: Pull) -> impl Future<Output = Result<IngressState, NotStarted>> + Send;
}

/// Why a pull does not begin. The text goes to the caller of LiveKit's API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotStarted {
    /// The request cannot be met by any server.
    #[error("{0}")]
    Invalid(String),
    /// No room after all.
    #[error("server capacity exceeded")]
    Full,
    /// livekit-server asks again, and another server may be better off.
    #[error("{0}")]
    Unavailable(String),
}

impl Pulls {
    pub(super) async fn serve(bus: &Bus, puller: impl Puller) -> Result<Self, BusError> {
        let puller = Arc::new(puller);
        let asked = puller.clone();
        let start = move |request: StartIngressRequest, _: Metadata| {
            let puller = puller.clone();
            async move {
                let pull =
                    Pull::read(request).ok_or_else(|| refusal(&NotStarted::Invalid("no ingress".into())))?;
                let mut info = pull.info.clone();
                info.state = Some(puller.start(pull).await.map_err(|why| refusal(&why))?);
                Ok(info)
            }
        };
        // Less than nothing is silence: others are chosen at once.
        let affinity = move |request: &StartIngressRequest| {
            let id = request.info.as_ref().map_or("", |info| &info.ingress_id);
            asked.affinity(id).unwrap_or(-1.0)
        };
        let server = Server::new(bus, START_INGRESS.service);
        Ok(Self { _registration: server.register(&START_INGRESS, &[], start, affinity).await? })
    }
}

impl Pull {
    fn read(request: StartIngressRequest) -> Option<Self> {
        let mut info = request.info?;
        // A session without a stored state posts nothing, and creating the record stores an empty one.
        info.state.get_or_insert_default();
        Some(Self { record: Record::new(info.clone()), info })
    }

    /// Where it is. It may have credentials in it: not for logs.
    pub fn url(&self) -> &str {
        &self.info.url
    }

    pub(super) fn info(&self) -> &IngressInfo {
        &self.info
    }
}

/// Without the URL.
impl fmt::Debug for Pull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pull").field("record", &self.record).finish_non_exhaustive()
    }
}

fn refusal(why: &NotStarted) -> psrpc::Error {
    let code = match why {
        NotStarted::Invalid(_) => Code::InvalidArgument,
        NotStarted::Full => Code::ResourceExhausted,
        NotStarted::Unavailable(_) => Code::Unavailable,
    };
    psrpc::Error::new(code, why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_url() {
        let info = IngressInfo { url: "http://user:secret@host/".into(), ..IngressInfo::default() };
        let pull = Pull::read(StartIngressRequest { info: Some(info), ..Default::default() }).unwrap();
        assert_eq!(pull.url(), "http://user:secret@host/");
        assert!(!format!("{pull:?}").contains("secret"));
        assert_eq!(pull.record.last_started_at, Some(0), "its states can be posted");
    }
}
