//! faults.md row 28: nothing reaches an address that the policy refuses.

use std::net::TcpListener;

use sluicegate_intake::url::address::Kind;

use super::*;

/// A listener that must not be reached.
pub(super) struct Private(TcpListener);

impl Private {
    pub(super) fn at(address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    pub(super) fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    /// A connection that was made waits in the queue, whether or not the one who made it has gone.
    pub(super) fn was_reached(&self) -> bool {
        self.0.accept().is_ok()
    }
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn kind(outcome: Result<Opened, Error>) -> Kind {
    match outcome {
        Err(Error::Blocked { kind, .. }) => kind,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_guard_of_these_tests_notices_a_connection() {
    let private = Private::at("127.0.0.1:0");
    assert!(!private.was_reached());
    let once = Ask { attempts: 1, within: Some(Duration::from_millis(200)), ..Ask::default() };
    let opened = fetcher().open(&url(&format!("http://127.0.0.1:{}/", private.port())), once).await;
    assert!(matches!(opened, Err(Error::TimedOut { .. })));
    assert!(private.was_reached());
}

#[tokio::test]
async fn no_notation_of_a_private_host_is_connected_to() {
    let private = Private::at("127.0.0.1:0");
    let fetcher = Fetcher::new(Options { limits: quick(), ..Options::default() }).unwrap();
    let hosts = [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "localhost",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "0.0.0.0",
        "0",
        "[::]",
        "[::1]",
        "127.8.9.10",
        "[::127.0.0.1]",
        "[2002:7f00:1::]",
    ];
    for host in hosts {
        let url = url(&format!("http://{host}:{}/a", private.port()));
        let refused = fetcher.open(&url, Ask::default()).await;
        assert!(matches!(kind(refused), Kind::Loopback | Kind::Unspecified), "{host}");
    }
    let elsewhere =
        [("10.0.0.1", Kind::Private), ("169.254.169.254", Kind::Metadata), ("[fd00::1]", Kind::Private)];
    for (host, why) in elsewhere {
        for scheme in ["http", "https"] {
            assert_eq!(kind(fetcher.open(&url(&format!("{scheme}://{host}/")), Ask::default()).await), why);
        }
    }
    assert!(!private.was_reached());
}

#[tokio::test]
async fn a_redirect_to_a_private_address_is_refused() {
    let private = Private::at("127.0.0.1:0");
    let target = format!("http://127.0.0.1:{}/secret", private.port());
    let to = target.clone();
    let server = Server::start_at("127.0.0.2:0", move |asked| match asked.path.as_str() {
        "/twice" => redirect("/once"),
        "/file" => redirect("file:///etc/passwd"),
        _ => redirect(&to),
    });
    let server = server.await;
    let policy = Policy::new(&["127.0.0.2"], &[]).unwrap();
    let fetcher = Fetcher::new(Options { policy, ..options() }).unwrap();
    for path in ["/once", "/twice"] {
        assert_eq!(kind(fetcher.open(&server.url(path), from(0)).await), Kind::Loopback);
    }
    let file = fetcher.open(&server.url("/file"), from(0)).await;
    assert!(matches!(file, Err(Error::BadRedirect { .. })));
    // as a segment or a key of a playlist from there would be
    assert_eq!(kind(fetcher.open(&url(&target), Ask::default()).await), Kind::Loopback);
    assert_eq!(server.asked().len(), 4);
    assert!(!private.was_reached());
}

/// The stand-in for the public server is at 127.0.0.2, which the policy lets through, and the private one at 127.0.0.1.
#[tokio::test]
async fn a_name_that_becomes_private_is_refused_when_it_does() {
    let close =
        || vec![head("200 OK", &["Content-Length: 0".into(), "Connection: close".into()]), Step::Close];
    let server = Server::start_at("127.0.0.2:0", move |_| close()).await;
    let private = Private::at(&format!("127.0.0.1:{}", server.addr.port()));
    let dns = Scripted::new(&[&["127.0.0.2"], &["127.0.0.1"]]);
    let policy = Policy::new(&["127.0.0.2"], &[]).unwrap();
    let fetcher = Fetcher::new(Options { policy, resolver: dns.clone(), ..options() }).unwrap();
    let url = url(&format!("http://rebinding.example:{}/", server.addr.port()));
    fetcher.fetch(&url, 100, Ask::default()).await.unwrap();
    assert_eq!(dns.asked(), 1, "the address that was checked is the one that is connected to");
    for _ in 0..3 {
        assert_eq!(kind(fetcher.open(&url, Ask::default()).await), Kind::Loopback);
    }
    assert_eq!((dns.asked(), server.asked().len()), (4, 1));
    assert!(!private.was_reached());
}

/// Between a cut and the request for the rest the name gets another address.
#[tokio::test]
async fn a_name_that_becomes_private_while_it_is_read_is_refused() {
    let server = Server::start_at("127.0.0.2:0", |asked| part(asked, &noise(1000), "\"a\"", Some(500))).await;
    let private = Private::at(&format!("127.0.0.1:{}", server.addr.port()));
    let policy = Policy::new(&["127.0.0.2"], &[]).unwrap();
    let dns = Scripted::new(&[&["127.0.0.2"], &["127.0.0.1"]]);
    let fetcher = Fetcher::new(Options { policy, resolver: dns, ..options() }).unwrap();
    let url = url(&format!("http://rebinding.example:{}/", server.addr.port()));
    let mut opened = fetcher.open(&url, from(0)).await.unwrap();
    let cut = all(&mut opened).await.unwrap_err();
    assert!(matches!(cut, Error::Blocked { kind: Kind::Loopback, .. }), "{cut}");
    assert_eq!(opened.body.position(), 500);
    assert!(!private.was_reached());
}

#[tokio::test]
async fn of_a_name_with_both_only_the_permitted_address_is_connected_to() {
    let server = Server::start_at("127.0.0.2:0", |_| ok(b"public")).await;
    let private = Private::at(&format!("127.0.0.1:{}", server.addr.port()));
    let policy = Policy::new(&["127.0.0.2"], &[]).unwrap();
    let dns = Scripted::new(&[&["127.0.0.1", "::ffff:127.0.0.1", "127.0.0.2"]]);
    let fetcher = Fetcher::new(Options { policy, resolver: dns, ..options() }).unwrap();
    let url = url(&format!("http://mixed.example:{}/", server.addr.port()));
    assert_eq!(fetcher.fetch(&url, 100, Ask::default()).await.unwrap().bytes, &b"public"[..]);
    assert!(!private.was_reached());
}

#[tokio::test]
async fn deny_closes_what_allow_opens_and_the_text_names_no_address() {
    let private = Private::at("127.0.0.1:0");
    let policy = Policy::new(&["127.0.0.0/8"], &["127.0.0.1"]).unwrap();
    let dns = Scripted::new(&[&["127.0.0.1"]]);
    let fetcher = Fetcher::new(Options { policy, resolver: dns, ..options() }).unwrap();
    let refused =
        fetcher.open(&url(&format!("http://name.example:{}/", private.port())), Ask::default()).await;
    let text = refused.unwrap_err().to_string();
    assert_eq!(text, "name.example: an address that the operator denies, which URL inputs may not reach");
    assert!(!private.was_reached());
}

/// What other protocols connect by (RTMP and RTSP pulls, SRT callers).
#[tokio::test]
async fn a_plain_connection_is_checked_like_a_fetch() {
    use tokio::io::AsyncReadExt;
    let private = Private::at("127.0.0.1:0");
    let port = private.port();
    let policy = Policy::new(&["127.0.0.2"], &[]).unwrap();
    let dns = Scripted::new(&[&["127.0.0.2"], &["127.0.0.1"]]);
    let fetcher = Fetcher::new(Options { policy, resolver: dns.clone(), ..options() }).unwrap();
    let server = tokio::net::TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    let mut open = fetcher.dial("rebinding.example", port).await.unwrap();
    assert_eq!(open.peer_addr().unwrap(), server.local_addr().unwrap());
    drop(server.accept().await.unwrap());
    assert_eq!(open.read(&mut [0]).await.unwrap(), 0);

    let loopback = |refused: Error| matches!(refused, Error::Blocked { kind: Kind::Loopback, .. });
    assert!(loopback(fetcher.dial("rebinding.example", port).await.unwrap_err()));
    assert_eq!(dns.asked(), 2);
    // no URL parser has normalized these: the system's resolver knows what they mean
    let policy = Policy::new(&["127.0.0.2"], &[]).unwrap();
    let system = Fetcher::new(Options { policy, ..options() }).unwrap();
    for host in
        ["127.0.0.1", "[::1]", "::1", "[::ffff:127.0.0.1]", "127.1", "0x7f.1", "2130706433", "localhost"]
    {
        assert!(loopback(system.dial(host, port).await.unwrap_err()), "{host}");
        assert!(loopback(system.resolve(host, port).await.unwrap_err()), "{host}");
    }
    let to = system.resolve("127.0.0.2", port).await.unwrap();
    assert_eq!(to, [server.local_addr().unwrap()]);
    assert!(matches!(system.dial("127.0.0.2", 0).await, Err(Error::Url(_))));
    assert!(matches!(system.dial("", 1).await, Err(Error::Url(_))));
    drop(server);
    assert!(matches!(system.dial("127.0.0.2", port).await, Err(Error::Refused { .. })));
    assert!(!private.was_reached());
}
