//! What the fixtures say, for the engine that plays their client.

use sluicegate_rtc::whip::Offer;
use str0m::{
    IceCreds,
    format::{Codec, FormatParams},
    media::Frequency,
    rtp::{Extension, ExtensionMap},
};

/// An offer as a client writes it, by the name of its file.
pub fn fixture(name: &str) -> String {
    let path = format!("{}/testdata/whip/{name}.sdp", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap().replace('\n', "\r\n")
}

/// The value of an attribute, of the first line that has it.
pub fn attribute<'a>(sdp: &'a str, name: &str) -> Option<&'a str> {
    sdp.lines().find_map(|line| line.strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':'))
}

pub fn filled(template: &str, credentials: &IceCreds, fingerprint: &str) -> String {
    template
        .replace("{ufrag}", &credentials.ufrag)
        .replace("{pwd}", &credentials.pass)
        .replace("{fingerprint}", fingerprint)
}

pub fn extensions(template: &str) -> ExtensionMap {
    let mut map = ExtensionMap::empty();
    for line in template.lines().filter_map(|line| line.strip_prefix("a=extmap:")) {
        let (number, uri) = line.split_once(' ').unwrap();
        let extension = match uri {
            "urn:ietf:params:rtp-hdrext:sdes:mid" => Extension::RtpMid,
            "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id" => Extension::RtpStreamId,
            "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id" => Extension::RepairedRtpStreamId,
            "urn:ietf:params:rtp-hdrext:ssrc-audio-level" => Extension::AudioLevel,
            uri if uri.ends_with("transport-wide-cc-extensions-01") => Extension::TransportSequenceNumber,
            _ => continue,
        };
        map.set(number.parse().unwrap(), extension);
    }
    map
}

pub fn codecs(offer: &Offer, builder: &mut str0m::RtcConfig) {
    if let Some(audio) = &offer.audio {
        let rate = Frequency::FORTY_EIGHT_KHZ;
        let pt = audio.payload_type.into();
        builder.codec_config().add_config(pt, None, Codec::Opus, rate, Some(2), FormatParams::default());
    }
    if let Some(video) = &offer.video {
        let codec = match video.codec {
            media::Codec::H264 => Codec::H264,
            media::Codec::H265 => Codec::H265,
            media::Codec::Vp8 => Codec::Vp8,
            media::Codec::Vp9 => Codec::Vp9,
            _ => Codec::Av1,
        };
        let (pt, resend) = (video.payload_type.into(), video.resend.map(Into::into));
        let format = FormatParams::default();
        builder.codec_config().add_config(pt, resend, codec, Frequency::NINETY_KHZ, None, format);
    }
}
