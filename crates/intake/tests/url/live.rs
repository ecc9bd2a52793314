//! Radios, and what might be one.

use tokio::{io::AsyncWriteExt, sync::Semaphore};

use super::*;

/// Sound as a radio gives it, that begins in the middle of a frame.
fn sound(length: usize) -> Vec<u8> {
    noise(length)
}

/// A title as it stands between the media.
fn titled(title: &str) -> Vec<u8> {
    let text = format!("StreamTitle='{title}';");
    let blocks = text.len().div_ceil(16);
    let mut bytes = vec![blocks as u8];
    bytes.extend_from_slice(text.as_bytes());
    bytes.resize(1 + 16 * blocks, 0);
    bytes
}

fn radio(first_line: &str, lines: &str, body: Vec<u8>) -> Vec<Step> {
    vec![Step::Send(format!("{first_line}\r\n{lines}\r\n").into_bytes()), Step::Send(body), Step::Hang]
}

#[tokio::test]
async fn titles_come_out_of_a_radio_and_media_without_them() {
    let mut body = Vec::new();
    for (at, title) in [(0, "One"), (1, "One"), (2, "It's two")] {
        body.extend_from_slice(&sound(48_000)[at * 16_000..(at + 1) * 16_000]);
        body.extend_from_slice(&titled(title));
    }
    let lines = "Content-Type: audio/mpeg\r\nicy-name: A radio\r\nicy-metaint: 16000\r\n";
    let server = Server::start(move |asked| match asked.path.as_str() {
        // Icecast 2 and SHOUTcast 1
        "/icecast" => radio("HTTP/1.0 200 OK", lines, body.clone()),
        _ => radio("ICY 200 OK", lines, body.clone()),
    });
    let server = server.await;
    for path in ["/icecast", "/shoutcast"] {
        let mut source = source(&server.url(path)).await.unwrap();
        assert!(source.live, "{path}");
        let input = &mut source.inputs[0];
        assert_eq!((input.size(), input.seekable(), input.media_type()), (None, false, Some("audio/mpeg")));
        let mut media = Vec::new();
        while media.len() < 48_000 {
            // what offset is named makes no difference
            let Read::Data(data) = input.read(7, 10_000).await.unwrap() else { panic!() };
            media.extend_from_slice(&data);
        }
        assert_eq!(media, sound(48_000));
        let mut titles = source.titles.unwrap();
        assert_eq!(titles.recv().await.as_deref(), Some("One"));
        // the last title follows the last byte of media, which need not have come with it
        let more = tokio::time::timeout(Duration::from_millis(200), input.read(0, 100)).await;
        assert!(more.is_err(), "{more:?}");
        assert_eq!(titles.recv().await.as_deref(), Some("It's two"));
    }
    assert_eq!(server.asked()[0].header("icy-metadata"), Some("1"));
}

#[tokio::test]
async fn titles_that_nobody_takes_hold_nothing_up_and_the_newest_is_kept() {
    let mut body = Vec::new();
    for number in 0..1000 {
        body.extend_from_slice(&[0xff; 1024]);
        body.extend_from_slice(&titled(&format!("Title {number}")));
    }
    body.extend_from_slice(&[0xff; 1024]);
    let server = Server::start(move |_| {
        let lines = "icy-metaint: 1024\r\n";
        vec![
            Step::Send(format!("HTTP/1.0 200 OK\r\n{lines}\r\n").into_bytes()),
            Step::Send(body.clone()),
            Step::Close,
        ]
    });
    let server = server.await;
    let mut source = source(&server.url("/")).await.unwrap();
    let input = &mut source.inputs[0];
    let mut titles = source.titles.take().unwrap();
    let mut media = 0;
    let mut seen = Vec::new();
    while let Read::Data(data) = input.read(0, 100).await.unwrap() {
        media += data.len();
        // they are looked at before the last media only
        if media > 1000 * 1024 {
            seen.extend(std::iter::from_fn(|| titles.try_recv().ok()));
        }
    }
    assert_eq!(media, 1001 * 1024);
    assert_eq!(seen.last().map(String::as_str), Some("Title 999"));
    assert!(seen.len() <= 6, "{seen:?}");
}

