//! The URL fetcher against real servers on loopback.
#![allow(clippy::unwrap_used, reason = "tests")]

mod blocked;
mod files;
mod hostile;
mod limits;
mod live;
mod playlists;
mod proxied;
mod resume;
mod server;
mod spooled;
mod tls;

use std::{
    io,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::BoxFuture;
use server::{Server, Step, head, ok, part, redirect, status};
use sluicegate_intake::url::{
    Ask, Error, Fetcher, Input, Limits, Opened, Options, Range, Read, Resolve, Source, Spooling, Wish,
    address::Policy, open as open_url,
};
use url::Url;

/// Options that reach this machine.
fn options() -> Options {
    Options { policy: Policy::new(&["127.0.0.0/8"], &[]).unwrap(), limits: quick(), ..Options::default() }
}

/// Waits that a test has the time for.
fn quick() -> Limits {
    Limits { backoff: Duration::from_millis(5), backoff_most: Duration::from_millis(50), ..Limits::default() }
}

fn fetcher() -> Fetcher {
    Fetcher::new(options()).unwrap()
}

fn once() -> Ask {
    Ask { attempts: 1, ..Ask::default() }
}

fn from(first: u64) -> Ask {
    Ask { range: Some(Range::from(first)), ..Ask::default() }
}

async fn all(opened: &mut Opened) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = opened.body.chunk().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// What `url` is found to be by a fetcher that reaches this machine.
async fn source(url: &Url) -> Result<Source, Error> {
    open_url(&fetcher(), url, &Wish::default()).await
}

/// All bytes of an input from `at` on, in reads of `length`; its sections are left out.
async fn rest(input: &mut Input, mut at: u64, length: u32) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    loop {
        match input.read(at, length).await? {
            Read::Data(data) => {
                assert!((1..=length as usize).contains(&data.len()));
                at += data.len() as u64;
                bytes.extend_from_slice(&data);
            }
            Read::Section { .. } => {}
            Read::End => return Ok(bytes),
        }
    }
}

/// Bytes that differ wherever one looks.
fn noise(length: usize) -> Vec<u8> {
    (0..length as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u8).collect()
}

/// A DNS that says what it is told, one answer after the other and the last one for ever.
#[derive(Default)]
struct Scripted {
    answers: Vec<Vec<IpAddr>>,
    asked: Mutex<Vec<String>>,
}

impl Scripted {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let answers =
            answers.iter().map(|answer| answer.iter().map(|ip| ip.parse().unwrap()).collect()).collect();
        Arc::new(Self { answers, ..Self::default() })
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

impl Resolve for Scripted {
    fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let mut asked = self.asked.lock().unwrap();
        let answer = self.answers.get(asked.len()).or(self.answers.last()).cloned();
        asked.push(host.to_owned());
        Box::pin(async move { answer.ok_or_else(|| io::ErrorKind::NotFound.into()) })
    }
}

#[tokio::test]
async fn a_resource_is_read_with_what_is_known_of_it() {
    let server = Server::start(|asked| part(asked, &noise(100_000), "\"a\"", None)).await;
    let mut opened = fetcher().open(&server.url("/a?b=c"), from(0)).await.unwrap();
    assert_eq!((opened.size, opened.ranges), (Some(100_000), true));
    assert_eq!(opened.url, server.url("/a?b=c"));
    assert_eq!(all(&mut opened).await.unwrap(), noise(100_000));
    assert_eq!(opened.body.chunk().await.unwrap(), None);

    let mut later = fetcher().open(&server.url("/a"), from(99_990)).await.unwrap();
    assert_eq!((later.size, later.body.position()), (Some(100_000), 99_990));
    assert_eq!(all(&mut later).await.unwrap(), noise(100_000)[99_990..]);

    let asked = server.asked();
    assert_eq!(asked[0].path, "/a?b=c");
    assert_eq!(asked[0].header("host"), Some(server.addr.to_string().as_str()));
    assert!(asked[0].header("user-agent").unwrap().starts_with("sluicegate/"));
    assert_eq!(asked[1].header("range"), Some("bytes=99990-"));
}

#[tokio::test]
async fn a_part_ends_where_it_was_asked_to_end_even_without_ranges() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/ranges" => part(asked, &noise(1000), "\"a\"", None),
        _ => ok(&noise(1000)),
    });
    let server = server.await;
    for (path, first) in [("/ranges", 100), ("/none", 0)] {
        let ask = Ask { range: Some(Range { first, last: Some(first + 9) }), ..Ask::default() };
        let fetched = fetcher().fetch(&server.url(path), 10, ask).await.unwrap();
        let first = first as usize;
        assert_eq!(fetched.bytes, noise(1000)[first..first + 10], "{path}");
    }
    let none = fetcher().open(&server.url("/none"), from(1)).await.unwrap_err();
    assert!(matches!(none, Error::NoRanges { .. }));
    let backwards = Ask { range: Some(Range { first: 1, last: Some(0) }), ..Ask::default() };
    assert!(matches!(fetcher().open(&server.url("/none"), backwards).await, Err(Error::PastEnd { .. })));
}

