//! What enhanced RTMP puts in front of a body ("Enhanced RTMP (V2)", Veovera: ExAudioTagHeader and ExVideoTagHeader, which
//! differ in the number of one packet type only).

use bytes::{Buf, Bytes};

/// A code of four characters.
pub(super) type FourCc = [u8; 4];

/// Packet types that sound and picture share.
pub(super) mod packet {
    /// The decoder's configuration.
    pub(in crate::flv) const SEQUENCE_START: u8 = 0;
    /// An access unit; in front of a picture of H.264 its composition time.
    pub(in crate::flv) const CODED_FRAMES: u8 = 1;
    /// Nothing more comes.
    pub(in crate::flv) const SEQUENCE_END: u8 = 2;
    /// Picture only: an access unit whose composition time is zero.
    pub(in crate::flv) const CODED_FRAMES_X: u8 = 3;
    /// Picture only: AMF, for people and displays. A frame type of "command" does not count with it.
    pub(in crate::flv) const VIDEO_METADATA: u8 = 4;
    /// Sound only: which channel is which loudspeaker.
    pub(in crate::flv) const MULTICHANNEL_CONFIG: u8 = 4;
    /// Several tracks, of sound.
    pub(in crate::flv) const AUDIO_MULTITRACK: u8 = 5;
    /// Several tracks, of pictures.
    pub(in crate::flv) const VIDEO_MULTITRACK: u8 = 6;
    pub(super) const MOD_EX: u8 = 7;
}

/// How several tracks share a message (AvMultitrackType).
const ONE_TRACK: u8 = 0;
const MANY_TRACKS: u8 = 1;
const MANY_TRACKS_MANY_CODECS: u8 = 2;

/// A message behind its header.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// What each part is: one of [`packet`].
    pub(super) packet_type: u8,
    /// The tracks in it.
    pub(super) parts: Parts,
}

/// What a message holds of one track.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// 0 is the track of a message that names none.
    pub(super) track: u8,
    pub(super) codec: FourCc,
    pub(super) body: Bytes,
}

/// The parts of a message, one by one, until its bytes end or make no sense.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parts {
    shape: Shape,
    rest: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// No track number, no length: the rest is one body.
    Plain(FourCc),
    /// A track number, no length.
    One(FourCc),
    /// Track numbers and lengths.
    Many(FourCc),
    /// The same, with a codec each.
    ManyCodecs,
    Over,
}

/// The packet type in the low half of a message's first byte, behind what modifies it: the extensions are skipped (the one
/// that exists adds nanoseconds to the time; whole milliseconds do here). `rest` is left at what follows. `None`: too short.
pub(super) fn packet_type(head: u8, rest: &mut Bytes) -> Option<u8> {
    let mut packet_type = head & 0x0f;
    while packet_type == packet::MOD_EX {
        let mut length = usize::from(rest.try_get_u8().ok()?) + 1;
        if length == 256 {
            length = usize::from(rest.try_get_u16().ok()?) + 1;
        }
        if rest.len() < length {
            return None;
        }
        rest.advance(length);
        packet_type = rest.try_get_u8().ok()? & 0x0f;
    }
    Some(packet_type)
}

/// Reads what follows the packet type. `multitrack` is the type that stands for several tracks. `None`: too short, or a form
/// that no document has.
pub(super) fn read(packet_type: u8, multitrack: u8, mut rest: Bytes) -> Option<Message> {
    if packet_type != multitrack {
        let shape = Shape::Plain(four_cc(&mut rest)?);
        return Some(Message { packet_type, parts: Parts { shape, rest } });
    }
    let head = rest.try_get_u8().ok()?;
    let shape = match head >> 4 {
        ONE_TRACK => Shape::One(four_cc(&mut rest)?),
        MANY_TRACKS => Shape::Many(four_cc(&mut rest)?),
        MANY_TRACKS_MANY_CODECS => Shape::ManyCodecs,
        _ => return None,
    };
    Some(Message { packet_type: head & 0x0f, parts: Parts { shape, rest } })
}