/// Without Icecast's headers a radio is known by its pace: a file comes as fast as it is read.
#[tokio::test]
async fn sound_without_length_is_a_radios_if_it_comes_slowly() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let done = Arc::new(Semaphore::new(0));
    let go = done.clone();
    let server = tokio::spawn(async move {
        let mut stream = server::request(&listener).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: audio/aac\r\n\r\n").await.unwrap();
        stream.write_all(&sound(65_536)).await.unwrap();
        let _permit = go.acquire().await.unwrap();
        stream.write_all(b"more").await.unwrap();
    });
    let mut slow = source(&url).await.unwrap();
    assert!(slow.live && slow.titles.is_none());
    done.add_permits(1);
    let all = rest(&mut slow.inputs[0], 0, 1 << 20).await.unwrap();
    assert_eq!((&all[..65_536], &all[65_536..]), (&sound(65_536)[..], &b"more"[..]));
    server.await.unwrap();

    let fast = Server::start(|_| {
        let head = head("200 OK", &["Content-Type: audio/aac".into()]);
        vec![head, Step::Send([&b"\xff\xf1"[..], &sound(400_000)].concat()), Step::Close]
    });
    let server = fast.await;
    let mut fast = source(&server.url("/")).await.unwrap();
    assert!(!fast.live && !fast.inputs[0].seekable());
    assert_eq!(rest(&mut fast.inputs[0], 0, 1 << 20).await.unwrap().len(), 400_002);
}

#[tokio::test]
async fn a_radios_list_leads_to_its_first_entry_and_no_further() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/a.pls" => ok(b"[playlist]\nFile2=http://nowhere.example/\nFile1=live\n"),
        "/a.m3u" => ok(b"# a radio\nlive\nhttp://nowhere.example/\n"),
        "/b.m3u" => ok(b"#EXTM3U\n#EXTINF:-1,A radio\n/live\n"),
        "/typed" => {
            let lines = ["Content-Type: audio/x-mpegurl".to_owned(), "Content-Length: 5".to_owned()];
            vec![head("200 OK", &lines), Step::Send(b"/live".to_vec())]
        }
        "/twice.m3u" => ok(b"/a.m3u"),
        "/self.m3u" => ok(b"/self.m3u"),
        "/file.m3u" => ok(b"file:///etc/passwd"),
        _ => radio("HTTP/1.0 200 OK", "icy-name: x\r\n", sound(4096)),
    });
    let server = server.await;
    for path in ["/a.pls", "/a.m3u", "/b.m3u", "/typed"] {
        let mut source = source(&server.url(path)).await.unwrap();
        assert!(source.live, "{path}");
        let first = source.inputs[0].read(0, 16).await.unwrap();
        assert_eq!(first, Read::Data(sound(16).into()), "{path}");
    }
    for path in ["/twice.m3u", "/self.m3u"] {
        let further = source(&server.url(path)).await.unwrap_err();
        assert_eq!(further.to_string(), "a playlist that names another playlist is not supported");
    }
    assert_eq!(source(&server.url("/file.m3u")).await.unwrap_err().reason(), "url");
}

/// A radio may answer the range that shows whether there are ranges in a way that makes no sense for an endless stream.
#[tokio::test]
async fn a_radio_that_cannot_cope_with_a_range_is_one_all_the_same() {
    let server = Server::start(|asked| match (asked.header("range"), asked.path.as_str()) {
        (Some(_), "/416") => status("416 Range Not Satisfiable"),
        (Some(_), "/huge") => {
            let lines =
                ["Content-Range: bytes 0-9223372036854775806/9223372036854775807", "icy-metaint: 8192"];
            let head = head("206 Partial Content", &lines.map(str::to_owned));
            vec![head, Step::Send(sound(4096)), Step::Hang]
        }
        (Some(_), _) => vec![head("206 Partial Content", &["Content-Range: bytes 0-/*".into()]), Step::Hang],
        (None, _) => radio("HTTP/1.0 200 OK", "icy-name: x\r\n", sound(4096)),
    });
    let server = server.await;
    for path in ["/416", "/206", "/huge"] {
        let source = source(&server.url(path)).await.unwrap();
        assert!(source.live && !source.inputs[0].seekable(), "{path}");
        assert_eq!(source.inputs[0].size(), None);
    }
}
