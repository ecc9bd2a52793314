//! A master playlist: variants, and renditions of their sound.

use super::{Base, Start};

/// A master playlist (RFC 8216 4.3.4).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Master {
    pub(crate) base: Base,
    pub(crate) variants: Vec<Variant>,
    pub(crate) audio: Vec<Audio>,
    pub(crate) start: Option<Start>,
}

/// `EXT-X-STREAM-INF`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Variant {
    pub(crate) uri: String,
    /// The highest bitrate of any segment, sound included.
    pub(crate) bandwidth_bps: u64,
    /// Width and height.
    pub(crate) size: Option<(u64, u64)>,
    /// As of RFC 6381; empty where the playlist does not say.
    pub(crate) codecs: Vec<String>,
    /// The group of its sound.
    pub(crate) audio: Option<String>,
}

/// `EXT-X-MEDIA` of type AUDIO.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Audio {
    pub(crate) group: String,
    pub(crate) name: String,
    /// Absent where the sound is in the variant itself.
    pub(crate) uri: Option<String>,
    pub(crate) default: bool,
    pub(crate) autoselect: bool,
}
