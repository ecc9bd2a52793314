//! Connections over loopback, `rml_rtmp` as the encoder.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::{future::Future, io::ErrorKind, time::Duration};

use media::Unit;
use sluicegate_intake::rtmp::{Error, Event, Limits, Listener, Publisher, Why, WrongKeyLimits};
use support::{AVC_HEADER, Encoder, PICTURE};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// No test takes so long unless it hangs.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.expect("it ends")
}

fn listen(limits: Limits) -> Listener {
    Listener::bind("127.0.0.1:0".parse().unwrap(), limits).unwrap()
}

/// A listener, an encoder that publishes to it, and the publisher.
async fn publishing() -> (Listener, Encoder, Publisher) {
    let mut listener = listen(Limits::default());
    let mut encoder = Encoder::publish(listener.local_addr(), "key12345").await;
    let publisher = soon(listener.accept()).await.unwrap().accept().await.unwrap();
    soon(encoder.until_accepted()).await;
    (listener, encoder, publisher)
}

#[tokio::test]
async fn a_request_tells_who_wants_to_publish() {
    let mut listener = listen(Limits::default());
    let encoder = Encoder::publish(listener.local_addr(), "key12345?token=x").await;
    let request = soon(listener.accept()).await.unwrap();
    assert_eq!((request.key.reveal(), request.app.as_str()), ("key12345", "live"));
    assert_eq!(request.peer, encoder.stream.local_addr().unwrap());
    assert_eq!(request.encoder, "WIN 23,0,0,207");
    assert!(!format!("{request:?}").contains("12345"), "no key in a log");
}

#[tokio::test]
async fn media_flows_until_the_encoder_ends_it() {
    let (listener, mut encoder, mut publisher) = publishing().await;
    encoder.video(0, &AVC_HEADER).await;
    encoder.video(40, &PICTURE).await;
    assert!(matches!(soon(publisher.recv()).await, Some(Event::Unit(Unit::Format(..)))));
    let Some(Event::Unit(Unit::Packet(packet))) = soon(publisher.recv()).await else { panic!("a picture") };
    assert_eq!((packet.dts.millis(), packet.keyframe), (40, true));
    encoder.stop().await;
    assert_eq!(soon(publisher.recv()).await, Some(Event::Ended(Why::Unpublished)));
    assert_eq!(soon(publisher.recv()).await, None);
    soon(listener.shutdown()).await;
}

#[tokio::test]
async fn a_rejected_encoder_reads_the_reason() {
    let mut listener = listen(Limits::default());
    let mut encoder = Encoder::publish(listener.local_addr(), "key12345").await;
    soon(listener.accept()).await.unwrap().reject("this ingress is disabled").await;
    let heard = soon(encoder.until_closed()).await;
    assert!(
        heard.contains("NetStream.Publish.BadName") && heard.contains("this ingress is disabled"),
        "{heard}"
    );
}

#[tokio::test]
async fn dropping_a_request_rejects_it() {
    let mut listener = listen(Limits::default());
    let mut encoder = Encoder::publish(listener.local_addr(), "key12345").await;
    drop(soon(listener.accept()).await);
    assert!(soon(encoder.until_closed()).await.contains("the server takes no streams now"));
}

#[tokio::test]
async fn a_decision_that_does_not_come_is_a_busy_server() {
    let mut listener = listen(Limits { decision: Duration::from_millis(20), ..Limits::default() });
    let mut encoder = Encoder::publish(listener.local_addr(), "key12345").await;
    let request = soon(listener.accept()).await.unwrap();
    assert!(soon(encoder.until_closed()).await.contains("the server is busy"));
    let peer = encoder.stream.local_addr().unwrap();
    assert_eq!(request.accept().await.unwrap_err(), Error::Gone { peer });
}

#[tokio::test]
async fn an_encoder_that_vanishes_is_a_disconnect() {
    let (_listener, encoder, mut publisher) = publishing().await;
    drop(encoder);
    let why = soon(publisher.recv()).await;
    // Unread bytes in the encoder's socket make its close a reset.
    let expected =
        [Why::Disconnected, Why::Broken(ErrorKind::ConnectionReset)].map(|why| Some(Event::Ended(why)));
    assert!(expected.contains(&why), "{why:?}");
}

