use std::fmt;

/// What a track carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Sound.
    Audio,
    /// Moving pictures.
    Video,
}

/// A coded representation. New ones come with their first user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Codec {
    /// ITU-T H.264. From a publisher: length-prefixed NAL units with an `AVCDecoderConfigurationRecord`
    /// (ISO/IEC 14496-15), or without one: then Annex B access units. Towards a room: Annex B access units.
    H264,
    /// ITU-T H.265, Annex B access units.
    H265,
    /// VP8 (RFC 6386), raw frames.
    Vp8,
    /// VP9, raw superframes.
    Vp9,
    /// AV1, temporal units of OBUs with their sizes (low overhead format), without temporal delimiters.
    Av1,
    /// AAC raw access units, described by an `AudioSpecificConfig` (ISO/IEC 14496-3).
    Aac,
    /// Opus (RFC 6716), a packet each: towards a room of 20 ms, unless a publisher made it.
    Opus,
    /// MPEG-1/2 layer III frames.
    Mp3,
}

impl Codec {
    /// Sound or picture.
    pub fn kind(self) -> Kind {
        match self {
            Codec::H264 | Codec::H265 | Codec::Vp8 | Codec::Vp9 | Codec::Av1 => Kind::Video,
            Codec::Aac | Codec::Opus | Codec::Mp3 => Kind::Audio,
        }
    }

    /// The media type as LiveKit spells it in `InputVideoState.mime_type`, `InputAudioState.mime_type` and `TrackInfo`.
    pub fn mime_type(self) -> &'static str {
        match self {
            Codec::H264 => "video/H264",
            Codec::H265 => "video/H265",
            Codec::Vp8 => "video/VP8",
            Codec::Vp9 => "video/VP9",
            Codec::Av1 => "video/AV1",
            Codec::Aac => "audio/AAC",
            Codec::Opus => "audio/opus",
            Codec::Mp3 => "audio/mpeg",
        }
    }

    /// The codec of a [`Codec::mime_type`], in capitals or not; `None` for one that is not known.
    pub fn of_mime_type(mime_type: &str) -> Option<Self> {
        use Codec::{Aac, Av1, H264, H265, Mp3, Opus, Vp8, Vp9};
        let all = [H264, H265, Vp8, Vp9, Av1, Aac, Opus, Mp3];
        all.into_iter().find(|codec| codec.mime_type().eq_ignore_ascii_case(mime_type))
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.mime_type())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Audio => "audio",
            Kind::Video => "video",
        })
    }
}
