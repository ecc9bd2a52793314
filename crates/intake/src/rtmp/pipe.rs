//! The clock and the socket around either side of an RTMP connection.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Poll, ready},
    time::{Duration, Instant},
};

use ::rtmp::{Ended, Player, Session};
use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::{sleep_until, timeout},
};

use super::publisher::{Event, Feed, Why};

/// What is read from a socket at once: a few chunks. Bounds what a session makes of one call.
const READ: usize = 16 << 10;

/// For our few bytes to leave. A peer that does not read them for so long is stuck.
const WRITE_DEADLINE: Duration = Duration::from_secs(5);

/// After the last word the socket is read on for this long, until the peer has closed it: closing a socket with unread
/// bytes would make the system throw away what the peer has not read yet, the reason among it.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// Either side of RTMP, sans-IO.
pub(super) trait Machine {
    fn handle_input(&mut self, now: Instant, bytes: &[u8]) -> Result<(), ::rtmp::Error>;
    fn handle_timeout(&mut self, now: Instant) -> Result<(), ::rtmp::Error>;
    fn poll_timeout(&self) -> Option<Instant>;
    fn poll_output(&mut self) -> Option<Bytes>;
    fn poll_event(&mut self) -> Option<::rtmp::Event>;
    fn received(&self) -> u64;
}

macro_rules! machine {
    ($side:ty) => {
        impl Machine for $side {
            fn handle_input(&mut self, now: Instant, bytes: &[u8]) -> Result<(), ::rtmp::Error> {
                self.handle_input(now, bytes)
            }
            fn handle_timeout(&mut self, now: Instant) -> Result<(), ::rtmp::Error> {
                self.handle_timeout(now)
            }
            fn poll_timeout(&self) -> Option<Instant> {
                self.poll_timeout()
            }
            fn poll_output(&mut self) -> Option<Bytes> {
                self.poll_output()
            }
            fn poll_event(&mut self) -> Option<::rtmp::Event> {
                self.poll_event()
            }
            fn received(&self) -> u64 {
                self.received()
            }
        }
    };
}

machine!(Session);
machine!(Player);

/// What a connection ends with before its media flows.
#[derive(Debug, thiserror::Error)]
pub(super) enum Left {
    #[error("closed by the peer after {0} bytes")]
    Closed(u64),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Protocol(#[from] ::rtmp::Error),
    #[error("refused: {0}")]
    Refused(String),
}

#[derive(Debug)]
pub(super) struct Pipe<S, M> {
    stream: S,
    pub(super) machine: M,
    /// Taken from the machine, not yet by the system.
    unsent: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin, M: Machine> Pipe<S, M> {
    pub(super) fn new(stream: S, machine: M) -> Self {
        Self { stream, machine, unsent: BytesMut::new() }
    }

    /// Socket to feed, until there is no more.
    pub(super) async fn relay(&mut self, feed: &Feed) -> Why {
        loop {
            while let Some(event) = self.machine.poll_event() {
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

    /// Waits for bytes or for the machine's clock, lets the machine work, and sends what it says.
    pub(super) async fn step(&mut self) -> Result<(), Left> {
        let due = self.machine.poll_timeout();
        let clock = async {
            match due {
                Some(due) => sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        let worked = tokio::select! {
            biased;
            // Bytes first: after a pause of ours, what has come meanwhile is no silence of the peer.
            read = self.read() => read,
            () = clock => Ok(()),
        };
        let worked = worked.and_then(|()| Ok(self.machine.handle_timeout(Instant::now())?));
        match &worked {
            // A session's last word says why.
            Ok(()) | Err(Left::Protocol(_)) => self.flush().await?,
            Err(_) => {}
        }
        worked
    }

    /// Takes what is there; the buffer lives only in a call, so that a waiting connection holds none.
    async fn read(&mut self) -> Result<(), Left> {
        let Self { stream, machine, .. } = self;
        poll_fn(|context| {
            let mut buffer = [0; READ];
            let mut read = ReadBuf::new(&mut buffer);
            ready!(Pin::new(&mut *stream).poll_read(context, &mut read))?;
            Poll::Ready(match read.filled() {
                [] => Err(Left::Closed(machine.received())),
                bytes => Ok(machine.handle_input(Instant::now(), bytes)?),
            })
        })
        .await
    }

    /// Sends what the machine says. When this is cancelled, what is left goes first the next time.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        while let Some(bytes) = self.machine.poll_output() {
            self.unsent.extend_from_slice(&bytes);
        }
        if self.unsent.is_empty() {
            return Ok(());
        }
        let written = async {
            self.stream.write_all_buf(&mut self.unsent).await?;
            // TLS keeps what it could not write at once.
            self.stream.flush().await
        };
        match timeout(WRITE_DEADLINE, written).await {
            Ok(written) => written,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Closes our side first, then waits a little for the peer to close its own.
    pub(super) async fn say_goodbye(&mut self) {
        let goodbye = async {
            // Whatever fails here, the connection is closed next.
            let _ = self.stream.shutdown().await;
            let _ = self.until_closed().await;
        };
        let _ = timeout(LINGER, goodbye).await;
    }

    pub(super) async fn until_closed(&mut self) -> io::Result<()> {
        let mut discarded = [0; 2048];
        while self.stream.read(&mut discarded).await? > 0 {}
        Ok(())
    }
}
