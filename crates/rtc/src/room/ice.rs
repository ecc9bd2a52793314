use std::{net::SocketAddr, time::Instant};

use str0m::{
    Candidate,
    net::{Protocol, TcpType},
};

use super::{Error, Room};

/// Text of the peer's that goes into an error message.
const QUOTE_BYTES: usize = 120;

impl Room {
    /// Adds a UDP address of ours that the caller has bound. Best before the first offer, which then names it.
    pub fn add_local_udp(&mut self, now: Instant, addr: SocketAddr) -> Result<(), Error> {
        let candidate = Candidate::host(addr, Protocol::Udp)
            .map_err(|error| Error::LocalCandidate { addr, reason: error.to_string() })?;
        self.rtc.add_local_candidate(candidate);
        self.settle(now)
    }

    /// Adds the local end of a TCP connection that the caller has opened to one of the peer's passive candidates (RFC 6544).
    pub fn add_local_tcp(&mut self, now: Instant, addr: SocketAddr) -> Result<(), Error> {
        let candidate = Candidate::builder().tcp().host(addr).tcptype(TcpType::Active).build();
        let candidate =
            candidate.map_err(|error| Error::LocalCandidate { addr, reason: error.to_string() })?;
        self.rtc.add_local_candidate(candidate);
        self.settle(now)
    }

    /// Adds one of the peer's candidates (`candidate:…`, RFC 8839 section 5.1). Says where it is: the caller may have to
    /// bind an address that leads there, or to connect when it is TCP.
    pub fn add_remote(&mut self, now: Instant, text: &str) -> Result<(Protocol, SocketAddr), Error> {
        let candidate = Candidate::from_sdp_string(text).map_err(|error| Error::RemoteCandidate {
            text: text.chars().take(QUOTE_BYTES).collect(),
            reason: error.to_string(),
        })?;
        let place = (candidate.proto(), candidate.addr());
        self.rtc.add_remote_candidate(candidate);
        self.settle(now)?;
        Ok(place)
    }
}
