//! The client: one for the whole server, so that connections are used again.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use http_body_util::Empty;
use hyper::{
    Response,
    body::{Bytes, Incoming},
    header::HeaderValue,
};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use rustls::ClientConfig;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_rustls::TlsConnector;
use url::Url;

use super::{
    Ask, Body, Counts, Error, Limits, Options, Phase, Spooling,
    dial::{self, Dialer, Stream, Target},
    head::{self, Head, Wanted},
    retry::Retry,
};

/// Idle connections kept for each origin: a player's segments, its audio rendition and a key are not fetched at once more often.
const IDLE_PER_ORIGIN: usize = 4;
/// Servers close idle connections after 5 s (Apache) to 75 s (nginx); past this one is not worth its descriptor.
const IDLE_FOR: Duration = Duration::from_secs(30);
/// What hyper holds of an HTTP/1 answer that it has not passed on; also the largest head.
const HTTP1_BUFFER: usize = 64 * 1024;
/// Header lines of one answer.
const HTTP1_HEADERS: usize = 100;
/// The largest head in HTTP/2.
const HTTP2_HEAD: u32 = 64 * 1024;
/// What an HTTP/2 server may send ahead of its reader, per answer.
const HTTP2_WINDOW: u32 = 1024 * 1024;
/// The same for all answers of a connection: never what holds one up. Media is read at the pace at which it plays, so answers that
/// wait for their reader are the rule, and a window that they fill would stop all others on the connection.
const HTTP2_CONNECTION: u32 = 1 << 30;
/// A connection that is in use and silent is asked whether it lives, and left when no answer comes. A dead one in the pool would
/// swallow every further attempt.
const HTTP2_PING: Duration = Duration::from_secs(5);

/// The set-up is wrong; nothing has been fetched.
#[derive(Debug, Clone, thiserror::Error)]
#[error("fetching URLs: {0}")]
pub struct Setup(String);

/// Fetches http and https. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Fetcher(Arc<Inner>);

struct Inner {
    client: Client<Dialer, Empty<Bytes>>,
    dialer: Arc<dial::Inner>,
    agent: HeaderValue,
    limits: Limits,
    spooling: Spooling,
    counts: Counts,
}

/// A resource whose head has been read.
pub struct Opened {
    /// Bytes of the whole resource, also where a part was asked for; `None` for live streams and servers that don't say.
    pub size: Option<u64>,
    /// The server gives parts: shown by a part where one was asked for, else as it says (and may be wrong about).
    pub ranges: bool,
    /// The body is a part, as one was asked for: that the server has ranges is more than said.
    pub is_part: bool,
    /// Where it was found after redirects, which is what relative URLs in it refer to. May have credentials in it.
    pub url: Url,
    /// `Content-Type` as sent.
    pub content_type: Option<String>,
    /// Bytes between two Icecast titles in the body, where [`Ask::icy`] asked for them and the server has them.
    pub icy_interval: Option<u32>,
    /// Icecast or SHOUTcast answered.
    pub radio: bool,
    /// The data.
    pub body: Body,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = head::origin(&self.url);
        f.debug_struct("Opened").field("origin", &origin).field("size", &self.size).finish_non_exhaustive()
    }
}

/// A resource that has been read as a whole.
#[derive(Clone)]
pub struct Fetched {
    /// Where it was found after redirects. May have credentials in it.
    pub url: Url,
    /// `Content-Type` as sent.
    pub content_type: Option<String>,
    /// The data.
    pub bytes: Bytes,
}

impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = head::origin(&self.url);
        f.debug_struct("Fetched")
            .field("origin", &origin)
            .field("length", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// An answer with data, at the end of its redirects.
pub(super) struct Answer {
    pub(super) head: Head,
    pub(super) url: Url,
    pub(super) body: Incoming,
}

/// An attempt that failed, and the wait that the server asked for.
pub(super) struct Failed {
    pub(super) error: Error,
    pub(super) retry_after: Option<Duration>,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, retry_after: None }
    }
}

