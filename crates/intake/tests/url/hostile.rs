//! faults.md rows 28 and 29 at the level of `open`: whatever leads to a private address or never ends, ends in an error, and nothing
//! on loopback is reached.

use super::{blocked::Private, *};

/// A fetcher that may reach 127.0.0.2, where the hostile server is, and not 127.0.0.1.
fn guarded(resolver: Option<Arc<dyn Resolve>>) -> Fetcher {
    let policy = Policy::new(&["127.0.0.2"], &[]).unwrap();
    let mut options = Options { policy, ..options() };
    options.resolver = resolver.unwrap_or(options.resolver);
    Fetcher::new(options).unwrap()
}

/// The error that opening `url` and reading all of it comes to.
async fn outcome(fetcher: &Fetcher, url: &Url) -> Error {
    match open_url(fetcher, url, &Wish::default()).await {
        Err(error) => error,
        Ok(mut source) => {
            for input in &mut source.inputs {
                if let Err(error) = rest(input, 0, 1 << 20).await {
                    return error;
                }
            }
            panic!("{url} was played")
        }
    }
}

fn vod(body: &str) -> Vec<u8> {
    format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n{body}#EXT-X-ENDLIST\n").into_bytes()
}

#[tokio::test]
async fn nothing_that_a_url_leads_to_is_private() {
    let private = Private::at("127.0.0.1:0");
    let secret = format!("http://127.0.0.1:{}/secret", private.port());
    let to = secret.clone();
    let server = Server::start_at("127.0.0.2:0", move |asked| match asked.path.as_str() {
        "/redirect" => redirect(&to),
        "/radio.pls" => ok(format!("[playlist]\nFile1={to}\n").as_bytes()),
        "/radio.m3u" => ok(format!("{to}\n").as_bytes()),
        "/segment" => ok(&vod(&format!("#EXTINF:4,\n{to}\n"))),
        "/segment-redirect" => ok(&vod("#EXTINF:4,\n/redirect\n")),
        "/key" => ok(&vod(&format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{to}\"\n#EXTINF:4,\na\n"))),
        "/init" => ok(&vod(&format!("#EXT-X-MAP:URI=\"{to}\"\n#EXTINF:4,\na\n"))),
        "/variant" => ok(format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{to}\n").as_bytes()),
        "/sound" => {
            let master = format!(
                "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\",URI=\"{to}\"\n\
                 #EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"\n/plain\n"
            );
            ok(master.as_bytes())
        }
        "/plain" => ok(&vod("#EXTINF:4,\na\n")),
        _ => ok(b"abc"),
    });
    let server = server.await;
    let fetcher = guarded(None);
    let paths = [
        "/redirect",
        "/radio.pls",
        "/radio.m3u",
        "/segment",
        "/segment-redirect",
        "/key",
        "/init",
        "/variant",
        "/sound",
    ];
    for path in paths {
        let error = outcome(&fetcher, &server.url(path)).await;
        assert_eq!(error.reason(), "blocked", "{path}: {error}");
        let text = error.tell();
        assert!(text.contains("a loopback address") && !text.contains("secret"), "{path}: {text}");
    }
    let direct = outcome(&fetcher, &Url::parse(&secret).unwrap()).await;
    assert_eq!(direct.reason(), "blocked");
    let blocked = fetcher.counts().failures().find(|(reason, _)| *reason == "blocked").unwrap().1;
    assert!(blocked > paths.len() as u64, "{blocked}");
    assert!(!private.was_reached());
}

#[tokio::test]
async fn files_of_the_server_and_other_schemes_are_never_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret.ts");
    std::fs::write(&path, "secret").unwrap();
    let secret = format!("file://{}", path.display());
    let to = secret.clone();
    let server = Server::start_at("127.0.0.2:0", move |asked| match asked.path.as_str() {
        "/redirect" => redirect(&to),
        "/segment" => ok(&vod(&format!("#EXTINF:4,\n{to}\n"))),
        "/key" => ok(&vod(&format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{to}\"\n#EXTINF:4,\na\n"))),
        "/data" => ok(&vod("#EXTINF:4,\ndata:text/plain,secret\n")),
        "/variant" => ok(format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{to}\n").as_bytes()),
        "/radio.m3u" => ok(format!("{to}\n").as_bytes()),
        _ => ok(b"abc"),
    });
    let server = server.await;
    let fetcher = guarded(None);
    for path in ["/segment", "/key", "/data", "/variant", "/radio.m3u"] {
        let error = outcome(&fetcher, &server.url(path)).await;
        assert_eq!(error.reason(), "url", "{path}: {error}");
    }
    assert_eq!(outcome(&fetcher, &server.url("/redirect")).await.reason(), "redirect");
    for url in [secret.as_str(), "ftp://127.0.0.2/a", "gopher://127.0.0.2/", "data:,x", "rtmp://127.0.0.2/a"]
    {
        assert_eq!(outcome(&fetcher, &Url::parse(url).unwrap()).await.reason(), "url", "{url}");
    }
}

