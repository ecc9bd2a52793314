use std::{
    mem,
    net::SocketAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
};

use rtc::room::Protocol;
use tokio::sync::{Notify, mpsc};

/// Datagrams of one publisher that wait for its task: half a second of 20 Mbit/s. Past it they are lost, as on the network;
/// what is missed is asked for again.
const BYTES: usize = 1 << 20;

/// The same by number: small ones cost their place too.
const DATAGRAMS: usize = 2048;

/// A mailbox keeps no more room than this for itself when it is empty.
const KEPT_BYTES: usize = 64 << 10;

/// ICE-TCP connections of one publisher: a network or two and their successors. Past it the oldest is closed.
const CONNECTIONS: usize = 4;

/// What the sockets hand to a publisher's task. Nothing is allocated for a datagram: its bytes are appended to those before it.
#[derive(Debug, Default)]
pub(in crate::whip) struct Mailbox {
    waiting: Mutex<Batch>,
    connections: Mutex<Vec<Connection>>,
    /// One bit for each layer whose keyframe is wanted.
    keyframes: AtomicU8,
    wake: Notify,
}

/// Datagrams in their order.
#[derive(Debug, Default)]
pub(in crate::whip) struct Batch {
    bytes: Vec<u8>,
    datagrams: Vec<Datagram>,
    lost: u64,
}

/// One of a [`Batch`].
#[derive(Debug, Clone, Copy)]
pub(in crate::whip) struct Datagram {
    pub(in crate::whip) proto: Protocol,
    pub(in crate::whip) from: SocketAddr,
    /// An address of ours, as advertised.
    pub(in crate::whip) to: SocketAddr,
    end: usize,
}

/// The sending half of an ICE-TCP connection.
#[derive(Debug)]
struct Connection {
    remote: SocketAddr,
    datagrams: mpsc::Sender<Vec<u8>>,
}

impl Mailbox {
    /// Appends a datagram. True when the mailbox was empty: then [`Mailbox::wake`] is due, once no more come.
    pub(super) fn push(&self, proto: Protocol, from: SocketAddr, to: SocketAddr, bytes: &[u8]) -> bool {
        let mut waiting = lock(&self.waiting);
        if waiting.datagrams.len() >= DATAGRAMS || waiting.bytes.len() + bytes.len() > BYTES {
            waiting.lost += 1;
            return false;
        }
        let first = waiting.datagrams.is_empty();
        waiting.bytes.extend_from_slice(bytes);
        let end = waiting.bytes.len();
        waiting.datagrams.push(Datagram { proto, from, to, end });
        first
    }

    /// Lets the task look.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Resolves when there may be something new.
    pub(in crate::whip) async fn news(&self) {
        self.wake.notified().await;
    }

    /// Takes what waits, in exchange for a batch that has been read. False when nothing does.
    pub(in crate::whip) fn take(&self, batch: &mut Batch) -> bool {
        let mut waiting = lock(&self.waiting);
        if waiting.datagrams.is_empty() {
            return false;
        }
        batch.clear();
        mem::swap(&mut *waiting, batch);
        true
    }

    /// Asks for a keyframe of a layer, at the task's next turn.
    pub(in crate::whip) fn want_keyframe(&self, layer: usize) {
        if let Some(bit) = u32::try_from(layer).ok().and_then(|layer| 1_u8.checked_shl(layer)) {
            self.keyframes.fetch_or(bit, Ordering::Relaxed);
            self.wake();
        }
    }

    /// The layers whose keyframes are wanted, once.
    pub(in crate::whip) fn wanted_keyframes(&self) -> impl Iterator<Item = usize> + use<> {
        let wanted = match self.keyframes.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.keyframes.swap(0, Ordering::Relaxed),
        };
        (0..u8::BITS as usize).filter(move |layer| wanted >> layer & 1 == 1)
    }

    /// An ICE-TCP connection was opened.
    pub(super) fn connect(&self, remote: SocketAddr, datagrams: mpsc::Sender<Vec<u8>>) {
        let mut connections = lock(&self.connections);
        connections.retain(|connection| !connection.datagrams.is_closed());
        if connections.len() >= CONNECTIONS {
            connections.remove(0);
        }
        connections.push(Connection { remote, datagrams });
    }

    /// Sends over an ICE-TCP connection, or drops when it is slow or gone.
    pub(in crate::whip) fn send_tcp(&self, remote: SocketAddr, datagram: Vec<u8>) {
        let connections = lock(&self.connections);
        if let Some(connection) = connections.iter().rev().find(|connection| connection.remote == remote) {
            connection.datagrams.try_send(datagram).ok();
        }
    }

    /// Closes what the publisher has open.
    pub(super) fn disconnect(&self) {
        lock(&self.connections).clear();
    }
}

impl Batch {
    /// How many datagrams were lost before these.
    pub(in crate::whip) fn lost(&self) -> u64 {
        self.lost
    }

    pub(in crate::whip) fn len(&self) -> usize {
        self.datagrams.len()
    }

    /// The datagram at this place.
    pub(in crate::whip) fn get(&self, place: usize) -> Option<(Datagram, &[u8])> {
        let datagram = self.datagrams.get(place)?;
        let start = place.checked_sub(1).map_or(0, |before| self.datagrams[before].end);
        Some((*datagram, self.bytes.get(start..datagram.end)?))
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.datagrams.clear();
        self.lost = 0;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(port: u16) -> SocketAddr {
        ([192, 0, 2, 1], port).into()
    }

    fn push(mailbox: &Mailbox, bytes: &[u8]) -> bool {
        mailbox.push(Protocol::Udp, addr(1), addr(2), bytes)
    }

    #[test]
    fn datagrams_come_out_as_they_went_in() {
        let (mailbox, mut batch) = (Mailbox::default(), Batch::default());
        assert!(!mailbox.take(&mut batch));
        assert_eq!(
            [b"one".as_slice(), b"", b"three"].map(|bytes| push(&mailbox, bytes)),
            [true, false, false]
        );
        assert!(mailbox.take(&mut batch));
        let all: Vec<_> =
            (0..4).map_while(|place| batch.get(place)).map(|(_, bytes)| bytes.to_vec()).collect();
        assert_eq!(all, [b"one".to_vec(), b"".to_vec(), b"three".to_vec()]);
        assert!(!mailbox.take(&mut batch) && push(&mailbox, b"four"));
    }

    #[test]
    fn a_task_that_does_not_read_costs_a_bounded_number_of_bytes() {
        let (mailbox, mut batch) = (Mailbox::default(), Batch::default());
        for _ in 0..10_000 {
            push(&mailbox, &[0; 1200]);
        }
        mailbox.take(&mut batch);
        assert!(batch.bytes.len() <= BYTES);
        assert_eq!(batch.lost() + batch.len() as u64, 10_000);
        for _ in 0..10_000 {
            push(&mailbox, &[0; 1]);
        }
        mailbox.take(&mut batch);
        assert_eq!(batch.len(), DATAGRAMS);
        assert!(push(&mailbox, b"small"));
        mailbox.take(&mut batch);
        assert!(push(&mailbox, b"small") && mailbox.take(&mut batch));
        assert!(batch.bytes.capacity() <= KEPT_BYTES, "what a flood needed is given back");
    }

    #[test]
    fn a_keyframe_is_wanted_once() {
        let mailbox = Mailbox::default();
        for layer in [2, 0, 2, 8, 4000] {
            mailbox.want_keyframe(layer);
        }
        assert_eq!(mailbox.wanted_keyframes().collect::<Vec<_>>(), [0, 2]);
        assert_eq!(mailbox.wanted_keyframes().count(), 0);
    }
}
