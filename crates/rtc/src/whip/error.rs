use std::net::SocketAddr;

use super::{FragmentError, OfferError};

/// What a [`Peer`](super::Peer) cannot do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The offer cannot be answered.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// The engine does not understand the offer.
    #[error("offer refused: {0}")]
    Sdp(String),
    /// The PATCH's body cannot be read.
    #[error(transparent)]
    Fragment(#[from] FragmentError),
    /// They could not be put into an offer.
    #[error("ice-ufrag, ice-pwd: expected 4 to 256 letters, digits, + or / (RFC 8839 section 5.4)")]
    Credentials,
    /// A new ice-ufrag restarts ICE, which takes a new ice-pwd too.
    #[error("another ice-ufrag than the present one restarts ICE: ice-pwd is missing")]
    RestartWithoutPwd,
    /// The PATCH was overtaken by a restart.
    #[error("ice-ufrag of a generation before the present one")]
    Stale,
    /// A local address that ICE cannot use (0.0.0.0, say).
    #[error("local ICE candidate {address}: {reason}")]
    LocalCandidate {
        /// The address.
        address: SocketAddr,
        /// What is wrong with it.
        reason: String,
    },
    /// The engine gave up; the publisher has to connect again.
    #[error("peer connection failed: {0}")]
    Engine(#[source] str0m::RtcError),
}

impl Error {
    /// The offer is sound, but nothing in it is taken here: HTTP 406.
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::Offer(OfferError::Codec { .. }))
    }
}
