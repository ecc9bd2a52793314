use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use media::StreamKey;
use tokio::sync::oneshot;

use super::publisher::{self, Feed, Publisher};
use crate::wrong_keys::WrongKeys;

/// Why a request could not be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The encoder left, or waited too long, before it was accepted.
    #[error("the encoder at {peer} left before it was accepted")]
    Gone {
        /// Where it was.
        peer: SocketAddr,
    },
}

/// Somebody asks to publish. Dropping it rejects it.
pub struct Request {
    /// The key that it shows.
    pub key: StreamKey,
    /// The app of the URL, for people: the encoder's text, bounded, free of control characters.
    pub app: String,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// What the encoder calls itself, likewise; may be empty.
    pub encoder: String,
    pub(super) decision: oneshot::Sender<Decision>,
    pub(super) wrong_keys: Arc<Mutex<WrongKeys>>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} from {} by {:?})", self.key, self.peer, self.encoder)
    }
}

/// The answer to a request, on its way to the connection.
#[derive(Debug)]
pub(super) enum Decision {
    Accept(Feed),
    Reject(String),
}

impl Request {
    /// Lets the encoder begin.
    ///
    /// # Errors
    /// [`Error::Gone`].
    pub async fn accept(self) -> Result<Publisher, Error> {
        self.limiter(|limiter| limiter.right(self.peer.ip(), &self.key));
        let (feed, publisher) = publisher::channel();
        match self.decision.send(Decision::Accept(feed)) {
            Ok(()) => Ok(publisher),
            Err(_) => Err(Error::Gone { peer: self.peer }),
        }
    }

    /// Refuses for a reason that is not the key's fault: no room, a full server. The text is for the person at the encoder.
    pub async fn reject(self, reason: &str) {
        self.limiter(|limiter| limiter.forgive(self.peer.ip()));
        self.refuse(reason.to_owned());
    }

    /// Refuses an unknown key, and counts it against the address: see [`WrongKeys`].
    pub async fn wrong_key(self) {
        self.refuse("unknown stream key".to_owned());
    }

    fn refuse(self, reason: String) {
        // An encoder that has left needs no answer.
        let _ = self.decision.send(Decision::Reject(reason));
    }

    fn limiter(&self, act: impl FnOnce(&mut WrongKeys)) {
        act(&mut self.wrong_keys.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
