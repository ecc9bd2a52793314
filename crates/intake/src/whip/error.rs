use std::{
    io,
    net::{IpAddr, SocketAddr},
};

/// What a [`Listener`](super::Listener) or a [`Request`](super::Request) cannot do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An address that cannot be listened at.
    #[error("cannot listen for {what} at {address}: {source}")]
    Bind {
        /// HTTP, HTTPS, UDP or ICE-TCP.
        what: &'static str,
        /// Without port for media.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// No media address.
    #[error("no address for media: publishers could not connect")]
    NoAddress,
    /// The publisher left, or waited too long, before it was accepted.
    #[error("the publisher at {peer} left before it was accepted")]
    Gone {
        /// Where it was.
        peer: SocketAddr,
    },
    /// The offer cannot be answered; the publisher was told why.
    #[error(transparent)]
    Offer(#[from] rtc::whip::Error),
}

impl Error {
    pub(super) fn bind(what: &'static str, address: impl Into<Place>, source: io::Error) -> Self {
        Self::Bind { what, address: address.into().0, source }
    }
}

/// For a message.
pub(super) struct Place(String);

impl From<IpAddr> for Place {
    fn from(ip: IpAddr) -> Self {
        Self(ip.to_string())
    }
}

impl From<SocketAddr> for Place {
    fn from(address: SocketAddr) -> Self {
        Self(address.to_string())
    }
}
