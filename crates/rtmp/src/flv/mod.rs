//! FLV tag bodies (FLV E.4.2, E.4.3), in their original and in their enhanced form, to formats and access units.

mod avc;
mod enhanced;
pub(crate) mod metadata;

use bytes::{Buf, Bytes};
use media::{Codec, Format, Kind, MediaTime, OpusHead, Packet, Unit};

use crate::{AUDIO, Error, VIDEO};
use enhanced::{FourCc, packet};

/// What is taken, in the words of a refusal.
const PICTURES: &str = "H.264 (7 or avc1)";
const SOUNDS: &str = "AAC, MP3 or Opus";

/// The FourCCs of what is taken.
pub(crate) const VIDEO_CODES: [&str; 1] = ["avc1"];
pub(crate) const AUDIO_CODES: [&str; 3] = ["Opus", "mp4a", ".mp3"];

/// What is remembered of a stream's two tracks. Bodies too short or too broken to be read are skipped and counted: encoders
/// send such things, and one of them is no reason to end a broadcast.
#[derive(Debug, Default)]
pub(crate) struct Tracks {
    avc: Option<Avc>,
    audio: Option<Format>,
    pictures: Pick,
    sounds: Pick,
    skipped: u64,
}

#[derive(Debug)]
struct Avc {
    format: Format,
    nal_length: usize,
}

/// Which of several tracks of a kind is taken: the lowest number that has described itself. OBS sends its main track as 0,
/// in a message without a number.
#[derive(Debug, Default)]
struct Pick(Option<u8>);

impl Pick {
    /// Whether what comes of this track can matter.
    fn wants(&self, track: u8) -> bool {
        self.0.is_none_or(|taken| track <= taken)
    }

    /// Whether this message is to be read. `starts`: it says how the track's others are to be read.
    fn takes(&mut self, track: u8, starts: bool) -> bool {
        if starts && self.wants(track) {
            self.0 = Some(track);
        }
        self.0 == Some(track)
    }
}

impl Tracks {
    /// Bodies that were left out so far.
    pub(crate) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Reads a video message's body. `None`: nothing to hand on.
    pub(crate) fn video(&mut self, at: u64, dts: i64, mut body: Bytes) -> Result<Option<Unit>, Error> {
        if body.first().is_some_and(|head| head & 0x80 != 0) {
            return self.enhanced_video(at, dts, body);
        }
        check_video_codec(at, &body)?;
        // Frame type and codec, packet type, composition time (FLV E.4.3.1, E.4.3.2).
        let Some(&[head, packet_type, ..]) = body.first_chunk::<5>() else {
            return Ok(self.skip());
        };
        body.advance(2);
        let composition = composition(&mut body);
        let frame_type = head >> 4;
        match (frame_type, packet_type) {
            // A message to the player, not a picture.
            (5, _) => Ok(None),
            (_, 0 | 1) if !self.pictures.takes(0, packet_type == 0) => Ok(self.skip()),
            (_, 0) => Ok(self.avc_header(body)),
            (_, 1) => Ok(self.picture(frame_type == 1, dts, composition, body)),
            // End of sequence: `publish` ends by commands.
            (_, 2) => Ok(None),
            _ => Ok(self.skip()),
        }
    }

    /// The same in enhanced RTMP's form, whose first byte has its top bit set.
    fn enhanced_video(&mut self, at: u64, dts: i64, mut body: Bytes) -> Result<Option<Unit>, Error> {
        let head = body.get_u8();
        let frame_type = head >> 4 & 7;
        let Some(packet_type) = enhanced::packet_type(head, &mut body) else { return Ok(self.skip()) };
        // A message to the player: it has one byte, and no codec.
        if frame_type == 5 && packet_type != packet::VIDEO_METADATA {
            return Ok(None);
        }
        let Some(message) = enhanced::read(packet_type, packet::VIDEO_MULTITRACK, body) else {
            return Ok(self.skip());
        };
        let mut unit = None;
        for part in message.parts {
            if !self.pictures.wants(part.track) {
                self.skipped += 1;
                continue;
            }
            if part.codec != *b"avc1" {
                let codec = format!("enhanced RTMP video {}", printable(&part.codec));
                return Err(Error::Unsupported { at, codec, expected: PICTURES });
            }
            let starts = message.packet_type == packet::SEQUENCE_START;
            let taken = self.pictures.takes(part.track, starts);
            let mut body = part.body;
            let key = frame_type == 1;
            unit = match message.packet_type {
                packet::SEQUENCE_START => self.avc_header(body),
                packet::CODED_FRAMES | packet::CODED_FRAMES_X if !taken => self.skip(),
                packet::CODED_FRAMES => {
                    let composition = composition(&mut body);
                    self.picture(key, dts, composition, body)
                }
                packet::CODED_FRAMES_X => self.picture(key, dts, 0, body),
                // The end of a sequence, metadata.
                _ => None,
            }
            .or(unit);
        }
        Ok(unit)
    }

    fn avc_header(&mut self, config: Bytes) -> Option<Unit> {
        let Some(nal_length) = avc::nal_length(&config) else { return self.skip() };
        let format = Format::new(Codec::H264, config);
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
        match head >> 4 {
            9 => self.enhanced_audio(at, pts, body),
            10 => Ok(self.aac(pts, body)),
            2 | 14 => Ok(self.sound(Codec::Mp3, 0, packet::CODED_FRAMES, pts, body.slice(1..))),
            _ => Err(Error::Unsupported { at, codec: audio_codec(head), expected: SOUNDS }),
        }
    }

