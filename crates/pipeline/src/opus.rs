//! Opus as GStreamer describes it, and what its encoder is told while it runs.

use media::OpusHead;

use crate::Property;

/// The caps of packets with this [`OpusHead`]; those of plain stereo when it is none. The header itself is left out: a
/// decoder would skip samples for it that it is to play.
pub(crate) fn caps(config: &[u8]) -> String {
    let head = OpusHead::read(config).unwrap_or(OpusHead { channels: 2, mapping: None });
    let channels = head.channels;
    let Some(mapping) = head.mapping else {
        return format!("audio/x-opus, channel-mapping-family=0, channels={channels}, rate=48000");
    };
    let table: Vec<String> = mapping.table.iter().map(u8::to_string).collect();
    format!(
        "audio/x-opus, channel-mapping-family={}, channels={channels}, rate=48000, stream-count={}, \
         coupled-count={}, channel-mapping=(int)<{}>",
        mapping.family,
        mapping.streams,
        mapping.coupled,
        table.join(",")
    )
}

/// What is set on `opusenc`, at any time, when the receiver misses `percent` of its packets: each packet then carries the one
/// before it once more, coarsely (RFC 6716 §2.1.7).
pub fn on_loss(percent: u8) -> Vec<Property> {
    crate::Element::new("opusenc")
        .set("packet-loss-percentage", percent.min(100), "how much of the bitrate goes into the repetition")
        .set(
            "inband-fec",
            percent > 0,
            "WebRTC receivers repair single losses with it; without loss it is waste",
        )
        .properties
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caps_say_what_the_header_says() {
        assert_eq!(
            caps(b"OpusHead\x01\x01\x38\x01\x80\xbb\0\0\0\0\0"),
            "audio/x-opus, channel-mapping-family=0, channels=1, rate=48000"
        );
        let surround = b"OpusHead\x01\x06\x38\x01\x80\xbb\0\0\0\0\x01\x04\x02\0\x04\x01\x02\x03\x05";
        assert_eq!(
            caps(surround),
            "audio/x-opus, channel-mapping-family=1, channels=6, rate=48000, stream-count=4, coupled-count=2, \
             channel-mapping=(int)<0,4,1,2,3,5>"
        );
        assert!(caps(b"").contains("channels=2"));
    }
}
