//! faults.md row 29, and what else never ends.

use sluicegate_intake::url::Phase;

use super::*;

fn short() -> Limits {
    let short = Duration::from_millis(300);
    Limits { first_byte: short, idle: short, ..quick() }
}

fn impatient() -> Fetcher {
    Fetcher::new(Options { limits: short(), ..options() }).unwrap()
}

#[tokio::test]
async fn five_redirects_are_followed_and_six_are_not() {
    let server = Server::start(|asked| match asked.path[1..].parse::<u32>().unwrap() {
        0 => ok(b"end"),
        1000 => redirect("/1000"),
        n => redirect(&format!("/{}", n - 1)),
    });
    let server = server.await;
    assert_eq!(fetcher().fetch(&server.url("/5"), 10, once()).await.unwrap().bytes, &b"end"[..]);
    for path in ["/6", "/1000"] {
        let before = server.asked().len();
        let looping = fetcher().open(&server.url(path), Ask::default()).await.unwrap_err();
        assert_eq!(looping, Error::TooManyRedirects { limit: 5 });
        assert_eq!(server.asked().len() - before, 6, "not tried again");
    }
}

#[tokio::test]
async fn more_than_the_limit_is_refused_when_announced_and_when_it_comes() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/announced" => vec![head("200 OK", &["Content-Length: 1000000000".into()]), Step::Hang],
        "/close" => vec![head("200 OK", &[]), Step::Flood(vec![b'#'; 16384])],
        "/exact" => ok(&noise(1000)),
        _ => {
            let mut chunk = b"4000\r\n".to_vec();
            chunk.extend([b'#'; 16384]);
            chunk.extend(b"\r\n");
            vec![head("200 OK", &["Transfer-Encoding: chunked".into()]), Step::Flood(chunk)]
        }
    });
    let server = server.await;
    for path in ["/announced", "/close", "/chunked"] {
        let large = fetcher().fetch(&server.url(path), 1 << 20, Ask::default()).await.unwrap_err();
        assert_eq!(large, Error::TooLarge { limit: 1 << 20 }, "{path}");
    }
    assert_eq!(fetcher().fetch(&server.url("/exact"), 1000, Ask::default()).await.unwrap().bytes.len(), 1000);
    let large = fetcher().fetch(&server.url("/exact"), 999, Ask::default()).await;
    assert!(matches!(large, Err(Error::TooLarge { limit: 999 })));
}

#[tokio::test]
async fn silence_before_and_in_a_body_ends_the_fetch() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/head" => vec![Step::Hang],
        "/half-head" => vec![Step::Send(b"HTTP/1.1 200 OK\r\nContent-".to_vec()), Step::Hang],
        _ => vec![head("200 OK", &["Content-Length: 10".into()]), Step::Send(b"abc".to_vec()), Step::Hang],
    });
    let server = server.await;
    for path in ["/head", "/half-head"] {
        let silent = impatient().open(&server.url(path), once()).await.unwrap_err();
        assert!(matches!(silent, Error::TimedOut { phase: Phase::FirstByte, .. }), "{path}: {silent}");
    }
    let mut opened = impatient().open(&server.url("/body"), once()).await.unwrap();
    let silent = all(&mut opened).await.unwrap_err();
    assert!(matches!(silent, Error::TimedOut { phase: Phase::Idle, .. }), "{silent}");
    assert_eq!(opened.body.chunk().await.unwrap_err(), silent, "the same again");
}

/// Each byte comes in time, and the body never ends.
#[tokio::test]
async fn an_endless_slow_body_ends_with_its_time() {
    let (listener, accepted) = trickling().await;
    let ask = Ask { within: Some(Duration::from_millis(600)), ..once() };
    let url = Url::parse(&format!("http://{listener}/")).unwrap();
    let began = std::time::Instant::now();
    let slow = fetcher().fetch(&url, 1 << 20, ask).await.unwrap_err();
    assert!(matches!(slow, Error::TimedOut { phase: Phase::Total, .. }), "{slow}");
    assert!(began.elapsed() >= Duration::from_millis(600));
    accepted.abort();
}

/// A server that sends one byte each 20 ms, for ever.
pub(super) async fn trickling() -> (std::net::SocketAddr, tokio::task::JoinHandle<()>) {
    use tokio::io::AsyncWriteExt;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut stream = server::request(&listener).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        while stream.write_all(b"#").await.is_ok() {
            pace.tick().await;
        }
    });
    (addr, task)
}

#[tokio::test]
async fn open_ends_in_its_time_whatever_the_attempts() {
    let server = Server::start(|_| status("503 Service Unavailable")).await;
    let limits = Limits {
        open: Duration::from_millis(300),
        backoff: Duration::from_millis(20),
        backoff_most: Duration::from_millis(20),
        ..Limits::default()
    };
    let fetcher = Fetcher::new(Options { limits, ..options() }).unwrap();
    let ask = Ask { attempts: u32::MAX, ..Ask::default() };
    let busy = fetcher.open(&server.url("/"), ask).await.unwrap_err();
    assert!(matches!(busy, Error::Status { status: 503, .. } | Error::TimedOut { phase: Phase::Total, .. }));
    let asked = server.asked().len();
    assert!((2..=30).contains(&asked), "{asked}");
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/lines" => vec![head("200 OK", &(0..200).map(|n| format!("X-{n}: a")).collect::<Vec<_>>())],
        "/long" => vec![head("200 OK", &[format!("X: {}", "a".repeat(200_000))])],
        _ => vec![Step::Send(b"HTTP/1.1 200 OK\r\n".to_vec()), Step::Flood(b"X: a\r\n".repeat(100))],
    });
    let server = server.await;
    for path in ["/lines", "/long", "/endless"] {
        let large = fetcher().open(&server.url(path), Ask::default()).await.unwrap_err();
        assert!(matches!(large, Error::Protocol { .. }), "{path}: {large:?}");
    }
}

#[tokio::test]
async fn an_address_that_swallows_connections_ends_with_the_connect_time() {
    // a listener whose queue is full drops further SYNs, as a firewall does
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    socket.listen(0).unwrap();
    let addr = socket.local_addr().unwrap().as_socket().unwrap();
    let mut full = Vec::new();
    let wait = Duration::from_millis(200);
    while let Ok(Ok(stream)) = tokio::time::timeout(wait, tokio::net::TcpStream::connect(addr)).await {
        full.push(stream);
    }
    let fetcher = Fetcher::new(Options { limits: Limits { connect: wait, ..quick() }, ..options() }).unwrap();
    let lost = fetcher.open(&Url::parse(&format!("http://{addr}/")).unwrap(), once()).await.unwrap_err();
    assert!(matches!(lost, Error::TimedOut { phase: Phase::Connect, .. }), "{lost}");
}
