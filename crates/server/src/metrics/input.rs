use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};

/// The way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Input {
    /// RTMP.
    Rtmp,
    /// WHIP.
    Whip,
    /// A URL that the server fetches.
    Url,
    /// SRT.
    Srt,
}

impl EncodeLabelValue for Input {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        let name = match self {
            Self::Rtmp => "rtmp",
            Self::Whip => "whip",
            Self::Url => "url",
            Self::Srt => "srt",
        };
        name.encode(encoder)
    }
}
