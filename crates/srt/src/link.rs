//! The way to the server: a bounded queue, and the thread that writes it to the socket.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread::{self, JoinHandle},
};

use bytes::BytesMut;
use srt_wire::{Command, Event, Message as _};

/// Events that wait for the server: it reads all the time and never waits for a session, so that more than a few mean that
/// it is being starved of CPU. Past it nothing is read of the callers, whose media then waits in libsrt's bounded buffers.
const EVENTS: usize = 64;

/// Written in one go.
const BATCH: usize = 64 << 10;

/// The way to the server. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Link(SyncSender<Event>);

impl Link {
    /// The thread ends when the server is gone, or knows that we have failed.
    pub(crate) fn new(socket: UnixStream) -> (Self, JoinHandle<()>) {
        let (sender, events) = sync_channel(EVENTS);
        (Self(sender), thread::spawn(move || write(socket, &events)))
    }

    /// Waits for room. What is sent when the server is gone is lost.
    pub(crate) fn send(&self, event: Event) {
        let _ = self.0.send(event);
    }

    /// False when there is no room.
    pub(crate) fn try_send(&self, event: Event) -> bool {
        !matches!(self.0.try_send(event), Err(TrySendError::Full(_)))
    }
}

fn write(mut socket: UnixStream, events: &Receiver<Event>) {
    let mut batch = BytesMut::new();
    while let Ok(event) = events.recv() {
        batch.clear();
        let mut last = matches!(event, Event::Failed(_));
        // Only what is past the longest frame cannot be written, and nothing of ours is.
        let _ = event.write(&mut batch);
        while batch.len() < BATCH
            && let Ok(event) = events.try_recv()
        {
            last |= matches!(event, Event::Failed(_));
            let _ = event.write(&mut batch);
        }
        if socket.write_all(&batch).is_err() || last {
            return;
        }
    }
}

/// What the server says, until it is gone.
#[derive(Debug)]
pub(crate) struct Commands {
    socket: UnixStream,
    received: BytesMut,
}

impl Commands {
    pub(crate) fn new(socket: UnixStream) -> Self {
        Self { socket, received: BytesMut::new() }
    }

    pub(crate) fn next(&mut self) -> Option<Command> {
        let mut buffer = [0; 4096];
        loop {
            match srt_wire::next(&mut self.received) {
                Ok(Some(command)) => return Some(command),
                Ok(None) => {}
                // The server does not speak nonsense; whoever does is not obeyed.
                Err(_) => return None,
            }
            match self.socket.read(&mut buffer) {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
            }
        }
    }
}
