use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Instant,
};

use axum::http::{HeaderValue, StatusCode};
use media::StreamKey;
use rtc::whip::{Config, Mode, Offer, Peer};
use tokio::sync::oneshot;

use super::{
    Error, Publisher,
    context::Context,
    net::Route,
    publisher,
    reply::Problem,
    resources::{PatchDone, PatchError},
    task::{Task, etag},
};

/// What a [`Listener`](super::Listener) yields.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "moved twice in a publisher's life")]
pub enum Call {
    /// Somebody asks to publish.
    Publish(Request),
    /// Somebody means a resource that is not here.
    Elsewhere(Elsewhere),
}

/// Somebody asks to publish. Dropping it unanswered is told as 500.
pub struct Request {
    /// The key that it shows.
    pub key: StreamKey,
    /// The first part of the URL's path, for people: the publisher's text, bounded, printable.
    pub app: String,
    /// Where the request comes from; a proxy's address, maybe.
    pub peer: SocketAddr,
    /// `User-Agent`, likewise for people; may be empty.
    pub encoder: String,
    /// What it would send.
    pub offer: Offer,
    /// The offer as it came.
    pub sdp: Sdp,
    pub(super) account: IpAddr,
    pub(super) decision: oneshot::Sender<Decision>,
    pub(super) context: Arc<Context>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} from {} by {:?})", self.key, self.peer, self.encoder)
    }
}

/// An offer as it came, at most 256 KiB. It holds an ice-pwd.
#[derive(Clone, PartialEq, Eq)]
pub struct Sdp(pub String);

impl fmt::Debug for Sdp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sdp({} bytes)", self.0.len())
    }
}

/// The kind of a refusal, as an HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// 400: something about the request or the ingress is wrong.
    BadRequest,
    /// 403: known, but not allowed (a disabled ingress).
    Forbidden,
    /// 404: the ingress is gone.
    NotFound,
    /// 406: nothing of what is offered is taken.
    NotAcceptable,
    /// 409: somebody else is publishing.
    Conflict,
    /// 429: too many of something.
    TooMany,
    /// 500: our fault.
    Internal,
    /// 502: another server that has to do it refuses us, or cannot be understood.
    BadGateway,
    /// 503: full, draining, or without Redis; worth trying again.
    Unavailable,
}

impl From<Status> for StatusCode {
    fn from(status: Status) -> Self {
        match status {
            Status::BadRequest => Self::BAD_REQUEST,
            Status::Forbidden => Self::FORBIDDEN,
            Status::NotFound => Self::NOT_FOUND,
            Status::NotAcceptable => Self::NOT_ACCEPTABLE,
            Status::Conflict => Self::CONFLICT,
            Status::TooMany => Self::TOO_MANY_REQUESTS,
            Status::Internal => Self::INTERNAL_SERVER_ERROR,
            Status::BadGateway => Self::BAD_GATEWAY,
            Status::Unavailable => Self::SERVICE_UNAVAILABLE,
        }
    }
}

/// The answer to a request, on its way to the connection.
pub(super) enum Decision {
    Accept {
        resource: String,
        etag: String,
        sdp: String,
        /// Further `Link` headers.
        links: Vec<HeaderValue>,
    },
    Refuse(Problem),
}

