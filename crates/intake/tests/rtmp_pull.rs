//! `pull` against the real ffmpeg, which can be a server for one player, and against `rml_rtmp`'s server with and without TLS.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    io,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use media::{Codec, Unit};
use rml_rtmp::{
    handshake::{Handshake, HandshakeProcessResult, PeerType},
    sessions::{ServerSession, ServerSessionConfig, ServerSessionEvent, ServerSessionResult},
    time::RtmpTimestamp,
};
use rtmp::{AUDIO, VIDEO};
use sluicegate_intake::{
    rtmp::{Event, ProtocolError, Publisher, PullError, Why, pull},
    url::{Error, Fetcher, Options, Resolve, address::Policy},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
    time::timeout,
};

/// Starting ffmpeg on a machine that compiles at the same time takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at whether ffmpeg listens.
const AGAIN: Duration = Duration::from_millis(50);

/// Knows two names.
struct Names;

impl Resolve for Names {
    fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<std::net::IpAddr>>> {
        let found = match host {
            "localhost" | "internal.test" => Ok(vec!["127.0.0.1".parse().unwrap()]),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        async { found }.boxed()
    }
}

fn fetcher(allow: &[&str], roots: rustls::RootCertStore) -> Fetcher {
    let policy = Policy::new(allow, &[]).unwrap();
    let (resolver, roots) = (Arc::new(Names), Arc::new(roots));
    Fetcher::new(Options { policy, resolver, roots, ..Options::default() }).unwrap()
}

fn loopback() -> Fetcher {
    fetcher(&["127.0.0.1"], rustls::RootCertStore::empty())
}

/// All up to the end.
async fn all(mut publisher: Publisher) -> (Vec<Unit>, Option<Why>) {
    let (mut units, mut end) = (Vec::new(), None);
    while let Some(event) = publisher.recv().await {
        match event {
            Event::Unit(unit) => units.push(unit),
            Event::Ended(why) => end = Some(why),
            _ => {}
        }
    }
    (units, end)
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn ffmpeg_is_played_from() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("rtmp://127.0.0.1:{port}/live/key12345");
    let line = "-hide_banner -loglevel error -f lavfi -i testsrc=size=160x90:rate=10:duration=1 \
                -f lavfi -i sine=frequency=440:sample_rate=44100:duration=1 -pix_fmt yuv420p -c:v libx264 \
                -preset veryfast -g 5 -bf 2 -c:a aac -f flv -listen 1";
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(line.split_whitespace()).arg(&url).stdin(Stdio::null());
    let _ffmpeg = Killed(ffmpeg.spawn().expect("the setup installs it"));
    let publisher = timeout(PATIENCE, async {
        loop {
            match pull(&loopback(), &url).await {
                Err(PullError::Connect(Error::Refused { .. })) => tokio::time::sleep(AGAIN).await,
                played => break played.unwrap(),
            }
        }
    });
    let (units, end) = timeout(PATIENCE, all(publisher.await.unwrap())).await.unwrap();
    let codec = |unit: &Unit| if let Unit::Format(_, format) = unit { Some(format.codec) } else { None };
    assert_eq!(units.iter().filter_map(codec).collect::<Vec<_>>(), [Codec::H264, Codec::Aac]);
    let of = |wanted| {
        let of_track = units.iter().filter(move |unit| matches!(unit, Unit::Packet(p) if p.track == wanted));
        of_track.count()
    };
    assert_eq!(of(VIDEO), 10);
    assert!((40..=46).contains(&of(AUDIO)), "{} sounds", of(AUDIO));
    // ffmpeg says nothing at its end.
    assert!(matches!(end, Some(Why::Disconnected | Why::Broken(_))), "{end:?}");
}

/// What a server of the tests does when it is asked to play.
#[derive(Debug, Clone, Copy)]
enum Plan {
    PlayAndFinish,
    PlayAndClose,
    NotFound,
    Close,
}

const AVC_HEADER: [u8; 16] = [0x17, 0, 0, 0, 0, 1, 0x64, 0, 31, 0xff, 0xe1, 0, 1, 0x67, 1, 0];
const PICTURE: [u8; 11] = [0x17, 1, 0, 0, 0, 0, 0, 0, 2, 0x65, 1];

/// One player is served.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, plan: Plan) -> io::Result<()> {
    let mut hand = Handshake::new(PeerType::Server);
    stream.write_all(&hand.generate_outbound_p0_and_p1().unwrap()).await?;
    let mut buffer = [0; 4096];
    let (mut session, first) = ServerSession::new(ServerSessionConfig::new()).unwrap();
    let mut todo = loop {
        let count = stream.read(&mut buffer).await?;
        match hand.process_bytes(&buffer[..count]).unwrap() {
            HandshakeProcessResult::InProgress { response_bytes } => {
                stream.write_all(&response_bytes).await?
            }
            HandshakeProcessResult::Completed { response_bytes, remaining_bytes } => {
                stream.write_all(&response_bytes).await?;
                break first.into_iter().chain(session.handle_input(&remaining_bytes).unwrap()).collect();
            }
        }
    };
    let mut asked = false;
    loop {
        let results: Vec<ServerSessionResult> = std::mem::take(&mut todo);
        for result in results {
            match result {
                ServerSessionResult::OutboundResponse(packet) => stream.write_all(&packet.bytes).await?,
                ServerSessionResult::RaisedEvent(ServerSessionEvent::ConnectionRequested {
                    request_id,
                    ..
                }) => todo.extend(session.accept_request(request_id).unwrap()),
                ServerSessionResult::RaisedEvent(ServerSessionEvent::PlayStreamRequested {
                    request_id,
                    stream_id,
                    ..
                }) => {
                    asked = true;
                    todo.extend(answer(&mut session, request_id, stream_id, plan));
                }
                _ => {}
            }
        }
        if asked && todo.is_empty() && matches!(plan, Plan::Close | Plan::PlayAndClose) {
            stream.shutdown().await?;
            // Unread bytes would make a reset of it.
            while stream.read(&mut buffer).await? > 0 {}
            return Ok(());
        }
        if todo.is_empty() {
            match stream.read(&mut buffer).await? {
                0 => return Ok(()),
                count => todo = session.handle_input(&buffer[..count]).unwrap(),
            }
        }
    }
}

