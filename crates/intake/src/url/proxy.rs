//! An HTTP proxy between the server and the origins. It is asked by CONNECT for the address that was checked, not for the name:
//! a proxy that resolves names itself would undo the check.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
};

use hyper::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{dial::first_of, resolve::Resolve};

/// A proxy's answer to CONNECT is a few lines.
const HEAD: usize = 8192;

/// Which proxy is used for which origin.
#[derive(Default)]
pub struct Proxy(Option<Matcher>);

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // the proxy's password is in it
        f.write_str(if self.0.is_some() { "Proxy(..)" } else { "Proxy(none)" })
    }
}

/// The proxy on the way to one origin.
pub(super) struct Hop(Intercept);

impl Proxy {
    /// Every origin is connected to directly.
    pub fn none() -> Self {
        Self(None)
    }

    /// `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, in either case, as curl reads them.
    pub fn from_environment() -> Self {
        Self(Some(Matcher::from_env()))
    }

    /// One proxy (`http://[user:password@]host:port`) for everything but the hosts, domains and ranges in `except`.
    pub fn all(proxy: &str, except: &str) -> Self {
        Self(Some(Matcher::builder().all(proxy.to_owned()).no(except.to_owned()).build()))
    }

    pub(super) fn for_uri(&self, uri: &Uri) -> Option<Hop> {
        self.0.as_ref()?.intercept(uri).map(Hop)
    }
}

impl Hop {
    /// A connection to `target` through the proxy. The proxy's own address is the operator's choice and not checked.
    pub(super) async fn tunnel(&self, target: SocketAddr, resolver: &dyn Resolve) -> io::Result<TcpStream> {
        let wrong = |why: &'static str| io::Error::new(io::ErrorKind::InvalidInput, why);
        let uri = self.0.uri();
        if uri.scheme_str() != Some("http") {
            return Err(wrong("only proxies at http:// are used"));
        }
        let host = uri.host().ok_or_else(|| wrong("the proxy has no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let found = match host.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => resolver.resolve(host).await?,
        };
        let port = uri.port_u16().unwrap_or(80);
        let addresses: Vec<_> = found.into_iter().map(|address| SocketAddr::new(address, port)).collect();
        let mut stream = first_of(&addresses).await?;
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
        if let Some(credentials) = self.0.basic_auth() {
            request.extend_from_slice(b"Proxy-Authorization: ");
            request.extend_from_slice(credentials.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        stream.write_all(&request).await?;
        opened(&mut stream).await?;
        Ok(stream)
    }
}

/// Reads the proxy's answer, and no byte more: what follows is the origin's.
async fn opened(stream: &mut TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == HEAD {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer to CONNECT is too long"));
        }
        head.push(stream.read_u8().await?);
    }
    match head.get(..12) {
        Some([b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', b' ', b'2', _, _]) => Ok(()),
        Some(line) => Err(io::Error::other(format!("CONNECT: {}", String::from_utf8_lossy(&line[9..])))),
        None => Err(io::Error::new(io::ErrorKind::InvalidData, "the answer to CONNECT is no HTTP")),
    }
}
