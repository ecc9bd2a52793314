//! Bad input, and publishers that go.

use std::{net::SocketAddr, time::Duration};

use sluicegate_intake::whip::{Call, Closer, Event, Limits, Mode, Options, Why, WrongKeyLimits};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::Instant,
};

use crate::{
    KEY, RESOURCE, accept, client, end_of, listen, listen_with, media, options, publisher::Encoder,
    publishing, request, soon,
};

const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_wrong_key_is_limited_and_a_right_one_is_not() {
    let wrong_keys =
        WrongKeyLimits { burst: 3, every: Duration::from_secs(3600), ..WrongKeyLimits::default() };
    let mut listener = listen_with(Limits { wrong_keys, ..Limits::default() }).await;
    let addr = listener.http_addr().unwrap();
    let mut encoder = Encoder::udp(addr.ip(), 1).await;
    let (publisher, _) = accept(&mut listener, &mut encoder, Mode::Packets).await;
    drop(publisher);
    let offer = Encoder::udp(addr.ip(), 1).await.offer();
    let mut statuses = Vec::new();
    for n in 0..6 {
        let path = format!("/w/guess{n}");
        let posted = client::send(addr, "POST", &path, "", offer.as_bytes());
        let refused = async {
            if n < 3 {
                request(&mut listener).await.wrong_key().await;
            }
        };
        statuses.push(soon(async { tokio::join!(posted, refused) }).await.0.status);
    }
    assert_eq!(statuses, [404, 404, 404, 429, 429, 429]);
    let limited = client::send(addr, "DELETE", "/w/WH_guess", "", b"").await;
    assert_eq!((limited.status, limited.header("retry-after")), (429, "60"));
    let mut encoder = Encoder::udp(addr.ip(), 1).await;
    accept(&mut listener, &mut encoder, Mode::Packets).await;
}

#[tokio::test]
async fn behind_a_proxy_nearby_each_publisher_is_limited_for_itself() {
    let wrong_keys =
        WrongKeyLimits { burst: 1, every: Duration::from_secs(3600), ..WrongKeyLimits::default() };
    let mut listener = listen_with(Limits { wrong_keys, ..Limits::default() }).await;
    let addr = listener.http_addr().unwrap();
    let offer = Encoder::udp(addr.ip(), 1).await.offer();
    let cases =
        [("203.0.113.1", 404), ("203.0.113.1", 429), ("203.0.113.1, 203.0.113.2", 404), ("nonsense", 404)];
    for (n, (forwarded, status)) in cases.into_iter().enumerate() {
        let (path, headers) = (format!("/w/guess{n}"), format!("X-Forwarded-For: {forwarded}\r\n"));
        let posted = client::send(addr, "POST", &path, &headers, offer.as_bytes());
        let refused = async {
            if status == 404 {
                request(&mut listener).await.wrong_key().await;
            }
        };
        assert_eq!(soon(async { tokio::join!(posted, refused) }).await.0.status, status, "{forwarded}");
    }
}

