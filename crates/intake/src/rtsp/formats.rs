//! What a description's media are to us.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::{Bytes, BytesMut};
use media::{Codec, Format, Kind, OpusHead, Packet};
use rtc::rtp::{Aac, Track};

use super::sdp::{Description, Medium};

/// A medium that is taken.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) track: Track,
    pub(super) format: Format,
    pub(super) control: Option<String>,
    /// Parameter sets of the description, as Annex B: many cameras send them nowhere else.
    sets: Bytes,
}

const START: [u8; 4] = [0, 0, 0, 1];

/// The first pictures and the first sound that can be taken; the pictures first.
///
/// # Errors
/// The codec of the pictures that are there, if none can be taken; or of the sound, if there are no pictures. Pictures whose sound
/// cannot be taken come without it.
pub(super) fn choose(description: &Description) -> Result<Vec<Taken>, String> {
    let of = |kind: &str| {
        let media = description.media.iter().filter(|medium| medium.kind == kind);
        let (mut taken, mut refused) = (None, None);
        for medium in media {
            match take(medium) {
                Some(medium) => taken = taken.or(Some(medium)),
                None => refused = refused.or_else(|| Some(named(kind, medium))),
            }
        }
        (taken, refused)
    };
    let (pictures, no_pictures) = of("video");
    let (sound, no_sound) = of("audio");
    match (&pictures, no_pictures, &sound, no_sound) {
        (None, Some(codec), ..) | (None, None, None, Some(codec)) => Err(codec),
        (_, _, None, Some(codec)) => {
            tracing::warn!(%codec, "an RTSP stream's sound is left out: its codec is not supported");
            Ok(pictures.into_iter().collect())
        }
        _ => Ok(pictures.into_iter().chain(sound).collect()),
    }
}

fn named(kind: &str, medium: &Medium) -> String {
    let encoding: String = medium.encoding.chars().filter(char::is_ascii_graphic).take(32).collect();
    let encoding =
        if encoding.is_empty() { format!("payload type {}", medium.payload_type) } else { encoding };
    format!("{kind} codec {encoding} over {}", if medium.protocol.is_empty() { "?" } else { "RTP" })
}

fn take(medium: &Medium) -> Option<Taken> {
    // RTP/AVPF brings feedback that nobody has to use; RTP/SAVP is encrypted.
    if !matches!(medium.protocol.as_str(), "RTP/AVP" | "RTP/AVPF" | "RTP/AVP/UDP" | "RTP/AVP/TCP")
        || medium.rate == 0
    {
        return None;
    }
    let (codec, config) = match (medium.kind.as_str(), medium.encoding.as_str()) {
        ("video", "H264") => (Codec::H264, Bytes::new()),
        ("video", "H265" | "HEVC") => (Codec::H265, Bytes::new()),
        ("audio", "MPEG4-GENERIC") => (Codec::Aac, hex(medium.parameter("config")?)?),
        ("audio", "OPUS") => (Codec::Opus, OpusHead { channels: 2, mapping: None }.to_bytes().into()),
        ("audio", "PCMA") => (Codec::Pcma, samples("audio/x-alaw", medium)),
        ("audio", "PCMU") => (Codec::Pcmu, samples("audio/x-mulaw", medium)),
        _ => return None,
    };
    let bits = |name| medium.parameter(name).and_then(|bits| bits.parse().ok()).unwrap_or(0);
    let aac = match codec {
        Codec::Aac => {
            let (size, index, delta) = (bits("sizelength"), bits("indexlength"), bits("indexdeltalength"));
            Some(Aac::new(size, index, delta, medium.rate)?)
        }
        _ => None,
    };
    let track = Track { codec, payload_type: medium.payload_type, rate: medium.rate, aac };
    let format = Format::new(codec, config);
    Some(Taken { track, format, control: medium.control.clone(), sets: sets(medium, codec) })
}

/// G.711 as GStreamer describes it.
fn samples(name: &str, medium: &Medium) -> Bytes {
    let (rate, channels) = (medium.rate, medium.channels.clamp(1, 2));
    format!("{name}, rate=(int){rate}, channels=(int){channels}").into()
}

fn sets(medium: &Medium, codec: Codec) -> Bytes {
    let names: &[&str] = match codec {
        Codec::H264 => &["sprop-parameter-sets"],
        Codec::H265 => &["sprop-vps", "sprop-sps", "sprop-pps"],
        _ => return Bytes::new(),
    };
    let texts = names.iter().filter_map(|name| medium.parameter(name)).flat_map(|list| list.split(','));
    let mut sets = BytesMut::new();
    for set in texts.filter_map(|text| BASE64_STANDARD.decode(text.trim()).ok()).filter(|set| !set.is_empty())
    {
        sets.extend_from_slice(&START);
        // Some cameras put a start code of their own before it.
        sets.extend_from_slice(set.strip_prefix(&START).unwrap_or(&set));
    }
    sets.freeze()
}

