//! Files: servers with ranges, without them, and without a length.

use super::*;

/// What looks like a film to who sees its beginning.
fn film(length: usize) -> Vec<u8> {
    let mut film = b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\0mdat".to_vec();
    film.extend(noise(length - film.len()));
    film
}

/// Sound that can be played as it comes.
fn song(length: usize) -> Vec<u8> {
    let mut song = b"fLaC\0\0\0\x22".to_vec();
    song.extend(noise(length - song.len()));
    song
}

fn chunked(body: &[u8]) -> Vec<Step> {
    let mut bytes = Vec::new();
    for chunk in body.chunks(10_000) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    vec![head("200 OK", &["Transfer-Encoding: chunked".into()]), Step::Send(bytes)]
}

fn typed(steps: Vec<Step>, content_type: &str) -> Vec<Step> {
    let mut steps = steps;
    let Step::Send(first) = &mut steps[0] else { panic!("a head comes first") };
    let end = first.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 2;
    first.splice(end..end, format!("Content-Type: {content_type}\r\n").into_bytes());
    steps
}

#[tokio::test]
async fn a_file_with_ranges_is_read_anywhere_and_in_few_requests() {
    const SIZE: usize = 40_000_000;
    let whole = Arc::new(film(SIZE));
    let body = whole.clone();
    let server = Server::start(move |asked| typed(part(asked, &body, "\"a\"", None), "Video/MP4; x=y"));
    let server = server.await;
    let mut source = source(&server.url("/film?key=1")).await.unwrap();
    assert!(!source.live && source.titles.is_none() && source.inputs.len() == 1);
    let input = &mut source.inputs[0];
    assert_eq!((input.size(), input.seekable()), (Some(SIZE as u64), true));
    assert_eq!(input.media_type(), Some("video/mp4"));

    // as a demuxer does with an index at the end: the beginning, the end, and then sound and pictures that lie far from each other
    let mut at = 0;
    while at < 100_000 {
        let Read::Data(data) = input.read(at, 30_000).await.unwrap() else { panic!() };
        assert_eq!(data, whole[at as usize..at as usize + data.len()]);
        at += data.len() as u64;
    }
    assert_eq!(rest(input, 39_900_000, 1 << 20).await.unwrap(), whole[39_900_000..]);
    let mut places = [at, 20_000_000];
    for round in 0..200 {
        let at = &mut places[round % 2];
        let Read::Data(data) = input.read(*at, 20_000).await.unwrap() else { panic!() };
        assert_eq!(data, whole[*at as usize..*at as usize + data.len()]);
        // the other half is not wanted: read through, not asked for again
        *at += 2 * data.len() as u64;
    }
    assert_eq!(server.asked().len(), 3, "{:?}", server.asked());
    assert_eq!(input.read(SIZE as u64, 1).await.unwrap(), Read::End);
    assert_eq!(input.read(u64::MAX, 1).await.unwrap(), Read::End);

    // back to the beginning, which nobody holds any more
    let Read::Data(data) = input.read(0, 10).await.unwrap() else { panic!() };
    assert_eq!((&data[..], server.asked().len()), (&whole[..10], 4));
}

#[tokio::test]
async fn a_file_that_is_another_one_later_is_not_mixed_with_the_first() {
    let server = Server::start(|asked| match asked.first() {
        0 => part(asked, &film(2_000_000), "\"a\"", None),
        _ => part(asked, &film(2_000_000), "\"b\"", None),
    });
    let server = server.await;
    let mut source = source(&server.url("/film")).await.unwrap();
    assert!(matches!(source.inputs[0].read(1_500_000, 10).await, Err(Error::Changed { .. })));
}

#[tokio::test]
async fn a_signature_that_is_too_old_is_asked_for_again() {
    let signed = Mutex::new(0);
    let server = Server::start(move |asked| {
        let mut signed = signed.lock().unwrap();
        match asked.path.as_str() {
            "/film" => {
                *signed += 1;
                redirect(&format!("/signed/{signed}"))
            }
            // each signature is good for one request
            path if path == format!("/signed/{signed}") && (*signed == 2 || asked.first() == 0) => {
                part(asked, &film(2_000_000), "\"a\"", None)
            }
            _ => status("403 Forbidden"),
        }
    });
    let server = server.await;
    let mut source = source(&server.url("/film")).await.unwrap();
    let read = source.inputs[0].read(1_500_000, 10).await.unwrap();
    assert_eq!(read, Read::Data(film(2_000_000)[1_500_000..1_500_010].to_vec().into()));
    let paths: Vec<_> = server.asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!(paths, ["/film", "/signed/1", "/signed/1", "/film", "/signed/2"]);
}