impl Request {
    /// Answers the offer with 201. `resource` names the publisher in URLs: it must be unguessable, of `[A-Za-z0-9_-]`.
    ///
    /// # Errors
    /// [`Error::Gone`]; [`Error::Offer`], [`Error::Bind`] when it cannot be answered, which the publisher is told.
    pub async fn accept(self, resource: String, mode: Mode) -> Result<Publisher, Error> {
        let context = self.context.clone();
        context.wrong_keys().right(self.account, &self.key);
        let (pending, locals) = match context.net.session() {
            Ok(session) => session,
            Err(error) => {
                let problem =
                    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no free port for media").later(5);
                self.refuse(problem);
                return Err(error);
            }
        };
        let (now, config) = (Instant::now(), Config { mode, ice_lite: context.ice_lite });
        let (mut peer, sdp) = match Peer::answer(now, config, &locals, &self.offer) {
            Ok(answered) => answered,
            Err(error) => {
                self.refuse(offer_problem(&error));
                return Err(error.into());
            }
        };
        let route = Route::new(context.net.routes().clone(), peer.ufrag());
        let sockets = context.net.open(pending, route.mailbox());
        let (feed, publisher) = publisher::channel(self.offer, route.mailbox().clone());
        let claim = context.resources.claim(&resource, self.key, publisher.closer());
        let accept = Decision::Accept { resource, etag: etag(&mut peer), sdp, links: Vec::new() };
        if self.decision.send(accept).is_err() {
            return Err(Error::Gone { peer: self.peer });
        }
        let task = Task::new((now, peer), (route, sockets), feed, claim, context.limits);
        context.tasks.spawn(task.run(context.end.clone()));
        Ok(publisher)
    }

    /// Whether the publisher has left, or has been told that the server is busy: nothing more is to be done for it.
    pub fn is_gone(&self) -> bool {
        self.decision.is_closed()
    }

    /// Refuses for a reason that is not the key's fault. The text is for the person at the encoder.
    pub async fn reject(self, status: Status, reason: &str) {
        self.context.wrong_keys().forgive(self.account);
        let problem = Problem::new(status.into(), reason);
        let retry = matches!(status, Status::Unavailable | Status::TooMany);
        self.refuse(if retry { problem.later(5) } else { problem });
    }

    /// Refuses an unknown key with 404, and counts it against the address: see [`WrongKeys`](crate::whip::WrongKeys).
    pub async fn wrong_key(self) {
        self.refuse(Problem::new(StatusCode::NOT_FOUND, "unknown stream key"));
    }

    fn refuse(self, problem: Problem) {
        // A publisher that has left needs no answer.
        let _ = self.decision.send(Decision::Refuse(problem));
    }
}

/// What is wrong with an offer.
pub(super) fn offer_problem(error: &rtc::whip::Error) -> Problem {
    let status = if error.is_unsupported() { StatusCode::NOT_ACCEPTABLE } else { StatusCode::BAD_REQUEST };
    Problem::new(status, error.to_string())
}

/// A DELETE or a PATCH for a resource that is not here. Dropping it unanswered is told as 500.
#[derive(Debug)]
pub struct Elsewhere {
    /// The resource.
    pub resource: String,
    /// The stream key, if the request had one.
    pub key: Option<StreamKey>,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// What is to be done.
    pub action: Action,
    pub(super) account: IpAddr,
    pub(super) answer: oneshot::Sender<Result<Option<PatchDone>, PatchError>>,
    pub(super) context: Arc<Context>,
}

/// What somebody wants of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The end.
    Delete,
    /// Trickle ICE, or an ICE restart.
    Patch {
        /// As it came.
        if_match: Option<String>,
        /// The body. It may hold an ice-pwd.
        fragment: Fragment,
    },
}

/// A PATCH's body: `application/trickle-ice-sdpfrag`, as it came.
#[derive(Clone, PartialEq, Eq)]
pub struct Fragment(pub String);

impl fmt::Debug for Fragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fragment({} bytes)", self.0.len())
    }
}

impl Elsewhere {
    /// Another node has ended it: 200.
    pub fn deleted(self) {
        self.answer(Ok(None));
    }

    /// Another node has done it: 204 or 200.
    pub fn patched(self, done: PatchDone) {
        self.answer(Ok(Some(done)));
    }

    /// Nobody has, and why. [`PatchError::Unknown`] counts against the address, as wrong keys do.
    pub fn refused(self, why: PatchError) {
        self.answer(Err(why));
    }

    fn answer(self, answer: Result<Option<PatchDone>, PatchError>) {
        if answer != Err(PatchError::Unknown) {
            self.context.wrong_keys().forgive(self.account);
        }
        // Who has left needs no answer.
        let _ = self.answer.send(answer);
    }
}
