//! The process itself: what it may, what shows of it, its end; and what strangers throw at its port.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    path::PathBuf,
    time::{Duration, Instant},
};

use intake::srt::{Listener, Secret, Why};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

mod support;
use support::{Caller, KEY, LONG, asks, listen, options, read_all, read_some, stream, within};

const PASSPHRASE: &str = "correct horse battery";

async fn pid(listener: &Listener) -> u32 {
    let begin = Instant::now();
    loop {
        if let Some(pid) = listener.pid() {
            return pid;
        }
        assert!(begin.elapsed() < LONG, "a process is started");
        tokio::task::yield_now().await;
    }
}

fn proc(pid: u32, what: &str) -> String {
    let path = PathBuf::from("/proc").join(pid.to_string()).join(what);
    String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()
}

/// A field of `status`.
fn status(pid: u32, field: &str) -> String {
    let status = proc(pid, "status");
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap().trim().to_owned()
}

#[tokio::test]
async fn the_process_is_restricted_and_shows_no_secret() {
    let mut options = options();
    options.passphrase = Some(Secret::new(PASSPHRASE));
    let mut listener = listen(options);
    let calls = Caller::new(KEY).passphrase(PASSPHRASE).calls(listener.local_addr());
    let _publisher = asks(&mut listener).await.accept().await.unwrap();
    let _line = calls.await.unwrap().unwrap();
    let pid = pid(&listener).await;
    assert_eq!((status(pid, "NoNewPrivs"), status(pid, "Seccomp")), ("1".to_owned(), "2".to_owned()));
    assert_eq!(proc(pid, "environ"), "");
    assert_eq!(proc(pid, "cmdline").matches('\0').count(), 1, "no arguments");
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let open: Vec<String> =
        fds.map(|fd| fs::read_link(fd.unwrap().path()).unwrap().to_string_lossy().into_owned()).collect();
    let known = |what: &str| ["socket:", "pipe:", "anon_inode:"].iter().any(|kind| what.starts_with(kind));
    assert!(open.iter().all(|what| known(what)), "{open:?}");
    let sockets: std::collections::BTreeSet<_> =
        open.iter().filter(|what| what.starts_with("socket:")).collect();
    assert_eq!(sockets.len(), 2, "the server and the port: {open:?}");
}

#[tokio::test]
async fn a_process_that_dies_takes_its_callers_along_and_is_started_again() {
    let mut listener = listen(options());
    let to = listener.local_addr();
    let calls = Caller::new(KEY).calls(to);
    let mut publisher = asks(&mut listener).await.accept().await.unwrap();
    let line = calls.await.unwrap().unwrap();
    let sends = tokio::task::spawn_blocking(move || line.send_until(|| false));
    read_some(&mut publisher, 1 << 16).await;
    let first = pid(&listener).await;
    let killed = std::process::Command::new("kill").args(["-9", &first.to_string()]).status().unwrap();
    assert!(killed.success());
    read_all(&mut publisher).await;
    assert_eq!(publisher.why(), Some(Why::Died));
    sends.await.unwrap();
    let calls = Caller::new(KEY).calls(to);
    let mut publisher = asks(&mut listener).await.accept().await.unwrap();
    let line = calls.await.unwrap().unwrap();
    assert!(tokio::task::spawn_blocking(move || line.send(0, 100)).await.unwrap());
    read_some(&mut publisher, 1 << 14).await;
    assert_ne!(pid(&listener).await, first);
    within("the end", listener.shutdown()).await;
}

#[tokio::test]
async fn the_end_of_the_listener_is_the_end_of_the_process_and_its_callers() {
    let mut listener = listen(options());
    let calls = Caller::new(KEY).calls(listener.local_addr());
    let mut publisher = asks(&mut listener).await.accept().await.unwrap();
    let line = calls.await.unwrap().unwrap();
    // libsrt's caller loses what comes within a millisecond of its connection.
    let line = tokio::task::spawn_blocking(move || line.send(0, 20).then_some(line)).await.unwrap().unwrap();
    read_some(&mut publisher, 1 << 14).await;
    let pid = pid(&listener).await;
    within("the end", listener.shutdown()).await;
    assert!(!PathBuf::from(format!("/proc/{pid}")).exists());
    read_all(&mut publisher).await;
    assert!(matches!(publisher.why(), Some(Why::Told(_))), "{:?}", publisher.why());
    let begin = Instant::now();
    assert!(tokio::task::spawn_blocking(move || line.until_over()).await.unwrap());
    assert!(begin.elapsed() < Duration::from_secs(4), "the caller is told, it does not time out");
}

/// Garbage, and handshakes with garbage in them, from many ports.
fn throw_at(to: SocketAddr, datagrams: u32) {
    let mut random = StdRng::seed_from_u64(7);
    for n in 0..datagrams {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut bytes: Vec<u8> = (0..random.random_range(0..1500)).map(|_| random.random()).collect();
        if n % 2 == 0 && bytes.len() >= 64 {
            // A control packet of type handshake for socket 0: version 5, and as its type induction or conclusion.
            bytes[..4].copy_from_slice(&[0x80, 0, 0, 0]);
            bytes[12..16].fill(0);
            bytes[16..20].copy_from_slice(&[0, 0, 0, 5]);
            bytes[36..40].copy_from_slice(if n % 4 == 0 { &[0, 0, 0, 1] } else { &[0xff; 4] });
        }
        // A full buffer is as good as a lost datagram.
        let _ = socket.send_to(&bytes, to);
    }
}

#[tokio::test]
async fn garbage_neither_ends_a_stream_nor_keeps_callers_out() {
    let mut listener = listen(options());
    let to = listener.local_addr();
    let calls = Caller::new(KEY).calls(to);
    let mut publisher = asks(&mut listener).await.accept().await.unwrap();
    let line = calls.await.unwrap().unwrap();
    let before = pid(&listener).await;
    let sends = tokio::task::spawn_blocking(move || {
        assert!(line.send(0, 500));
        line.finish();
    });
    tokio::task::spawn_blocking(move || throw_at(to, 5000)).await.unwrap();
    let calls = Caller::new("another").calls(to);
    let second = asks(&mut listener).await.accept().await.unwrap();
    calls.await.unwrap().unwrap();
    let numbers = stream::numbers(&read_all(&mut publisher).await);
    assert_eq!(numbers, (0..500 * stream::IN_A_MESSAGE).collect::<Vec<_>>());
    sends.await.unwrap();
    assert_eq!(pid(&listener).await, before);
    drop(second);
}
