//! A worker seen from the server: commands in, events out, and how it ended.

use std::{
    fmt, io,
    marker::PhantomData,
    os::{fd::OwnedFd, unix::net::UnixStream as StdStream, unix::process::ExitStatusExt as _},
    process::ExitStatus,
    time::Duration,
};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    process::Child,
};

use crate::{
    launch::{Error, Launch},
    log::Log,
    message::{Command, Event, Start},
    wire::{self, Frame, Message},
};

/// Bytes that frames are cut from: several of them share one block, which lives as long as the longest-lived.
const BLOCK: usize = 64 * 1024;

/// With less room than this a new block is begun: a frame of the smallest layer is about as large.
const LEAST_ROOM: usize = 4 * 1024;

/// A worker that has closed its socket has nothing left to do but exit, which takes milliseconds. Past it, it is killed.
const LAST_BREATH: Duration = Duration::from_secs(1);

/// Where a pipeline runs: in a process of its own, or on a thread behind the same kind of socket.
#[derive(Debug)]
pub struct Handle;

impl Handle {
    /// Starts a worker process with its first command; it may open the devices that its plan's encoders are behind. Call within a
    /// tokio runtime.
    ///
    /// # Errors
    /// No socket pair, no such binary, or a plan too large to be one.
    pub fn spawn(launch: &Launch, start: Start) -> Result<(Sender, Receiver), Error> {
        let devices = start.plan.devices();
        spawn(Command::Start(Box::new(start)), |theirs| launch.spawn("run", theirs, &devices))
    }

    /// The same over any connected socket, with the pipeline at its other end. Call within a tokio runtime.
    ///
    /// # Errors
    /// The socket cannot be used, or the plan is too large to be one.
    pub fn over(stream: StdStream, start: Start) -> Result<(Sender, Receiver), Error> {
        over(stream, Command::Start(Box::new(start)))
    }
}

/// A process at the other end of a socket pair, and its first command.
pub(crate) fn spawn<C: Message, E>(
    start: C,
    process: impl FnOnce(OwnedFd) -> Result<Child, Error>,
) -> Result<(Sender<C>, Receiver<E>), Error> {
    let (ours, theirs) = StdStream::pair().map_err(Error::Socket)?;
    let mut child = process(OwnedFd::from(theirs))?;
    let log = child.stderr.take().map(Log::new);
    let (sender, mut receiver) = over(ours, start)?;
    receiver.child = Some(child);
    receiver.log = log;
    Ok((sender, receiver))
}

/// The same with whatever is at the other end.
pub(crate) fn over<C: Message, E>(stream: StdStream, start: C) -> Result<(Sender<C>, Receiver<E>), Error> {
    stream.set_nonblocking(true).map_err(Error::Socket)?;
    let (reader, writer) = UnixStream::from_std(stream).map_err(Error::Socket)?.into_split();
    let sender = Sender { writer, pending: start.frame()?, commands: PhantomData };
    let (received, events) = (BytesMut::new(), PhantomData);
    Ok((sender, Receiver { reader, received, child: None, log: None, exit: None, events }))
}

/// The way to a worker. Dropping it is [`Command::EndOfStream`] without an answer: the worker ends.
#[derive(Debug)]
pub struct Sender<C = Command> {
    writer: OwnedWriteHalf,
    /// What of the last frame has not been written: a cancelled `send` is finished by the next.
    pending: Frame,
    commands: PhantomData<fn(C)>,
}

impl<C: Message> Sender<C> {
    /// Sends a command; waits while the worker is behind. Cancel safe: a frame is never torn. A command whose `send`
    /// was cancelled while it waited may or may not be sent.
    ///
    /// # Errors
    /// The worker is gone ([`Receiver::recv`] says how it went), or the unit is past [`wire::MAX_FRAME`]
    /// (`InvalidInput`; the worker is as well as before).
    pub async fn send(&mut self, command: C) -> io::Result<()> {
        self.flush().await?;
        self.pending = command.frame().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        self.flush().await
    }

