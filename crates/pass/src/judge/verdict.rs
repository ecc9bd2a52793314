use std::fmt;

use media::Codec;

use crate::h264::Error;

/// Whether a source may stand in for a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// From this key picture on.
    Fits,
    /// From this picture on, at least until a later key picture.
    Unfit(Why),
}

/// What keeps a source from standing in for a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// Not enough has been seen: no layer to compare with, no key picture, no whole group of pictures.
    Unknown,
    /// It is not H.264.
    Codec(Codec),
    /// A profile that WebRTC receivers do not decode: more than 8 bits, other than 4:2:0, Extended, or Baseline with slice groups.
    Profile {
        /// `profile_idc`.
        idc: u8,
    },
    /// Fields.
    Interlaced,
    /// More than one parameter set of a kind, larger ones than a packet holds, or new ones without a key picture: the
    /// room's packetizer sends one pair, in one packet, in front of a key picture.
    ParameterSets,
    /// Pixels that are not square: a room knows no others.
    PixelShape,
    /// The container wants it turned or mirrored: receivers show pictures as they are coded.
    Turned,
    /// Not the layer's size.
    Size {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    },
    /// Pictures are shown in another order than they are decoded in: WebRTC has no times for decoding.
    BFrames,
    /// More pictures a second than the layers may have.
    FrameRate {
        /// Frames per 1 000 s.
        fps_milli: u32,
    },
    /// Too much for the layer.
    Bitrate {
        /// Bit/s.
        bps: u64,
    },
    /// Key pictures too far apart: one that joins, or lost something, would be shown encoded pictures for too long.
    KeyframeInterval,
    /// What is sent cannot be read.
    Broken(Error),
}

impl Why {
    /// One word, for a metric.
    pub fn label(&self) -> &'static str {
        match self {
            Why::Unknown => "unknown",
            Why::Codec(_) => "codec",
            Why::Profile { .. } => "profile",
            Why::Interlaced => "interlaced",
            Why::ParameterSets => "parameter_sets",
            Why::PixelShape => "pixel_shape",
            Why::Turned => "turned",
            Why::Size { .. } => "size",
            Why::BFrames => "b_frames",
            Why::FrameRate { .. } => "frame_rate",
            Why::Bitrate { .. } => "bitrate",
            Why::KeyframeInterval => "keyframe_interval",
            Why::Broken(_) => "broken",
        }
    }

    /// The same reason, whatever its figures; another size is another reason.
    pub(super) fn is_like(&self, other: &Why) -> bool {
        match (self, other) {
            (Why::Size { .. }, Why::Size { .. }) => self == other,
            _ => self.label() == other.label(),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Unknown => f.write_str("not enough seen yet"),
            Why::Codec(codec) => write!(f, "{codec} is not passed through"),
            Why::Profile { idc } => {
                write!(f, "H.264 profile {idc} is more than WebRTC receivers decode")
            }
            Why::Interlaced => f.write_str("interlaced"),
            Why::ParameterSets => {
                f.write_str("parameter sets that do not go in front of a key picture as one pair")
            }
            Why::PixelShape => f.write_str("pixels are not square"),
            Why::Turned => f.write_str("the picture is to be turned"),
            Why::Size { width, height } => write!(f, "{width}x{height} is not the layer's size"),
            Why::BFrames => f.write_str("B-frames"),
            Why::FrameRate { fps_milli } => {
                write!(f, "{}.{} pictures a second are too many", fps_milli / 1000, fps_milli % 1000 / 100)
            }
            Why::Bitrate { bps } => write!(f, "{} kbit/s are too much for the layer", bps / 1000),
            Why::KeyframeInterval => f.write_str("key pictures are too far apart"),
            Why::Broken(error) => write!(f, "cannot be read: {error}"),
        }
    }
}
