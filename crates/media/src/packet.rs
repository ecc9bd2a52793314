use std::fmt;

use bytes::Bytes;

use crate::{Codec, Kind, MediaTime, Quality};

/// Which elementary stream of a source a packet belongs to. Numbers are given by the intake and mean nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct TrackId(pub u8);

/// How the packets of a track are to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// The codec.
    pub codec: Codec,
    /// The decoder configuration as the container carried it (`avcC`, `AudioSpecificConfig`, [`OpusHead`](crate::OpusHead)); empty where the codec has none.
    /// Of some codecs caps as text: [`Codec::config_is_caps`].
    pub config: Bytes,
    /// Of pictures.
    pub shape: Shape,
}

impl Format {
    /// A format whose pictures are shown as they are coded.
    pub fn new(codec: Codec, config: Bytes) -> Self {
        Self { codec, config, shape: Shape::default() }
    }
}

/// What a container says of pictures, over and above what is in their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shape {
    /// How they are to be turned.
    pub turn: Turn,
    /// Width of a pixel to its height, where the container names it and it is not square.
    pub pixel: Option<(u16, u16)>,
}

/// How a picture is to be turned before it is shown: a phone that was held upright, or a front camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turn {
    /// Mirrored, left to right, before it is turned.
    pub mirrored: bool,
    quarters: u8,
}

impl Turn {
    /// Turned clockwise by this many quarters.
    pub const fn new(mirrored: bool, quarters: u8) -> Self {
        Self { mirrored, quarters: quarters % 4 }
    }

    /// Quarters clockwise, 0 to 3.
    pub const fn quarters(self) -> u8 {
        self.quarters
    }

    /// It stays as it is.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// One access unit (picture or sound frame) of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// The stream that it belongs to.
    pub track: TrackId,
    /// Sound or picture.
    pub kind: Kind,
    /// When to show it.
    pub pts: MediaTime,
    /// When to decode it; never after `pts` in a sane stream.
    pub dts: MediaTime,
    /// Decoding can start here. Audio: always true.
    pub keyframe: bool,
    /// The coded bytes, shared, not copied.
    pub data: Bytes,
}

/// What flows from an intake to a pipeline: a track's format, again when it changes, and its packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unit {
    /// Holds for the packets of this track that follow.
    Format(TrackId, Format),
    /// One access unit.
    Packet(Packet),
}

/// What a pipeline makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Output {
    /// The one sound track.
    Audio,
    /// A layer of the one picture track.
    Video(Quality),
}

impl Output {
    /// Sound or picture.
    pub fn kind(self) -> Kind {
        match self {
            Output::Audio => Kind::Audio,
            Output::Video(_) => Kind::Video,
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Output::Audio => f.write_str("audio"),
            Output::Video(quality) => write!(f, "video {quality}"),
        }
    }
}

/// One encoded frame, ready for a room: an Annex B access unit, a VP8 frame, or an Opus packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Where it goes.
    pub output: Output,
    /// On the session's one clock, the same for sound and picture.
    pub pts: MediaTime,
    /// A receiver can start here. Audio: always true.
    pub keyframe: bool,
    /// The coded bytes.
    pub data: Bytes,
}
