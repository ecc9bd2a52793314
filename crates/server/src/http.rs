//! Small HTTP servers of the process itself: health, metrics, the list of sessions.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Connections that one server holds at once: probes and scrapers are few, and a flood of them must not take the
/// file descriptors that publishers need. Past it, new ones wait in the kernel's backlog.
const MAX_CONNECTIONS: usize = 64;

/// How long a connection may live. Probes last milliseconds; this takes the place back from one that hangs.
const CONNECTION_LIFE: Duration = Duration::from_secs(60);

/// How long requests under way may take to end once the server stops.
const GRACE: Duration = Duration::from_secs(1);

/// A bound listener with what it will serve.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    router: Router,
}

impl Server {
    /// Binds `address` (port 0: the system picks one). Where IPv6 is switched off, `::` becomes `0.0.0.0`.
    pub async fn bind(address: SocketAddr, router: Router) -> io::Result<Self> {
        Ok(Self { listener: bind(address).await?, router })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop`, then gives requests under way a second. All connections are closed when it returns.
    pub async fn run(self, stop: CancellationToken) -> io::Result<()> {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let limited = Limited { listener: self.listener, places, stop: stop.clone() };
        axum::serve(limited, self.router).with_graceful_shutdown(stop.cancelled_owned()).await
    }
}

async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error)
            if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
                && error.kind() != io::ErrorKind::AddrInUse
                && error.kind() != io::ErrorKind::PermissionDenied =>
        {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        other => other,
    }
}

/// A listener that holds [`MAX_CONNECTIONS`] at most, each for [`CONNECTION_LIFE`] at most.
struct Limited {
    listener: TcpListener,
    places: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Listener for Limited {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let place = self.places.clone().acquire_owned().await.expect("nobody closes the semaphore");
        // axum's own accept waits out exhausted file descriptors.
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        let end = Box::pin(end_of_connection(self.stop.clone()));
        (Connection { stream, end, ended: false, _place: place }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Waits for the time at which a connection is cut: its life is over, or the server has stopped and the grace is.
async fn end_of_connection(stop: CancellationToken) {
    let stopped = async {
        stop.cancelled_owned().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        () = tokio::time::sleep(CONNECTION_LIFE) => {}
        () = stopped => {}
    }
}

/// A stream that gives its place back when dropped, and fails from its end on.
struct Connection {
    stream: TcpStream,
    end: Pin<Box<dyn Future<Output = ()> + Send>>,
    ended: bool,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// Fails once the end has come. Also makes sure that its coming wakes the task.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.ended = self.ended || self.end.as_mut().poll(cx).is_ready();
        if self.ended { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_end(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_end(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::future::pending;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::JoinHandle;

    use super::*;

    /// A running server on a port of the system's choice.
    pub(crate) struct Page {
        address: SocketAddr,
        stop: CancellationToken,
        server: JoinHandle<io::Result<()>>,
    }

    impl Page {
        pub(crate) async fn serve(router: Router) -> Self {
            let server = Server::bind((Ipv4Addr::LOCALHOST, 0).into(), router).await.unwrap();
            let (address, stop) = (server.local_addr().unwrap(), CancellationToken::new());
            Self { address, stop: stop.clone(), server: tokio::spawn(server.run(stop)) }
        }

        /// Status and body.
        pub(crate) async fn get(&self, path: &str) -> (u16, String) {
            let (head, body) = self.get_whole(path).await;
            (head.split(' ').nth(1).unwrap().parse().unwrap(), body)
        }

        /// Head, in lower case, and body.
        pub(crate) async fn get_whole(&self, path: &str) -> (String, String) {
            let mut stream = self.ask(path).await;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            (head.to_ascii_lowercase(), body.to_owned())
        }

        async fn ask(&self, path: &str) -> TcpStream {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            stream
        }

        pub(crate) async fn close(self) {
            self.stop.cancel();
            self.server.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn stopping_does_not_wait_for_a_request_that_hangs() {
        let (began, mut begun) = tokio::sync::mpsc::channel(1);
        let hang = move || async move {
            began.send(()).await.unwrap();
            pending::<()>().await;
        };
        let page = Page::serve(Router::new().route("/", get(hang))).await;
        let mut stream = page.ask("/").await;
        begun.recv().await.unwrap();
        page.close().await;
        // The connection went with the server.
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(rest.is_empty());
    }

    #[tokio::test]
    async fn past_the_most_connections_a_new_one_waits_for_a_place() {
        let page = Page::serve(Router::new().route("/", get(|| async { "hello" }))).await;
        let mut idle = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            idle.push(TcpStream::connect(page.address).await.unwrap());
        }
        let mut waiting = page.ask("/").await;
        // Whoever hangs up gives a place away; the others hold theirs.
        drop(idle.pop());
        let mut answer = String::new();
        waiting.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("hello"), "{answer}");
        page.close().await;
    }

    #[tokio::test]
    async fn an_address_in_use_is_an_error_with_ipv6_too() {
        let first = bind((Ipv6Addr::UNSPECIFIED, 0).into()).await.unwrap();
        let port = first.local_addr().unwrap().port();
        let second = bind((Ipv6Addr::UNSPECIFIED, port).into()).await;
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
