//! Callers with libsrt of their own, a network with faults, and transport streams whose packets are numbered.
#![allow(dead_code, reason = "each test uses a part of it")]

pub(crate) mod network;
pub(crate) mod stream;

use std::{
    future::Future,
    net::{SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use intake::srt::{Listener, Options, Publisher, Request};
use srt::socket::{self, Socket};

pub(crate) const KEY: &str = "key_1";

/// Longer than anything takes on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(30);

pub(crate) fn options() -> Options {
    Options::new(env!("CARGO_BIN_EXE_sluicegate-srt"), "127.0.0.1:0".parse().unwrap())
}

pub(crate) fn listen(options: Options) -> Listener {
    Listener::bind(options).unwrap()
}

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, future).await.unwrap_or_else(|_| panic!("not within {LONG:?}: {what}"))
}

pub(crate) async fn asks(listener: &mut Listener) -> Request {
    within("a caller asks", listener.accept()).await.expect("the listener is there")
}

/// What a caller is, before it calls.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) stream_id: String,
    pub(crate) passphrase: Option<String>,
    pub(crate) latency: Duration,
}

impl Caller {
    pub(crate) fn new(stream_id: &str) -> Self {
        Self { stream_id: stream_id.to_owned(), passphrase: None, latency: Duration::from_millis(120) }
    }

    pub(crate) fn passphrase(mut self, passphrase: &str) -> Self {
        self.passphrase = Some(passphrase.to_owned());
        self
    }

    /// Calls; the error is the code that the listener gave.
    pub(crate) fn call(&self, to: SocketAddr) -> Result<Line, u32> {
        socket::start().unwrap();
        let socket = Socket::new().unwrap();
        socket.set_stream_id(&self.stream_id).unwrap();
        socket.set_latency(self.latency).unwrap();
        socket.set_connect_timeout(Duration::from_secs(10)).unwrap();
        self.passphrase.iter().for_each(|passphrase| socket.set_passphrase(passphrase).unwrap());
        socket.acquire(UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
        let connected = socket.connect(to);
        let (code, _) = socket.rejection();
        let line = Line(socket);
        connected.map(|()| line).map_err(|_| code)
    }

    /// The same, elsewhere.
    pub(crate) fn calls(&self, to: SocketAddr) -> tokio::task::JoinHandle<Result<Line, u32>> {
        let caller = self.clone();
        tokio::task::spawn_blocking(move || caller.call(to))
    }
}

/// A caller that is connected, until it is dropped.
#[derive(Debug)]
pub(crate) struct Line(Socket);

impl Line {
    pub(crate) fn of(socket: Socket) -> Self {
        Self(socket)
    }

    pub(crate) fn send_and_finish(self, messages: u64) {
        if self.send(0, messages) {
            self.finish();
        }
    }

    /// Numbered packets from `from` on, seven in a message, at about 3 Mbit/s. False when the connection is over.
    pub(crate) fn send(&self, from: u64, messages: u64) -> bool {
        const PACE: Duration = Duration::from_micros(3500);
        let begin = Instant::now();
        (0..messages).all(|n| {
            let due = begin + PACE * u32::try_from(n).unwrap();
            thread::sleep(due.saturating_duration_since(Instant::now()));
            self.0.send(&stream::message(from + n * stream::IN_A_MESSAGE)).is_ok()
        })
    }

    /// Waits until everything has arrived, then ends.
    pub(crate) fn finish(self) {
        while self.0.unacknowledged().is_some_and(|count| count > 0) {
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends until the connection is over or `stop` says so; gives the number of the next packet.
    pub(crate) fn send_until(&self, stop: impl Fn() -> bool) -> u64 {
        let mut next = 0;
        while !stop() && self.send(next, 10) {
            next += 10 * stream::IN_A_MESSAGE;
        }
        next
    }

    /// Waits until the other side has ended it.
    pub(crate) fn until_over(&self) -> bool {
        let begin = Instant::now();
        let over = || self.0.stats().is_none();
        while !over() && begin.elapsed() < LONG {
            thread::sleep(Duration::from_millis(10));
        }
        over()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Everything to the end.
pub(crate) async fn read_all(publisher: &mut Publisher) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let bytes = within("more bytes, or the end", publisher.read(64 << 10)).await;
        if bytes.is_empty() {
            return all;
        }
        all.extend_from_slice(&bytes);
    }
}

/// At least so many bytes.
pub(crate) async fn read_some(publisher: &mut Publisher, bytes: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < bytes {
        let more = within("more bytes", publisher.read(64 << 10)).await;
        assert!(!more.is_empty(), "it ended: {:?}", publisher.why());
        all.extend_from_slice(&more);
    }
    all
}
