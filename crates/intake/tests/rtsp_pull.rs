//! `rtsp::pull` against servers that are written here, answer by answer; GStreamer's is met in the end-to-end tests.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use media::{Codec, Unit};
use sluicegate_intake::{
    rtmp::{Event, Publisher, Why},
    rtsp::{Error, pull},
    url::{self, Fetcher, Options, address::Policy},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinHandle,
    time::timeout,
};

/// For steps that take no time, on a machine that compiles at the same time.
const PATIENCE: Duration = Duration::from_secs(60);

fn fetcher(allow: &[&str]) -> Fetcher {
    let policy = Policy::new(allow, &[]).unwrap();
    Fetcher::new(Options { policy, ..Options::default() }).unwrap()
}

fn loopback() -> Fetcher {
    fetcher(&["127.0.0.1"])
}

const SDP: &str = "v=0\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
                   a=fmtp:96 packetization-mode=1;sprop-parameter-sets=ZwE=,aAI=\r\na=control:trackID=1\r\n\
                   m=audio 0 RTP/AVP 8\r\na=control:trackID=2\r\n";

/// What a server does.
#[derive(Clone)]
struct Script {
    sdp: &'static str,
    /// Only UDP, and says that its packets come from there.
    udp: Option<&'static str>,
    /// Asks for this user's `Authorization` to have this text in it.
    login: Option<(&'static str, &'static str)>,
    /// Instead of a description.
    status: Option<&'static str>,
    content_base: Option<&'static str>,
}

const PLAIN: Script = Script { sdp: SDP, udp: None, login: None, status: None, content_base: None };

struct Server {
    addr: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    async fn start(script: Script) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let told = asked.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let mut camera =
                    Camera { stream, script: script.clone(), told: told.clone(), udp: Vec::new() };
                camera.serve().await;
            }
        });
        Server { addr, asked, task }
    }

    fn url(&self) -> String {
        format!("rtsp://{}/cam/secret99", self.addr)
    }

    /// The first lines of requests, and headers that begin so.
    fn asked(&self, word: &str) -> Vec<String> {
        self.asked.lock().unwrap().iter().filter(|line| line.starts_with(word)).cloned().collect()
    }

    async fn until_asked(&self, word: &str) {
        let asked = async {
            while self.asked(word).is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, asked).await.unwrap_or_else(|_| panic!("never asked {word}"));
    }
}

struct Camera {
    stream: TcpStream,
    script: Script,
    told: Arc<Mutex<Vec<String>>>,
    /// The client's ports, and the socket that sends to them.
    udp: Vec<(u16, UdpSocket)>,
}

