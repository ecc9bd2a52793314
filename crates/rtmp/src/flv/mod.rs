//! FLV tag bodies (FLV E.4.2, E.4.3) to formats and access units.

mod avc;
pub(crate) mod metadata;

use bytes::{Buf, Bytes};
use media::{Codec, Format, Kind, MediaTime, Packet, Unit};

use crate::{AUDIO, Error, VIDEO};

/// What is remembered of a stream's two tracks. Bodies too short or too broken to be read are skipped and counted: encoders
/// send such things, and one of them is no reason to end a broadcast.
#[derive(Debug, Default)]
pub(crate) struct Tracks {
    avc: Option<Avc>,
    audio: Option<Format>,
    skipped: u64,
}

#[derive(Debug)]
struct Avc {
    format: Format,
    nal_length: usize,
}

impl Tracks {
    /// Bodies that were left out so far.
    pub(crate) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Reads a video message's body. `None`: nothing to hand on.
    pub(crate) fn video(&mut self, at: u64, dts: i64, mut body: Bytes) -> Result<Option<Unit>, Error> {
        check_video_codec(at, &body)?;
        // Frame type and codec, packet type, composition time (FLV E.4.3.1, E.4.3.2).
        let Some(&[head, packet_type, a, b, c]) = body.first_chunk::<5>() else {
            return Ok(self.skip());
        };
        body.advance(5);
        let frame_type = head >> 4;
        match (frame_type, packet_type) {
            // A message to the player, not a picture.
            (5, _) => Ok(None),
            (_, 0) => Ok(self.avc_header(body)),
            (_, 1) => {
                // 24 bits, signed: the sign goes where the shift back takes it.
                let composition = i32::from_be_bytes([a, b, c, 0]) >> 8;
                Ok(self.picture(frame_type == 1, dts, i64::from(composition), body))
            }
            // End of sequence: `publish` ends by commands.
            (_, 2) => Ok(None),
            _ => Ok(self.skip()),
        }
    }

    fn avc_header(&mut self, config: Bytes) -> Option<Unit> {
        let Some(nal_length) = avc::nal_length(&config) else { return self.skip() };
        let format = Format { codec: Codec::H264, config };
        if self.avc.as_ref().is_some_and(|known| known.format == format) {
            return None;
        }
        self.avc = Some(Avc { format: format.clone(), nal_length });
        Some(Unit::Format(VIDEO, format))
    }

    fn picture(&mut self, says_key: bool, dts: i64, composition: i64, data: Bytes) -> Option<Unit> {
        let Some(avc) = self.avc.as_ref().filter(|_| !data.is_empty()) else { return self.skip() };
        Some(Unit::Packet(Packet {
            track: VIDEO,
            kind: Kind::Video,
            pts: MediaTime::from_millis(dts + composition),
            dts: MediaTime::from_millis(dts),
            keyframe: avc::is_keyframe(&data, avc.nal_length, says_key),
            data,
        }))
    }

    /// Reads an audio message's body. MP3 has no header of its own: a format is made up before its first frame.
    pub(crate) fn audio(&mut self, at: u64, pts: i64, body: Bytes) -> Result<Vec<Unit>, Error> {
        let Some(&head) = body.first() else {
            self.skipped += 1;
            return Ok(Vec::new());
        };
        Ok(match head >> 4 {
            10 => self.aac(pts, body),
            2 | 14 => self.mp3(pts, body.slice(1..)),
            _ => return Err(Error::Unsupported { at, codec: audio_codec(&body), expected: "AAC or MP3" }),
        })
    }

    fn aac(&mut self, pts: i64, mut body: Bytes) -> Vec<Unit> {
        // One byte of format, one of packet type, and no empty frames (some encoders send them).
        if body.len() < 3 {
            self.skipped += 1;
            return Vec::new();
        }
        let packet_type = body[1];
        body.advance(2);
        match packet_type {
            0 => self.audio_format(Format { codec: Codec::Aac, config: body }).into_iter().collect(),
            1 if self.audio.as_ref().is_some_and(|format| format.codec == Codec::Aac) => {
                vec![sound(pts, body)]
            }
            _ => {
                self.skipped += 1;
                Vec::new()
            }
        }
    }

    fn mp3(&mut self, pts: i64, data: Bytes) -> Vec<Unit> {
        if data.is_empty() {
            self.skipped += 1;
            return Vec::new();
        }
        let format = self.audio_format(Format { codec: Codec::Mp3, config: Bytes::new() });
        format.into_iter().chain([sound(pts, data)]).collect()
    }

    /// The format as a unit, if it is news.
    fn audio_format(&mut self, format: Format) -> Option<Unit> {
        if self.audio.as_ref() == Some(&format) {
            return None;
        }
        self.audio = Some(format.clone());
        Some(Unit::Format(AUDIO, format))
    }

    fn skip(&mut self) -> Option<Unit> {
        self.skipped += 1;
        None
    }
}

fn sound(pts: i64, data: Bytes) -> Unit {
    let pts = MediaTime::from_millis(pts);
    Unit::Packet(Packet { track: AUDIO, kind: Kind::Audio, pts, dts: pts, keyframe: true, data })
}

/// Refuses what is not H.264 in the original FLV form. The top bit of the first byte marks enhanced RTMP (its document's
/// "ExVideoTagHeader"), whose FourCC follows.
fn check_video_codec(at: u64, body: &[u8]) -> Result<(), Error> {
    let Some(&head) = body.first() else { return Ok(()) };
    let codec = if head & 0x80 != 0 {
        format!("enhanced RTMP video {}", fourcc(body))
    } else {
        match head & 0x0f {
            7 => return Ok(()),
            2 => "video codec Sorenson H.263 (2)".into(),
            3 | 6 => "video codec Screen Video (3, 6)".into(),
            4 | 5 => "video codec VP6 (4, 5)".into(),
            12 => "video codec HEVC (12)".into(),
            other => format!("video codec {other}"),
        }
    };
    Err(Error::Unsupported { at, codec, expected: "H.264 (7)" })
}

