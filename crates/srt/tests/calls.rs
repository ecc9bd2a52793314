//! Streams that are fetched: the process calls a listener of the test's own.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

use std::{
    net::{SocketAddr, UdpSocket},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use intake::srt::{Call, CallError, Secret, Why, call};
use srt::{
    Poll,
    socket::{self, Hook, Socket},
};

mod support;
use support::{LONG, read_all, stream, within};

const PROGRAM: &str = env!("CARGO_BIN_EXE_sluicegate-srt");
const PASSPHRASE: &str = "correct horse battery";

/// What the callers showed, and whether they may.
struct Door {
    shown: Sender<String>,
    verdict: Result<(), u16>,
}

impl Hook for Door {
    fn call(&self, _: Socket, _: SocketAddr, stream_id: &[u8]) -> Result<(), u16> {
        // Not every test looks.
        let _ = self.shown.send(String::from_utf8_lossy(stream_id).into_owned());
        self.verdict
    }
}

/// Somebody else's listener, which sends so many messages to whoever calls. Its thread ends with it: libsrt's own end, when the
/// process exits, must find nobody in it.
struct Origin {
    address: SocketAddr,
    shown: Receiver<String>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Origin {
    fn new(verdict: Result<(), u16>, messages: u64) -> Self {
        socket::start().unwrap();
        let (udp, (sender, shown)) = (UdpSocket::bind("127.0.0.1:0").unwrap(), channel());
        let address = udp.local_addr().unwrap();
        let socket = Socket::new().unwrap();
        socket.set_passphrase(PASSPHRASE).unwrap();
        socket.set_nonblocking().unwrap();
        socket.acquire(udp).unwrap();
        socket.listen(1, Door { shown: sender, verdict }).unwrap();
        let over = Arc::<AtomicBool>::default();
        let until = over.clone();
        let thread = std::thread::spawn(move || {
            let poll = Poll::new().unwrap();
            poll.add(socket).unwrap();
            while !until.load(Ordering::Relaxed) {
                poll.wait(Duration::from_millis(50));
                while let Ok(Some(caller)) = socket.accept() {
                    support::Line::of(caller).send_and_finish(messages);
                }
            }
            socket.close();
        });
        Self { address, shown, over, thread: Some(thread) }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

fn to(peer: SocketAddr) -> Call {
    Call {
        peer,
        stream_id: Secret::new("#!::r=movie,m=request"),
        passphrase: Some(Secret::new(PASSPHRASE)),
        latency: Duration::from_millis(120),
    }
}

#[tokio::test]
async fn a_stream_that_is_fetched_is_heard_to_its_end() {
    let origin = Origin::new(Ok(()), 300);
    let mut publisher = within("an answer", call(Path::new(PROGRAM), to(origin.address))).await.unwrap();
    assert_eq!(origin.shown.recv_timeout(LONG).unwrap(), "#!::r=movie,m=request");
    assert!(publisher.describe().ends_with("latency 120 ms, encrypted"), "{}", publisher.describe());
    stream::assert_whole(&read_all(&mut publisher).await, 300);
    assert_eq!(publisher.why(), Some(Why::Closed));
}

#[tokio::test]
async fn a_fetched_stream_that_is_closed_says_so() {
    let origin = Origin::new(Ok(()), 10_000);
    let mut publisher = within("an answer", call(Path::new(PROGRAM), to(origin.address))).await.unwrap();
    publisher.closer().close("enough");
    read_all(&mut publisher).await;
    assert_eq!(publisher.why(), Some(Why::Told("enough".to_owned())));
}

#[tokio::test]
async fn a_call_that_is_not_taken_says_why() {
    let origin = Origin::new(Err(1404), 0);
    let refused = within("an answer", call(Path::new(PROGRAM), to(origin.address))).await.unwrap_err();
    assert!(matches!(refused, CallError::Refused { code: 1404, .. }), "{refused}");

    let origin = Origin::new(Ok(()), 0);
    for passphrase in [None, Some(Secret::new("another passphrase"))] {
        let wrong = Call { passphrase, ..to(origin.address) };
        let refused = within("an answer", call(Path::new(PROGRAM), wrong)).await.unwrap_err();
        assert!(matches!(refused, CallError::Passphrase), "{refused}");
    }

    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap();
    let silent = within("an answer", call(Path::new(PROGRAM), to(nobody.local_addr().unwrap()))).await;
    assert!(matches!(silent, Err(CallError::Silent)), "{silent:?}");

    let missing = call(Path::new("/nonexistent/sluicegate-srt"), to(origin.address)).await;
    assert!(matches!(missing, Err(CallError::Start(_))), "{missing:?}");
}
