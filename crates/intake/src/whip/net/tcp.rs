//! ICE over TCP, the passive side (RFC 6544), for networks that let no UDP through. Each datagram has its length before it,
//! two bytes, big endian (RFC 4571).

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rtc::room::Protocol;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{mailbox::Mailbox, routes::Routes};
use crate::{socket, waiting::Waiting};

/// Larger than any datagram that WebRTC sends; who announces more speaks something else.
const DATAGRAM: usize = 8 << 10;

/// What is read at once.
const READ: usize = 16 << 10;

/// A connection that has not said whom it is for in this time is closed.
const GREETING: Duration = Duration::from_secs(10);

/// Connections that have not said it yet; past it the oldest is closed.
const UNKNOWN: usize = 256;

/// What waits to be written: reports and checks, a few a second. Past it they are dropped.
const UNSENT: usize = 64;

/// For our few bytes to leave.
const WRITE_DEADLINE: Duration = Duration::from_secs(5);

/// How long `accept(2)` rests after an error (descriptors used up).
const REST: Duration = Duration::from_millis(50);

/// A listening socket and what publishers are told of it.
#[derive(Debug)]
pub(super) struct Tcp {
    pub(super) listener: TcpListener,
    pub(super) advertised: SocketAddr,
}

impl Tcp {
    /// Takes connections until `end`, and joins their tasks.
    pub(super) async fn receive(self, routes: Arc<Routes>, end: CancellationToken) {
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = end.cancelled() => break,
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let connection = Connection { stream, peer, to: self.advertised, bytes: Vec::new() };
                        let (routes, waiting) = (routes.clone(), waiting.clone());
                        connections.spawn(serve(connection, routes, waiting, end.child_token()));
                    }
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(error) => {
                        let freed = lock(&waiting).send_one_away();
                        tracing::warn!(%error, freed, "cannot take an ICE connection over TCP");
                        tokio::time::sleep(REST).await;
                    }
                },
            }
        }
        while connections.join_next().await.is_some() {}
    }
}

async fn serve(
    mut connection: Connection,
    routes: Arc<Routes>,
    waiting: Arc<Mutex<Waiting>>,
    end: CancellationToken,
) {
    let peer = connection.peer;
    let place = lock(&waiting).enter(end.clone(), UNKNOWN);
    let greeted = tokio::select! {
        biased;
        () = end.cancelled() => Err(io::ErrorKind::ConnectionAborted.into()),
        greeted = timeout(GREETING, connection.greet(&routes)) => greeted.unwrap_or_else(|late| Err(late.into())),
    };
    lock(&waiting).leaves(place);
    let ended = match greeted {
        Ok(mailbox) => tokio::select! {
            biased;
            () = end.cancelled() => Ok(()),
            ended = connection.relay(&mailbox) => ended,
        },
        Err(error) => Err(error),
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "an ICE connection over TCP ended");
    }
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    to: SocketAddr,
    /// Read, and not yet taken.
    bytes: Vec<u8>,
}

impl Connection {
    /// The first datagram says whom the connection is for. It stays to be taken.
    async fn greet(&mut self, routes: &Routes) -> io::Result<Arc<Mailbox>> {
        socket::prepare(&self.stream)?;
        loop {
            if let Some(first) = next(&self.bytes)? {
                return routes.by_ufrag(first).ok_or_else(|| io::ErrorKind::PermissionDenied.into());
            }
            self.read().await?;
        }
    }

    /// Both ways, until somebody closes.
    async fn relay(mut self, mailbox: &Mailbox) -> io::Result<()> {
        let (sender, mut unsent) = mpsc::channel::<Vec<u8>>(UNSENT);
        mailbox.connect(self.peer, sender);
        let mut frame = Vec::new();
        loop {
            self.take(mailbox)?;
            tokio::select! {
                datagram = unsent.recv() => {
                    let Some(datagram) = datagram else { return Ok(()) };
                    let Ok(length) = u16::try_from(datagram.len()) else { continue };
                    frame.clear();
                    frame.extend_from_slice(&length.to_be_bytes());
                    frame.extend_from_slice(&datagram);
                    timeout(WRITE_DEADLINE, self.stream.write_all(&frame)).await??;
                }
                read = self.read() => read?,
            }
        }
    }

    fn take(&mut self, mailbox: &Mailbox) -> io::Result<()> {
        let (mut taken, mut first) = (0, false);
        while let Some(datagram) = next(&self.bytes[taken..])? {
            first |= mailbox.push(Protocol::Tcp, self.peer, self.to, datagram);
            taken += 2 + datagram.len();
        }
        self.bytes.drain(..taken);
        if first {
            mailbox.wake();
        }
        Ok(())
    }

    async fn read(&mut self) -> io::Result<()> {
        self.bytes.reserve(READ);
        match self.stream.read_buf(&mut self.bytes).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// The first whole datagram.
fn next(bytes: &[u8]) -> io::Result<Option<&[u8]>> {
    let Some((head, rest)) = bytes.split_first_chunk::<2>() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes(*head));
    if length > DATAGRAM {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(rest.get(..length))
}

fn lock(waiting: &Mutex<Waiting>) -> std::sync::MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_are_cut_from_the_stream_when_they_are_whole() {
        assert_eq!(next(b"").unwrap(), None);
        assert_eq!(next(b"\0\x03ab").unwrap(), None);
        assert_eq!(next(b"\0\x03abcd").unwrap(), Some(&b"abc"[..]));
        assert_eq!(next(b"\0\0").unwrap(), Some(&b""[..]));
        assert!(next(b"GET / HTTP/1.1").is_err(), "18245 bytes are no datagram of WebRTC's");
    }
}
