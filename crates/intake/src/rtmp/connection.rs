//! One connection: the clock and the socket around a [`::rtmp::Session`].

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ::rtmp::{Ended, Publish, Reject, Session};
use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{mpsc, oneshot},
    time::{sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    publisher::{Event, Feed, Why},
    request::{Decision, Request},
};
use crate::{
    socket,
    waiting::{Place, Waiting},
    wrong_keys::WrongKeys,
};

/// What is read from a socket at once: a few chunks. Bounds what a session makes of one call.
const READ: usize = 16 << 10;

/// For our few bytes to leave. An encoder that does not read them for so long is stuck.
const WRITE_DEADLINE: Duration = Duration::from_secs(5);

/// After the last word the socket is read on for this long, until the encoder has closed it: closing a socket with unread
/// bytes would make the system throw away what the encoder has not read yet, the reason among it.
const LINGER: Duration = Duration::from_secs(1);

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
    let mut connection = Connection { stream, peer, session: Session::new(now), unsent: BytesMut::new() };
    if let Err(error) = socket::prepare(&connection.stream) {
        tracing::debug!(%peer, %error, "an RTMP connection closed at once");
        return;
    }
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
    stream: TcpStream,
    peer: SocketAddr,
    session: Session,
    /// Taken from the session, not yet by the system.
    unsent: BytesMut,
}

/// What a connection without a publisher ends with: a debug line.
#[derive(Debug, thiserror::Error)]
enum Left {
    #[error("closed by the peer after {0} bytes")]
    Closed(u64),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Protocol(#[from] ::rtmp::Error),
    #[error("refused: {0}")]
    Refused(String),
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
        self.say_goodbye().await;
        None
    }

    async fn until_publish(&mut self, line: &InLine) -> Result<Publish, Left> {
        loop {
            self.step().await?;
            if self.session.is_greeted() {
                line.context.waiting().talks(line.place);
            }
            if let Some(::rtmp::Event::Publish(publish)) = self.session.poll_event() {
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
                self.session.accept(Instant::now());
                self.flush().await?;
                Ok(feed)
            }
            Ok(Some(Decision::Reject(reason))) => self.refuse(Reject::BadName(reason)).await,
            Ok(None) => self.refuse(Reject::Failed("the server takes no streams now".to_owned())).await,
            Err(_) => self.refuse(Reject::Failed("the server is busy".to_owned())).await,
        }
    }

    async fn refuse<T>(&mut self, reject: Reject) -> Result<T, Left> {
        self.session.reject(&reject);
        self.flush().await?;
        let (Reject::BadName(reason) | Reject::Failed(reason)) = reject;
        Err(Left::Refused(reason))
    }

    /// Waits for `decision` and notices meanwhile when the encoder leaves.
    async fn while_reading<T>(&mut self, decision: impl Future<Output = T>) -> Result<T, Left> {
        let mut decision = std::pin::pin!(decision);
        loop {
            if !self.session.wants_input() {
                return Ok(decision.await);
            }
            tokio::select! {
                biased;
                decided = &mut decision => return Ok(decided),
                stepped = self.step() => stepped?,
            }
        }
    }

    /// From acceptance to the end.
    async fn publish(mut self, feed: Feed, end: &CancellationToken) {
        let why = tokio::select! {
            biased;
            () = end.cancelled() => Why::Closed("the server is shutting down".to_owned()),
            reason = feed.closed() => Why::Closed(reason),
            why = self.relay(&feed) => why,
        };
        if let Why::Closed(reason) = &why {
            self.session.close(reason);
        }
        tracing::debug!(
            peer = %self.peer, %why, bytes = self.session.received(), skipped = self.session.skipped(),
            "an RTMP publisher ended",
        );
        let encoders_wish = why == Why::Unpublished;
        feed.end(why);
        // The connection is over in any case, whether the encoder still listens or not.
        let _ = self.flush().await;
        if encoders_wish {
            // GStreamer's rtmp2sink reports an error when the server closes while it says goodbye.
            let _ = timeout(LINGER, self.until_closed()).await;
        }
        self.say_goodbye().await;
    }

    /// Socket to feed, until there is no more.
    async fn relay(&mut self, feed: &Feed) -> Why {
        loop {
            while let Some(event) = self.session.poll_event() {
                let event = match event {
                    ::rtmp::Event::Unit(unit) => Event::Unit(unit),
                    ::rtmp::Event::Metadata(metadata) => Event::Metadata(metadata),
                    ::rtmp::Event::Ended(Ended::Silent) => return Why::Silent,
                    ::rtmp::Event::Ended(_) => return Why::Unpublished,
                    _ => continue,
                };
                // A feed without a reader resolves `Feed::closed` beside this.
                feed.send(event).await;
            }
            match self.step().await {
                Ok(()) => {}
                Err(Left::Closed(_)) => return Why::Disconnected,
                Err(Left::Io(error)) => return Why::Broken(error.kind()),
                Err(Left::Protocol(error)) => return Why::Protocol(error),
                Err(left @ Left::Refused(_)) => return Why::Closed(left.to_string()),
            }
        }
    }

    /// Waits for bytes or for the session's clock, lets the session work, and sends what it says.
    async fn step(&mut self) -> Result<(), Left> {
        let due = self.session.poll_timeout();
        let clock = async {
            match due {
                Some(due) => sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        let worked = tokio::select! {
            biased;
            // Bytes first: after a pause of ours, what has come meanwhile is no silence of the encoder.
            ready = self.stream.readable() => {
                ready?;
                self.read()
            }
            () = clock => Ok(()),
        };
        let worked = worked.and_then(|()| Ok(self.session.handle_timeout(Instant::now())?));
        match &worked {
            // A session's last word says why.
            Ok(()) | Err(Left::Protocol(_)) => self.flush().await?,
            Err(_) => {}
        }
        worked
    }

    /// Takes what is there; the buffer lives only here, so that a waiting connection holds none.
    fn read(&mut self) -> Result<(), Left> {
        let mut buffer = [0; READ];
        match self.stream.try_read(&mut buffer) {
            Ok(0) => Err(Left::Closed(self.session.received())),
            Ok(count) => Ok(self.session.handle_input(Instant::now(), &buffer[..count])?),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends what the session says. When this is cancelled, what is left goes first the next time.
    async fn flush(&mut self) -> io::Result<()> {
        while let Some(bytes) = self.session.poll_output() {
            self.unsent.extend_from_slice(&bytes);
        }
        if self.unsent.is_empty() {
            return Ok(());
        }
        match timeout(WRITE_DEADLINE, self.stream.write_all_buf(&mut self.unsent)).await {
            Ok(written) => written,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Closes our side first, then waits a little for the encoder to close its own.
    async fn say_goodbye(&mut self) {
        // Whatever fails here, the connection is closed next.
        let _ = self.stream.shutdown().await;
        let _ = timeout(LINGER, self.until_closed()).await;
    }

    async fn until_closed(&mut self) -> io::Result<()> {
        let mut discarded = [0; 2048];
        while self.stream.read(&mut discarded).await? > 0 {}
        Ok(())
    }
}