impl Camera {
    async fn serve(&mut self) {
        let mut buffer = Vec::new();
        loop {
            if buffer.first() == Some(&b'$') && buffer.len() >= 4 {
                let length = 4 + usize::from(u16::from_be_bytes([buffer[2], buffer[3]]));
                if buffer.len() >= length {
                    buffer.drain(..length);
                    continue;
                }
            } else if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let head: Vec<u8> = buffer.drain(..end + 4).collect();
                self.answer(&String::from_utf8(head).unwrap()).await;
                continue;
            }
            match self.stream.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    async fn answer(&mut self, head: &str) {
        self.told.lock().unwrap().extend(head.lines().map(str::to_owned));
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("").trim();
        let method = head.split(' ').next().unwrap();
        let mut status = "200 OK";
        let (mut more, mut body) = (String::new(), "");
        let authorized = self.script.login.is_none_or(|(_, proof)| header("Authorization:").contains(proof));
        match method {
            "OPTIONS" => more.push_str("Public: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER\r\n"),
            _ if !authorized => {
                status = "401 Unauthorized";
                more.push_str(&format!("WWW-Authenticate: {}\r\n", self.script.login.unwrap().0));
            }
            "DESCRIBE" => {
                (status, body) = (self.script.status.unwrap_or(status), self.script.sdp);
                if let Some(base) = self.script.content_base {
                    more.push_str(&format!("Content-Base: {base}\r\n"));
                }
            }
            "SETUP" => match (self.script.udp, header("Transport:")) {
                (Some(_), transport) if transport.contains("TCP") => status = "461 Unsupported Transport",
                (Some(source), transport) => {
                    let port = transport.split("client_port=").nth(1).unwrap().split('-').next().unwrap();
                    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                    let ours = socket.local_addr().unwrap().port();
                    self.udp.push((port.parse().unwrap(), socket));
                    let transport = format!("{transport};source={source};server_port={ours}-{}", ours ^ 1);
                    more.push_str(&format!("Transport: {transport}\r\nSession: 77;timeout=4\r\n"));
                }
                (None, transport) => {
                    more.push_str(&format!("Transport: {transport}\r\nSession: 77;timeout=4\r\n"));
                }
            },
            _ => {}
        }
        let length = body.len();
        let cseq = header("CSeq:");
        let answer =
            format!("RTSP/1.0 {status}\r\nCSeq: {cseq}\r\n{more}Content-Length: {length}\r\n\r\n{body}");
        self.stream.write_all(answer.as_bytes()).await.unwrap();
        if method == "PLAY" {
            self.play().await;
        }
    }

    /// A key picture without parameter sets, which are in the description, a sound, and a goodbye on both tracks.
    async fn play(&mut self) {
        let rtp = |payload_type: u8, sequence: u8, payload: &[u8]| {
            [&[0x80, payload_type, 0, sequence, 0, 0, 0, 0, 0, 0, 0, payload_type & 0x7f][..], payload]
                .concat()
        };
        let bye = |ssrc: u8| vec![0x81, 203, 0, 1, 0, 0, 0, ssrc];
        let packets = [
            (0, rtp(96, 1, &[0x67, 1])),
            (0, rtp(96 | 0x80, 2, &[0x65, 7])),
            (2, rtp(8, 1, &[0xd5; 160])),
            (1, bye(96)),
            (3, bye(8)),
        ];
        for (channel, packet) in packets {
            if let Some((port, socket)) = self.udp.get(usize::from(channel / 2)) {
                let to = SocketAddr::from(([127, 0, 0, 1], port + u16::from(channel % 2)));
                socket.send_to(&packet, to).await.unwrap();
                continue;
            }
            let length = u16::try_from(packet.len()).unwrap().to_be_bytes();
            let framed = [&[b'$', channel, length[0], length[1]][..], &packet].concat();
            self.stream.write_all(&framed).await.unwrap();
        }
    }
}

async fn all(mut publisher: Publisher) -> (Vec<Unit>, Option<Why>) {
    let (mut units, mut end) = (Vec::new(), None);
    while let Some(event) = timeout(PATIENCE, publisher.recv()).await.unwrap() {
        match event {
            Event::Unit(unit) => units.push(unit),
            Event::Ended(why) => end = Some(why),
            _ => {}
        }
    }
    (units, end)
}

fn assert_played((units, end): &(Vec<Unit>, Option<Why>)) {
    let formats = |unit: &Unit| if let Unit::Format(_, format) = unit { Some(format.codec) } else { None };
    assert_eq!(units.iter().filter_map(formats).collect::<Vec<_>>(), [Codec::H264, Codec::Pcma]);
    let mut packets: Vec<_> =
        units.iter().filter_map(|unit| if let Unit::Packet(p) = unit { Some(p) } else { None }).collect();
    packets.sort_by_key(|packet| packet.track);
    assert_eq!(packets.len(), 2, "{units:?}");
    assert!(packets[0].keyframe && packets[0].data.ends_with(&[0, 0, 0, 1, 0x65, 7]), "{packets:?}");
    assert_eq!(packets[1].data.len(), 160);
    assert_eq!(end, &Some(Why::Unpublished), "both tracks said goodbye");
}

#[tokio::test]
async fn pictures_and_sound_come_by_tcp_and_the_session_is_torn_down() {
    let server = Server::start(PLAIN).await;
    let played = all(pull(&loopback(), &server.url()).await.unwrap()).await;
    assert_played(&played);
    server.until_asked("TEARDOWN").await;
    assert_eq!(server.asked("SETUP").len(), 2);
    assert!(server.asked("SETUP")[0].contains("/cam/secret99/trackID=1 "), "{:?}", server.asked("SETUP"));
}

#[tokio::test]
async fn a_server_that_has_only_udp_is_asked_for_it_and_its_source_leads_nowhere() {
    // What `source=` names must not get a datagram.
    let victim = UdpSocket::bind("127.0.0.3:0").await.unwrap();
    let server = Server::start(Script { udp: Some("127.0.0.3"), ..PLAIN }).await;
    let played = all(pull(&loopback(), &server.url()).await.unwrap()).await;
    assert_played(&played);
    assert_eq!(server.asked("SETUP").len(), 3, "TCP was tried first");
    let mut buffer = [0; 64];
    let heard = victim.try_recv(&mut buffer).map_err(|error| error.kind());
    assert_eq!(heard, Err(std::io::ErrorKind::WouldBlock));

    let forced = server.url().replace("rtsp://", "rtspu://");
    assert_played(&all(pull(&loopback(), &forced).await.unwrap()).await);
    assert_eq!(server.asked("SETUP").len(), 5);
    let insists = server.url().replace("rtsp://", "rtspt://");
    let error = pull(&loopback(), &insists).await.unwrap_err();
    assert!(matches!(error, Error::Status { status: 461, .. }), "{error}");
}

#[tokio::test]
async fn a_content_base_leads_nowhere() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let elsewhere = format!("rtsp://{}/elsewhere/", listener.local_addr().unwrap());
    let base: &'static str = Box::leak(elsewhere.into_boxed_str());
    let server = Server::start(Script { content_base: Some(base), ..PLAIN }).await;
    assert_played(&all(pull(&loopback(), &server.url()).await.unwrap()).await);
    server.until_asked("TEARDOWN").await;
    assert!(server.asked("SETUP")[0].contains("/elsewhere/trackID=1 "));
    let connected = timeout(Duration::ZERO, listener.accept()).await;
    assert!(connected.is_err(), "nobody was connected to: {connected:?}");
}

