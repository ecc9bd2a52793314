//! What is sent arrives, by whatever way.

use std::collections::BTreeSet;

use media::Quality;
use sluicegate_intake::whip::{Address, Event, Listener, Media, Mode, Options, Track, Udp, Why};

use crate::{
    KEY, RESOURCE, accept, client, end_of, listen, media, options, publisher::Encoder, publishing, soon,
    until_connected,
};

#[tokio::test]
async fn packets_of_every_layer_arrive_until_the_publisher_deletes_its_resource() {
    let mut listener = listen(options("127.0.0.1")).await;
    let (mut publisher, answer, running) = publishing(&mut listener, Mode::Packets).await;
    let mut tracks = BTreeSet::new();
    while tracks.len() < 4 {
        if let Some(Event::Packet(track, packet)) = soon(publisher.recv()).await {
            assert!(!packet.payload.is_empty());
            tracks.insert(track);
        }
    }
    assert_eq!(tracks, [Track::Audio, Track::Video(0), Track::Video(1), Track::Video(2)].into());
    let addr = listener.http_addr().unwrap();
    let deleted = client::send(addr, "DELETE", answer.header("location"), "", b"").await;
    assert_eq!((deleted.status, deleted.body.as_str()), (200, ""));
    assert_eq!(end_of(&mut publisher).await, Why::Deleted);
    assert_eq!(publisher.recv().await, None);
    let again = client::send(addr, "DELETE", answer.header("location"), "", b"").await;
    assert_eq!(again.status, 404, "known to have been here: nobody else is asked");
    drop(running);
    soon(listener.shutdown()).await;
}

#[tokio::test]
async fn whole_frames_arrive_where_a_worker_wants_them() {
    let mut listener = listen(options("127.0.0.1")).await;
    let (mut publisher, _, _running) = publishing(&mut listener, Mode::Frames).await;
    let mut tracks = BTreeSet::new();
    while tracks.len() < 4 {
        if let Some(Event::Frame(track, frame)) = soon(publisher.recv()).await {
            assert!(track == Track::Audio || frame.data.len() > 3000);
            tracks.insert(track);
        }
    }
}

#[tokio::test]
async fn a_keyframe_is_asked_of_the_publisher() {
    let mut listener = listen(options("127.0.0.1")).await;
    let (mut publisher, _, mut running) = publishing(&mut listener, Mode::Packets).await;
    media(&mut publisher, 200).await;
    while running.wanted.try_recv().is_ok() {}
    publisher.control().keyframe(1);
    assert_eq!(soon(running.wanted.recv()).await, Some(Quality::Medium));
}

#[tokio::test]
async fn ipv6_works_as_well() {
    let mut listener = listen(options("::1")).await;
    let (mut publisher, answer, _running) = publishing(&mut listener, Mode::Packets).await;
    assert!(answer.body.contains(" ::1 "), "{}", answer.body);
    media(&mut publisher, 50).await;
}

#[tokio::test]
async fn ice_lite_works_as_well() {
    let plain = options("127.0.0.1");
    let mut listener =
        listen(Options { media: Media { ice_lite: true, ..plain.media.clone() }, ..plain }).await;
    let (mut publisher, answer, _running) = publishing(&mut listener, Mode::Packets).await;
    assert!(answer.body.contains("a=ice-lite"), "{}", answer.body);
    media(&mut publisher, 50).await;
}

#[tokio::test]
async fn several_addresses_are_offered_in_their_order_and_two_names_share_a_socket() {
    let address = |bind: &str, advertise: &str| Address {
        bind: bind.parse().unwrap(),
        advertise: advertise.parse().unwrap(),
    };
    let plain = options("127.0.0.1");
    let addresses =
        vec![address("127.0.0.1", "203.0.113.7"), address("::1", "::1"), address("127.0.0.1", "127.0.0.1")];
    let media_options = Media { addresses, tcp_port: Some(0), ..plain.media.clone() };
    let mut listener = listen(Options { media: media_options, ..plain }).await;
    assert_eq!((listener.udp_addrs().len(), listener.tcp_addrs().len()), (2, 2));
    let (mut publisher, answer, _running) = publishing(&mut listener, Mode::Packets).await;
    let lines = answer.body.lines().filter_map(|line| line.strip_prefix("a=candidate:"));
    let mut offered: Vec<String> =
        lines.map(|line| line.split(' ').skip(2).step_by(2).take(2).collect::<Vec<_>>().join(" ")).collect();
    offered.dedup();
    let expected = ["udp 203.0.113.7", "udp ::1", "udp 127.0.0.1", "tcp 203.0.113.7", "tcp ::1"];
    assert_eq!(offered[..5], expected, "{}", answer.body);
    media(&mut publisher, 50).await;
}

#[tokio::test]
async fn tcp_works_where_udp_does_not() {
    let plain = options("127.0.0.1");
    let media_options = Media { tcp_port: Some(0), ..plain.media.clone() };
    let mut listener = listen(Options { media: media_options, ..plain }).await;
    let mut encoder = Encoder::tcp(listener.tcp_addrs()[0]).await;
    let (mut publisher, answer) = accept(&mut listener, &mut encoder, Mode::Packets).await;
    assert!(answer.body.contains("tcptype passive"), "{}", answer.body);
    let _running = encoder.run();
    until_connected(&mut publisher).await;
    media(&mut publisher, 200).await;
}

#[tokio::test]
async fn each_publisher_may_have_a_port_of_its_own() {
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let plain = options("127.0.0.1");
    let media_options = Media { udp: Udp::PerSession(free..=free), ..plain.media.clone() };
    let mut listener = listen(Options { media: media_options, ..plain }).await;
    assert!(listener.udp_addrs().is_empty());
    let (mut publisher, answer, _running) = publishing(&mut listener, Mode::Packets).await;
    assert!(answer.body.contains(&format!(" 127.0.0.1 {free} typ host")), "{}", answer.body);
    media(&mut publisher, 50).await;
    let second = second_is_refused(&mut listener).await;
    assert_eq!(second.status, 503);
    drop(publisher);
    // The port is free again once the publisher's tasks are gone.
    soon(async {
        while std::net::UdpSocket::bind(("127.0.0.1", free)).is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn second_is_refused(listener: &mut Listener) -> client::Answer {
    let addr = listener.http_addr().unwrap();
    let offer = Encoder::udp(addr.ip(), 1).await.offer();
    let headers = format!("Authorization: {KEY}\r\n");
    let posted = client::send(addr, "POST", "/w", &headers, offer.as_bytes());
    let refused = async {
        let error =
            crate::request(listener).await.accept(RESOURCE.to_owned(), Mode::Packets).await.unwrap_err();
        assert!(error.to_string().contains("no free UDP port"), "{error}");
    };
    soon(async { tokio::join!(posted, refused) }).await.0
}