    /// The same in enhanced RTMP's form: sound format 9.
    fn enhanced_audio(&mut self, at: u64, pts: i64, mut body: Bytes) -> Result<Vec<Unit>, Error> {
        let head = body.get_u8();
        let message = enhanced::packet_type(head, &mut body)
            .and_then(|packet_type| enhanced::read(packet_type, packet::AUDIO_MULTITRACK, body));
        let Some(message) = message else {
            self.skipped += 1;
            return Ok(Vec::new());
        };
        let mut units = Vec::new();
        for part in message.parts {
            if !self.sounds.wants(part.track) {
                self.skipped += 1;
                continue;
            }
            let Some(codec) = sound_codec(part.codec) else {
                let codec = format!("enhanced RTMP audio {}", printable(&part.codec));
                return Err(Error::Unsupported { at, codec, expected: SOUNDS });
            };
            units.extend(self.sound(codec, part.track, message.packet_type, pts, part.body));
        }
        Ok(units)
    }

    fn aac(&mut self, pts: i64, mut body: Bytes) -> Vec<Unit> {
        // One byte of format, one of packet type.
        if body.len() < 2 {
            self.skipped += 1;
            return Vec::new();
        }
        let packet_type = body[1];
        body.advance(2);
        self.sound(Codec::Aac, 0, packet_type, pts, body)
    }

    /// A message of one track of sound. Its packet types are enhanced RTMP's, of which the first two are AAC's in FLV.
    fn sound(&mut self, codec: Codec, track: u8, packet_type: u8, pts: i64, body: Bytes) -> Vec<Unit> {
        let units = match packet_type {
            packet::SEQUENCE_START if codec == Codec::Mp3 => Some(Vec::new()),
            packet::SEQUENCE_START => self.sound_header(codec, track, body),
            packet::CODED_FRAMES => self.sound_frame(codec, track, pts, body),
            packet::SEQUENCE_END | packet::MULTICHANNEL_CONFIG => Some(Vec::new()),
            _ => None,
        };
        units.unwrap_or_else(|| {
            self.skipped += 1;
            Vec::new()
        })
    }

    fn sound_header(&mut self, codec: Codec, track: u8, config: Bytes) -> Option<Vec<Unit>> {
        let whole = match codec {
            Codec::Opus => OpusHead::read(&config).is_some(),
            _ => !config.is_empty(),
        };
        if !whole || !self.sounds.takes(track, true) {
            return None;
        }
        Some(self.audio_format(Format::new(codec, config)).into_iter().collect())
    }

    /// No empty frames: some encoders send them.
    fn sound_frame(&mut self, codec: Codec, track: u8, pts: i64, data: Bytes) -> Option<Vec<Unit>> {
        let bare = codec == Codec::Mp3;
        if data.is_empty() || !self.sounds.takes(track, bare) {
            return None;
        }
        let format = if bare { self.audio_format(Format::new(codec, Bytes::new())) } else { None };
        let known = self.audio.as_ref().is_some_and(|format| format.codec == codec);
        known.then(|| format.into_iter().chain([sound(pts, data)]).collect())
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

/// 24 bits, signed: the sign goes where the shift back takes it. Zero when they are not all there.
fn composition(body: &mut Bytes) -> i64 {
    let Some(&[a, b, c]) = body.first_chunk::<3>() else {
        body.clear();
        return 0;
    };
    body.advance(3);
    i64::from(i32::from_be_bytes([a, b, c, 0]) >> 8)
}

/// Refuses what is not H.264, of the numbers of the original FLV form.
fn check_video_codec(at: u64, body: &[u8]) -> Result<(), Error> {
    let Some(&head) = body.first() else { return Ok(()) };
    let codec = match head & 0x0f {
        7 => return Ok(()),
        2 => "video codec Sorenson H.263 (2)".into(),
        3 | 6 => "video codec Screen Video (3, 6)".into(),
        4 | 5 => "video codec VP6 (4, 5)".into(),
        12 => "video codec HEVC (12)".into(),
        other => format!("video codec {other}"),
    };
    Err(Error::Unsupported { at, codec, expected: PICTURES })
}

/// A sound format that is not taken, in words.
fn audio_codec(head: u8) -> String {
    match head >> 4 {
        0 | 3 => "audio codec PCM (0, 3)".into(),
        1 => "audio codec ADPCM (1)".into(),
        4..=6 => "audio codec Nellymoser (4-6)".into(),
        7 | 8 => "audio codec G.711 (7, 8)".into(),
        11 => "audio codec Speex (11)".into(),
        other => format!("audio codec {other}"),
    }
}

fn sound_codec(code: FourCc) -> Option<Codec> {
    match &code {
        b"Opus" => Some(Codec::Opus),
        b"mp4a" => Some(Codec::Aac),
        b".mp3" => Some(Codec::Mp3),
        _ => None,
    }
}

/// A FourCC as text.
fn printable(code: &FourCc) -> String {
    code.iter().map(|b| if b.is_ascii_graphic() { char::from(*b) } else { '?' }).collect()
}

#[cfg(test)]
mod tests;