#[tokio::test]
async fn a_stream_without_length_is_read_to_its_end() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/chunked" => vec![
            head("200 OK", &["Transfer-Encoding: chunked".to_owned()]),
            Step::Send(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n".to_vec()),
        ],
        _ => {
            vec![head("200 OK", &["icy-metaint: 16".to_owned()]), Step::Send(b"abcde".to_vec()), Step::Close]
        }
    });
    let server = server.await;
    for path in ["/chunked", "/close"] {
        let mut opened = fetcher().open(&server.url(path), Ask { icy: true, ..from(0) }).await.unwrap();
        assert_eq!((opened.size, opened.ranges), (None, false));
        assert_eq!(opened.icy_interval, (path == "/close").then_some(16));
        assert_eq!(all(&mut opened).await.unwrap(), b"abcde", "{path}");
    }
    assert_eq!(server.asked()[0].header("icy-metadata"), Some("1"));
}

#[tokio::test]
async fn one_connection_serves_many_fetches() {
    let server = Server::start(|_| ok(b"segment")).await;
    let fetcher = fetcher();
    for _ in 0..10 {
        fetcher.fetch(&server.url("/s"), 100, Ask::default()).await.unwrap();
    }
    let connections: Vec<_> = server.asked().iter().map(|asked| asked.connection).collect();
    assert_eq!(connections, [0; 10]);
}

#[tokio::test]
async fn redirects_are_followed_and_the_last_url_told() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/a" => redirect("b/c?d"),
        "/b/c?d" => redirect("/e"),
        _ => ok(b"here"),
    });
    let server = server.await;
    let fetched = fetcher().fetch(&server.url("/a"), 100, Ask::default()).await.unwrap();
    assert_eq!((fetched.url.path(), &fetched.bytes[..]), ("/e", &b"here"[..]));
}

#[tokio::test]
async fn credentials_go_to_their_origin_and_into_no_text() {
    let other = Server::start(|_| ok(b"other")).await;
    let to = other.url("/x").to_string();
    let server = Server::start(move |asked| match asked.path.as_str() {
        "/same" => redirect("/end"),
        "/other" => redirect(&to),
        "/end" => ok(b"end"),
        _ => status("403 Forbidden"),
    });
    let server = server.await;
    let with = |path: &str| {
        let mut url = server.url(path);
        url.set_username("me").unwrap();
        url.set_password(Some("hunter2")).unwrap();
        url
    };
    let same = fetcher().open(&with("/same"), Ask::default()).await.unwrap();
    let other_one = fetcher().open(&with("/other"), Ask::default()).await.unwrap();
    let refused = fetcher().open(&with("/no?token=hunter2"), Ask::default()).await.unwrap_err();
    for asked in server.asked() {
        assert_eq!(asked.header("authorization"), Some("Basic bWU6aHVudGVyMg=="), "{}", asked.path);
    }
    assert_eq!(other.asked()[0].header("authorization"), None);
    let texts = format!("{same:?} {:?} {other_one:?} {refused:?} {refused}", same.body);
    assert!(!texts.contains("hunter2"), "{texts}");
    assert_eq!(refused.to_string(), format!("http://{}: the server answered 403", server.addr));
}

#[tokio::test]
async fn what_is_wrong_is_told_apart() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/404" => status("404 Not Found"),
        "/gzip" => vec![head("200 OK", &["Content-Encoding: gzip".into(), "Content-Length: 2000".into()])],
        "/not-http" => vec![Step::Send(b"ICY says hello\r\n\r\n".to_vec())],
        _ => vec![Step::Close],
    });
    let server = server.await;
    let gone = Server::start(|_| ok(b"")).await.addr; // closed with the server's end
    let no_name = Fetcher::new(Options { resolver: Scripted::new(&[]), ..options() }).unwrap();
    let table = [
        ("not_found", server.url("/404")),
        ("protocol", server.url("/gzip")),
        ("protocol", server.url("/not-http")),
        ("cut", server.url("/close")),
        ("dns", Url::parse("http://nowhere.example/").unwrap()),
        ("url", Url::parse("file:///etc/passwd").unwrap()),
        ("url", Url::parse("rtmp://h/a").unwrap()),
        ("tls", Url::parse(&format!("https://{}/", server.addr)).unwrap()),
    ];
    for (reason, url) in table {
        assert_eq!(no_name.open(&url, once()).await.unwrap_err().reason(), reason, "{url}");
    }
    let refused = Url::parse(&format!("http://{gone}/")).unwrap();
    while tokio::net::TcpStream::connect(gone).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(matches!(fetcher().open(&refused, once()).await, Err(Error::Refused { .. })));
}