fn answer(session: &mut ServerSession, request: u32, stream: u32, plan: Plan) -> Vec<ServerSessionResult> {
    let code = "NetStream.Play.StreamNotFound";
    match plan {
        Plan::Close => return Vec::new(),
        Plan::NotFound => return session.reject_request(request, code, "nothing of that name").unwrap(),
        Plan::PlayAndFinish | Plan::PlayAndClose => {}
    }
    let mut results = session.accept_request(request).unwrap();
    for body in [&AVC_HEADER[..], &PICTURE] {
        let (body, time) = (Bytes::copy_from_slice(body), RtmpTimestamp::new(0));
        let packet = session.send_video_data(stream, body, time, false).unwrap();
        results.push(ServerSessionResult::OutboundResponse(packet));
    }
    if let Plan::PlayAndFinish = plan {
        results.push(ServerSessionResult::OutboundResponse(session.finish_playing(stream).unwrap()));
    }
    results
}

/// A server for any number of players, one after the other.
async fn server(plan: Plan) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A player that goes away is a part of some tests.
            let _ = serve(stream, plan).await;
        }
    });
    (addr, task)
}

#[tokio::test]
async fn the_end_is_one_only_where_the_server_says_so() {
    for (plan, expected) in [(Plan::PlayAndFinish, Why::Unpublished), (Plan::PlayAndClose, Why::Disconnected)]
    {
        let (addr, task) = server(plan).await;
        let publisher = pull(&loopback(), &format!("rtmp://{addr}/live/key")).await.unwrap();
        let (units, end) = timeout(PATIENCE, all(publisher)).await.unwrap();
        assert_eq!((units.len(), end), (2, Some(expected)), "{plan:?}");
        task.abort();
    }
}

#[tokio::test]
async fn what_goes_wrong_is_named_and_the_key_is_not() {
    let (addr, found) = server(Plan::NotFound).await;
    let (closing, closed) = server(Plan::Close).await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (url, words, transient) in [
        (format!("rtmp://{addr}/live/secret99"), "stream not found", true),
        (format!("rtmp://{closing}/live/secret99"), "closed the connection before the stream began", true),
        (format!("rtmp://{nobody}/live/secret99"), "connection refused", true),
        ("rtmp://nowhere.test/live/secret99".to_owned(), "cannot be resolved", true),
        ("rtmp://10.0.0.1/live/secret99".to_owned(), "a private address", false),
        (format!("rtmp://[::ffff:10.0.0.1]:{}/live/secret99", addr.port()), "a private address", false),
        ("http://127.0.0.1/live/secret99".to_owned(), "neither rtmp nor rtmps", false),
    ] {
        let error = timeout(PATIENCE, pull(&loopback(), &url)).await.unwrap().unwrap_err();
        let text = error.to_string();
        assert!(text.contains(words) && !text.contains("secret99"), "{url}: {text}");
        assert_eq!(error.is_transient(), transient, "{text}");
    }
    found.abort();
    closed.abort();
}

#[tokio::test]
async fn loopback_is_not_connected_to_unless_it_is_allowed() {
    let (addr, task) = server(Plan::PlayAndFinish).await;
    let strict = fetcher(&[], rustls::RootCertStore::empty());
    for host in ["127.0.0.1", "internal.test"] {
        let error = pull(&strict, &format!("rtmp://{host}:{}/live/key", addr.port())).await.unwrap_err();
        assert!(matches!(error, PullError::Connect(Error::Blocked { .. })), "{error}");
    }
    task.abort();
}

#[tokio::test]
async fn a_server_that_is_none_is_told_from_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rtmp://{}/live/key", listener.local_addr().unwrap());
    let web = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        stream
    };
    let fetcher = loopback();
    let (error, _stream) = tokio::join!(pull(&fetcher, &url), web);
    let error = error.unwrap_err();
    let is_http = matches!(error, PullError::Protocol { error: ProtocolError::NotRtmp { first: b'H' }, .. });
    assert!(is_http && !error.is_transient(), "{error}");
}

#[tokio::test]
async fn rtmps_is_believed_with_a_certificate_only() {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config =
        config.with_no_client_auth().with_single_cert(vec![certified.cert.der().clone()], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rtmps://localhost:{}/live/key", listener.local_addr().unwrap().port());
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                let _ = serve(stream, Plan::PlayAndFinish).await;
            }
        }
    });
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certified.cert.der().clone()).unwrap();

    let publisher = pull(&fetcher(&["127.0.0.1"], roots), &url).await.unwrap();
    let (units, end) = timeout(PATIENCE, all(publisher)).await.unwrap();
    assert_eq!((units.len(), end), (2, Some(Why::Unpublished)));
    let error = pull(&loopback(), &url).await.unwrap_err();
    assert!(matches!(error, PullError::Connect(Error::Tls { .. })), "{error}");
    task.abort();
}

#[tokio::test]
async fn a_dropped_publisher_closes_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rtmp://{}/live/key", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream, Plan::PlayAndFinish).await
    });
    drop(pull(&loopback(), &url).await.unwrap());
    timeout(PATIENCE, served).await.unwrap().unwrap().unwrap();
}
