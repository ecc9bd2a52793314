//! What caps mean: which element takes a container apart, which one parses a track, and the format of a track.

use bytes::Bytes;
use gstreamer as gst;
use media::{Codec, Format, Kind, OpusHead, Shape};

/// What is done with a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// This element takes it apart.
    Container(&'static str),
    /// A picture or sound that can be played, behind this parser.
    Track(Kind, Option<Parser>),
    /// A picture or sound that cannot.
    Unsupported(Kind),
    /// Subtitles, cover art and whatever else.
    Other,
}

/// An element that cuts a stream at its frames, and what it is to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parser {
    pub(crate) factory: &'static str,
    pub(crate) caps: Option<&'static str>,
}

const fn parser(factory: &'static str) -> Option<Parser> {
    Some(Parser { factory, caps: None })
}

const fn parser_to(factory: &'static str, caps: &'static str) -> Option<Parser> {
    Some(Parser { factory, caps: Some(caps) })
}

/// What is done with a stream of these caps. Only what is named here is ever looked into.
pub(crate) fn way(caps: &gst::StructureRef) -> Way {
    use Kind::{Audio, Video};
    use Way::{Container, Track};
    let has_config = caps.has_field("codec_data");
    let stream_format = caps.get::<&str>("stream-format").unwrap_or_default();
    let version = caps.get::<i32>("mpegversion").unwrap_or_default();
    match caps.name().as_str() {
        "video/quicktime" | "audio/x-m4a" | "application/x-3gp" => Container("qtdemux"),
        "video/x-matroska" | "audio/x-matroska" | "video/webm" | "audio/webm" => Container("matroskademux"),
        "video/x-msvideo" => Container("avidemux"),
        "video/x-flv" => Container("flvdemux"),
        "video/mpegts" => Container("tsdemux"),
        "application/ogg" | "audio/ogg" | "video/ogg" => Container("oggdemux"),
        "audio/x-wav" => Container("wavparse"),
        "application/x-id3" => Container("id3demux"),
        "application/x-apetag" => Container("apedemux"),
        "video/x-h264" if stream_format == "avc" && has_config => Track(Video, None),
        // One form for all: who judges whether pictures can pass reads the record that comes with it.
        "video/x-h264" => {
            Track(Video, parser_to("h264parse", "video/x-h264, stream-format=avc, alignment=au"))
        }
        "video/x-h265" => {
            Track(Video, parser_to("h265parse", "video/x-h265, stream-format=byte-stream, alignment=au"))
        }
        // Without a container. GStreamer 1.26 takes most noise for it.
        "video/x-av1" if caps.get::<&str>("alignment") == Ok("none") => Way::Other,
        "video/x-vp8" | "video/x-vp9" | "video/x-av1" => Track(Video, None),
        "video/mpeg" if version == 4 => Track(Video, parser("mpeg4videoparse")),
        "video/mpeg" if caps.get::<bool>("systemstream") != Ok(true) => {
            Track(Video, parser("mpegvideoparse"))
        }
        "video/x-divx" | "video/x-xvid" => Track(Video, None),
        "video/x-theora" => Track(Video, parser("theoraparse")),
        // A cover is a picture without a rate.
        "image/jpeg" if caps.get::<gst::Fraction>("framerate").is_ok_and(|rate| rate.numer() > 0) => {
            Track(Video, None)
        }
        "audio/mpeg" if version == 1 => Track(Audio, parser("mpegaudioparse")),
        "audio/mpeg" if stream_format == "raw" && has_config => Track(Audio, None),
        "audio/mpeg" => Track(Audio, parser_to("aacparse", "audio/mpeg, stream-format=raw")),
        "audio/x-opus" => Track(Audio, parser("opusparse")),
        "audio/x-vorbis" => Track(Audio, parser("vorbisparse")),
        "audio/x-flac" => Track(Audio, parser("flacparse")),
        "audio/x-ac3" | "audio/x-eac3" | "audio/ac3" => Track(Audio, parser("ac3parse")),
        "audio/x-alac" | "audio/x-raw" | "audio/x-alaw" | "audio/x-mulaw" => Track(Audio, None),
        name if name.starts_with("video/") => Way::Unsupported(Video),
        name if name.starts_with("audio/") => Way::Unsupported(Audio),
        _ => Way::Other,
    }
}

