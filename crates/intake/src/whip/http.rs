use std::{
    io,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::Router;
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::options::Limits;
use crate::{
    socket,
    waiting::{Place, Waiting},
};

/// A request's head is at most this long, and what is read ahead of a body.
const READ_AHEAD: usize = 32 << 10;

/// How long `accept(2)` rests after an error that no closed connection cures (descriptors used up by others).
const REST: Duration = Duration::from_millis(50);

/// How long requests under way may take to end once the listener is shut down.
const GRACE: Duration = Duration::from_secs(1);

/// A listening socket for HTTP or HTTPS.
pub(super) struct Http {
    pub(super) listener: TcpListener,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) router: Router,
    pub(super) waiting: Arc<Mutex<Waiting>>,
    pub(super) limits: Limits,
}

/// A connection's place among those that are open, given back on every way out.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) peer: SocketAddr,
    place: Place,
    waiting: Arc<Mutex<Waiting>>,
}

impl Seat {
    /// A whole request has come: others are closed before this one.
    pub(super) fn talks(&self) {
        lock(&self.waiting).talks(self.place);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.waiting).leaves(self.place);
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Http {
    /// Takes connections until `end`, and joins their tasks.
    pub(super) async fn run(self, end: CancellationToken) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = end.cancelled() => break,
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        connections.spawn(self.connection(stream, peer, end.clone()));
                    }
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(error) => {
                        let freed = lock(&self.waiting).send_one_away();
                        tracing::warn!(%error, freed, "cannot take an HTTP connection");
                        tokio::time::sleep(REST).await;
                    }
                },
            }
        }
        drop(self.listener);
        while connections.join_next().await.is_some() {}
    }

    fn connection(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        end: CancellationToken,
    ) -> impl Future<Output = ()> + use<> {
        let leave = CancellationToken::new();
        let place = lock(&self.waiting).enter(leave.clone(), self.limits.connections);
        let seat = Arc::new(Seat { peer, place, waiting: self.waiting.clone() });
        let (tls, router, read) = (self.tls.clone(), self.router.clone(), self.limits.read);
        async move {
            let served = async {
                socket::prepare(&stream)?;
                match tls {
                    None => serve(stream, router, seat, read, end).await,
                    Some(tls) => {
                        let stream = timeout(read, tls.accept(stream)).await??;
                        serve(stream, router, seat, read, end).await
                    }
                }
            };
            tokio::select! {
                biased;
                () = leave.cancelled() => tracing::debug!(%peer, "an HTTP connection was closed to make room"),
                served = served => if let Err(error) = served {
                    tracing::debug!(%peer, %error, "an HTTP connection ended");
                }
            }
        }
    }
}

async fn serve<S>(
    stream: S,
    router: Router,
    seat: Arc<Seat>,
    read: Duration,
    end: CancellationToken,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(seat.clone());
        router.call(request)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(read).max_buf_size(READ_AHEAD);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = end.cancelled() => {
            connection.as_mut().graceful_shutdown();
            timeout(GRACE, connection).await.unwrap_or(Ok(()))
        }
    };
    served.map_err(io::Error::other)
}
