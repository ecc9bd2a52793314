//! WHIP over loopback: a raw HTTP client, and a sending room with real sockets as the publisher.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    missing_docs,
    reason = "tests; modules of a test have no outside"
)]

mod client;
mod endpoint;
mod faults;
mod paths;
mod publisher;
mod relay;
mod ways;

use std::{future::Future, net::IpAddr, time::Duration};

use client::Answer;
use publisher::Encoder;
use sluicegate_intake::whip::{
    Address, Call, Event, Limits, Listener, Media, Mode, Options, Publisher, Request,
};
use tokio::time::timeout;

/// No test takes so long unless it hangs.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.expect("it ends")
}

pub fn options(ip: &str) -> Options {
    let ip: IpAddr = ip.parse().unwrap();
    let media = Media { addresses: vec![Address { bind: ip, advertise: ip }], ..Media::default() };
    Options { http: Some((ip, 0).into()), media, ..Options::default() }
}

pub async fn listen(options: Options) -> Listener {
    Listener::bind(options).await.unwrap()
}

pub async fn listen_with(limits: Limits) -> Listener {
    listen(Options { limits, ..options("127.0.0.1") }).await
}

pub async fn request(listener: &mut Listener) -> Request {
    match soon(listener.accept()).await {
        Some(Call::Publish(request)) => request,
        other => panic!("a request to publish, not {other:?}"),
    }
}

pub const RESOURCE: &str = "WH_abcdefghijkl";
pub const KEY: &str = "key-1234567890";

/// Posts the encoder's offer and accepts it.
pub async fn accept(listener: &mut Listener, encoder: &mut Encoder, mode: Mode) -> (Publisher, Answer) {
    let addr = listener.http_addr().unwrap();
    let offer = encoder.offer();
    let headers = format!("Authorization: Bearer {KEY}\r\nContent-Type: application/sdp\r\n");
    let posted = client::send(addr, "POST", "/w", &headers, offer.as_bytes());
    let accepted = async { request(listener).await.accept(RESOURCE.to_owned(), mode).await.unwrap() };
    let (answer, publisher) = soon(async { tokio::join!(posted, accepted) }).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    encoder.answer(&answer.body);
    (publisher, answer)
}

/// A publisher from which packets come.
pub async fn publishing(listener: &mut Listener, mode: Mode) -> (Publisher, Answer, publisher::Running) {
    let mut encoder = Encoder::udp(listener.http_addr().unwrap().ip(), 3).await;
    let (mut publisher, answer) = accept(listener, &mut encoder, mode).await;
    let running = encoder.run();
    soon(until_connected(&mut publisher)).await;
    (publisher, answer, running)
}

pub async fn until_connected(publisher: &mut Publisher) {
    assert_eq!(soon(publisher.recv()).await, Some(Event::Connected));
}

/// The last event.
pub async fn end_of(publisher: &mut Publisher) -> sluicegate_intake::whip::Why {
    loop {
        match soon(publisher.recv()).await {
            Some(Event::Ended(why)) => return why,
            Some(_) => {}
            None => panic!("the end has a reason"),
        }
    }
}

/// So many packets or frames.
pub async fn media(publisher: &mut Publisher, mut count: usize) {
    while count > 0 {
        match soon(publisher.recv()).await {
            Some(Event::Packet(..) | Event::Frame(..)) => count -= 1,
            Some(Event::Ended(why)) => panic!("ended: {why}"),
            Some(_) => {}
            None => panic!("it goes on"),
        }
    }
}
