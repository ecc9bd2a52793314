//! From a track's packets to raw pictures or sound.

use media::{Codec, Kind};

use crate::{Element, Property};

/// Parser and decoder of a codec by name; some need no parser, and samples no decoder. Nothing for a codec that has none here
/// (AV1: what there is differs from system to system).
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
        Codec::Opus => return Some(vec![Element::new("opusparse"), Element::new("opusdec")]),
        Codec::Pcm => return Some(Vec::new()),
        codec => return cut_by_demuxer(codec).map(|decoder| vec![tuned(decoder, codec.kind())]),
    };
    let mut decoder = Element::new(decoder);
    decoder.properties = properties(codec.kind());
    Some(parser.map(Element::new).into_iter().chain([decoder]).collect())
}

/// Of codecs that only a demuxer gives, which has cut them at their frames already.
fn cut_by_demuxer(codec: Codec) -> Option<&'static str> {
    Some(match codec {
        Codec::Mp2 => "avdec_mp2float",
        Codec::Vorbis => "vorbisdec",
        Codec::Flac => "flacdec",
        Codec::Alac => "avdec_alac",
        Codec::Pcma => "alawdec",
        Codec::Pcmu => "mulawdec",
        Codec::Ac3 => "avdec_ac3",
        Codec::Eac3 => "avdec_eac3",
        Codec::Mpeg2 => "avdec_mpeg2video",
        Codec::Mpeg4 => "avdec_mpeg4",
        Codec::Mjpeg => "avdec_mjpeg",
        Codec::Theora => "theoradec",
        _ => return None,
    })
}

/// The same properties where such a decoder has them: they are of several families.
fn tuned(decoder: &'static str, kind: Kind) -> Element {
    properties(kind).into_iter().fold(Element::new(decoder), |decoder, property| {
        decoder.set_where_possible(property.name, property.value, property.reason)
    })
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
