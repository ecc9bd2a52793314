//! HLS, from the playlist to the bytes.

use super::*;

fn vod(body: &str) -> Vec<u8> {
    format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n{body}#EXT-X-ENDLIST\n").into_bytes()
}

/// Data and sections as they come.
async fn reads(input: &mut Input) -> Result<Vec<Result<String, Duration>>, Error> {
    let mut reads: Vec<Result<String, Duration>> = Vec::new();
    loop {
        match input.read(0, 1000).await? {
            Read::End => return Ok(reads),
            Read::Section { at } => reads.push(Err(at)),
            Read::Data(data) => {
                let text = String::from_utf8(data.to_vec()).unwrap();
                match reads.last_mut() {
                    Some(Ok(last)) => last.push_str(&text),
                    _ => reads.push(Ok(text)),
                }
            }
        }
    }
}

#[tokio::test]
async fn a_recording_is_read_with_its_init_and_its_sections() {
    let list =
        vod("#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:4,\na.m4s?x=1\n#EXTINF:3.5,\n#EXT-X-BYTERANGE:3@2\nb\n\
                    #EXT-X-DISCONTINUITY\n#EXTINF:4,\nc.m4s\n#EXT-X-GAP\n#EXTINF:2,\nd\n#EXTINF:4,\n/up/e\n");
    let server = Server::start(move |asked| match asked.path.as_str() {
        "/list" => redirect("/deep/list.txt?token=1"),
        "/deep/list.txt?token=1" => ok(&list),
        "/deep/init.mp4" => ok(b"<init>"),
        "/deep/a.m4s?x=1" => ok(b"aaaa"),
        "/deep/b" => {
            assert_eq!(asked.header("range"), Some("bytes=2-4"));
            let lines = ["Content-Range: bytes 2-4/10".to_owned(), "Content-Length: 3".to_owned()];
            vec![head("206 Partial Content", &lines), Step::Send(b"bbb".to_vec())]
        }
        "/deep/c.m4s" => ok(b"cccc"),
        "/up/e" => ok(b"eeee"),
        _ => status("404 Not Found"),
    });
    let server = server.await;
    let mut source = source(&server.url("/list")).await.unwrap();
    assert!(!source.live && source.titles.is_none() && source.inputs.len() == 1);
    let input = &mut source.inputs[0];
    assert_eq!((input.size(), input.seekable(), input.media_type()), (None, false, None));
    let expected = [
        Ok("<init>aaaabbb".to_owned()),
        Err(Duration::from_millis(7500)),
        Ok("cccc".to_owned()),
        Err(Duration::from_millis(13_500)),
        Ok("eeee".to_owned()),
    ];
    assert_eq!(reads(input).await.unwrap(), expected);
    assert_eq!(input.read(0, 1).await.unwrap(), Read::End, "and again");
    let lists = server.asked().iter().filter(|asked| asked.path.contains("list")).count();
    assert_eq!(lists, 2, "the answer that told what it is was the playlist's first copy");
}

#[tokio::test]
async fn sound_of_its_own_is_a_second_input() {
    let master = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"en\",DEFAULT=YES,URI=\"sound.m3u8\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=9000000,RESOLUTION=1920x1080,AUDIO=\"a\"\nlarge.m3u8\n\
        #EXT-X-STREAM-INF:BANDWIDTH=2000000,RESOLUTION=1280x720,AUDIO=\"a\"\nsmall.m3u8\n";
    let server = Server::start(move |asked| match asked.path.as_str() {
        "/master" => ok(master.as_bytes()),
        "/small.m3u8" => ok(&vod("#EXTINF:4,\np1\n#EXTINF:4,\np2\n")),
        "/sound.m3u8" => ok(&vod("#EXTINF:4,\ns1\n#EXTINF:4,\ns2\n")),
        path => ok(path.as_bytes()),
    });
    let server = server.await;
    let wish = Wish { most_lines: 720, ..Wish::default() };
    let mut source = open_url(&fetcher(), &server.url("/master"), &wish).await.unwrap();
    let [pictures, sound] = &mut source.inputs[..] else { panic!("{:?}", source.inputs) };
    // the slower reader holds the other one up by no more than a segment, and loses nothing
    assert_eq!(reads(pictures).await.unwrap(), [Ok("/p1/p2".to_owned())]);
    assert_eq!(reads(sound).await.unwrap(), [Ok("/s1/s2".to_owned())]);
    assert!(server.asked().iter().all(|asked| asked.path != "/large.m3u8"));

    let wish = Wish { pictures: false, ..Wish::default() };
    let source = open_url(&fetcher(), &server.url("/master"), &wish).await.unwrap();
    assert_eq!(source.inputs.len(), 1);
}

