use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use media::StreamKey;
use srt_wire::Refusal;
use tokio::sync::oneshot;

use super::publisher::Publisher;
use crate::wrong_keys::WrongKeys;

/// Why a request could not be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller left, waited too long, or has another passphrase.
    #[error(
        "the SRT caller at {peer} did not finish its handshake: it left, or has a wrong passphrase, or one where none is expected"
    )]
    Gone {
        /// Where it was.
        peer: SocketAddr,
    },
}

/// Somebody asks to publish. Dropping it rejects it.
pub struct Request {
    /// The key that it shows.
    pub key: StreamKey,
    /// Where it comes from.
    pub peer: SocketAddr,
    pub(super) decision: oneshot::Sender<Decision>,
    pub(super) wrong_keys: Arc<Mutex<WrongKeys>>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} from {})", self.key, self.peer)
    }
}

/// The answer to a request, on its way to the caller's task.
#[derive(Debug)]
pub(super) enum Decision {
    Accept(oneshot::Sender<Publisher>),
    Reject(Refusal),
}

impl Request {
    /// Lets the caller begin, and waits until it is connected: a passphrase is checked only then.
    ///
    /// # Errors
    /// [`Error::Gone`].
    pub async fn accept(self) -> Result<Publisher, Error> {
        self.limiter(|limiter| limiter.right(self.peer.ip(), &self.key));
        let gone = Error::Gone { peer: self.peer };
        let (sender, begun) = oneshot::channel();
        self.decision.send(Decision::Accept(sender)).map_err(|_| gone.clone())?;
        begun.await.map_err(|_| gone)
    }

    /// Refuses for a reason that is not the key's fault.
    pub async fn reject(self, why: Refusal) {
        self.limiter(|limiter| limiter.forgive(self.peer.ip()));
        self.refuse(why);
    }

    /// Refuses an unknown key, and counts it against the address: see [`crate::rtmp::WrongKeys`].
    pub async fn wrong_key(self) {
        self.refuse(Refusal::Forbidden);
    }

    fn refuse(self, why: Refusal) {
        // A caller that has left needs no answer.
        let _ = self.decision.send(Decision::Reject(why));
    }

    fn limiter(&self, act: impl FnOnce(&mut WrongKeys)) {
        act(&mut self.wrong_keys.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