impl Fetcher {
    /// A client with these options; connects to nothing yet.
    pub fn new(options: Options) -> Result<Self, Setup> {
        let wrong = |error: &dyn fmt::Display| Setup(error.to_string());
        let agent =
            HeaderValue::try_from(options.user_agent).map_err(|_| wrong(&"user agent: not a header"))?;
        // Named here, and not taken from the process: two providers are compiled in, and then there is no default.
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = tls.map_err(|error| wrong(&error))?;
        let mut tls = tls.with_root_certificates(options.roots).with_no_client_auth();
        let plain_tls = TlsConnector::from(Arc::new(tls.clone()));
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let dialer = Arc::new(dial::Inner {
            policy: options.policy,
            resolver: options.resolver,
            tls: TlsConnector::from(Arc::new(tls)),
            plain_tls,
            within: options.limits.connect,
            proxy: options.proxy,
        });
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_FOR)
            .pool_max_idle_per_host(IDLE_PER_ORIGIN)
            .http1_max_buf_size(HTTP1_BUFFER)
            .http1_max_headers(HTTP1_HEADERS)
            .http2_max_header_list_size(HTTP2_HEAD)
            .http2_initial_stream_window_size(HTTP2_WINDOW)
            .http2_initial_connection_window_size(HTTP2_CONNECTION)
            .http2_keep_alive_interval(HTTP2_PING)
            .http2_keep_alive_timeout(HTTP2_PING)
            .build(Dialer(dialer.clone()));
        let Options { limits, spooling, .. } = options;
        let counts = Counts::default();
        Ok(Self(Arc::new(Inner { client, dialer, agent, limits, spooling, counts })))
    }

    /// A TCP connection for another protocol than HTTP (RTMP, RTSP): resolved, checked and connected like every fetch, within
    /// [`Limits::connect`]. `host` is a name or an address as URLs have it; a proxy is not used. Callers that add TLS bring
    /// their own.
    pub async fn dial(&self, host: &str, port: u16) -> Result<TcpStream, Error> {
        self.0.dialer.tcp(host, port).await
    }

    /// The addresses of `host` that the policy lets through, the best first and never none: for protocols with sockets of their
    /// own (SRT). Send to these very addresses: a name that is resolved again may have another one.
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
        self.0.dialer.checked(host, port).await
    }

    /// Asks for `url` until it has the head of a good answer or knows why there is none. What may pass by itself (no
    /// connection, 503, silence) is tried again as `ask.attempts` says. Dropping the future ends the attempt.
    pub async fn open(&self, url: &Url, ask: Ask) -> Result<Opened, Error> {
        let opened = self.attempt(url, ask).await;
        opened.inspect_err(|error| self.counts().failed(error))
    }

    async fn attempt(&self, url: &Url, ask: Ask) -> Result<Opened, Error> {
        head::acceptable(url)?;
        if ask.range.is_some_and(|range| range.last.is_some_and(|last| last < range.first)) {
            return Err(Error::PastEnd { origin: head::origin(url) });
        }
        let deadline = ask.within.map(|within| (Instant::now() + within, within));
        let wanted = Wanted { range: ask.range, unchanged: None, icy: ask.icy };
        let answer = self.persist(url, &wanted, ask.attempts, deadline).await?;
        let end = answer.head.end.map(|end| end - answer.head.first);
        if let (Some(limit), Some(length)) = (ask.limit, end)
            && length > limit
        {
            return Err(Error::TooLarge { limit });
        }
        Ok(Opened {
            size: answer.head.size,
            ranges: answer.head.ranges,
            is_part: answer.head.is_part,
            url: answer.url.clone(),
            content_type: answer.head.content_type.clone(),
            icy_interval: answer.head.icy_interval,
            radio: answer.head.radio,
            body: Body::new(self.clone(), url, ask, answer, deadline),
        })
    }

    /// All of `url` in memory: for playlists, segments and keys. `limit` bytes at most, whatever `ask` says.
    pub async fn fetch(&self, url: &Url, limit: u64, ask: Ask) -> Result<Fetched, Error> {
        let mut opened = self.open(url, Ask { limit: Some(limit), ..ask }).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = opened.body.chunk().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(Fetched { url: opened.url, content_type: opened.content_type, bytes: bytes.into() })
    }

    /// A connection for another protocol than HTTP, under the same policy and with the same roots. No proxy is used: those are
    /// for HTTP.
    pub(crate) async fn connect(&self, target: &Target) -> Result<Stream, Error> {
        self.0.dialer.connect(target).await
    }

    /// What all fetches and sources so far have come to.
    pub fn counts(&self) -> &Counts {
        &self.0.counts
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub(super) fn spooling(&self) -> &Spooling {
        &self.0.spooling
    }

    async fn persist(
        &self,
        url: &Url,
        wanted: &Wanted,
        attempts: u32,
        deadline: Option<(Instant, Duration)>,
    ) -> Result<Answer, Error> {
        let open = self.limits().open;
        let own = (Instant::now() + open, open);
        let (by, after) = deadline.map_or(own, |deadline| deadline.min(own));
        let late = || Error::TimedOut { origin: head::origin(url), phase: Phase::Total, after };
        let mut retry = Retry::new(attempts, self.limits());
        loop {
            let failed = match timeout_at(by, self.once(url, wanted)).await.map_err(|_| late())? {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            let again = failed.error.is_transient().then(|| retry.next(failed.retry_after, rand::random()));
            match again.flatten().filter(|wait| Instant::now() + *wait < by) {
                Some(wait) => sleep(wait).await,
                None => return Err(failed.error),
            }
        }
    }

    /// One attempt, with its redirects. Each of them is dialed, and so checked, like the first.
    pub(super) async fn once(&self, url: &Url, wanted: &Wanted) -> Result<Answer, Failed> {
        let mut url = url.clone();
        for _ in 0..=self.limits().redirects {
            let response = self.exchange(&url, wanted).await?;
            let (parts, body) = response.into_parts();
            if let Some(target) = head::redirect(&url, parts.status, &parts.headers)? {
                url = target;
                continue;
            }
            let head = Head::read(&head::origin(&url), wanted.range, parts.status, &parts.headers);
            let retry_after = head::retry_after(&parts.headers);
            let head = head.map_err(|error| Failed { error, retry_after })?;
            return Ok(Answer { head, url, body });
        }
        Err(Error::TooManyRedirects { limit: self.limits().redirects }.into())
    }

    async fn exchange(&self, url: &Url, wanted: &Wanted) -> Result<Response<Incoming>, Error> {
        let request = head::request(url, wanted, &self.0.agent)?;
        self.counts().requested();
        let after = self.limits().first_byte;
        let late = |_| Error::TimedOut { origin: head::origin(url), phase: Phase::FirstByte, after };
        let response = timeout(after, self.0.client.request(request)).await.map_err(late)?;
        response.map_err(|error| Error::exchanging(&head::origin(url), 0, &error))
    }
}