/// One segment is with the reader and one behind it, however long it waits.
#[tokio::test]
async fn what_nobody_reads_is_not_fetched() {
    let segments: String = (0..20).map(|n| format!("#EXTINF:4,\n{n}\n")).collect();
    let list = vod(&segments);
    let server = Server::start(move |asked| match asked.path.as_str() {
        "/list" => ok(&list),
        path => ok(path.as_bytes()),
    });
    let server = server.await;
    let mut source = source(&server.url("/list")).await.unwrap();
    let input = &mut source.inputs[0];
    assert_eq!(input.read(0, 1).await.unwrap(), Read::Data(b"/"[..].into()));
    while server.asked().len() < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // a third segment would come now, if it came
    let more = tokio::time::timeout(Duration::from_millis(200), async {
        while server.asked().len() < 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(more.await.is_err());
    let all: String = (0..20).map(|n| format!("/{n}")).collect();
    assert_eq!(reads(input).await.unwrap(), [Ok(all[1..].to_owned())]);
}

#[tokio::test]
async fn a_playlist_that_grows_is_live_and_its_task_ends_with_its_reader() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/list" => ok(
            b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na\n#EXTINF:1,\nb\n#EXTINF:1,\nc\n#EXTINF:1,\nd\n",
        ),
        path => ok(path.as_bytes()),
    });
    let server = server.await;
    let mut source = source(&server.url("/list")).await.unwrap();
    assert!(source.live);
    let mut bytes = Vec::new();
    while bytes.len() < 6 {
        let Read::Data(data) = source.inputs[0].read(0, 2).await.unwrap() else { panic!() };
        bytes.extend_from_slice(&data);
    }
    assert_eq!(bytes, b"/b/c/d", "three target durations before the end");
    let lists = || server.asked().iter().filter(|asked| asked.path == "/list").count();
    while lists() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(source);
    let before = lists();
    let again = tokio::time::timeout(Duration::from_millis(1500), async {
        while lists() == before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(again.await.is_err(), "asked again after its end");
}

#[tokio::test]
async fn why_a_playlist_cannot_be_played_is_told() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/drm" => ok(&vod("#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://x\"\n#EXTINF:4,\na\n")),
        "/codec" => ok(b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"dvh1.08\"\na.m3u8\n"),
        "/nested" => ok(b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n/nested\n"),
        "/key" => ok(&vod("#EXT-X-KEY:METHOD=AES-128,URI=\"/gone?secret\"\n#EXTINF:4,\na\n")),
        "/variant" => ok(b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n/forbidden?secret\n"),
        "/forbidden?secret" => status("403 Forbidden"),
        "/gone?secret" => status("410 Gone"),
        _ => ok(b"abc"),
    });
    let server = server.await;
    for (path, reason, text) in [
        ("/drm", "unsupported", "a playlist that is encrypted with SAMPLE-AES"),
        ("/codec", "unsupported", "any of the playlist's 1 variants (dvh1.08) is not supported"),
        ("/nested", "playlist", "a list of variants where segments were expected"),
        ("/variant", "status", "the server answered 403; check the URL's credentials"),
    ] {
        let url = server.url(path);
        let error = match source(&url).await {
            Ok(mut source) => reads(&mut source.inputs[0]).await.unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(error.reason(), reason, "{path}: {error}");
        assert!(error.tell().contains(text) && !error.tell().contains("secret"), "{path}: {}", error.tell());
    }
}