#[tokio::test]
async fn without_ranges_a_file_is_read_anywhere_while_it_comes() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/length" => ok(&film(3_000_000)),
        "/lies" => typed(ok(&film(3_000_000)), "x\r\nAccept-Ranges: bytes"),
        _ => chunked(&film(3_000_000)),
    });
    let server = server.await;
    for path in ["/length", "/lies", "/chunked"] {
        let mut source = source(&server.url(path)).await.unwrap();
        let input = &mut source.inputs[0];
        assert_eq!((input.size(), input.seekable(), source.live), (Some(3_000_000), true, false), "{path}");
        assert_eq!(rest(input, 2_999_000, 300).await.unwrap(), film(3_000_000)[2_999_000..]);
        assert_eq!(rest(input, 0, 1 << 20).await.unwrap(), film(3_000_000));
    }
    assert_eq!(server.asked().len(), 3);
}

/// No temporary file is needed for what is played as it comes, and so no bound of one holds.
#[tokio::test]
async fn what_needs_no_seek_is_read_from_the_front() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/sized" => ok(&song(1_000_000)),
        "/first" => chunked(&[b"\0\0\0\x08free\0\0\x10\0moov".to_vec(), noise(999_984)].concat()),
        _ => typed(chunked(&song(1_000_000)), "audio/flac"),
    });
    let server = server.await;
    let spooling = Spooling { most: 500_000, ..Spooling::default() };
    let fetcher = Fetcher::new(Options { spooling, ..options() }).unwrap();
    for (path, size) in [("/sized", Some(1_000_000)), ("/first", None), ("/chunked", None)] {
        let mut source = open_url(&fetcher, &server.url(path), &Wish::default()).await.unwrap();
        let input = &mut source.inputs[0];
        assert_eq!((input.size(), input.seekable(), source.live), (size, false, false), "{path}");
        let all = rest(input, 0, 70_000).await.unwrap();
        assert_eq!(all.len(), 1_000_000, "{path}");
        assert!(path == "/first" || all == song(1_000_000));
    }
}

#[tokio::test]
async fn the_temporary_file_is_bounded_in_size_and_time() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/announced" => ok(&film(1_000_001)),
        "/endless" => vec![head("200 OK", &[]), Step::Send(film(2000)), Step::Flood(vec![1; 10_000])],
        _ => vec![head("200 OK", &[]), Step::Send(film(2000)), Step::Hang],
    });
    let server = server.await;
    let spooling =
        Spooling { most: 1_000_000, within: Duration::from_millis(300), folder: std::env::temp_dir() };
    let bounded = Fetcher::new(Options { spooling, ..options() }).unwrap();
    for path in ["/announced", "/endless"] {
        let large = open_url(&bounded, &server.url(path), &Wish::default()).await.unwrap_err();
        assert_eq!(large, Error::TooLarge { limit: 1_000_000 }, "{path}");
    }
    let slow = open_url(&bounded, &server.url("/slow"), &Wish::default()).await.unwrap_err();
    assert_eq!(slow.reason(), "timed_out");
    let missing = Spooling { folder: "/nowhere".into(), ..Spooling::default() };
    let missing = Fetcher::new(Options { spooling: missing, ..options() }).unwrap();
    let spool = open_url(&missing, &server.url("/announced"), &Wish::default()).await.unwrap_err();
    assert_eq!(spool, Error::Spool(io::ErrorKind::NotFound));
    let failed: Vec<_> = missing.counts().failures().filter(|(_, count)| *count > 0).collect();
    assert_eq!(failed, [("spool", 1)]);
}

#[tokio::test]
async fn what_is_no_media_is_told_with_what_it_is() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/page" => typed(ok(b"<!DOCTYPE html><html><video src=x>"), "text/html"),
        "/text.mp4" => ok(b"No such film.\n"),
        "/json" => ok(b"{\"url\": \"x\"}"),
        "/empty" => ok(b""),
        "/empty.m3u" => ok(b"#EXTM3U\n"),
        "/dash.mpd" => ok(b"<?xml version=\"1.0\"?><MPD>"),
        "/dash" => typed(ok(b"<?xml version=\"1.0\"?>"), "application/dash+xml"),
        _ => status("404 Not Found"),
    });
    let server = server.await;
    let table = [
        ("/page", "not_media", "a web page, where media was expected; give the URL of the media file"),
        ("/text.mp4", "not_media", "text, where media was expected"),
        ("/json", "not_media", "a document in JSON"),
        ("/empty", "not_media", "nothing at all"),
        ("/empty.m3u", "not_media", "a playlist without entries"),
        ("/dash.mpd", "unsupported", "DASH (an MPD manifest) is not supported"),
        ("/dash", "unsupported", "DASH (an MPD manifest) is not supported"),
        ("/404?secret", "not_found", "the server answered 404; check the URL's path"),
    ];
    let fetcher = fetcher();
    for (path, reason, text) in table {
        let error = open_url(&fetcher, &server.url(path), &Wish::default()).await.unwrap_err();
        assert_eq!(error.reason(), reason, "{path}");
        assert!(error.tell().contains(text) && !error.tell().contains("secret"), "{path}: {}", error.tell());
    }
    let failed: Vec<_> = fetcher.counts().failures().filter(|(_, count)| *count > 0).collect();
    assert_eq!(failed, [("not_found", 1), ("not_media", 5), ("unsupported", 2)]);
    assert_eq!((fetcher.counts().requests(), fetcher.counts().bytes() > 100), (8, true));
}
