use std::{
    io::{self, IoSlice, Write as _},
    os::unix::net::UnixStream,
    sync::mpsc::{self, SyncSender, TrySendError},
    thread::{self, JoinHandle},
};

use bytes::Buf as _;
use pipeline::{Event, demux, wire::Message};

/// Messages on their way to the socket. Past it encoders wait, their queues fill, and frames are dropped *before* they
/// are encoded, where dropping one does not spoil the next.
const MAX_WAITING: usize = 64;

/// The way to the server, from any thread. Order is kept per sender.
#[derive(Debug)]
pub(crate) struct Outbox<E = Event>(SyncSender<E>);

impl<E> Clone for Outbox<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// What a process says.
pub(crate) trait Outgoing: Message + Send + 'static {
    /// Something an operator should know.
    fn warning(text: String) -> Self;

    /// Nothing comes after it.
    fn is_last(&self) -> bool;
}

impl Outgoing for Event {
    fn warning(text: String) -> Self {
        Event::Warning(text)
    }

    fn is_last(&self) -> bool {
        matches!(self, Event::Failed(_) | Event::Ended)
    }
}

impl Outgoing for demux::Event {
    fn warning(text: String) -> Self {
        demux::Event::Warning(text)
    }

    fn is_last(&self) -> bool {
        matches!(self, demux::Event::Failed { .. } | demux::Event::Ended)
    }
}

/// Joins the writer once all outboxes are gone, or the last message is written.
#[derive(Debug)]
pub(crate) struct Writer(JoinHandle<()>);

impl<E: Outgoing> Outbox<E> {
    /// Starts the thread that writes.
    pub(crate) fn new(mut socket: UnixStream) -> io::Result<(Self, Writer)> {
        let (sender, events) = mpsc::sync_channel::<E>(MAX_WAITING);
        let write = move || {
            for event in events {
                let last = event.is_last();
                // A server that is gone closes both directions: the reader ends the worker.
                if write(&mut socket, event).is_err() || last {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("outbox".into()).spawn(write)?;
        Ok((Self(sender), Writer(thread)))
    }

    /// Sends; waits while the socket is full. An event for a server that is gone is dropped.
    pub(crate) fn send(&self, event: E) {
        let _ = self.0.send(event);
    }

    /// Sends unless the way is full: for what the session can do without. True when nothing is left to send.
    pub(crate) fn offer(&self, event: E) -> bool {
        !matches!(self.0.try_send(event), Err(TrySendError::Full(_)))
    }
}

impl Writer {
    /// Waits until everything is written, or nobody reads.
    pub(crate) fn join(self) {
        let _ = self.0.join();
    }
}

fn write<E: Outgoing>(socket: &mut UnixStream, event: E) -> io::Result<()> {
    let mut frame = match event.frame() {
        Ok(frame) => frame,
        Err(error) => E::warning(error.to_string()).frame().map_err(io::Error::other)?,
    };
    while frame.has_remaining() {
        let mut slices = [IoSlice::new(&[]); 2];
        let filled = frame.chunks_vectored(&mut slices);
        match socket.write_vectored(&slices[..filled]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => frame.advance(written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