/// What the caps of an origin's media type are, for streams that nothing in their first bytes tells apart.
pub(crate) fn of_media_type(media_type: &str) -> Option<gst::Caps> {
    let plain = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    (plain == "video/mp2t").then(|| gst::Caps::builder("video/mpegts").field("systemstream", true).build())
}

/// The format of a track whose packets have these caps; `None` for those that are not played.
pub(crate) fn format(caps: &gst::CapsRef) -> Option<Format> {
    let fields = caps.structure(0)?;
    let codec = codec(fields)?;
    let data = || fields.get::<gst::Buffer>("codec_data").ok().and_then(|buffer| bytes(&buffer));
    let config = match codec {
        Codec::H264 if fields.get::<&str>("stream-format") != Ok("avc") => Bytes::new(),
        Codec::H264 | Codec::Aac | Codec::Av1 => data().unwrap_or_default(),
        Codec::Opus => opus_head(fields)?,
        codec if codec.config_is_caps() => text(caps, codec).into(),
        _ => Bytes::new(),
    };
    let pixel = fields.get::<gst::Fraction>("pixel-aspect-ratio").ok();
    let pixel = pixel.filter(|pixel| pixel.numer() != pixel.denom());
    let pixel =
        pixel.and_then(|pixel| Some((pixel.numer().try_into().ok()?, pixel.denom().try_into().ok()?)));
    let pixel = pixel.filter(|(width, height)| *width > 0 && *height > 0);
    Some(Format { shape: Shape { pixel, ..Shape::default() }, ..Format::new(codec, config) })
}

fn codec(caps: &gst::StructureRef) -> Option<Codec> {
    Some(match caps.name().as_str() {
        "video/x-h264" => Codec::H264,
        "video/x-h265" => Codec::H265,
        "video/x-vp8" => Codec::Vp8,
        "video/x-vp9" => Codec::Vp9,
        "video/x-av1" => Codec::Av1,
        "video/mpeg" if caps.get::<i32>("mpegversion") == Ok(4) => Codec::Mpeg4,
        "video/mpeg" => Codec::Mpeg2,
        "video/x-divx" | "video/x-xvid" => Codec::Mpeg4,
        "video/x-theora" => Codec::Theora,
        "image/jpeg" => Codec::Mjpeg,
        "audio/mpeg" if caps.get::<i32>("mpegversion") != Ok(1) => Codec::Aac,
        "audio/mpeg" if caps.get::<i32>("layer") == Ok(3) => Codec::Mp3,
        "audio/mpeg" => Codec::Mp2,
        "audio/x-opus" => Codec::Opus,
        "audio/x-vorbis" => Codec::Vorbis,
        "audio/x-flac" => Codec::Flac,
        "audio/x-ac3" | "audio/ac3" => Codec::Ac3,
        "audio/x-eac3" => Codec::Eac3,
        "audio/x-alac" => Codec::Alac,
        "audio/x-raw" => Codec::Pcm,
        "audio/x-alaw" => Codec::Pcma,
        "audio/x-mulaw" => Codec::Pcmu,
        _ => return None,
    })
}

fn bytes(buffer: &gst::BufferRef) -> Option<Bytes> {
    buffer.map_readable().ok().map(|map| Bytes::copy_from_slice(&map))
}

/// Headers that a decoder can do without hold titles and covers of any size.
fn text(caps: &gst::CapsRef, codec: Codec) -> String {
    let mut caps = caps.to_owned();
    let headers = caps.structure(0).and_then(|fields| fields.get::<gst::Array>("streamheader").ok());
    let headers: Vec<gst::Buffer> =
        headers.iter().flat_map(|headers| headers.iter()).filter_map(|header| header.get().ok()).collect();
    let kept: Vec<gst::Buffer> = match codec {
        Codec::Vorbis => headers.into_iter().map(|header| no_comments(header, b"\x03vorbis", &[1])).collect(),
        Codec::Theora => headers.into_iter().map(|header| no_comments(header, b"\x81theora", &[])).collect(),
        Codec::Flac => headers.into_iter().take(1).collect(),
        _ => headers,
    };
    if !kept.is_empty() {
        caps.make_mut().set("streamheader", gst::Array::new(kept));
    }
    caps.to_string()
}