/// A sound format in words. 9 marks enhanced RTMP ("ExAudioTagHeader").
fn audio_codec(body: &[u8]) -> String {
    match body.first().map_or(0, |head| head >> 4) {
        9 => format!("enhanced RTMP audio {}", fourcc(body)),
        0 | 3 => "audio codec PCM (0, 3)".into(),
        1 => "audio codec ADPCM (1)".into(),
        4..=6 => "audio codec Nellymoser (4-6)".into(),
        7 | 8 => "audio codec G.711 (7, 8)".into(),
        11 => "audio codec Speex (11)".into(),
        other => format!("audio codec {other}"),
    }
}

/// The FourCC behind an enhanced header's first byte, as text.
fn fourcc(body: &[u8]) -> String {
    body.iter().skip(1).take(4).map(|b| if b.is_ascii_graphic() { char::from(*b) } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: [u8; 11] = [1, 0x64, 0, 31, 0xff, 0xe1, 0, 1, 0x67, 1, 0];

    fn video(tracks: &mut Tracks, dts: i64, bytes: &[u8]) -> Option<Unit> {
        tracks.video(0, dts, Bytes::copy_from_slice(bytes)).unwrap()
    }

    fn with_header() -> Tracks {
        let mut tracks = Tracks::default();
        let header = [&[0x17, 0, 0, 0, 0][..], &CONFIG].concat();
        assert!(
            matches!(video(&mut tracks, 0, &header), Some(Unit::Format(VIDEO, f)) if f.config == CONFIG[..])
        );
        assert_eq!(video(&mut tracks, 0, &header), None, "the same header again is no news");
        tracks
    }

    fn packet(unit: Option<Unit>) -> Packet {
        match unit {
            Some(Unit::Packet(packet)) => packet,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn composition_time_is_signed() {
        let mut tracks = with_header();
        let idr = [0, 0, 0, 2, 0x65, 1];
        for (bytes, offset) in [([0, 0, 80], 80), ([0xff, 0xff, 0xd8], -40), ([0x80, 0, 0], -8_388_608)] {
            let body = [&[0x17, 1][..], &bytes, &idr].concat();
            let packet = packet(video(&mut tracks, 1000, &body));
            assert_eq!((packet.dts.millis(), packet.pts.millis()), (1000, 1000 + offset));
            assert!(packet.keyframe);
            assert_eq!(packet.data, idr[..]);
        }
    }

    #[test]
    fn pictures_without_a_header_and_broken_bodies_are_skipped_and_counted() {
        let mut tracks = Tracks::default();
        assert_eq!(video(&mut tracks, 0, &[0x27, 1, 0, 0, 0, 0, 0, 0, 1, 0x41]), None);
        assert_eq!(video(&mut tracks, 0, &[0x17, 0]), None);
        assert_eq!(video(&mut tracks, 0, &[0x17, 0, 0, 0, 0, 9]), None);
        assert_eq!(tracks.audio(0, 0, Bytes::from_static(&[0xaf, 1])), Ok(vec![]));
        assert_eq!(tracks.audio(0, 0, Bytes::from_static(&[0xaf, 1, 2])), Ok(vec![]));
        assert_eq!(tracks.skipped(), 5);
    }

    #[test]
    fn end_of_sequence_in_both_forms_is_nothing() {
        let mut tracks = with_header();
        assert_eq!(video(&mut tracks, 0, &[0x17, 2, 0, 0, 0]), None);
        assert_eq!(video(&mut tracks, 0, &[0x27, 2, 0, 0, 0]), None);
        assert_eq!(tracks.skipped(), 0);
    }

    #[test]
    fn aac_and_mp3_become_formats_and_packets() {
        let mut tracks = Tracks::default();
        let aac = tracks.audio(0, 0, Bytes::from_static(&[0xaf, 0, 0x12, 0x10])).unwrap();
        let format = Format { codec: Codec::Aac, config: Bytes::from_static(&[0x12, 0x10]) };
        assert_eq!(aac, [Unit::Format(AUDIO, format)]);
        let frame = tracks.audio(0, 23, Bytes::from_static(&[0xaf, 1, 1, 2])).unwrap();
        assert!(matches!(&frame[..], [Unit::Packet(p)] if p.pts.millis() == 23 && p.data == [1, 2][..]));

        let mp3 = tracks.audio(0, 46, Bytes::from_static(&[0x2f, 0xff, 0xfb])).unwrap();
        assert!(matches!(&mp3[..], [Unit::Format(AUDIO, f), Unit::Packet(_)] if f.codec == Codec::Mp3));
        assert_eq!(tracks.audio(0, 72, Bytes::from_static(&[0x2f, 0xff, 0xfb])).unwrap().len(), 1);
    }

    #[test]
    fn unsupported_codecs_are_named() {
        for (body, word) in [
            (&b"\x90hvc1"[..], "hvc1"),
            (b"\x91av01", "av01"),
            (b"\x1c\x01", "HEVC"),
            (b"\x12", "Sorenson"),
            (b"\x80\x00", "video ?"),
        ] {
            let error = Tracks::default().video(77, 0, Bytes::from_static(body)).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("byte 77"), "{error}");
        }
        for (body, word) in [(&b"\x90Opus"[..], "Opus"), (b"\xb6\x00", "Speex"), (b"\x7e\x00", "G.711")] {
            let error = Tracks::default().audio(77, 0, Bytes::from_static(body)).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("byte 77"), "{error}");
        }
    }
}
