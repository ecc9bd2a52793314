use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    connection::{self, Context},
    request::Request,
};
use crate::{
    socket,
    waiting::Waiting,
    wrong_keys::{WrongKeyLimits, WrongKeys},
};

/// Requests that wait for [`Listener::accept`]: more encoders than any machine takes in one moment.
/// Past it connections wait, and leave at their deadline.
const REQUESTS: usize = 64;

/// How long `accept(2)` rests after an error that no closed connection cures (descriptors used up by others).
const REST: Duration = Duration::from_millis(50);

/// The bounds of a [`Listener`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections that do not publish yet. Each takes a descriptor and a few KiB; past it the one that has been in the
    /// handshake for longest is sent away.
    pub waiting: usize,
    /// For a request to be accepted or rejected. Encoders give up after about 10 s. Past it the encoder is told that the
    /// server is busy.
    pub decision: Duration,
    /// Against guessed keys.
    pub wrong_keys: WrongKeyLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self { waiting: 1024, decision: Duration::from_secs(10), wrong_keys: WrongKeyLimits::default() }
    }
}

/// A listening socket and the tasks of its connections. Dropping it ends them all without waiting; [`Listener::shutdown`] waits.
#[derive(Debug)]
pub struct Listener {
    addr: SocketAddr,
    requests: mpsc::Receiver<Request>,
    /// Ends listening.
    deaf: CancellationToken,
    /// Ends everything.
    end: DropGuard,
    task: JoinHandle<()>,
}

impl Listener {
    /// Listens at `addr`; port 0 lets the system choose. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// What the system says about the address.
    pub fn bind(addr: SocketAddr, limits: Limits) -> io::Result<Listener> {
        let socket = socket::listen(addr)?;
        let addr = socket.local_addr()?;
        let (sender, requests) = mpsc::channel(REQUESTS);
        let end = CancellationToken::new();
        let deaf = end.child_token();
        let context = Context {
            requests: sender,
            wrong_keys: Arc::new(Mutex::new(WrongKeys::new(limits.wrong_keys))),
            waiting: Arc::new(Mutex::new(Waiting::default())),
            decision: limits.decision,
            end: end.clone(),
        };
        let task = tokio::spawn(run(socket, limits, context, deaf.clone()));
        Ok(Listener { addr, requests, deaf, end: end.drop_guard(), task })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// The next encoder that asks to publish; `None` after [`Listener::stop`], when no more can come.
    pub async fn accept(&mut self) -> Option<Request> {
        self.requests.recv().await
    }

    /// Closes the listening socket. Publishers go on; encoders on their way are refused.
    pub fn stop(&mut self) {
        self.deaf.cancel();
        self.requests.close();
    }

    /// Stops listening, closes all connections with a reason, and waits for their tasks.
    pub async fn shutdown(self) {
        drop(self.requests);
        drop(self.end);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the RTMP listener's task ended badly");
        }
    }
}

/// The listener's task: takes connections, and joins their tasks on every way out.
async fn run(socket: TcpListener, limits: Limits, context: Context, deaf: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = deaf.cancelled() => break,
            Some(joined) = connections.join_next() => joined_well(joined),
            accepted = socket.accept() => match accepted {
                Ok((stream, peer)) => admit(&mut connections, stream, peer, &limits, &context),
                Err(error) => recover(&error, &context).await,
            },
        }
    }
    drop(socket);
    // Without this sender the requests end when the last connection's does.
    drop(context);
    while let Some(joined) = connections.join_next().await {
        joined_well(joined);
    }
}

fn admit(
    connections: &mut JoinSet<()>,
    stream: TcpStream,
    peer: SocketAddr,
    limits: &Limits,
    context: &Context,
) {
    let leave = context.end.child_token();
    let place =
        context.waiting.lock().unwrap_or_else(PoisonError::into_inner).enter(leave.clone(), limits.waiting);
    connections.spawn(connection::serve(stream, peer, Instant::now(), place, leave, context.clone()));
}

/// A failed `accept(2)`: a connection that was gone already, or no descriptor left for it.
async fn recover(error: &io::Error, context: &Context) {
    if error.kind() == io::ErrorKind::ConnectionAborted {
        return;
    }
    let freed = context.waiting.lock().unwrap_or_else(PoisonError::into_inner).send_one_away();
    tracing::warn!(%error, freed, "cannot take an RTMP connection");
    tokio::time::sleep(REST).await;
}

fn joined_well(joined: Result<(), tokio::task::JoinError>) {
    if let Err(error) = joined {
        tracing::error!(%error, "an RTMP connection's task ended badly");
    }
}