fn four_cc(rest: &mut Bytes) -> Option<FourCc> {
    let code = *rest.first_chunk::<4>()?;
    rest.advance(4);
    Some(code)
}

impl Iterator for Parts {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        let shape = std::mem::replace(&mut self.shape, Shape::Over);
        let rest = &mut self.rest;
        let codec = match shape {
            Shape::Plain(codec) => {
                return Some(Part { track: 0, codec, body: std::mem::take(rest) });
            }
            Shape::One(codec) | Shape::Many(codec) => codec,
            Shape::ManyCodecs => four_cc(rest)?,
            Shape::Over => return None,
        };
        let track = rest.try_get_u8().ok()?;
        if let Shape::One(_) = shape {
            return Some(Part { track, codec, body: std::mem::take(rest) });
        }
        let length = rest.try_get_uint(3).ok().and_then(|length| usize::try_from(length).ok())?;
        if rest.len() < length {
            return None;
        }
        self.shape = shape;
        Some(Part { track, codec, body: self.rest.split_to(length) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = (u8, FourCc, Bytes);

    fn parts(bytes: &'static [u8]) -> Option<(u8, Vec<Read>)> {
        let mut rest = Bytes::from_static(bytes);
        let head = rest.get_u8();
        let packet_type = packet_type(head, &mut rest)?;
        let message = read(packet_type, packet::AUDIO_MULTITRACK, rest)?;
        Some((message.packet_type, message.parts.map(|part| (part.track, part.codec, part.body)).collect()))
    }

    fn part(track: u8, codec: &[u8; 4], body: &'static [u8]) -> Read {
        (track, *codec, Bytes::from_static(body))
    }

    #[test]
    fn a_plain_message_is_one_part_of_track_0() {
        assert_eq!(parts(b"\x91Opus\xfcab"), Some((1, vec![part(0, b"Opus", b"\xfcab")])));
        assert_eq!(parts(b"\x90mp4a"), Some((0, vec![part(0, b"mp4a", b"")])));
        assert_eq!(parts(b"\x91Opu"), None);
    }

    #[test]
    fn several_tracks_come_in_three_forms() {
        assert_eq!(parts(b"\x95\x01Opus\x03ab"), Some((1, vec![part(3, b"Opus", b"ab")])));
        let many = vec![part(0, b"Opus", b"ab"), part(1, b"Opus", b"c")];
        assert_eq!(parts(b"\x95\x11Opus\0\0\0\x02ab\x01\0\0\x01c"), Some((1, many)));
        let codecs = vec![part(0, b"Opus", b"ab"), part(1, b"mp4a", b"c")];
        assert_eq!(parts(b"\x95\x20Opus\0\0\0\x02abmp4a\x01\0\0\x01c"), Some((0, codecs)));
        assert_eq!(parts(b"\x95\x31Opus\x03ab"), None, "a form that no document has");
    }

    #[test]
    fn a_part_that_is_cut_short_ends_the_message() {
        let whole = vec![part(0, b"Opus", b"ab")];
        assert_eq!(parts(b"\x95\x11Opus\0\0\0\x02ab\x01\0\0\x09c"), Some((1, whole)));
        assert_eq!(parts(b"\x95\x11Opus\0\0"), Some((1, vec![])));
        assert_eq!(parts(b"\x95"), None);
    }

    #[test]
    fn modifiers_of_any_length_are_skipped() {
        assert_eq!(parts(b"\x97\x02abc\x01Opusd"), Some((1, vec![part(0, b"Opus", b"d")])));
        assert_eq!(parts(b"\x97\0a\x07\0b\x05\x01Opus\x04d"), Some((1, vec![part(4, b"Opus", b"d")])));
        // 256 bytes and more have their length behind it.
        let long = [b"\x97\xff\x01\x00", &[7_u8; 257][..], b"\x00Opusd"].concat();
        assert_eq!(parts(long.leak()), Some((0, vec![part(0, b"Opus", b"d")])));
        for cut in [&b"\x97"[..], b"\x97\x02ab", b"\x97\xff\x01", b"\x97\x00a"] {
            assert_eq!(parts(cut), None, "{cut:?}");
        }
    }
}
