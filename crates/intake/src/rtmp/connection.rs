//! One connection of an encoder, up to its end.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ::rtmp::{Publish, Reject, Session};
use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    pipe::{LINGER, Left, Pipe},
    publisher::{Feed, Why},
    request::{Decision, Request},
};
use crate::{
    socket,
    waiting::{Place, Waiting},
    wrong_keys::WrongKeys,
};

/// What every connection shares.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) wrong_keys: Arc<Mutex<WrongKeys>>,
    pub(super) waiting: Arc<Mutex<Waiting>>,
    pub(super) decision: Duration,
    pub(super) end: CancellationToken,
}

impl Context {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives the place in the waiting line back on every way out.
struct InLine {
    context: Context,
    place: Place,
}

impl Drop for InLine {
    fn drop(&mut self) {
        self.context.waiting().leaves(self.place);
    }
}

/// Serves a connection to its end. `leave` sends it away as long as it does not publish.
pub(super) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    now: Instant,
    place: Place,
    leave: CancellationToken,
    context: Context,
) {
    let end = context.end.clone();
    let in_line = InLine { context, place };
    if let Err(error) = socket::prepare(&stream) {
        tracing::debug!(%peer, %error, "an RTMP connection closed at once");
        return;
    }
    let mut connection = Connection { peer, pipe: Pipe::new(stream, Session::new(now)) };
    let feed = tokio::select! {
        biased;
        () = leave.cancelled() => {
            tracing::debug!(%peer, "an RTMP connection sent away before it published");
            return;
        }
        feed = connection.admit(&in_line) => feed,
    };
    drop(in_line);
    if let Some(feed) = feed {
        connection.publish(feed, &end).await;
    }
}

#[derive(Debug)]
struct Connection {
    peer: SocketAddr,
    pipe: Pipe<TcpStream, Session>,
}

impl Connection {
    /// From the first byte to an accepted `publish`. `None`: it is over, and nobody has to know.
    async fn admit(&mut self, line: &InLine) -> Option<Feed> {
        let left = match self.until_publish(line).await {
            Ok(publish) => match self.ask(publish, &line.context).await {
                Ok(feed) => return Some(feed),
                Err(left) => left,
            },
            Err(left) => left,
        };
        tracing::debug!(peer = %self.peer, reason = %left, "an RTMP connection ended before it published");
        self.pipe.say_goodbye().await;
        None
    }

    async fn until_publish(&mut self, line: &InLine) -> Result<Publish, Left> {
        loop {
            self.pipe.step().await?;
            if self.pipe.machine.is_greeted() {
                line.context.waiting().talks(line.place);
            }
            if let Some(::rtmp::Event::Publish(publish)) = self.pipe.machine.poll_event() {
                return Ok(publish);
            }
        }
    }

    /// Asks the owner of the listener, unless the address has shown too many wrong keys.
    async fn ask(&mut self, publish: Publish, context: &Context) -> Result<Feed, Left> {
        let (decision, decided) = oneshot::channel();
        let Publish { app, key, encoder, .. } = publish;
        let may_ask = context.wrong_keys.lock().unwrap_or_else(PoisonError::into_inner).may_ask(
            Instant::now(),
            self.peer.ip(),
            &key,
        );
        if !may_ask {
            let reason = "too many wrong stream keys from this address: try again in a minute";
            return self.refuse(Reject::BadName(reason.to_owned())).await;
        }
        let wrong_keys = context.wrong_keys.clone();
        let request = Request { key, app, peer: self.peer, encoder, decision, wrong_keys };
        let decided = async {
            match context.requests.send(request).await {
                Ok(()) => decided.await.ok(),
                Err(_) => None,
            }
        };
        match self.while_reading(timeout(context.decision, decided)).await? {
            Ok(Some(Decision::Accept(feed))) => {
                self.pipe.machine.accept(Instant::now());
                self.pipe.flush().await?;
                Ok(feed)
            }
            Ok(Some(Decision::Reject(reason))) => self.refuse(Reject::BadName(reason)).await,
            Ok(None) => self.refuse(Reject::Failed("the server takes no streams now".to_owned())).await,
            Err(_) => self.refuse(Reject::Failed("the server is busy".to_owned())).await,
        }
    }

    async fn refuse<T>(&mut self, reject: Reject) -> Result<T, Left> {
        self.pipe.machine.reject(&reject);
        self.pipe.flush().await?;
        let (Reject::BadName(reason) | Reject::Failed(reason)) = reject;
        Err(Left::Refused(reason))
    }

    /// Waits for `decision` and notices meanwhile when the encoder leaves.
    async fn while_reading<T>(&mut self, decision: impl Future<Output = T>) -> Result<T, Left> {
        let mut decision = std::pin::pin!(decision);
        loop {
            if !self.pipe.machine.wants_input() {
                return Ok(decision.await);
            }
            tokio::select! {
                biased;
                decided = &mut decision => return Ok(decided),
                stepped = self.pipe.step() => stepped?,
            }
        }
    }

    /// From acceptance to the end.
    async fn publish(mut self, feed: Feed, end: &CancellationToken) {
        let why = tokio::select! {
            biased;
            () = end.cancelled() => Why::Closed("the server is shutting down".to_owned()),
            reason = feed.closed() => Why::Closed(reason),
            why = self.pipe.relay(&feed) => why,
        };
        if let Why::Closed(reason) = &why {
            self.pipe.machine.close(reason);
        }
        tracing::debug!(
            peer = %self.peer, %why, bytes = self.pipe.machine.received(), skipped = self.pipe.machine.skipped(),
            "an RTMP publisher ended",
        );
        let encoders_wish = why == Why::Unpublished;
        feed.end(why);
        // The connection is over in any case, whether the encoder still listens or not.
        let _ = self.pipe.flush().await;
        if encoders_wish {
            // GStreamer's rtmp2sink reports an error when the server closes while it says goodbye.
            let _ = timeout(LINGER, self.pipe.until_closed()).await;
        }
        self.pipe.say_goodbye().await;
    }
}
