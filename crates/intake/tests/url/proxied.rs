//! With a proxy the address that was checked is still the one that is connected to.

use sluicegate_intake::url::{Proxy, address::Kind};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::*;

/// A proxy that knows CONNECT only, and what it was asked.
async fn proxy(answer: &'static str) -> (std::net::SocketAddr, Arc<Mutex<Vec<String>>>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = asked.clone();
    let task = tokio::spawn(async move {
        loop {
            let mut stream = BufReader::new(listener.accept().await.unwrap().0);
            let mut lines = Vec::new();
            while lines.last().is_none_or(|line: &String| !line.is_empty()) {
                let mut line = String::new();
                stream.read_line(&mut line).await.unwrap();
                lines.push(line.trim_end().to_owned());
            }
            let target = lines[0].split(' ').nth(1).unwrap().to_owned();
            log.lock().unwrap().extend(lines);
            stream.get_mut().write_all(answer.as_bytes()).await.unwrap();
            if answer.contains(" 200 ") {
                let mut origin = TcpStream::connect(target).await.unwrap();
                copy_bidirectional(&mut stream, &mut origin).await.ok();
            }
        }
    });
    (addr, asked, task)
}

#[tokio::test]
async fn the_proxy_is_asked_for_the_checked_address_and_not_for_the_name() {
    let server = Server::start(|_| vec![head("200 OK", &["Connection: close".into()]), Step::Close]).await;
    let (addr, asked, task) = proxy("HTTP/1.1 200 Connection established\r\n\r\n").await;
    let options = Options {
        proxy: Proxy::all(&format!("http://me:hunter2@{addr}"), "direct.example"),
        resolver: Scripted::new(&[&["127.0.0.1"], &["10.0.0.1"], &["127.0.0.1"]]),
        ..options()
    };
    let fetcher = Fetcher::new(options).unwrap();
    let url = |host: &str| Url::parse(&format!("http://{host}:{}/", server.addr.port())).unwrap();
    fetcher.fetch(&url("name.example"), 10, once()).await.unwrap();
    let lines = std::mem::take(&mut *asked.lock().unwrap());
    assert_eq!(lines[0], format!("CONNECT {} HTTP/1.1", server.addr));
    assert!(lines.contains(&"Proxy-Authorization: Basic bWU6aHVudGVyMg==".to_owned()), "{lines:?}");
    assert_eq!(server.asked()[0].header("proxy-authorization"), None);
    assert!(server.asked()[0].header("host").unwrap().starts_with("name.example:"));

    let refused = fetcher.open(&url("name.example"), once()).await;
    assert!(matches!(refused, Err(Error::Blocked { kind: Kind::Private, .. })));
    fetcher.fetch(&url("direct.example"), 10, once()).await.unwrap();
    assert!(asked.lock().unwrap().is_empty());
    task.abort();
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named() {
    let (addr, _, task) = proxy("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
    let fetcher =
        Fetcher::new(Options { proxy: Proxy::all(&format!("http://{addr}"), ""), ..options() }).unwrap();
    let refused = fetcher.open(&Url::parse("http://127.0.0.1:9/").unwrap(), once()).await.unwrap_err();
    assert_eq!(refused.to_string(), "http://127.0.0.1:9: cannot be reached: proxy: CONNECT: 407");
    task.abort();
}
