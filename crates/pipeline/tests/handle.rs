//! The handle over a plain socket: what a peer that stalls or lies does to it.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use media::{Kind, MediaTime, Packet, TrackId, Unit};
use sluicegate_pipeline::{
    Audio, Command, Exit, Handle, Incoming, Plan, Receiver, Sender, Start, ladder, wire,
};

fn connect() -> (Sender, Receiver, UnixStream) {
    let video = ladder::preset(ladder::DEFAULT_PRESET).unwrap();
    let start = Start { plan: Plan { video, audio: Audio::STEREO_96K, encoders: vec![] }, output_from: None };
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (sender, receiver) = Handle::over(ours, start).unwrap();
    (sender, receiver, theirs)
}

fn packet(number: i64) -> Command {
    let pts = MediaTime::from_millis(number);
    let data = Bytes::from(vec![number as u8; 50_000]);
    let packet = Packet { track: TrackId(0), kind: Kind::Video, pts, dts: pts, keyframe: false, data };
    Command::Unit(Unit::Packet(packet))
}

#[tokio::test]
async fn a_cancelled_send_tears_no_frame() {
    let (mut sender, _receiver, mut worker) = connect();
    let mut sent = 0;
    // Fills the socket until a send has to wait, and gives that one up in the middle of its frame.
    while tokio::time::timeout(Duration::from_millis(50), sender.send(packet(sent))).await.is_ok() {
        sent += 1;
    }
    let reader = std::thread::spawn(move || {
        let (mut received, mut chunk, mut commands) = (BytesMut::new(), vec![0; 65_536], Vec::new());
        loop {
            match worker.read(&mut chunk).unwrap() {
                0 => return (commands, received.len()),
                read => received.extend_from_slice(&chunk[..read]),
            }
            while let Some(command) = wire::next::<Command>(&mut received).unwrap() {
                commands.push(command);
            }
        }
    });
    sender.send(Command::EndOfStream).await.unwrap();
    drop(sender);
    let (commands, left) = reader.join().unwrap();
    assert_eq!(left, 0, "no half frame at the end");
    assert!(matches!(commands[0], Command::Start(_)));
    assert_eq!(commands.last(), Some(&Command::EndOfStream));
    let packets: Vec<Command> = commands[1..commands.len() - 1].to_vec();
    assert!(packets.len() as i64 >= sent);
    assert_eq!(packets, (0..packets.len() as i64).map(packet).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_worker_that_speaks_nonsense_is_broken_and_stays_so() {
    let (_sender, mut receiver, mut worker) = connect();
    worker.write_all(&[0, 0, 0, 1, 99]).unwrap();
    for _ in 0..2 {
        let incoming = receiver.recv().await;
        assert!(matches!(&incoming, Incoming::Exit(Exit::Broken(why)) if why.contains("99")), "{incoming:?}");
    }
}

#[tokio::test]
async fn a_closed_socket_is_an_exit_and_sending_to_it_an_error() {
    let (mut sender, mut receiver, worker) = connect();
    drop(worker);
    assert_eq!(receiver.recv().await, Incoming::Exit(Exit::Closed));
    assert!(sender.send(Command::EndOfStream).await.is_err());
}

#[tokio::test]
async fn a_packet_past_the_limit_is_refused_and_the_next_one_passes() {
    let (mut sender, _receiver, mut worker) = connect();
    let Command::Unit(Unit::Packet(mut huge)) = packet(0) else { unreachable!("a packet") };
    huge.data = Bytes::from(vec![0; wire::MAX_FRAME]);
    let error = sender.send(Command::Unit(Unit::Packet(huge))).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    sender.send(Command::EndOfStream).await.unwrap();
    drop(sender);
    let mut bytes = Vec::new();
    worker.read_to_end(&mut bytes).unwrap();
    let mut received = BytesMut::from(&bytes[..]);
    assert!(matches!(wire::next(&mut received).unwrap(), Some(Command::Start(_))));
    assert_eq!(wire::next(&mut received).unwrap(), Some(Command::EndOfStream));
}
