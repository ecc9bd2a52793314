use media::Codec;
use str0m::{
    Candidate, Rtc, RtcConfig,
    format::{self, FormatParams},
    media::Frequency,
    net::{Protocol, TcpType},
};

use super::{Config, Error, Local, Offer};

pub(super) fn candidate(local: &Local) -> Result<Candidate, Error> {
    let built = match local.protocol {
        Protocol::Tcp => Candidate::builder().tcp().host(local.address).tcptype(TcpType::Passive).build(),
        _ => Candidate::host(local.address, Protocol::Udp),
    };
    built.map_err(|error| Error::LocalCandidate { address: local.address, reason: error.to_string() })
}

/// An engine that knows the chosen codecs only, so that the answer names these and no others.
pub(super) fn configure(offer: &Offer, config: Config) -> Result<RtcConfig, Error> {
    let mut rtc = Rtc::builder().clear_codecs().set_rtp_mode(true).set_ice_lite(config.ice_lite);
    if let Some(audio) = &offer.audio {
        let format =
            FormatParams { min_p_time: Some(10), use_inband_fec: Some(true), ..FormatParams::default() };
        let (pt, rate) = (audio.payload_type.into(), Frequency::FORTY_EIGHT_KHZ);
        rtc.codec_config().add_config(pt, None, format::Codec::Opus, rate, Some(2), format);
    }
    if let Some(video) = &offer.video {
        let (pt, resend) = (video.payload_type.into(), video.resend.map(Into::into));
        match (video.codec, video.h264) {
            (Codec::H264, Some((level, mode_1))) => {
                rtc.codec_config().add_h264(pt, resend, mode_1, level);
            }
            (Codec::H265, _) => rtc = rtc.enable_h265(true),
            (Codec::Vp8, _) => rtc = rtc.enable_vp8(true),
            (Codec::Vp9, _) => rtc = rtc.enable_vp9(true),
            (Codec::Av1, _) => rtc = rtc.enable_av1(true),
            (other, _) => return Err(Error::Sdp(format!("{other} is not received over WebRTC"))),
        }
    }
    Ok(rtc)
}
