//! A network of the test's own: a relay of datagrams that loses, delays, reorders, or falls silent.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Faults {
    /// Of a hundred datagrams, each way.
    pub(crate) loss_percent: u32,
    /// Each waits for a part of this.
    pub(crate) jitter: Duration,
    /// Those that waited less overtake others.
    pub(crate) reorders: bool,
}

/// Between one caller and a listener. It ends with the test's process.
pub(crate) struct Network {
    pub(crate) address: SocketAddr,
    silent: Arc<AtomicBool>,
    lost: Arc<AtomicU64>,
}

impl Network {
    pub(crate) fn to(listener: SocketAddr, faults: Faults) -> Self {
        let front = UdpSocket::bind("127.0.0.1:0").unwrap();
        let back = UdpSocket::bind("127.0.0.1:0").unwrap();
        back.connect(listener).unwrap();
        let address = front.local_addr().unwrap();
        let (silent, lost) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        // The first datagram says who the caller is.
        let (knows, caller) = channel();
        let way = |seed| Way {
            faults,
            random: StdRng::seed_from_u64(seed),
            silent: silent.clone(),
            lost: lost.clone(),
            last: Instant::now(),
        };
        let (mut there, mut back_again) = (way(1), way(2));
        let (from, to) = (front.try_clone().unwrap(), back.try_clone().unwrap());
        thread::spawn(move || {
            let queue = sender(move |bytes| drop(to.send(bytes)));
            let mut buffer = [0; 2048];
            let mut known = false;
            while let Ok((count, peer)) = from.recv_from(&mut buffer) {
                if !known {
                    knows.send(peer).unwrap();
                    known = true;
                }
                there.pass(&buffer[..count], &queue);
            }
        });
        thread::spawn(move || {
            let Ok(caller) = caller.recv() else { return };
            let queue = sender(move |bytes| drop(front.send_to(bytes, caller)));
            let mut buffer = [0; 2048];
            while let Ok(count) = back.recv(&mut buffer) {
                back_again.pass(&buffer[..count], &queue);
            }
        });
        Self { address, silent, lost }
    }

    /// Nothing passes any more, either way.
    pub(crate) fn fall_silent(&self) {
        self.silent.store(true, Ordering::Relaxed);
    }

    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

struct Way {
    faults: Faults,
    random: StdRng,
    silent: Arc<AtomicBool>,
    lost: Arc<AtomicU64>,
    last: Instant,
}

impl Way {
    fn pass(&mut self, bytes: &[u8], queue: &Sender<(Instant, Vec<u8>)>) {
        let lost = self.random.random_range(0..100) < self.faults.loss_percent;
        if lost || self.silent.load(Ordering::Relaxed) {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut due = Instant::now() + self.faults.jitter.mul_f64(self.random.random());
        if !self.faults.reorders {
            due = due.max(self.last);
            self.last = due;
        }
        queue.send((due, bytes.to_vec())).unwrap();
    }
}

/// A thread that sends each thing when it is due.
fn sender(send: impl Fn(&[u8]) + Send + 'static) -> Sender<(Instant, Vec<u8>)> {
    let (queue, waiting): (_, Receiver<(Instant, Vec<u8>)>) = channel();
    thread::spawn(move || {
        let (mut heap, mut number) = (BinaryHeap::<Reverse<(Instant, u64, Vec<u8>)>>::new(), 0_u64);
        loop {
            let now = Instant::now();
            while heap.peek().is_some_and(|Reverse((due, ..))| *due <= now) {
                if let Some(Reverse((_, _, bytes))) = heap.pop() {
                    send(&bytes);
                }
            }
            let wait = heap
                .peek()
                .map_or(Duration::from_secs(1), |Reverse((due, ..))| due.saturating_duration_since(now));
            match waiting.recv_timeout(wait) {
                Ok((due, bytes)) => {
                    number += 1;
                    heap.push(Reverse((due, number, bytes)));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    });
    queue
}
