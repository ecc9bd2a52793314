//! From a track's packets to raw pictures or sound.

use media::{Codec, Kind};

use crate::{Element, Property};

/// Parser and decoder of a codec by name; VP8 needs no parser. Nothing for a codec that has none here (AV1: what there is
/// differs from system to system).
///
/// `decodebin3` would find the same two, and put a queue with a thread of its own before the decoder. A worker with sound alone
/// has 39 MiB (PSS) without it and 51 with it, for the same CPU (one run each).
pub(crate) fn by_name(codec: Codec) -> Option<Vec<Element>> {
    let (parser, decoder) = match codec {
        Codec::H264 => (Some("h264parse"), "avdec_h264"),
        Codec::H265 => (Some("h265parse"), "avdec_h265"),
        Codec::Vp8 => (None, "avdec_vp8"),
        Codec::Vp9 => (Some("vp9parse"), "avdec_vp9"),
        Codec::Aac => (Some("aacparse"), "avdec_aac"),
        Codec::Mp3 => (Some("mpegaudioparse"), "avdec_mp3"),
        Codec::Opus => (Some("opusparse"), "opusdec"),
        _ => return None,
    };
    let mut decoder = Element::new(decoder);
    if codec != Codec::Opus {
        decoder.properties = properties(codec.kind());
    }
    Some(parser.map(Element::new).into_iter().chain([decoder]).collect())
}

/// Where those are not installed: whatever is, found by the autoplugger.
pub(crate) fn autoplugged() -> Element {
    Element::new("decodebin3")
}

/// What is set on a decoder, where it has such a property.
pub fn properties(kind: Kind) -> Vec<Property> {
    let decoder = Element::new("decoder").set(
        "max-errors",
        -1,
        "a corrupt picture or sound frame is skipped, not fatal",
    );
    match kind {
        Kind::Audio => decoder,
        Kind::Video => decoder
            .set("thread-type", "slice", "frame threads hold back a frame each")
            .set(
                "max-threads",
                1,
                "real encoders send one slice a picture: more threads cost and gain nothing",
            )
            .set(
                "qos",
                "false",
                "late frames are shed before encoding, counted; never silently in the decoder",
            ),
    }
    .properties
}
