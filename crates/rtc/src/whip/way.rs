use std::net::SocketAddr;

use str0m::net::{Protocol, Transmit};

/// The first byte of what is STUN is below (RFC 7983).
const ABOVE_STUN: u8 = 4;

/// Which way a publisher's media comes, and so which way reports and keyframe requests go back. The engine keeps to the pair
/// with the highest priority for 15 s and more after a publisher with a second network has left the first.
#[derive(Debug, Default)]
pub(super) struct Way {
    /// Of the datagram that is being read.
    now: Option<(Protocol, SocketAddr, SocketAddr)>,
    /// Of the last one with media that only the publisher can have encrypted.
    media: Option<(Protocol, SocketAddr, SocketAddr)>,
}

impl Way {
    /// A datagram goes into the engine.
    pub(super) fn reads(&mut self, proto: Protocol, from: SocketAddr, to: SocketAddr) {
        self.now = Some((proto, from, to));
    }

    /// The engine made media of it.
    pub(super) fn is_good(&mut self) {
        self.media = self.now;
    }

    /// Turns what is not part of ICE there.
    pub(super) fn back(&self, mut datagram: Transmit) -> Transmit {
        let is_stun = datagram.contents.first().is_some_and(|first| *first < ABOVE_STUN);
        if let Some((proto, from, to)) = self.media.filter(|_| !is_stun) {
            (datagram.proto, datagram.source, datagram.destination) = (proto, to, from);
        }
        datagram
    }
}