#[tokio::test]
async fn a_closer_ends_the_publisher_with_a_reason_for_both_sides() {
    let (_listener, mut encoder, mut publisher) = publishing().await;
    publisher.closer().close("another encoder has taken over");
    assert_eq!(
        soon(publisher.recv()).await,
        Some(Event::Ended(Why::Closed("another encoder has taken over".into())))
    );
    assert!(soon(encoder.until_closed()).await.contains("another encoder has taken over"));
}

#[tokio::test]
async fn an_unsupported_codec_ends_with_its_name_on_both_sides() {
    let (_listener, mut encoder, mut publisher) = publishing().await;
    encoder.video(0, b"\x90hvc1\x01").await;
    match soon(publisher.recv()).await {
        Some(Event::Ended(why @ Why::Protocol(rtmp::Error::Unsupported { .. }))) => {
            assert!(why.to_string().contains("hvc1"), "{why}");
        }
        other => panic!("{other:?}"),
    }
    assert!(soon(encoder.until_closed()).await.contains("hvc1 is not supported"));
}

#[tokio::test]
async fn probes_are_closed_and_never_asked_about() {
    let mut listener = listen(Limits::default());
    let addr = listener.local_addr();
    for _ in 0..20 {
        drop(TcpStream::connect(addr).await.unwrap());
        let mut http = TcpStream::connect(addr).await.unwrap();
        http.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        soon(http.read_to_end(&mut answer)).await.unwrap();
        assert_eq!(answer, b"");
    }
    let _encoder = Encoder::publish(addr, "real").await;
    assert_eq!(soon(listener.accept()).await.unwrap().key.reveal(), "real");
}

#[tokio::test]
async fn idle_connections_make_room_for_a_real_encoder() {
    let mut listener = listen(Limits { waiting: 4, ..Limits::default() });
    let addr = listener.local_addr();
    let mut idle = Vec::new();
    for _ in 0..50 {
        idle.push(TcpStream::connect(addr).await.unwrap());
    }
    let mut encoder = Encoder::publish(addr, "real").await;
    let publisher = soon(listener.accept()).await.unwrap().accept().await.unwrap();
    soon(encoder.until_accepted()).await;
    // All but the newest have been sent away.
    for stream in &mut idle[..46] {
        assert_eq!(soon(stream.read(&mut [0; 1])).await.unwrap_or(0), 0);
    }
    drop(publisher);
}

#[tokio::test]
async fn an_encoder_gets_in_during_a_flood_of_slow_handshakes() {
    let mut listener = listen(Limits { waiting: 128, ..Limits::default() });
    let addr = listener.local_addr();
    let flood = tokio::spawn(async move {
        let mut idle = Vec::new();
        loop {
            let mut stream = TcpStream::connect(addr).await.unwrap();
            stream.write_all(&[3]).await.unwrap();
            idle.push(stream);
            idle.drain(..idle.len().saturating_sub(300));
        }
    });
    for _ in 0..10 {
        let mut encoder = Encoder::publish(addr, "real").await;
        let _publisher = soon(listener.accept()).await.unwrap().accept().await.unwrap();
        soon(encoder.until_accepted()).await;
    }
    flood.abort();
    assert!(flood.await.unwrap_err().is_cancelled(), "the flood went on all the time");
}

#[tokio::test]
async fn guessed_keys_are_refused_without_asking_and_a_known_key_is_not() {
    let wrong_keys =
        WrongKeyLimits { burst: 3, every: Duration::from_secs(3600), ..WrongKeyLimits::default() };
    let mut listener = listen(Limits { wrong_keys, ..Limits::default() });
    let addr = listener.local_addr();
    let mut known = Encoder::publish(addr, "known").await;
    drop(soon(listener.accept()).await.unwrap().accept().await.unwrap());
    soon(known.until_closed()).await;

    for n in 0..3 {
        let mut encoder = Encoder::publish(addr, &format!("guess{n}")).await;
        soon(listener.accept()).await.unwrap().wrong_key().await;
        assert!(soon(encoder.until_closed()).await.contains("unknown stream key"));
    }
    let mut refused = Encoder::publish(addr, "guess3").await;
    assert!(soon(refused.until_closed()).await.contains("too many wrong stream keys"));
    let _known = Encoder::publish(addr, "known").await;
    assert_eq!(soon(listener.accept()).await.unwrap().key.reveal(), "known", "guess3 was not asked about");
}