fn hex(text: &str) -> Option<Bytes> {
    let digits: Vec<u8> =
        text.bytes().map(|byte| (byte as char).to_digit(16).map(|d| d as u8)).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    (!bytes.is_empty() && digits.len().is_multiple_of(2) && bytes.len() <= 64).then(|| bytes.into())
}

impl Taken {
    /// A key picture gets the description's parameter sets, unless it has some.
    pub(super) fn complete(&self, packet: Packet) -> Packet {
        if packet.kind != Kind::Video
            || !packet.keyframe
            || self.sets.is_empty()
            || self.has_sets(&packet.data)
        {
            return packet;
        }
        Packet { data: [&self.sets[..], &packet.data].concat().into(), ..packet }
    }

    /// Whether a sequence parameter set stands before the first slice. All start codes are four bytes: we wrote them.
    fn has_sets(&self, data: &[u8]) -> bool {
        let is_set = |header: u8| match self.track.codec {
            Codec::H264 => header & 0x1f == 7,
            _ => header >> 1 & 0x3f == 33,
        };
        let is_slice = |header: u8| match self.track.codec {
            Codec::H264 => (1..=5).contains(&(header & 0x1f)),
            _ => header >> 1 & 0x3f < 32,
        };
        let headers = data.windows(5).filter(|bytes| bytes[..4] == START).map(|bytes| bytes[4]);
        headers.take_while(|header| !is_slice(*header)).any(is_set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::{MediaTime, TrackId};

    fn chosen(text: &str) -> Result<Vec<Taken>, String> {
        choose(&Description::read(text))
    }

    const H264: &str =
        "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=fmtp:96 sprop-parameter-sets=ZwE=,aAI=\n";
    const AAC: &str = "m=audio 0 RTP/AVP 97\na=rtpmap:97 mpeg4-generic/48000/2\n\
                       a=fmtp:97 mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1190\n";

    #[test]
    fn what_can_be_taken_is() {
        let both = chosen(&format!("{AAC}{H264}")).unwrap();
        let codecs: Vec<_> = both.iter().map(|taken| taken.format.codec).collect();
        assert_eq!(codecs, [Codec::H264, Codec::Aac]);
        assert_eq!(both[1].format.config, [0x11, 0x90][..]);
        for (line, codec) in [
            ("m=audio 0 RTP/AVP 0", Codec::Pcmu),
            ("m=audio 0 RTP/AVP 8", Codec::Pcma),
            ("m=audio 0 RTP/AVP 98\na=rtpmap:98 opus/48000/2", Codec::Opus),
            ("m=video 0 RTP/AVP 98\na=rtpmap:98 h265/90000", Codec::H265),
        ] {
            assert_eq!(chosen(line).unwrap()[0].format.codec, codec, "{line}");
        }
        assert_eq!(chosen("m=application 0 RTP/AVP 98").unwrap().len(), 0);
    }

    #[test]
    fn pictures_that_cannot_be_taken_are_named_and_sound_is_left_out() {
        let jpeg = "m=video 0 RTP/AVP 26\na=rtpmap:26 JPEG/90000\n";
        assert!(chosen(&format!("{jpeg}{AAC}")).unwrap_err().contains("JPEG"));
        let encrypted = H264.replace("RTP/AVP", "RTP/SAVP");
        assert!(chosen(&encrypted).unwrap_err().contains("H264"));
        let g726 = "m=audio 0 RTP/AVP 99\na=rtpmap:99 G726-32/8000\n";
        assert_eq!(chosen(&format!("{H264}{g726}")).unwrap().len(), 1);
        assert!(chosen(g726).unwrap_err().contains("G726-32"));
        assert!(chosen(&AAC.replace("config=1190", "config=xyz")).unwrap_err().contains("MPEG4-GENERIC"));
    }

    #[test]
    fn a_key_picture_gets_its_parameter_sets_once() {
        let taken = &chosen(H264).unwrap()[0];
        let picture = |data: &[u8], keyframe| Packet {
            track: TrackId(0),
            kind: Kind::Video,
            pts: MediaTime::ZERO,
            dts: MediaTime::ZERO,
            keyframe,
            data: Bytes::copy_from_slice(data),
        };
        let bare = [0, 0, 0, 1, 0x65, 7];
        let whole = [&[0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 2][..], &bare].concat();
        assert_eq!(taken.complete(picture(&bare, true)).data, whole);
        assert_eq!(taken.complete(picture(&whole, true)).data, whole);
        assert_eq!(taken.complete(picture(&bare, false)).data, bare[..]);
    }
}
