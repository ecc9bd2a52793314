use std::time::{Duration, Instant};

use media::Codec;
use str0m::{Rtc, format::FormatParams, media::Frequency};

use super::Error;

/// Sender reports of sound: str0m's 5 s would leave lips out of sync for that long after a join or a moved anchor.
const AUDIO_REPORTS: Duration = Duration::from_secs(1);

/// How often [`Event::Stats`](super::Event::Stats) comes, for each output.
const STATS_INTERVAL: Duration = Duration::from_secs(2);

/// Payload types (any dynamic ones will do), and H.264's constrained baseline 3.1, which every receiver decodes (RFC 7742).
const H264_PT: u8 = 125;
const H264_RTX_PT: u8 = 107;
const H264_PROFILE_LEVEL: u32 = 0x42e01f;
const VP9_PT: u8 = 98;
const VP9_RTX_PT: u8 = 99;

/// What has to be known before the first offer.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// The codec of a picture track, should one come. Frames: [`Codec::H264`] (baseline, packetization mode 1) or [`Codec::Vp8`].
    /// Packets: also [`Codec::H265`] (main profile), [`Codec::Vp9`] (profile 0) and [`Codec::Av1`] (main profile).
    pub video: Codec,
    /// Offer redundant sound (RFC 2198): repairs single losses, doubles the rate. Frames only.
    pub red: bool,
    /// A publisher's packets are sent as they are ([`Room::forward`](super::Room::forward)), and no frames.
    pub forward: bool,
}

impl Config {
    /// The engine, with the codecs that it may offer.
    pub(super) fn build(self, now: Instant) -> Result<Rtc, Error> {
        let mut builder = Rtc::builder()
            .clear_codecs()
            .enable_opus(true, self.red && !self.forward)
            .set_rtp_mode(self.forward)
            .set_rtcp_report_interval_audio(AUDIO_REPORTS)
            .set_stats_interval(Some(STATS_INTERVAL));
        // One picture codec only: the SFU takes the first that it likes, and we send what was encoded.
        let codecs = builder.codec_config();
        match self.video {
            Codec::H264 => {
                codecs.add_h264(H264_PT.into(), Some(H264_RTX_PT.into()), true, H264_PROFILE_LEVEL)
            }
            Codec::Vp8 => codecs.enable_vp8(true),
            Codec::H265 if self.forward => codecs.enable_h265(true),
            Codec::Vp9 if self.forward => {
                let format = FormatParams { profile_id: Some(0), ..FormatParams::default() };
                let (pt, resend) = (VP9_PT.into(), Some(VP9_RTX_PT.into()));
                codecs.add_config(pt, resend, str0m::format::Codec::Vp9, Frequency::NINETY_KHZ, None, format);
            }
            Codec::Av1 if self.forward => codecs.enable_av1(true),
            codec => return Err(Error::Codec { codec, forward: self.forward }),
        }
        Ok(builder.build(now))
    }
}
