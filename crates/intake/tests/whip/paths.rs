//! PATCH: trickle ICE and ICE restarts.

use sluicegate_intake::whip::{Event, Listener, Mode};

use crate::{
    accept,
    client::{self, Answer},
    listen, media, options,
    publisher::Encoder,
    publishing, soon, until_connected,
};

const FRAGMENT: &str = "Content-Type: application/trickle-ice-sdpfrag\r\n";

async fn patch(listener: &Listener, first: &Answer, if_match: Option<&str>, fragment: &str) -> Answer {
    let if_match = if_match.map(|tag| format!("If-Match: {tag}\r\n")).unwrap_or_default();
    let headers = format!("{FRAGMENT}{if_match}");
    let addr = listener.http_addr().unwrap();
    soon(client::send(addr, "PATCH", first.header("location"), &headers, fragment.as_bytes())).await
}

fn line(text: &str, name: &str) -> String {
    text.lines().find(|line| line.starts_with(name)).unwrap().to_owned()
}

#[tokio::test]
async fn candidates_are_taken_with_the_right_tag_or_without_one() {
    let mut listener = listen(options("127.0.0.1")).await;
    let mut encoder = Encoder::udp("127.0.0.1".parse().unwrap(), 1).await;
    let offer = encoder.offer();
    encoder = Encoder::udp("127.0.0.1".parse().unwrap(), 1).await;
    let (_publisher, first) = accept(&mut listener, &mut encoder, Mode::Packets).await;
    let _ = offer;
    let trickle = "a=end-of-candidates\r\n";
    let etag = first.header("etag").to_owned();
    for (tag, status) in [(Some(etag.as_str()), 204), (None, 204), (Some("*"), 204), (Some("\"other\""), 412)]
    {
        assert_eq!(patch(&listener, &first, tag, trickle).await.status, status, "{tag:?}");
    }
    assert_eq!(patch(&listener, &first, None, "hello").await.status, 400);
}

#[tokio::test]
async fn a_restart_needs_a_condition_and_gives_new_credentials_and_media_goes_on() {
    let mut listener = listen(options("127.0.0.1")).await;
    let (mut publisher, first, running) = publishing(&mut listener, Mode::Packets).await;
    media(&mut publisher, 100).await;
    let offer = running.restart().await;
    let (ufrag, pwd) = (line(&offer, "a=ice-ufrag"), line(&offer, "a=ice-pwd"));
    let fragment = format!("{ufrag}\r\n{pwd}\r\n");
    assert_eq!(patch(&listener, &first, None, &fragment).await.status, 428);
    assert_eq!(patch(&listener, &first, Some("\"other\""), &fragment).await.status, 412);
    assert_eq!(patch(&listener, &first, Some("*"), &format!("{ufrag}\r\n")).await.status, 400);
    let answer = patch(&listener, &first, Some("*"), &fragment).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/trickle-ice-sdpfrag"));
    assert_ne!(answer.header("etag"), first.header("etag"));
    assert_eq!(
        patch(&listener, &first, Some(first.header("etag")), &fragment).await.status,
        412,
        "stale by now"
    );
    let renewed = first.body.lines().map(|old| match old.split_once(':') {
        Some((name @ ("a=ice-ufrag" | "a=ice-pwd"), _)) => line(&answer.body, name) + "\r\n",
        _ => format!("{old}\r\n"),
    });
    running.answer(renewed.collect()).await;
    media(&mut publisher, 500).await;
}

#[tokio::test]
async fn a_publisher_without_candidates_is_found_by_its_checks() {
    let mut listener = listen(options("127.0.0.1")).await;
    let mut encoder = Encoder::udp("127.0.0.1".parse().unwrap(), 1).await;
    let offer: String = encoder
        .offer()
        .lines()
        .filter(|line| !line.starts_with("a=candidate"))
        .map(|line| format!("{line}\r\n"))
        .collect();
    let addr = listener.http_addr().unwrap();
    let posted = client::send(addr, "POST", "/w/thekey", "", offer.as_bytes());
    let accepted = async {
        crate::request(&mut listener).await.accept(crate::RESOURCE.to_owned(), Mode::Packets).await.unwrap()
    };
    let (answer, mut publisher) = soon(async { tokio::join!(posted, accepted) }).await;
    encoder.answer(&answer.body);
    let _running = encoder.run();
    until_connected(&mut publisher).await;
    assert!(matches!(soon(publisher.recv()).await, Some(Event::Packet(..))));
}
