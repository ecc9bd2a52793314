use std::net::SocketAddr;

/// What a [`Room`](super::Room) cannot do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller's list of layers cannot be one track.
    #[error("{count} layers {found}: expected 1 to 3, lowest first, each quality once, the top one high")]
    Layers {
        /// How many there were.
        count: usize,
        /// Their qualities, as given.
        found: String,
    },
    /// Not a codec that a room takes.
    #[error("codec {codec}: a room takes {}", if *forward { "packets of video codecs" } else { "video/H264 and video/VP8" })]
    Codec {
        /// The codec.
        codec: media::Codec,
        /// Whether it was for packets, or for frames.
        forward: bool,
    },
    /// There is a track of this kind already.
    #[error("second {0} track: a room takes one")]
    TrackTwice(media::Kind),
    /// An answer came that nothing waits for.
    #[error("SDP answer without an offer under way")]
    NoOffer,
    /// The SFU's answer is no SDP.
    #[error("SDP answer of {bytes} bytes does not parse: {reason}")]
    AnswerText {
        /// Its length.
        bytes: usize,
        /// What the parser says.
        reason: String,
    },
    /// The SFU's answer does not fit the offer.
    #[error("SDP answer refused: {0}")]
    Answer(#[source] str0m::RtcError),
    /// One of the SFU's ICE candidates does not parse (RFC 8839 section 5.1).
    #[error("remote ICE candidate {text:?} does not parse: {reason}")]
    RemoteCandidate {
        /// As it came, cut to a sane length.
        text: String,
        /// What the parser says.
        reason: String,
    },
    /// A local address that ICE cannot use (0.0.0.0, say).
    #[error("local ICE candidate {addr}: {reason}")]
    LocalCandidate {
        /// The address.
        addr: SocketAddr,
        /// What is wrong with it.
        reason: String,
    },
    /// The engine gave up; the connection has to be built again.
    #[error("peer connection failed: {0}")]
    Engine(#[source] str0m::RtcError),
}
