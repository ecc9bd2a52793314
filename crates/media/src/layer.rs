use std::fmt;

use crate::Codec;

/// LiveKit's name for a simulcast layer (`livekit.VideoQuality`), lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// `VideoQuality.LOW` = 0.
    Low,
    /// `VideoQuality.MEDIUM` = 1.
    Medium,
    /// `VideoQuality.HIGH` = 2; a track with one layer has this one.
    High,
}

impl Quality {
    /// Lowest first.
    pub const ALL: [Quality; 3] = [Quality::Low, Quality::Medium, Quality::High];

    /// LiveKit's number, which also serves as an index.
    pub fn number(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Quality::Low => "low",
            Quality::Medium => "medium",
            Quality::High => "high",
        })
    }
}

/// One encoding of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Layer {
    /// The name it is asked for by.
    pub quality: Quality,
    /// Pixels, even.
    pub width: u32,
    /// Pixels, even.
    pub height: u32,
    /// Target, bit/s.
    pub bitrate_bps: u32,
}

/// The layers that an ingress asks for, before the source is known.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Ladder {
    /// [`Codec::H264`] or [`Codec::Vp8`].
    pub codec: Codec,
    /// The highest frame rate of any layer, in frames per 1 000 s (30 fps = 30 000): a slower source keeps its own.
    pub max_fps_milli: u32,
    /// Lowest quality first, at least one, each quality at most once.
    pub layers: Vec<Layer>,
}