    /// Writes what is pending: after [`Handle::spawn`], the start command.
    ///
    /// # Errors
    /// The worker is gone.
    pub async fn flush(&mut self) -> io::Result<()> {
        while self.pending.has_remaining() {
            if self.writer.write_buf(&mut self.pending).await? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        self.pending = bytes::Buf::chain(Bytes::new(), Bytes::new());
        Ok(())
    }
}

/// What a worker says, until its end. Dropping it kills the process, which tokio then reaps.
#[derive(Debug)]
pub struct Receiver<E = Event> {
    reader: OwnedReadHalf,
    received: BytesMut,
    child: Option<Child>,
    log: Option<Log>,
    exit: Option<Exit>,
    events: PhantomData<fn() -> E>,
}

/// One thing from a worker.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming<E = Event> {
    /// It said something.
    Event(E),
    /// It is gone, and reaped; nothing else comes.
    Exit(Exit),
}

/// How a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit {
    /// The process ended by itself, with this code.
    Code(i32),
    /// The process was ended by this signal.
    Signal(i32),
    /// An in-process pipeline closed its socket.
    Closed,
    /// It spoke nonsense, and was killed; or its socket or status could not be read.
    Broken(String),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exit code {code}"),
            Exit::Signal(signal) => write!(f, "signal {signal}"),
            Exit::Closed => f.write_str("socket closed"),
            Exit::Broken(why) => f.write_str(why),
        }
    }
}

enum Heard {
    Bytes(io::Result<usize>),
    Line,
}

impl<E: Message> Receiver<E> {
    /// The next event; after the last one, [`Incoming::Exit`], again and again. The worker's own log lines go to
    /// `tracing` in passing. Cancel safe.
    pub async fn recv(&mut self) -> Incoming<E> {
        if let Some(exit) = &self.exit {
            return Incoming::Exit(exit.clone());
        }
        loop {
            match wire::next(&mut self.received) {
                Ok(Some(event)) => return Incoming::Event(event),
                Ok(None) => {}
                Err(error) => return self.end(Some(error.to_string())).await,
            }
            match self.hear().await {
                Heard::Line => {}
                // A worker that dies with commands unread resets the socket: as normal an end as closing it.
                Heard::Bytes(Ok(0)) => return self.end(None).await,
                Heard::Bytes(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return self.end(None).await;
                }
                Heard::Bytes(Ok(_)) => {}
                Heard::Bytes(Err(error)) => return self.end(Some(format!("worker socket: {error}"))).await,
            }
        }
    }

    /// Kills the process now; [`Receiver::recv`] then gives what it had said, and its end. An in-process pipeline ends
    /// when the [`Sender`] is dropped instead.
    pub fn kill(&mut self) {
        if let Some(child) = &mut self.child {
            // An error means that it is gone already.
            let _ = child.start_kill();
        }
    }

    /// The process, while it is not reaped: to measure its CPU time and memory by.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    async fn hear(&mut self) -> Heard {
        if self.received.capacity() - self.received.len() < LEAST_ROOM {
            self.received.reserve(BLOCK);
        }
        let Some(log) = &mut self.log else {
            return Heard::Bytes(self.reader.read_buf(&mut self.received).await);
        };
        tokio::select! {
            read = self.reader.read_buf(&mut self.received) => Heard::Bytes(read),
            line = log.next() => {
                if !line {
                    self.log = None;
                }
                Heard::Line
            }
        }
    }

    /// Reaps the process; one that broke the protocol, or closed its socket but lives on, is killed first.
    async fn end(&mut self, broken: Option<String>) -> Incoming<E> {
        let exit = match &mut self.child {
            None => broken.map_or(Exit::Closed, Exit::Broken),
            Some(child) => {
                if broken.is_some() {
                    let _ = child.start_kill();
                }
                let status = match tokio::time::timeout(LAST_BREATH, child.wait()).await {
                    Ok(status) => status,
                    Err(_) => {
                        let _ = child.start_kill();
                        child.wait().await
                    }
                };
                match (broken, status) {
                    (Some(why), _) => Exit::Broken(why),
                    (None, Ok(status)) => status.into(),
                    (None, Err(error)) => Exit::Broken(format!("wait for worker: {error}")),
                }
            }
        };
        if let Some(mut log) = self.log.take() {
            // The process is gone: what it wrote last is in the pipe, then the pipe ends.
            while log.next().await {}
        }
        self.exit = Some(exit.clone());
        Incoming::Exit(exit)
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, Some(signal)) => Exit::Signal(signal),
            (None, None) => Exit::Broken(status.to_string()),
        }
    }
}
