use std::{net::IpAddr, sync::Arc, time::Duration};

use media::Codec;
use str0m::{
    Candidate, Rtc, RtcConfig, format,
    media::Frequency,
    net::{Protocol, TcpType},
};

use super::{Config, Error, Local, plain::Plain};
use crate::dtls;

/// How often [`Event::Stats`](super::Event::Stats) comes.
const STATS_EVERY: Duration = Duration::from_secs(2);

pub(super) fn local_candidate(local: &Local) -> Result<Candidate, Error> {
    let built = match local.protocol {
        Protocol::Tcp => Candidate::builder().tcp().host(local.address).tcptype(TcpType::Passive).build(),
        _ => Candidate::host(local.address, Protocol::Udp),
    };
    built.map_err(|error| Error::LocalCandidate { address: local.address, reason: error.to_string() })
}

/// A candidate of the publisher's that can be reached. Others are passed over: names that only its own network can resolve (mDNS),
/// addresses that mean something on its own link only, and TCP, where it has to come to us.
pub(super) fn remote_candidate(text: &str) -> Option<Candidate> {
    let candidate = Candidate::from_sdp_string(text).ok()?;
    let address = candidate.addr();
    let local = match address.ip() {
        IpAddr::V4(ip) => ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    let reachable =
        !local && !address.ip().is_unspecified() && !address.ip().is_multicast() && address.port() != 0;
    (candidate.proto() == Protocol::Udp && reachable).then_some(candidate)
}

/// An engine that knows the chosen codecs only, so that the answer names these and no others.
pub(super) fn configure(plain: &Plain, config: Config) -> RtcConfig {
    let mut rtc = Rtc::builder()
        .clear_codecs()
        .set_rtp_mode(true)
        // One side has to ask. Who hides has no use for our questions, and ffmpeg 9's answers to them lack XOR-MAPPED-ADDRESS
        // (RFC 8489 section 7.3.1), which the engine insists on.
        .set_ice_lite((config.ice_lite || plain.hides) && !plain.ice_lite)
        .set_stats_interval(Some(STATS_EVERY));
    // GStreamer's certificate is RSA, which the engine's own DTLS does not know.
    let crypto = if plain.is_of_gstreamer() { dtls::provider() } else { dtls::prompt() };
    rtc = rtc.set_crypto_provider(Arc::new(crypto));
    for (_, media) in plain.media() {
        let (codec, rate, channels) = match media.codec {
            Codec::H264 => (format::Codec::H264, Frequency::NINETY_KHZ, None),
            Codec::H265 => (format::Codec::H265, Frequency::NINETY_KHZ, None),
            Codec::Vp8 => (format::Codec::Vp8, Frequency::NINETY_KHZ, None),
            Codec::Vp9 => (format::Codec::Vp9, Frequency::NINETY_KHZ, None),
            Codec::Av1 => (format::Codec::Av1, Frequency::NINETY_KHZ, None),
            _ => (format::Codec::Opus, Frequency::FORTY_EIGHT_KHZ, Some(2)),
        };
        let (pt, resend) = (media.payload_type.into(), media.resend.map(Into::into));
        rtc.codec_config().add_config(pt, resend, codec, rate, channels, media.format);
    }
    rtc
}