#[tokio::test]
async fn a_large_body_is_refused_however_it_comes() {
    let listener = listen(options("127.0.0.1")).await;
    let addr = listener.http_addr().unwrap();
    let large = vec![b'a'; 1 << 20];
    let began = Instant::now();
    let answer = soon(client::send(addr, "POST", &format!("/w/{KEY}"), "", &large)).await;
    assert_eq!(answer.status, 413);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());

    let mut stream = TcpStream::connect(addr).await.unwrap();
    let head = format!(
        "POST /w/{KEY} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..1024 {
        stream.write_all(&[b"400\r\n", &[b'a'; 1024][..], b"\r\n"].concat()).await.unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(client::Answer::read(&answer).status, 413);

    let asked = soon(client::send(addr, "POST", &format!("/w/{KEY}"), "Expect: 100-continue\r\n", b"")).await;
    assert_ne!(asked.status, 413);
    let many = "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n".repeat(7000);
    let answer =
        soon(client::send(addr, "POST", &format!("/w/{KEY}"), "", format!("v=0\r\n{many}").as_bytes())).await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn connections_that_say_nothing_or_half_of_it_are_closed() {
    let listener = listen_with(Limits { read: SHORT, ..Limits::default() }).await;
    let addr = listener.http_addr().unwrap();
    let beginnings = ["", "POST /w HT", "POST /w/k HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nv=0"];
    for beginning in beginnings {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(beginning.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        soon(stream.read_to_end(&mut answer)).await.unwrap();
        let text = String::from_utf8(answer).unwrap();
        assert!(text.is_empty() || text.contains(" 408 "), "{beginning:?}: {text}");
    }
}

#[tokio::test]
async fn past_the_most_connections_the_one_without_a_request_makes_room() {
    let listener = listen_with(Limits { connections: 10, ..Limits::default() }).await;
    let addr = listener.http_addr().unwrap();
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(TcpStream::connect(addr).await.unwrap());
    }
    let answer = soon(client::send(addr, "OPTIONS", "/w", "", b"")).await;
    assert_eq!(answer.status, 204);
    let mut rest = Vec::new();
    // Closed or reset, both mean that it is gone.
    let _ = soon(idle[0].read_to_end(&mut rest)).await;
    assert!(rest.is_empty());
}

#[tokio::test]
async fn who_never_connects_is_given_up() {
    let mut listener = listen_with(Limits { connect: SHORT, ..Limits::default() }).await;
    let mut encoder = Encoder::udp("127.0.0.1".parse().unwrap(), 1).await;
    let (mut publisher, _) = accept(&mut listener, &mut encoder, Mode::Packets).await;
    assert_eq!(end_of(&mut publisher).await, Why::NotConnected);
    assert!(!listener.resources().delete(RESOURCE).await);
}

#[tokio::test]
async fn who_vanishes_is_noticed_by_its_silence() {
    let mut listener = listen_with(Limits { silence: SHORT, ..Limits::default() }).await;
    let (mut publisher, _, running) = publishing(&mut listener, Mode::Packets).await;
    media(&mut publisher, 100).await;
    drop(running);
    assert_eq!(end_of(&mut publisher).await, Why::Vanished);
}

#[tokio::test]
async fn who_says_goodbye_is_gone_at_once() {
    let mut listener = listen(options("127.0.0.1")).await;
    let (mut publisher, _, running) = publishing(&mut listener, Mode::Packets).await;
    // Media means that both sides have done the handshake; a goodbye before that is not one.
    media(&mut publisher, 20).await;
    let began = Instant::now();
    running.close().await;
    assert_eq!(end_of(&mut publisher).await, Why::Vanished);
    assert!(began.elapsed() < Duration::from_secs(3), "not by its silence: {:?}", began.elapsed());
}

#[tokio::test]
async fn the_server_may_end_a_publisher_or_all() {
    let mut listener = listen(options("127.0.0.1")).await;
    let (mut publisher, _, _running) = publishing(&mut listener, Mode::Packets).await;
    let closer: Closer = publisher.closer();
    closer.close("the room was deleted");
    closer.close("later");
    assert_eq!(end_of(&mut publisher).await, Why::Closed("the room was deleted".to_owned()));
    let (mut publisher, _, _second) = publishing(&mut listener, Mode::Packets).await;
    soon(listener.shutdown()).await;
    assert_eq!(end_of(&mut publisher).await, Why::Closed("the server is shutting down".to_owned()));
}

#[tokio::test]
async fn who_left_before_the_answer_is_not_accepted() {
    let mut listener = listen(options("127.0.0.1")).await;
    let addr = listener.http_addr().unwrap();
    let offer = Encoder::udp(addr.ip(), 1).await.offer();
    let posted =
        tokio::spawn(async move { client::send(addr, "POST", "/w/thekey", "", offer.as_bytes()).await });
    let request = request(&mut listener).await;
    posted.abort();
    assert!(posted.await.is_err());
    // The server has to see the end of the connection first.
    while !request.is_gone() {
        tokio::task::yield_now().await;
    }
    assert!(request.accept(RESOURCE.to_owned(), Mode::Packets).await.is_err());
    assert!(!listener.resources().delete(RESOURCE).await);
}

/// A connectivity check without a signature.
fn check(username: &str) -> Vec<u8> {
    let padded = username.len().next_multiple_of(4);
    let mut message = vec![0, 1];
    message.extend((4 + padded as u16).to_be_bytes());
    message.extend([0x21, 0x12, 0xa4, 0x42]);
    message.extend([7; 12]);
    message.extend([0, 6]);
    message.extend((username.len() as u16).to_be_bytes());
    message.extend(username.as_bytes());
    message.resize(20 + 4 + padded, 0);
    message
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_junk_disturbs_nobody_and_leaves_nothing() {
    let mut listener = listen(options("127.0.0.1")).await;
    let (mut publisher, answer, running) = publishing(&mut listener, Mode::Packets).await;
    media(&mut publisher, 100).await;
    let to: SocketAddr = listener.udp_addrs()[0];
    let ours = answer.header("etag").trim_matches('"').to_owned();
    let flood = tokio::spawn(async move {
        let kinds =
            [vec![0x80; 1200], vec![0x16; 200], check("nobody:x"), check(&format!("{ours}:x")), vec![0]];
        let mut sockets = Vec::new();
        for _ in 0..50 {
            sockets.push(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        }
        for n in 0..10_000 {
            sockets[n % 50].send_to(&kinds[n % 5], to).await.unwrap();
        }
    });
    let mut last = std::collections::HashMap::new();
    let (mut packets, mut missing) = (0, 0);
    while packets < 1000 || !flood.is_finished() {
        match soon(publisher.recv()).await {
            Some(Event::Packet(track, packet)) => {
                packets += 1;
                let before =
                    last.insert((track, packet.stream), packet.sequence).unwrap_or(packet.sequence - 1);
                missing += packet.sequence.saturating_sub(before + 1);
            }
            Some(Event::Ended(why)) => panic!("{why}"),
            _ => {}
        }
    }
    assert!(missing * 100 <= packets, "{missing} of {packets} packets were lost");
    assert!(listener.unknown_datagrams() >= 5000, "{}", listener.unknown_datagrams());
    assert_eq!(listener.known_addresses(), 1, "{}", running.local);
}

#[tokio::test]
async fn junk_from_a_publishers_own_address_does_not_end_it() {
    let mut listener = listen(options("127.0.0.1")).await;
    let (mut publisher, _, running) = publishing(&mut listener, Mode::Packets).await;
    media(&mut publisher, 100).await;
    let to = listener.udp_addrs()[0];
    let hello =
        [&[0x16, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 60, 1, 0, 0, 48, 0, 0][..], &[7; 60]].concat();
    for first in 0..=255_u8 {
        running.junk(to, vec![first; 1 + usize::from(first) * 5]).await;
        running.junk(to, [&[first, 0xfe, 0xfd][..], &[first; 80]].concat()).await;
        running.junk(to, hello.clone()).await;
    }
    running.junk(to, check("nobody:x")).await;
    running.junk(to, Vec::new()).await;
    media(&mut publisher, 1000).await;
}

/// Offers with lines left out, doubled, swapped and cut, from a seed.
fn mutate(offer: &str, seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    let mut lines: Vec<String> = offer.lines().map(str::to_owned).collect();
    for _ in 0..=random(4) {
        let (here, there) = (random(lines.len()), random(lines.len()));
        match random(5) {
            0 => drop(lines.remove(here)),
            1 => lines.insert(there, lines[here].clone()),
            2 => lines.swap(here, there),
            3 => {
                let at = random(lines[here].len());
                lines[here].truncate(at);
            }
            _ => lines[here] = lines[here].replace(['1', ' ', ':'], ["9", "", "999999999999"][random(3)]),
        }
    }
    lines.into_iter().map(|line| line + "\r\n").collect()
}

#[tokio::test]
async fn whatever_is_offered_is_answered_or_refused() {
    let mut listener = listen(options("127.0.0.1")).await;
    let addr = listener.http_addr().unwrap();
    let offer = Encoder::udp(addr.ip(), 3).await.offer();
    let accepting = tokio::spawn(async move {
        while let Some(Call::Publish(request)) = listener.accept().await {
            // Publishers are dropped at once: what matters is the answer.
            let _ = request.accept(RESOURCE.to_owned(), Mode::Packets).await;
        }
    });
    let mut statuses = std::collections::BTreeMap::<u16, usize>::new();
    for seed in 0..300 {
        let offer = mutate(&offer, seed);
        let answer = soon(client::send(addr, "POST", "/w/thekey", "", offer.as_bytes())).await;
        assert!(matches!(answer.status, 201 | 400 | 406), "{answer:?} to {offer}");
        *statuses.entry(answer.status).or_default() += 1;
    }
    assert!(statuses[&201] > 20 && statuses[&400] > 20, "{statuses:?}");
    accepting.abort();
}

#[tokio::test]
async fn tcp_connections_for_nobody_are_closed() {
    let plain = options("127.0.0.1");
    let media = sluicegate_intake::whip::Media { tcp_port: Some(0), ..plain.media.clone() };
    let listener = listen(Options { media, ..plain }).await;
    let check = check("nobody:x");
    let framed = [&(check.len() as u16).to_be_bytes()[..], &check].concat();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &framed] {
        let mut stream = TcpStream::connect(listener.tcp_addrs()[0]).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut rest = Vec::new();
        // Closed or reset, both mean that it is gone.
        let _ = soon(stream.read_to_end(&mut rest)).await;
        assert!(rest.is_empty());
    }
    soon(listener.shutdown()).await;
}