/// The same header; one with comments, which begins with `magic`, without any.
fn no_comments(header: gst::Buffer, magic: &[u8], end: &[u8]) -> gst::Buffer {
    let comments = header.map_readable().is_ok_and(|map| map.starts_with(magic));
    if !comments {
        return header;
    }
    gst::Buffer::from_slice([magic, &[0; 8], end].concat())
}

/// The `OpusHead` of the container, or one that says the same as the caps.
fn opus_head(caps: &gst::StructureRef) -> Option<Bytes> {
    let headers = caps.get::<gst::Array>("streamheader").ok();
    let first = headers.and_then(|headers| headers.iter().next()?.get::<gst::Buffer>().ok());
    if let Some(head) = first.and_then(|head| bytes(&head)).filter(|head| OpusHead::read(head).is_some()) {
        return Some(head);
    }
    let number = |name: &str| caps.get::<i32>(name).ok().and_then(|number| u8::try_from(number).ok());
    let channels = number("channels").unwrap_or(2);
    let family = number("channel-mapping-family").unwrap_or(0);
    let mut head = b"OpusHead\x01".to_vec();
    head.push(channels);
    head.extend_from_slice(&312_u16.to_le_bytes());
    head.extend_from_slice(&48_000_u32.to_le_bytes());
    head.extend_from_slice(&[0, 0, family]);
    if family > 0 {
        head.extend([number("stream-count")?, number("coupled-count")?]);
        let table = caps.get::<gst::Array>("channel-mapping").ok()?;
        head.extend(table.iter().filter_map(|entry| u8::try_from(entry.get::<i32>().ok()?).ok()));
    }
    OpusHead::read(&head).map(|_| head.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(text: &str) -> gst::Caps {
        gst::init().unwrap();
        text.parse().unwrap()
    }

    fn way_of(text: &str) -> Way {
        way(caps(text).structure(0).unwrap())
    }

    #[test]
    fn a_cover_is_no_video_and_what_is_not_known_is_not_looked_into() {
        assert_eq!(way_of("image/jpeg, width=500, height=500"), Way::Other);
        assert_eq!(way_of("image/jpeg, framerate=25/1"), Way::Track(Kind::Video, None));
        assert_eq!(way_of("image/png, framerate=0/1"), Way::Other);
        assert_eq!(way_of("application/x-subtitle"), Way::Other);
        assert_eq!(way_of("application/x-hls"), Way::Other);
        assert_eq!(way_of("video/x-dirac"), Way::Unsupported(Kind::Video));
        assert_eq!(way_of("text/html"), Way::Other);
        assert_eq!(way_of("video/x-av1, stream-format=obu-stream, alignment=none"), Way::Other);
    }

    #[test]
    fn h264_has_its_record() {
        let avc = "video/x-h264, stream-format=avc, codec_data=(buffer)0142c01e, pixel-aspect-ratio=4/3";
        assert_eq!(way_of(avc), Way::Track(Kind::Video, None));
        let format = format(&caps(avc)).unwrap();
        assert_eq!((&format.config[..], format.shape.pixel), (&[1, 0x42, 0xc0, 0x1e][..], Some((4, 3))));
        let Way::Track(_, Some(parser)) = way_of("video/x-h264, stream-format=byte-stream") else { panic!() };
        assert!(
            parser.caps.unwrap().contains("stream-format=avc"),
            "its format says what passthrough asks for"
        );
    }

    #[test]
    fn opus_without_a_header_gets_one() {
        let format = format(&caps("audio/x-opus, channel-mapping-family=0, channels=1, rate=48000")).unwrap();
        assert_eq!(OpusHead::read(&format.config).unwrap().channels, 1);
    }

    #[test]
    fn comments_are_left_out_of_a_decoders_configuration() {
        let big = "03766f72626973".to_owned() + &"41".repeat(5000);
        let text = format!("audio/x-vorbis, streamheader=(buffer)< 01766f72626973, {big}, 05766f72626973 >");
        let format = format(&caps(&text)).unwrap();
        assert_eq!(format.codec, Codec::Vorbis);
        let kept = caps(std::str::from_utf8(&format.config).unwrap());
        let headers = kept.structure(0).unwrap().get::<gst::Array>("streamheader").unwrap();
        assert_eq!((headers.len(), format.config.len() < 200), (3, true), "{kept}");
    }
}
