//! livekit-server's WHIP endpoint, played by a server that answers what a test wants and keeps what it is asked.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test crate has no callers, and a test may unwrap")]

use std::{collections::HashMap, future::Future, time::Duration};

use sluicegate_livekit::whip::{Endpoint, Error, Patch};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

const TOKEN: &str = "header.claims.signature";
const OFFER: &str = "v=0\r\na=ice-pwd:ours\r\n";
const FRAGMENT: &str = "a=ice-ufrag:u\r\na=ice-pwd:p\r\nm=audio 9 x 111\r\na=mid:0\r\na=candidate:1 a\r\n";

#[derive(Debug)]
struct Asked {
    line: String,
    /// Names in lower case.
    headers: HashMap<String, String>,
    body: String,
}

struct Sfu {
    url: String,
    asked: mpsc::Receiver<Asked>,
}

impl Sfu {
    /// Answers each request with these bytes; without any, it never does.
    async fn new(answer: impl Into<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/lk", listener.local_addr().unwrap());
        let (sender, asked) = mpsc::channel(8);
        let answer = answer.into();
        tokio::spawn(async move {
            let mut silent = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let asked = read(&mut stream).await;
                sender.send(asked).await.unwrap();
                if answer.is_empty() {
                    silent.push(stream);
                } else {
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            }
        });
        Self { url, asked }
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::new(&self.url).unwrap()
    }

    async fn asked(&mut self) -> Asked {
        soon(self.asked.recv()).await.unwrap()
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.expect("it ends")
}

async fn read(stream: &mut TcpStream) -> Asked {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8(bytes.clone()).unwrap();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let mut lines = head.lines();
            let line = lines.next().unwrap().to_owned();
            let headers = lines.map(|line| line.split_once(": ").unwrap());
            let headers: HashMap<_, _> =
                headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
            let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                return Asked { line, headers, body: body.to_owned() };
            }
        }
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "a whole request");
    }
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn created(headers: &str, body: &str) -> String {
    answer("201 Created", headers, body)
}

async fn published(answer: String) -> Result<sluicegate_livekit::whip::Published, Error> {
    let sfu = Sfu::new(answer).await;
    soon(sfu.endpoint().publish(TOKEN, "", OFFER.to_owned())).await
}

#[tokio::test]
async fn an_offer_goes_out_as_an_ingress_has_to_and_the_answer_is_read() {
    let headers = "Location: /whip/v1/PA_1\r\nETag: theirs\r\nLink: <stun:a>; rel=\"ice-server\"\r\nLink: <turn:b>; rel=\"ice-server\"\r\n";
    let mut sfu = Sfu::new(created(headers, "v=0\r\n")).await;
    let published = soon(sfu.endpoint().publish(TOKEN, "OBS/31", OFFER.to_owned())).await.unwrap();
    assert_eq!(published.participant_sid, "PA_1");
    assert_eq!((published.answer.as_str(), published.ice_session.as_str()), ("v=0\r\n", "theirs"));
    assert_eq!(published.links, ["<stun:a>; rel=\"ice-server\"", "<turn:b>; rel=\"ice-server\""]);
    let asked = sfu.asked().await;
    assert_eq!(asked.line, "POST /lk/whip/v1 HTTP/1.1");
    assert_eq!(asked.headers["authorization"], format!("Bearer {TOKEN}"));
    assert_eq!(asked.headers["x-livekit-ingress"], "true");
    assert_eq!(asked.headers["content-type"], "application/sdp");
    assert_eq!(asked.headers["user-agent"], "OBS/31");
    assert_eq!(asked.body, OFFER);
}

#[tokio::test]
async fn a_refusal_is_told_in_its_words_bounded_and_printable() {
    let said = format!("{{\"error\": \"no\\u0007 room{}\"}}", "!".repeat(1000));
    let refused = published(answer("400 Bad Request", "", &said)).await.unwrap_err();
    let Error::Refused { status: 400, text } = &refused else { panic!("{refused}") };
    assert!(text.starts_with("no room!") && text.len() == 200, "{text}");
    let plain = published(answer("502 Bad Gateway", "", "upstream\n")).await;
    assert_eq!(plain, Err(Error::Refused { status: 502, text: "upstream".into() }));
    let moved = answer("302 Found", "Location: http://evil.example/\r\n", "");
    assert!(
        matches!(published(moved).await, Err(Error::Refused { status: 302, .. })),
        "nobody else gets the token"
    );
}

#[tokio::test]
async fn answers_of_no_use_are_errors() {
    for headers in ["", "Location: /\r\n", "Location: /whip/v1/a%20b\r\n"] {
        let published = published(created(headers, "v=0\r\n")).await;
        assert!(matches!(published, Err(Error::Malformed(_))), "{headers}: {published:?}");
    }
    let long = created("Location: /whip/v1/PA_1\r\n", &"x".repeat(1 << 20));
    assert_eq!(published(long).await, Err(Error::Malformed("too long")));
}

#[tokio::test]
async fn a_server_that_is_away_or_says_nothing_is_waited_for_a_moment() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("ws://{}", listener.local_addr().unwrap());
    drop(listener);
    let away = soon(Endpoint::new(&nobody).unwrap().publish(TOKEN, "", OFFER.to_owned())).await;
    assert_eq!(away, Err(Error::Unreachable("no connection")));
    let sfu = Sfu::new("").await;
    let silent = soon(sfu.endpoint().publish(TOKEN, "", OFFER.to_owned())).await;
    assert_eq!(silent, Err(Error::Unreachable("too slow")));
}

#[tokio::test]
async fn candidates_and_restarts_go_to_the_resource() {
    let mut sfu = Sfu::new(answer("204 No Content", "", "")).await;
    let patched =
        soon(sfu.endpoint().patch(TOKEN, "PA_1", Patch::Trickle("theirs"), FRAGMENT)).await.unwrap();
    assert_eq!((patched.fragment, patched.ice_session), (None, None));
    let asked = sfu.asked().await;
    assert_eq!(asked.line, "PATCH /lk/whip/v1/PA_1 HTTP/1.1");
    assert_eq!(asked.headers["if-match"], "theirs", "without quotes: it compares bytes");
    assert_eq!(asked.headers["content-type"], "application/trickle-ice-sdpfrag");
    assert_eq!(asked.headers["authorization"], format!("Bearer {TOKEN}"));
    assert!(
        asked.body.contains("a=mid:0\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\na=candidate:1 a\r\n"),
        "{asked:?}"
    );

    let mut sfu = Sfu::new(answer("200 OK", "ETag: again\r\n", "a=ice-ufrag:again\r\n")).await;
    let patched = soon(sfu.endpoint().patch(TOKEN, "PA_1", Patch::Restart, FRAGMENT)).await.unwrap();
    assert_eq!(patched.fragment.as_deref(), Some("a=ice-ufrag:again\r\n"));
    assert_eq!(patched.ice_session.as_deref(), Some("again"));
    assert_eq!(sfu.asked().await.headers["if-match"], "*");
}

#[tokio::test]
async fn a_participant_that_is_gone_already_is_removed() {
    for (status, removed) in [("200 OK", true), ("404 Not Found", true), ("500 Internal Server Error", false)]
    {
        let mut sfu = Sfu::new(answer(status, "", "")).await;
        assert_eq!(soon(sfu.endpoint().delete(TOKEN, "PA_1")).await.is_ok(), removed, "{status}");
        assert_eq!(sfu.asked().await.line, "DELETE /lk/whip/v1/PA_1 HTTP/1.1");
    }
}
