//! Reads that go on after a cut.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;

use super::*;

#[tokio::test]
async fn a_cut_is_bridged_by_asking_for_the_rest() {
    let server = Server::start(|asked| part(asked, &noise(500_000), "\"v1\"", Some(100_000))).await;
    let mut opened = fetcher().open(&server.url("/"), from(0)).await.unwrap();
    assert_eq!(all(&mut opened).await.unwrap(), noise(500_000));
    let asked = server.asked();
    let ranges: Vec<_> = asked.iter().map(|asked| asked.header("range").unwrap()).collect();
    assert_eq!(ranges, ["bytes=0-", "bytes=100000-", "bytes=200000-", "bytes=300000-", "bytes=400000-"]);
    assert_eq!(asked[0].header("if-range"), None);
    assert!(asked[1..].iter().all(|asked| asked.header("if-range") == Some("\"v1\"")));
}

#[tokio::test]
async fn a_server_that_gives_a_byte_at_a_time_is_not_asked_for_ever() {
    let server = Server::start(|asked| part(asked, &noise(1000), "\"v1\"", Some(1))).await;
    let mut opened = fetcher().open(&server.url("/"), from(0)).await.unwrap();
    let cut = all(&mut opened).await.unwrap_err();
    assert!(matches!(cut, Error::Cut { at: 4, .. }), "{cut}");
    assert_eq!(server.asked().len(), 4);
}

#[tokio::test]
async fn another_resource_is_not_glued_to_the_first_part() {
    let changed: [fn(&server::Asked) -> Vec<Step>; 3] = [
        |asked| part(asked, &noise(1000), "\"v2\"", None), // ignores If-Range
        |asked| part(asked, &noise(1001), "\"v1\"", None),
        |_| ok(&noise(1000)), // as If-Range has it
    ];
    for second in changed {
        let server = Server::start(move |asked| match asked.first() {
            0 => part(asked, &noise(1000), "\"v1\"", Some(500)),
            _ => second(asked),
        });
        let server = server.await;
        let mut opened = fetcher().open(&server.url("/"), from(0)).await.unwrap();
        let error = all(&mut opened).await.unwrap_err();
        assert!(matches!(error, Error::Changed { .. }), "{error}");
        assert_eq!(server.asked().len(), 2);
    }
}

#[tokio::test]
async fn without_ranges_a_cut_is_an_error_at_its_place() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/length" => {
            vec![head("200 OK", &["Content-Length: 10".into()]), Step::Send(b"abc".to_vec()), Step::Close]
        }
        _ => vec![
            head("200 OK", &["Transfer-Encoding: chunked".into()]),
            Step::Send(b"3\r\nabc\r\n".to_vec()),
            Step::Close,
        ],
    });
    let server = server.await;
    for path in ["/length", "/chunked"] {
        let mut opened = fetcher().open(&server.url(path), from(0)).await.unwrap();
        assert!(matches!(all(&mut opened).await, Err(Error::Cut { at: 3, .. })), "{path}");
    }
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn what_passes_is_tried_again_and_what_does_not_is_not() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let server =
        Server::start(move |asked| match (asked.path.as_str(), counted.fetch_add(1, Ordering::SeqCst)) {
            ("/503", 0) => status("503 Service Unavailable"),
            ("/503", 1) => vec![Step::Close],
            ("/503", _) => ok(b"back"),
            ("/later", _) => {
                vec![head("429 Too Many Requests", &["Retry-After: 3600".into(), "Content-Length: 0".into()])]
            }
            _ => status("404 Not Found"),
        });
    let server = server.await;
    assert_eq!(fetcher().fetch(&server.url("/503"), 10, Ask::default()).await.unwrap().bytes, &b"back"[..]);
    assert_eq!(count.swap(100, Ordering::SeqCst), 3);
    for (path, code) in [("/later", 429), ("/none", 404)] {
        let before = server.asked().len();
        let refused = fetcher().open(&server.url(path), Ask::default()).await;
        assert!(matches!(refused, Err(Error::Status { status, .. }) if status == code), "{path}");
        assert_eq!(server.asked().len() - before, 1, "{path}");
    }
}

#[tokio::test]
async fn a_signature_that_is_too_old_is_fetched_anew() {
    let signed = Arc::new(AtomicUsize::new(0));
    let server = Server::start(move |asked| match asked.path.as_str() {
        "/film" => redirect(&format!("/cdn?{}", signed.fetch_add(1, Ordering::SeqCst))),
        "/cdn?0" if asked.first() == 0 => part(asked, &noise(1000), "\"v1\"", Some(500)),
        "/cdn?1" => part(asked, &noise(1000), "\"v1\"", None),
        _ => status("403 Forbidden"),
    });
    let server = server.await;
    let mut opened = fetcher().open(&server.url("/film"), from(0)).await.unwrap();
    assert_eq!(all(&mut opened).await.unwrap(), noise(1000));
    let paths: Vec<_> = server.asked().iter().map(|asked| asked.path.clone()).collect();
    assert_eq!(paths, ["/film", "/cdn?0", "/cdn?0", "/film", "/cdn?1"]);
}

#[tokio::test]
async fn a_server_that_gives_less_than_asked_is_asked_for_the_rest() {
    let server = Server::start(|asked| {
        let (first, body) = (asked.first(), noise(300_000));
        let end = (first + 100_000).min(body.len());
        let lines = [
            format!("Content-Length: {}", end - first),
            format!("Content-Range: bytes {first}-{}/{}", end - 1, body.len()),
        ];
        vec![head("206 Partial Content", &lines), Step::Send(body[first..end].to_vec())]
    });
    let server = server.await;
    let mut opened = fetcher().open(&server.url("/"), from(0)).await.unwrap();
    assert_eq!(all(&mut opened).await.unwrap(), noise(300_000));
    assert_eq!(server.asked().len(), 3);
}

/// A caller that only looks whether there is something, and drops each read that has to wait.
#[tokio::test]
async fn reads_that_are_dropped_lose_no_attempt_and_no_request() {
    let server = Server::start(|asked| part(asked, &noise(1000), "\"v1\"", Some(500))).await;
    let mut opened = fetcher().open(&server.url("/"), Ask { attempts: 2, ..from(0) }).await.unwrap();
    let (mut bytes, mut dropped) = (0, 0);
    while bytes < 1000 {
        match opened.body.chunk().now_or_never() {
            Some(chunk) => bytes += chunk.unwrap().unwrap().len(),
            None => dropped += 1,
        }
        tokio::task::yield_now().await;
    }
    assert!(dropped > 1, "{dropped}");
    assert_eq!(server.asked().len(), 2);
}