#[tokio::test]
async fn an_encoder_is_held_back_while_its_publisher_is_not_read() {
    let (_listener, mut encoder, mut publisher) = publishing().await;
    encoder.video(0, &AVC_HEADER).await;
    let picture = [&[0x17, 1, 0, 0, 0, 0, 0x01, 0x86, 0xa0, 0x65][..], &vec![7; 99_999]].concat();
    let mut sent = 0_u32;
    // The socket's buffers, then the publisher's bound: far less than 100 MB.
    let stuck = loop {
        assert!(sent < 1000, "nothing holds the encoder back");
        let bytes = encoder.video_bytes(sent, &picture);
        let mut written = 0;
        let writing = async {
            while written < bytes.len() {
                written += encoder.stream.write(&bytes[written..]).await.unwrap();
            }
        };
        if timeout(Duration::from_millis(300), writing).await.is_err() {
            break bytes[written..].to_vec();
        }
        sent += 1;
    };
    assert!(matches!(soon(publisher.recv()).await, Some(Event::Unit(Unit::Format(..)))));
    let reading = async {
        for expected in 0..=sent {
            let Some(Event::Unit(Unit::Packet(packet))) = publisher.recv().await else { panic!("a picture") };
            assert_eq!((packet.dts.millis(), packet.data.len()), (i64::from(expected), 100_004));
        }
    };
    let (written, ()) = soon(async { tokio::join!(encoder.stream.write_all(&stuck), reading) }).await;
    written.unwrap();
}

#[tokio::test]
async fn stopping_refuses_new_encoders_and_leaves_publishers_alone() {
    let (mut listener, mut encoder, mut publisher) = publishing().await;
    let addr = listener.local_addr();
    listener.stop();
    assert!(soon(listener.accept()).await.is_none());
    // The socket is closed by the listener's task, a moment later.
    soon(async { while TcpStream::connect(addr).await.is_ok() {} }).await;
    encoder.video(0, &AVC_HEADER).await;
    assert!(matches!(soon(publisher.recv()).await, Some(Event::Unit(_))));
    drop((encoder, publisher));
    soon(listener.shutdown()).await;
}

#[tokio::test]
async fn shutting_down_tells_publishers_and_joins_all_tasks() {
    let (listener, mut encoder, mut publisher) = publishing().await;
    let idle = TcpStream::connect(listener.local_addr()).await.unwrap();
    let (heard, ()) = soon(async { tokio::join!(encoder.until_closed(), listener.shutdown()) }).await;
    assert!(heard.contains("the server is shutting down"), "{heard}");
    assert_eq!(
        soon(publisher.recv()).await,
        Some(Event::Ended(Why::Closed("the server is shutting down".into())))
    );
    drop(idle);
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    assert_eq!(tasks, 0, "tasks left behind");
}

#[tokio::test]
async fn many_short_connections_leave_no_task_behind() {
    let mut listener = listen(Limits::default());
    for n in 0..200 {
        let encoder = Encoder::publish(listener.local_addr(), "key12345").await;
        let request = soon(listener.accept()).await.unwrap();
        if n % 2 == 0 {
            drop(encoder);
            // Gone already, or a publisher that ends at once.
            if let Ok(mut publisher) = request.accept().await {
                while soon(publisher.recv()).await.is_some() {}
            }
        } else {
            let publisher = request.accept().await.unwrap();
            drop((encoder, publisher));
        }
    }
    let metrics = tokio::runtime::Handle::current().metrics();
    // The listener's own task stays.
    soon(async {
        while metrics.num_alive_tasks() > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    soon(listener.shutdown()).await;
}
