use std::time::{Duration, Instant};

use media::Codec;
use str0m::Rtc;

use super::Error;

/// Sender reports of sound: str0m's 5 s would leave lips out of sync for that long after a join or a moved anchor.
const AUDIO_REPORTS: Duration = Duration::from_secs(1);

/// How often [`Event::Stats`](super::Event::Stats) comes, for each output.
const STATS_INTERVAL: Duration = Duration::from_secs(2);

/// H.264 payload types (any dynamic ones will do), and constrained baseline 3.1, which every receiver decodes (RFC 7742).
const H264_PT: u8 = 125;
const H264_RTX_PT: u8 = 107;
const H264_PROFILE_LEVEL: u32 = 0x42e01f;

/// What has to be known before the first offer.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// The codec of a picture track, should one come: [`Codec::H264`] (baseline, packetization mode 1) or [`Codec::Vp8`].
    pub video: Codec,
    /// Offer redundant sound (RFC 2198): repairs single losses, doubles the rate.
    pub red: bool,
}

impl Config {
    /// The engine, with the codecs that it may offer.
    pub(super) fn build(self, now: Instant) -> Result<Rtc, Error> {
        let mut builder = Rtc::builder()
            .clear_codecs()
            .enable_opus(true, self.red)
            .set_rtcp_report_interval_audio(AUDIO_REPORTS)
            .set_stats_interval(Some(STATS_INTERVAL));
        // One picture codec only: the SFU takes the first that it likes, and we send what was encoded.
        match self.video {
            Codec::H264 => {
                let resend = Some(H264_RTX_PT.into());
                builder.codec_config().add_h264(H264_PT.into(), resend, true, H264_PROFILE_LEVEL);
            }
            Codec::Vp8 => builder.codec_config().enable_vp8(true),
            other => return Err(Error::Codec(other)),
        }
        Ok(builder.build(now))
    }
}
