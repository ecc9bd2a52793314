//! https, in HTTP/1.1 and HTTP/2.

use std::{convert::Infallible, net::SocketAddr};

use futures_util::stream::{self, BoxStream, StreamExt};
use http_body_util::StreamBody;
use hyper::{
    Request, Response, Version,
    body::{Bytes, Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};
use tokio_rustls::TlsAcceptor;

use super::*;

/// Bytes at `/large`: more than a connection holds of what nobody reads.
const LARGE: usize = 8 << 20;

/// A server for `localhost` that answers with the HTTP version of the request, its certificate's authority, and how many
/// connections it has had.
struct Https {
    addr: SocketAddr,
    roots: Arc<rustls::RootCertStore>,
    connections: Arc<Mutex<usize>>,
    /// One for each answer that is to be broken off.
    cuts: Arc<Semaphore>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Https {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn https(alpn: &[&str]) -> Https {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config =
        config.with_no_client_auth().with_single_cert(vec![certified.cert.der().clone()], key).unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certified.cert.der().clone()).unwrap();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let connections = Arc::new(Mutex::new(0));
    let count = connections.clone();
    let cuts = Arc::new(Semaphore::new(0));
    let told = cuts.clone();
    let task = tokio::spawn(async move {
        let mut served = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            *count.lock().unwrap() += 1;
            let (acceptor, told) = (acceptor.clone(), told.clone());
            served.spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let service = service_fn(|request| {
                    let told = told.clone();
                    async move { Ok::<_, Infallible>(answer(&request, told)) }
                });
                let io = TokioIo::new(stream);
                if h2 {
                    let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    builder.serve_connection(io, service).await.ok();
                } else {
                    hyper::server::conn::http1::Builder::new().serve_connection(io, service).await.ok();
                }
            });
        }
    });
    Https { addr, roots: Arc::new(roots), connections, cuts, task }
}

/// The version that was spoken; at `/cut` the part of `noise(300_000)` that is asked for, broken off after 100 000 bytes when
/// `cuts` lets it: a reset overtakes what is not sent yet.
fn answer(
    request: &Request<Incoming>,
    cuts: Arc<Semaphore>,
) -> Response<StreamBody<BoxStream<'static, io::Result<Frame<Bytes>>>>> {
    let one = |bytes: &[u8]| {
        let frame = Frame::data(Bytes::copy_from_slice(bytes));
        stream::once(async { Ok(frame) })
    };
    if request.uri().path() == "/large" {
        let frames =
            stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(&[7; 16384])))).take(LARGE / 16384);
        return Response::new(StreamBody::new(frames.boxed()));
    }
    if request.uri().path() != "/cut" {
        let version = if request.version() == Version::HTTP_2 { "2" } else { "1.1" };
        return Response::new(StreamBody::new(one(version.as_bytes()).boxed()));
    }
    let range = request.headers()["range"].to_str().unwrap();
    let first: usize = range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap();
    let broken = stream::once(async move {
        cuts.acquire().await.unwrap().forget();
        Err(io::ErrorKind::BrokenPipe.into())
    });
    let frames = match first {
        200_000 => one(&noise(300_000)[first..]).boxed(),
        _ => one(&noise(300_000)[first..first + 100_000]).chain(broken).boxed(),
    };
    let response = Response::builder().status(206).header("etag", "\"v1\"");
    let response = response.header("content-range", format!("bytes {first}-299999/300000"));
    response.body(StreamBody::new(frames)).unwrap()
}

impl Https {
    fn url(&self, host: &str) -> Url {
        Url::parse(&format!("https://{host}:{}/", self.addr.port())).unwrap()
    }

    fn fetcher(&self) -> Fetcher {
        let resolver = Scripted::new(&[&["127.0.0.1"]]);
        Fetcher::new(Options { roots: self.roots.clone(), resolver, ..options() }).unwrap()
    }
}

#[tokio::test]
async fn the_server_chooses_the_version_and_one_connection_is_enough() {
    for (alpn, version) in [(&["h2", "http/1.1"][..], "2"), (&["http/1.1"], "1.1"), (&[], "1.1")] {
        let server = https(alpn).await;
        let fetcher = server.fetcher();
        for _ in 0..5 {
            let fetched = fetcher.fetch(&server.url("localhost"), 10, once()).await.unwrap();
            assert_eq!(fetched.bytes, version.as_bytes(), "{alpn:?}");
        }
        assert_eq!(*server.connections.lock().unwrap(), 1, "{alpn:?}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_for_the_name_or_from_nobody_known_is_refused() {
    let server = https(&["h2"]).await;
    let other = server.fetcher().open(&server.url("other.example"), Ask::default()).await.unwrap_err();
    assert!(matches!(&other, Error::Tls { .. }), "{other}");
    let stranger = Fetcher::new(Options { resolver: Scripted::new(&[&["127.0.0.1"]]), ..options() }).unwrap();
    let unknown = stranger.open(&server.url("localhost"), Ask::default()).await.unwrap_err();
    assert!(matches!(&unknown, Error::Tls { why, .. } if why.contains("UnknownIssuer")), "{unknown}");
    assert_eq!(*server.connections.lock().unwrap(), 2, "neither is tried again");
}

/// HTTP/2 resets one stream and keeps the connection.
#[tokio::test]
async fn a_stream_that_is_reset_is_continued_on_the_same_connection() {
    let server = https(&["h2"]).await;
    let url = server.url("localhost").join("/cut").unwrap();
    let mut opened = server.fetcher().open(&url, from(0)).await.unwrap();
    assert_eq!((opened.size, opened.ranges), (Some(300_000), true));
    let mut bytes = Vec::new();
    while let Some(chunk) = opened.body.chunk().await.unwrap() {
        bytes.extend_from_slice(&chunk);
        if matches!(bytes.len(), 100_000 | 200_000) {
            server.cuts.add_permits(1);
        }
    }
    assert!(bytes == noise(300_000));
    assert_eq!(server.cuts.available_permits(), 0, "both were broken off");
    assert_eq!(*server.connections.lock().unwrap(), 1);
}

/// Two sessions play from one origin, each at its own pace, and share their connection.
#[tokio::test]
async fn a_reader_that_pauses_holds_no_other_up() {
    let server = https(&["h2"]).await;
    let url = server.url("localhost").join("/large").unwrap();
    let fetcher = server.fetcher();
    let mut paused = Vec::new();
    for _ in 0..3 {
        let mut opened = fetcher.open(&url, Ask::default()).await.unwrap();
        opened.body.chunk().await.unwrap().unwrap();
        paused.push(opened);
    }
    let mut other = fetcher.open(&url, Ask::default()).await.unwrap();
    let all = tokio::time::timeout(Duration::from_secs(10), all(&mut other)).await;
    assert_eq!(all.expect("it waits for the paused ones").unwrap().len(), LARGE);
    for opened in &mut paused {
        assert!(self::all(opened).await.unwrap().len() < LARGE);
    }
    assert_eq!(*server.connections.lock().unwrap(), 1);
}
