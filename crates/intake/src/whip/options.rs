use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    sync::Arc,
    time::Duration,
};

use crate::wrong_keys::WrongKeyLimits;

/// Where a [`Listener`](super::Listener) listens and how it answers.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// HTTP; port 0 lets the system choose.
    pub http: Option<SocketAddr>,
    /// HTTPS.
    pub https: Option<(SocketAddr, Arc<rustls::ServerConfig>)>,
    /// Where media comes in.
    pub media: Media,
    /// URLs of STUN and TURN servers for publishers (`stun:…`), told in `Link` headers (RFC 9725 section 4.6).
    pub ice_servers: Vec<String>,
    /// Bounds.
    pub limits: Limits,
    /// What else is served, on the same sockets: health and the like. Paths must be fixed text; they go before ours.
    pub routes: axum::Router,
}

/// Where media comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// UDP ports.
    pub udp: Udp,
    /// The port for ICE over TCP (RFC 6544), if there is to be one.
    pub tcp_port: Option<u16>,
    /// Our addresses in the order in which publishers are told them: all UDP ones, then all TCP ones. Some clients
    /// take the first only.
    pub addresses: Vec<Address>,
    /// Only answer connectivity checks (RFC 8445 section 2.5).
    pub ice_lite: bool,
}

impl Default for Media {
    fn default() -> Self {
        Self { udp: Udp::Shared(0), tcp_port: None, addresses: Vec::new(), ice_lite: false }
    }
}

/// UDP ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Udp {
    /// One for all publishers; 0 lets the system choose.
    Shared(u16),
    /// Each publisher gets one of its own.
    PerSession(RangeInclusive<u16>),
}

/// An address of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// What is bound here.
    pub bind: IpAddr,
    /// What publishers are told: the same, or the public address that leads there. Two with the same `bind` share a socket.
    pub advertise: IpAddr,
}

/// The bounds of a [`Listener`](super::Listener).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// HTTP connections. Each takes a descriptor and some KiB; past it the one that has been without a whole request for
    /// longest is closed.
    pub connections: usize,
    /// For a request's head, for its body, and for a TLS handshake. Past it the connection is closed, or told 408.
    pub read: Duration,
    /// For a request to be accepted or rejected: some clients wait 8 s for the whole answer. Past it they are told 503.
    pub decision: Duration,
    /// From the answer to ICE and DTLS being up. Past it the publisher ends as [`Why::NotConnected`](super::Why::NotConnected).
    pub connect: Duration,
    /// Without a sign of life that only the publisher can give (an ICE check with the right password, media). Clients check
    /// each 2 to 5 s; fault row 25 allows 15 s until all is freed. Past it the publisher ends as
    /// [`Why::Vanished`](super::Why::Vanished).
    pub silence: Duration,
    /// Against guessed keys and resources.
    pub wrong_keys: WrongKeyLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            read: Duration::from_secs(10),
            decision: Duration::from_secs(7),
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(13),
            wrong_keys: WrongKeyLimits::default(),
        }
    }
}