#[tokio::test]
async fn a_user_and_password_answer_challenges_and_are_nowhere_else() {
    let digest =
        (r#"Digest realm="cam", nonce="abc""#, r#"username="us@er", realm="cam", nonce="abc", uri="rtsp://"#);
    for login in [("Basic realm=\"cam\"", "Basic dXNAZXI6cGFzcw=="), digest] {
        let server = Server::start(Script { login: Some(login), ..PLAIN }).await;
        let url = server.url().replace("rtsp://", "rtsp://us%40er:pass@");
        assert_played(&all(pull(&loopback(), &url).await.unwrap()).await);
        let lines = server.asked("").join("\n");
        assert!(!lines.contains("pass@") && !lines.contains("us%40er"), "{lines}");

        let error = pull(&loopback(), &server.url()).await.unwrap_err();
        assert!(matches!(error, Error::Unauthorized { .. }) && !error.is_transient(), "{error}");
    }
    let server = Server::start(Script { login: Some((digest.0, "never")), ..PLAIN }).await;
    let url = server.url().replace("rtsp://", "rtsp://user:wrong@");
    let error = pull(&loopback(), &url).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }) && !error.to_string().contains("wrong"), "{error}");
    assert_eq!(server.asked("DESCRIBE").len(), 2, "asked once more, not for ever");
}

#[tokio::test]
async fn what_goes_wrong_is_named_and_the_path_is_not() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let start = |status, sdp| Server::start(Script { status, sdp, ..PLAIN });
    let missing = start(Some("404 Not Found"), SDP).await;
    let broken = start(Some("503 Service Unavailable"), SDP).await;
    let jpeg = start(None, "m=video 0 RTP/AVP 26\r\na=rtpmap:26 JPEG/90000\r\n").await;
    let nothing = start(None, "v=0\r\nm=application 0 RTP/AVP 107\r\n").await;
    let away = start(Some("302 Moved\r\nLocation: rtsp://10.0.0.1/x"), SDP).await;
    for (url, words, transient) in [
        (missing.url(), "stream not found", true),
        (broken.url(), "answered 503 to DESCRIBE", true),
        (jpeg.url(), "JPEG", false),
        (nothing.url(), "neither pictures nor sound", false),
        (away.url(), "10.0.0.1: a private address", false),
        (format!("rtsp://{nobody}/secret99"), "connection refused", true),
        ("rtsp://10.0.0.1/secret99".to_owned(), "a private address", false),
        ("rtsp://[::1]/secret99".to_owned(), "a loopback address", false),
        ("http://127.0.0.1/secret99".to_owned(), "none of rtsp", false),
    ] {
        let error = timeout(PATIENCE, pull(&loopback(), &url)).await.unwrap().unwrap_err();
        let text = error.to_string();
        assert!(text.contains(words) && !text.contains("secret99"), "{url}: {text}");
        assert_eq!(error.is_transient(), transient, "{text}");
    }
    let error = pull(&fetcher(&[]), &missing.url()).await.unwrap_err();
    assert!(matches!(error, Error::Connect(url::Error::Blocked { .. })), "{error}");
}

#[tokio::test]
async fn redirects_are_followed_five_times() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let moved: &'static str = Box::leak(format!("302 Moved\r\nLocation: rtsp://{addr}/on").into_boxed_str());
    let script = Script { status: Some(moved), ..PLAIN };
    let (told, mut count) = (Arc::<Mutex<Vec<String>>>::default(), 0);
    let serve = async {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            count += 1;
            let mut camera = Camera { stream, script: script.clone(), told: told.clone(), udp: Vec::new() };
            camera.serve().await;
        }
    };
    let fetcher = loopback();
    let url = format!("rtsp://{addr}/start");
    let error = tokio::select! {
        () = serve => unreachable!(),
        pulled = pull(&fetcher, &url) => pulled.unwrap_err(),
    };
    assert!(matches!(error, Error::TooManyRedirects { limit: 5 }), "{error}");
    assert_eq!(count, 6);
}

#[tokio::test]
async fn a_dropped_publisher_tears_the_session_down() {
    let server = Server::start(PLAIN).await;
    drop(pull(&loopback(), &server.url()).await.unwrap());
    server.until_asked("TEARDOWN").await;
}
