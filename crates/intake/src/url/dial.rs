//! Connections for the HTTP client. The policy is asked here, of the resolved address, for each connection that is made: a
//! redirect, a playlist's segment or a name that has another address the second time comes by here like everything else.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{
    future::BoxFuture,
    stream::{FuturesUnordered, StreamExt},
};
use hyper::Uri;
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Error, Phase, address::Policy, greeting::Greeted, proxy::Proxy, resolve::Resolve};

/// An address that does not answer holds the next one up for this long (RFC 8305, 5).
const STAGGER: Duration = Duration::from_millis(250);
/// Of a name with more addresses these are tried, and the others not.
const ADDRESSES: usize = 8;

/// Makes connections; one for all fetches.
#[derive(Clone)]
pub(super) struct Dialer(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) policy: Policy,
    pub(super) resolver: Arc<dyn Resolve>,
    pub(super) tls: TlsConnector,
    /// For protocols that TLS has no name for: RTMP and RTSP.
    pub(super) plain_tls: TlsConnector,
    pub(super) within: Duration,
    pub(super) proxy: Proxy,
}

/// What is connected to.
pub(crate) struct Target {
    /// A name, or an address without brackets.
    pub(crate) host: String,
    /// TCP's.
    pub(crate) port: u16,
    /// Over TLS.
    pub(crate) tls: bool,
    /// Scheme, host and port, for people.
    pub(crate) origin: String,
}

impl Target {
    /// For other protocols than HTTP.
    fn raw(host: &str, port: u16) -> Result<Self, Error> {
        if host.is_empty() {
            return Err(Error::Url("it has no host"));
        }
        if port == 0 {
            return Err(Error::Url("port 0"));
        }
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).to_owned();
        let shown = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        Ok(Self { host, port, tls: false, origin: shown })
    }

    fn of(uri: &Uri) -> Result<Self, Error> {
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(Error::Url("only http and https are fetched")),
        };
        let authority = uri.authority().ok_or(Error::Url("it has no host"))?;
        let host = authority.host();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).to_owned();
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { host, port, tls, origin: format!("{}://{authority}", if tls { "https" } else { "http" }) })
    }
}

impl Inner {
    /// The addresses of `host` that the policy lets through, with `port`; at least one.
    pub(super) async fn checked(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
        let target = Target::raw(host, port)?;
        self.in_time(&target, self.permitted(&target)).await
    }

    /// A connection to `host` at a permitted address, never through the proxy.
    pub(super) async fn tcp(&self, host: &str, port: u16) -> Result<TcpStream, Error> {
        let target = Target::raw(host, port)?;
        let stream = async { direct(&target, &self.permitted(&target).await?).await };
        self.in_time(&target, stream).await
    }

    async fn dial(&self, uri: Uri) -> Result<TokioIo<Greeted<Stream>>, Error> {
        let target = Target::of(&uri)?;
        let stream = self.in_time(&target, async {
            let addresses = self.permitted(&target).await?;
            let tcp = match self.proxy.for_uri(&uri) {
                None => direct(&target, &addresses).await?,
                Some(hop) => {
                    let address =
                        addresses.first().ok_or_else(|| Error::Dns { host: target.host.clone() })?;
                    let tunnel = hop.tunnel(*address, &*self.resolver).await;
                    tunnel.and_then(|tcp| tcp.set_nodelay(true).map(|()| tcp)).map_err(|error| {
                        Error::Unreachable { origin: target.origin.clone(), why: format!("proxy: {error}") }
                    })?
                }
            };
            secure(&target, &self.tls, tcp).await
        });
        Ok(TokioIo::new(Greeted::new(stream.await?)))
    }

    /// A connection for a protocol other than HTTP. A proxy is for HTTP.
    pub(super) async fn connect(&self, target: &Target) -> Result<Stream, Error> {
        let stream = async {
            let addresses = self.permitted(target).await?;
            let tcp = direct(target, &addresses).await?;
            secure(target, &self.plain_tls, tcp).await
        };
        self.in_time(target, stream).await
    }

    async fn in_time<T>(
        &self,
        target: &Target,
        stream: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let late =
            |_| Error::TimedOut { origin: target.origin.clone(), phase: Phase::Connect, after: self.within };
        tokio::time::timeout(self.within, stream).await.map_err(late)?
    }

    /// The target's addresses that the policy lets through.
    async fn permitted(&self, target: &Target) -> Result<Vec<SocketAddr>, Error> {
        let host = || target.host.clone();
        let found = match target.host.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => self.resolver.resolve(&target.host).await.map_err(|_| Error::Dns { host: host() })?,
        };
        let refused = found.iter().find_map(|address| self.policy.check(*address).err());
        let permitted = found.into_iter().filter(|address| self.policy.check(*address).is_ok());
        let permitted: Vec<_> = permitted.map(|address| SocketAddr::new(address, target.port)).collect();
        match refused {
            Some(kind) if permitted.is_empty() => Err(Error::Blocked { host: host(), kind }),
            None if permitted.is_empty() => Err(Error::Dns { host: host() }),
            _ => Ok(in_turn(permitted)),
        }
    }
}

async fn direct(target: &Target, addresses: &[SocketAddr]) -> Result<TcpStream, Error> {
    let failed = |error: io::Error| Error::dialing(&target.origin, &error);
    let stream = first_of(addresses).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    Ok(stream)
}

async fn secure(target: &Target, connector: &TlsConnector, tcp: TcpStream) -> Result<Stream, Error> {
    if !target.tls {
        return Ok(Stream::Plain(tcp));
    }
    let failed = |error: io::Error| Error::dialing(&target.origin, &error);
    let wrong = |why: String| Error::Tls { origin: target.origin.clone(), why };
    let name = ServerName::try_from(target.host.clone()).map_err(|error| wrong(error.to_string()))?;
    let tls = connector.connect(name, tcp).await.map_err(|error| match error.kind() {
        // rustls' own, and a peer that hangs up on the hello; the rest is the network's
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => wrong(error.to_string()),
        _ => failed(error),
    })?;
    Ok(Stream::Tls(Box::new(tls)))
}

impl tower_service::Service<Uri> for Dialer {
    type Response = TokioIo<Greeted<Stream>>;
    type Error = Error;
    type Future = BoxFuture<'static, Result<TokioIo<Greeted<Stream>>, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let inner = self.0.clone();
        Box::pin(async move { inner.dial(uri).await })
    }
}

/// The families by turns, beginning with the one that the resolver has first: a network without working IPv6 costs one stagger.
fn in_turn(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (one, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first);
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    let turns = std::iter::from_fn(|| match (one.next(), other.next()) {
        (None, None) => None,
        pair => Some([pair.0, pair.1]),
    });
    turns.flatten().flatten().take(ADDRESSES).collect()
}

/// The first connection that comes about, of attempts that begin one after the other.
pub(super) async fn first_of(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut left = addresses.iter().copied();
    let mut attempts = FuturesUnordered::new();
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        match left.next() {
            Some(address) => attempts.push(TcpStream::connect(address)),
            None if attempts.is_empty() => return Err(failure),
            None => {}
        }
        tokio::select! {
            Some(attempt) = attempts.next() => match attempt {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            },
            () = tokio::time::sleep(STAGGER), if left.len() > 0 => {}
        }
    }
}

/// A connection, with TLS or without.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// What is below TLS.
    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl Connection for Greeted<Stream> {
    fn connected(&self) -> Connected {
        match self.inner() {
            Stream::Tls(tls) if tls.get_ref().1.alpn_protocol() == Some(b"h2") => {
                Connected::new().negotiated_h2()
            }
            _ => Connected::new(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}
