use std::{collections::BTreeMap, fmt, net::IpAddr, ops::RangeInclusive, sync::Arc};

use livekit_protocol::TrackSource;
use media::{Codec, Layer};

use crate::token;

/// Where a token comes from: called for every new join, so that a participant can outlive the 24 hours of one token.
#[derive(Clone)]
pub struct TokenSource(Arc<dyn Fn() -> Result<String, token::Error> + Send + Sync>);

impl TokenSource {
    /// Mints a fresh one each time.
    pub fn minted(keys: token::Keys, claims: token::Claims) -> Self {
        Self(Arc::new(move || token::participant(&keys, &claims)))
    }

    /// The one that the control plane handed out with the ingress.
    pub fn given(token: String) -> Self {
        Self(Arc::new(move || Ok(token.clone())))
    }

    pub(super) fn token(&self) -> Result<String, token::Error> {
        (self.0)()
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSource(…)")
    }
}

/// What a participant needs to know before it joins.
#[derive(Debug, Clone)]
pub struct Options {
    /// `ws`, `wss`, `http` or `https` URL of the LiveKit server.
    pub ws_url: String,
    /// Says who joins, and where.
    pub token: TokenSource,
    /// Attributes of the participant on top of the token's, set after each join (`ingress.resourceID`).
    pub attributes: BTreeMap<String, String>,
    /// What a picture track will be coded in: [`Codec::H264`] or [`Codec::Vp8`], with `forward` also [`Codec::H265`],
    /// [`Codec::Vp9`] or [`Codec::Av1`]. Part of the first offer, even when sound comes first.
    pub video_codec: Codec,
    /// Send redundant sound (RFC 2198). Not with `forward`.
    pub red: bool,
    /// A publisher's RTP packets are sent ([`Participant::forward`](super::Participant::forward)), and no frames.
    pub forward: bool,
    /// Tracks of one stream play in sync at the receivers; any name.
    pub stream: String,
    /// The UDP side.
    pub network: Network,
}

/// Which addresses media leaves from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// UDP ports to take one from; any when `None`.
    pub ports: Option<RangeInclusive<u16>>,
    /// Addresses to bind. Empty: the ones that the routing table uses towards the server and towards each of its candidates.
    pub addresses: Vec<IpAddr>,
}

/// The picture track.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoTrack {
    /// As shown to the room.
    pub name: String,
    /// CAMERA or SCREEN_SHARE, say.
    pub source: TrackSource,
    /// The encoders' real sizes and targets: one to three, lowest first, each quality at most once, the last one high.
    pub layers: Vec<Layer>,
}

/// The sound track: Opus at 48 kHz.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioTrack {
    /// As shown to the room.
    pub name: String,
    /// MICROPHONE or SCREEN_SHARE_AUDIO, say.
    pub source: TrackSource,
    /// 1 or 2.
    pub channels: u8,
    /// The encoder stops sending in silence.
    pub dtx: bool,
}
