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
    // Those below come out of files and streams that a demuxer takes apart, never from an encoder that pushes. The
    // configuration of each is GStreamer's caps as text (UTF-8): opaque to all but a demuxer and a decoder.
    /// MPEG-1/2 layer I or II frames.
    Mp2,
    /// Vorbis packets.
    Vorbis,
    /// FLAC frames.
    Flac,
    /// Apple Lossless packets.
    Alac,
    /// Samples as they are, of any width and byte order.
    Pcm,
    /// ITU-T G.711, A-law.
    Pcma,
    /// ITU-T G.711, µ-law.
    Pcmu,
    /// AC-3 (ATSC A/52) frames.
    Ac3,
    /// E-AC-3 (ATSC A/52 annex E) frames.
    Eac3,
    /// MPEG-1 and MPEG-2 video, a picture each.
    Mpeg2,
    /// MPEG-4 part 2 (DivX, Xvid), a picture each.
    Mpeg4,
    /// A JPEG picture each.
    Mjpeg,
    /// Theora packets.
    Theora,
}

impl Codec {
    /// All of them.
    pub const ALL: [Codec; 21] = {
        use Codec::*;
        [
            H264, H265, Vp8, Vp9, Av1, Aac, Opus, Mp3, Mp2, Vorbis, Flac, Alac, Pcm, Pcma, Pcmu, Ac3, Eac3,
            Mpeg2, Mpeg4, Mjpeg, Theora,
        ]
    };

    /// Sound or picture.
    pub fn kind(self) -> Kind {
        use Codec::*;
        match self {
            H264 | H265 | Vp8 | Vp9 | Av1 | Mpeg2 | Mpeg4 | Mjpeg | Theora => Kind::Video,
            Aac | Opus | Mp3 | Mp2 | Vorbis | Flac | Alac | Pcm | Pcma | Pcmu | Ac3 | Eac3 => Kind::Audio,
        }
    }

    /// The configuration is GStreamer's caps as text.
    pub fn config_is_caps(self) -> bool {
        use Codec::*;
        !matches!(self, H264 | H265 | Vp8 | Vp9 | Av1 | Aac | Opus | Mp3)
    }

    /// The media type as LiveKit spells it in `InputVideoState.mime_type`, `InputAudioState.mime_type` and `TrackInfo`; as IANA
    /// or else GStreamer spells it where LiveKit has no name.
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
            // Told apart from MP3, whose IANA type is the same.
            Codec::Mp2 => "audio/mp2",
            Codec::Vorbis => "audio/vorbis",
            Codec::Flac => "audio/flac",
            Codec::Alac => "audio/x-alac",
            Codec::Pcm => "audio/x-wav",
            Codec::Pcma => "audio/PCMA",
            Codec::Pcmu => "audio/PCMU",
            Codec::Ac3 => "audio/ac3",
            Codec::Eac3 => "audio/eac3",
            Codec::Mpeg2 => "video/mpeg",
            Codec::Mpeg4 => "video/MP4V-ES",
            Codec::Mjpeg => "video/JPEG",
            Codec::Theora => "video/x-theora",
        }
    }

    /// The codec of a [`Codec::mime_type`], in capitals or not; `None` for one that is not known.
    pub fn of_mime_type(mime_type: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.mime_type().eq_ignore_ascii_case(mime_type))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codec_has_a_media_type_of_its_own() {
        for codec in Codec::ALL {
            assert_eq!(Codec::of_mime_type(&codec.mime_type().to_uppercase()), Some(codec));
        }
        assert_eq!(Codec::of_mime_type("video/none"), None);
    }
}