/// The name is another machine's when the segment is fetched than it was for the playlist.
#[tokio::test]
async fn a_name_that_is_rebound_between_playlist_and_segment_is_refused() {
    let close = |body: Vec<u8>| {
        let lines = [format!("Content-Length: {}", body.len()), "Connection: close".to_owned()];
        vec![head("200 OK", &lines), Step::Send(body), Step::Close]
    };
    let server = Server::start_at("127.0.0.2:0", move |asked| match asked.path.as_str() {
        "/list" => close(vod("#EXTINF:4,\na\n")),
        "/film" => {
            let mut film = b"\0\0\0\x10ftypisom\0\0\0\0".to_vec();
            film.extend(noise(2_000_000));
            part(asked, &film, "\"a\"", Some(1_000_000))
        }
        _ => close(b"abc".to_vec()),
    });
    let server = server.await;
    let port = server.addr.port();
    let private = Private::at(&format!("127.0.0.1:{port}"));
    for path in ["/list", "/film"] {
        let dns = Scripted::new(&[&["127.0.0.2"], &["127.0.0.1"]]);
        let fetcher = guarded(Some(dns.clone()));
        let url = Url::parse(&format!("http://rebinding.example:{port}{path}")).unwrap();
        let error = outcome(&fetcher, &url).await;
        assert_eq!((error.reason(), dns.asked() >= 2), ("blocked", true), "{path}: {error}");
    }
    assert!(!private.was_reached());
}

#[tokio::test]
async fn whatever_is_endless_ends_in_an_error() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/loop" => redirect("/loop"),
        "/flood.m3u8" => vec![
            head("200 OK", &[]),
            Step::Send(b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n".to_vec()),
            Step::Flood(b"#EXTINF:4,\nsegment.ts\n".repeat(500)),
        ],
        "/announced.m3u8" => {
            let lines = ["Content-Length: 1000000000".to_owned()];
            vec![head("200 OK", &lines), Step::Send(b"#EXTM3U\n".repeat(200)), Step::Hang]
        }
        "/variants.m3u8" => {
            let variants = (0..20_000).map(|n| format!("#EXT-X-STREAM-INF:BANDWIDTH={n}\nv{n}\n"));
            ok(format!("#EXTM3U\n{}", variants.collect::<String>()).as_bytes())
        }
        "/text.m3u" => vec![head("200 OK", &[]), Step::Flood(b"# a comment\n".repeat(100))],
        "/segment.m3u8" => ok(&vod("#EXTINF:4,\n/endless.ts\n")),
        "/key.m3u8" => ok(&vod("#EXT-X-KEY:METHOD=AES-128,URI=\"/endless\"\n#EXTINF:4,\na\n")),
        _ => vec![head("200 OK", &[]), Step::Flood(vec![b'G'; 16384])],
    });
    let server = server.await;
    for (path, reason) in [
        ("/loop", "redirect"),
        ("/flood.m3u8", "too_large"),
        ("/variants.m3u8", "playlist"),
        ("/text.m3u", "too_large"),
        ("/segment.m3u8", "too_large"),
        ("/key.m3u8", "too_large"),
    ] {
        let error = outcome(&fetcher(), &server.url(path)).await;
        assert_eq!(error.reason(), reason, "{path}: {error}");
    }
    let limits = Limits { idle: Duration::from_millis(300), ..quick() };
    let impatient = Fetcher::new(Options { limits, ..options() }).unwrap();
    let error = outcome(&impatient, &server.url("/announced.m3u8")).await;
    assert_eq!(error.reason(), "timed_out", "{error}");
}

/// Each byte comes in time, and what they are is never known.
#[tokio::test]
async fn an_endless_slow_body_ends_with_the_time_to_open() {
    let (addr, trickle) = limits::trickling().await;
    let limits = Limits { open: Duration::from_millis(600), ..quick() };
    let fetcher = Fetcher::new(Options { limits, ..options() }).unwrap();
    let error = outcome(&fetcher, &Url::parse(&format!("http://{addr}/")).unwrap()).await;
    assert_eq!(error.reason(), "timed_out", "{error}");
    trickle.abort();
}
