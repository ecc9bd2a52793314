//! The process as the server sees it: messages, its last words, its end.

use std::{
    io,
    net::UdpSocket,
    os::{fd::OwnedFd, unix::net::UnixStream as StdStream},
    path::Path,
    process::Stdio,
    time::Duration,
};

use bytes::BytesMut;
use srt_wire::{Command, Event, Message as _, Start};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    process::{Child, ChildStderr},
    time::{sleep, timeout},
};

/// What is read of the socket at once.
const BLOCK: usize = 128 << 10;

/// A process whose socket is closed says goodbye to its callers and exits, which takes milliseconds. Past it, it is killed.
const LAST_BREATH: Duration = Duration::from_secs(1);

/// Most of the process's standard error in one line of ours.
const LINE: usize = 512;

/// Between two such lines: a process that says more waits for its pipe.
const PAUSE: Duration = Duration::from_millis(50);

/// A process of which nothing has been heard yet.
pub(super) struct Process {
    pub(super) child: Child,
    pub(super) events: Events,
    pub(super) commands: Commands,
    /// Its standard error.
    pub(super) said: Option<ChildStderr>,
}

/// What it says.
pub(super) struct Events {
    reader: OwnedReadHalf,
    received: BytesMut,
}

/// What it is told.
pub(super) struct Commands(OwnedWriteHalf);

impl Process {
    /// Starts `program` on a port of ours.
    pub(super) async fn spawn(program: &Path, port: &UdpSocket, start: Start) -> io::Result<Self> {
        let (ours, theirs) = StdStream::pair()?;
        ours.set_nonblocking(true)?;
        let port = OwnedFd::from(port.try_clone()?);
        let mut command = tokio::process::Command::new(program);
        // No environment and no arguments: others can see them.
        command.env_clear().current_dir("/").kill_on_drop(true);
        command.stdin(OwnedFd::from(theirs)).stdout(port).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let said = child.stderr.take();
        let (reader, writer) = UnixStream::from_std(ours)?.into_split();
        let mut commands = Commands(writer);
        commands.send(&Command::Start(Box::new(start))).await?;
        Ok(Self { child, events: Events { reader, received: BytesMut::new() }, commands, said })
    }
}

/// Waits for the end of a process whose socket has been dropped, and says how it was.
pub(super) async fn end(mut child: Child) -> String {
    let status = match timeout(LAST_BREATH, child.wait()).await {
        Ok(status) => status,
        Err(_) => {
            // An error means that it is gone already.
            let _ = child.start_kill();
            child.wait().await
        }
    };
    status.map_or_else(|error| error.to_string(), |status| status.to_string())
}

impl Events {
    /// The next one; `None` when the process is gone. Cancel safe.
    ///
    /// # Errors
    /// It speaks nonsense: it is to be killed.
    pub(super) async fn next(&mut self) -> Result<Option<Event>, srt_wire::Error> {
        loop {
            if let Some(event) = srt_wire::next(&mut self.received)? {
                return Ok(Some(event));
            }
            self.received.reserve(BLOCK);
            match self.reader.read_buf(&mut self.received).await {
                Ok(0) | Err(_) => return Ok(None),
                Ok(_) => {}
            }
        }
    }
}

impl Commands {
    /// Not cancel safe: a command must not be torn.
    pub(super) async fn send(&mut self, command: &Command) -> io::Result<()> {
        let mut frame = BytesMut::new();
        command.write(&mut frame).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        self.0.write_all(&frame).await
    }
}

/// The process's standard error into the log, to its end. libsrt's own log is off: this is how a fault shows.
pub(super) async fn log(said: Option<ChildStderr>) {
    let Some(mut said) = said else { return };
    let mut line = [0; LINE];
    while let Ok(count @ 1..) = said.read(&mut line).await {
        // A hostile peer must not write escape sequences into a log.
        let text = String::from_utf8_lossy(&line[..count]).replace(char::is_control, " ");
        tracing::warn!("sluicegate-srt: {}", text.trim());
        sleep(PAUSE).await;
    }
}
