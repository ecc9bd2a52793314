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
        self.media = self.now.or(self.media);
    }

    /// The engine has done with it: what it says from now on is of no datagram.
    pub(super) fn has_read(&mut self) {
        self.now = None;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_engine_made_media_of_turns_the_way() {
        let [us, publisher, stranger] = [1, 2, 3].map(|port| SocketAddr::from(([10, 0, 0, 1], port)));
        let sent = |way: &Way, first: u8| {
            let (source, contents) = (us, vec![first; 8].into());
            way.back(Transmit { proto: Protocol::Udp, source, destination: us, contents }).destination
        };
        let mut way = Way::default();
        assert_eq!(sent(&way, 0x80), us, "as the engine says");
        way.reads(Protocol::Udp, publisher, us);
        way.is_good();
        way.has_read();
        way.reads(Protocol::Udp, stranger, us);
        way.has_read();
        way.is_good();
        assert_eq!([0x80, 0x16, 0x01].map(|first| sent(&way, first)), [publisher, publisher, us]);
    }
}
