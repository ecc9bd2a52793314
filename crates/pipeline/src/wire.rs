//! The messages of a worker's one socket pair, each a frame of `length: u32 | tag: u8 | body`, big-endian.
//!
//! What comes often (packets, encoded frames) is binary; what comes once is JSON. Times travel as whole nanoseconds
//! rounded up, so that flooring them to a 90 kHz or 48 kHz clock gives the publisher's own tick back.

use bytes::{Buf, BufMut, Bytes, BytesMut, buf::Chain};
use media::{Codec, Encoded, Format, Kind, MediaTime, Output, Packet, Quality, Shape, TrackId, Turn, Unit};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Command, Event};

/// Longest frame: an access unit of an 8K intra-only source fits several times. Past it the peer is broken or hostile.
pub const MAX_FRAME: usize = 16 << 20;

/// Longest text of a warning or failure; more is cut.
pub const MAX_TEXT: usize = 1024;

const HEADER: usize = 4;

/// Bytes ready for a socket: a small head, and the payload as it was given.
pub type Frame = Chain<Bytes, Bytes>;

/// Bytes that are no message, or a message too large to be one.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// Past [`MAX_FRAME`].
    #[error("worker socket: frame of {length} bytes, expected at most {MAX_FRAME}")]
    TooLong {
        /// As declared or needed.
        length: usize,
    },
    /// A tag that this side does not know.
    #[error("worker socket: unknown message tag {tag}")]
    Tag {
        /// The byte.
        tag: u8,
    },
    /// A body that ends early or holds a value out of range.
    #[error("worker socket: message {tag}, field {field}: malformed or missing")]
    Field {
        /// The message.
        tag: u8,
        /// What was being read.
        field: &'static str,
    },
    /// A JSON body that is none.
    #[error("worker socket: message {tag}: {source}")]
    Json {
        /// The message.
        tag: u8,
        /// Where it fails.
        source: serde_json::Error,
    },
}

/// A message of either direction.
pub trait Message: Sized {
    /// The frame of this message.
    ///
    /// # Errors
    /// [`Error::TooLong`] when the payload is past [`MAX_FRAME`].
    fn frame(self) -> Result<Frame, Error>;

    /// Reads tag and body of one frame.
    ///
    /// # Errors
    /// Whatever is not exactly such a message.
    fn read(tag: u8, body: Bytes) -> Result<Self, Error>;
}

/// Takes the next whole message out of what has been received; `None` when more bytes are needed.
///
/// # Errors
/// The peer does not speak this protocol: nothing after it can be read.
pub fn next<M: Message>(received: &mut BytesMut) -> Result<Option<M>, Error> {
    let Some(head) = received.first_chunk::<HEADER>() else { return Ok(None) };
    let length = u32::from_be_bytes(*head) as usize;
    if length > MAX_FRAME {
        return Err(Error::TooLong { length });
    }
    if received.len() < HEADER + length {
        received.reserve(HEADER + length - received.len());
        return Ok(None);
    }
    received.advance(HEADER);
    let mut body = received.split_to(length).freeze();
    let tag = body.try_get_u8().map_err(|_| Error::Field { tag: 0, field: "tag" })?;
    M::read(tag, body).map(Some)
}

impl Message for Command {
    fn frame(self) -> Result<Frame, Error> {
        match self {
            Command::Start(start) => json(1, &start),
            Command::Unit(unit) => unit_frame([2, 3], unit),
            Command::Keyframe(quality) => frame(4, &[quality.number()], Bytes::new()),
            Command::Pause(quality) => frame(5, &[quality.number()], Bytes::new()),
            Command::Resume(quality) => frame(6, &[quality.number()], Bytes::new()),
            Command::EndOfStream => frame(7, &[], Bytes::new()),
            Command::SkipTo(time) => frame(8, &nanos_up(time).to_be_bytes(), Bytes::new()),
            Command::ResumeAt(quality, time) => {
                let mut head = BytesMut::new();
                head.put_u8(quality.number());
                head.put_i64(nanos_up(time));
                frame(9, &head, Bytes::new())
            }
            Command::Effort(effort) => json(10, &effort),
            Command::SoundLoss(percent) => frame(11, &[percent], Bytes::new()),
        }
    }

    fn read(tag: u8, body: Bytes) -> Result<Self, Error> {
        let mut body = Body::new(tag, body);
        let command = match tag {
            1 => Command::Start(body.json()?),
            2 => Command::Unit(body.format()?),
            3 => Command::Unit(body.packet()?),
            4 => Command::Keyframe(body.quality()?),
            5 => Command::Pause(body.quality()?),
            6 => Command::Resume(body.quality()?),
            7 => Command::EndOfStream,
            8 => Command::SkipTo(body.time("time")?),
            9 => Command::ResumeAt(body.quality()?, body.time("time")?),
            10 => Command::Effort(body.json()?),
            11 => Command::SoundLoss(body.byte("percent")?),
            tag => return Err(Error::Tag { tag }),
        };
        body.end()?;
        Ok(command)
    }
}

/// The output byte of sound; a layer's is its quality's number.
const AUDIO: u8 = 0xff;

impl Message for Event {
    fn frame(self) -> Result<Frame, Error> {
        match self {
            Event::Ready => frame(1, &[], Bytes::new()),
            Event::Source(source) => json(2, &source),
            Event::Layers(layers) => json(3, &layers),
            Event::Audio { channels } => frame(4, &[channels], Bytes::new()),
            Event::Encoded(Encoded { output, pts, keyframe, data }) => {
                let mut head = BytesMut::new();
                head.put_u8(match output {
                    Output::Audio => AUDIO,
                    Output::Video(quality) => quality.number(),
                });
                head.put_u8(u8::from(keyframe));
                head.put_i64(nanos_up(pts));
                frame(5, &head, data)
            }
            Event::Warning(text) => frame(6, &[], cut(text)),
            Event::Failed(text) => frame(7, &[], cut(text)),
            Event::Ended => frame(8, &[], Bytes::new()),
            Event::Load(load) => json(9, &load),
        }
    }

    fn read(tag: u8, body: Bytes) -> Result<Self, Error> {
        let mut body = Body::new(tag, body);
        let event = match tag {
            1 => Event::Ready,
            2 => Event::Source(body.json()?),
            3 => Event::Layers(body.json()?),
            4 => Event::Audio { channels: body.byte("channels")? },
            5 => Event::Encoded(Encoded {
                output: body.output()?,
                keyframe: body.flag("keyframe")?,
                pts: body.time("pts")?,
                data: body.rest(),
            }),
            6 => Event::Warning(body.text()),
            7 => Event::Failed(body.text()),
            8 => Event::Ended,
            9 => Event::Load(body.json()?),
            tag => return Err(Error::Tag { tag }),
        };
        body.end()?;
        Ok(event)
    }
}

/// A unit's format or packet under the first or second of these tags, in whichever direction.
pub(crate) fn unit_frame([format_tag, packet_tag]: [u8; 2], unit: Unit) -> Result<Frame, Error> {
    let mut head = BytesMut::new();
    match unit {
        Unit::Format(track, Format { codec, config, shape }) => {
            let name =
                serde_json::to_vec(&codec).map_err(|source| Error::Json { tag: format_tag, source })?;
            let (width, height) = shape.pixel.unwrap_or_default();
            head.put_u8(track.0);
            head.put_u8(u8::from(shape.turn.mirrored));
            head.put_u8(shape.turn.quarters());
            head.put_u16(width);
            head.put_u16(height);
            head.put_u8(u8::try_from(name.len()).map_err(|_| Error::TooLong { length: name.len() })?);
            head.put_slice(&name);
            frame(format_tag, &head, config)
        }
        Unit::Packet(Packet { track, kind, pts, dts, keyframe, data }) => {
            head.put_u8(track.0);
            head.put_u8(u8::from(kind == Kind::Video));
            head.put_u8(u8::from(keyframe));
            head.put_i64(nanos_up(pts));
            head.put_i64(nanos_up(dts));
            frame(packet_tag, &head, data)
        }
    }
}

/// The body of one message, read field by field.
pub(crate) struct Body {
    tag: u8,
    bytes: Bytes,
}

impl Body {
    pub(crate) fn new(tag: u8, bytes: Bytes) -> Self {
        Self { tag, bytes }
    }

    fn wrong(&self, field: &'static str) -> Error {
        Error::Field { tag: self.tag, field }
    }

    pub(crate) fn byte(&mut self, field: &'static str) -> Result<u8, Error> {
        self.bytes.try_get_u8().map_err(|_| self.wrong(field))
    }

    pub(crate) fn flag(&mut self, field: &'static str) -> Result<bool, Error> {
        match self.byte(field)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.wrong(field)),
        }
    }

    pub(crate) fn time(&mut self, field: &'static str) -> Result<MediaTime, Error> {
        self.bytes.try_get_i64().map(MediaTime::from_nanos).map_err(|_| self.wrong(field))
    }

    pub(crate) fn number(&mut self, field: &'static str) -> Result<u32, Error> {
        self.bytes.try_get_u32().map_err(|_| self.wrong(field))
    }

    pub(crate) fn offset(&mut self, field: &'static str) -> Result<u64, Error> {
        self.bytes.try_get_u64().map_err(|_| self.wrong(field))
    }

    pub(crate) fn format(&mut self) -> Result<Unit, Error> {
        let track = TrackId(self.byte("track")?);
        let turn = Turn::new(self.flag("mirrored")?, self.byte("quarters")?);
        let pixel = (self.short("pixel")?, self.short("pixel")?);
        let shape = Shape { turn, pixel: (pixel.0 > 0 && pixel.1 > 0).then_some(pixel) };
        Ok(Unit::Format(track, Format { codec: self.codec()?, config: self.rest(), shape }))
    }

    pub(crate) fn packet(&mut self) -> Result<Unit, Error> {
        Ok(Unit::Packet(Packet {
            track: TrackId(self.byte("track")?),
            kind: if self.flag("kind")? { Kind::Video } else { Kind::Audio },
            keyframe: self.flag("keyframe")?,
            pts: self.time("pts")?,
            dts: self.time("dts")?,
            data: self.rest(),
        }))
    }

    fn short(&mut self, field: &'static str) -> Result<u16, Error> {
        self.bytes.try_get_u16().map_err(|_| self.wrong(field))
    }

    fn quality(&mut self) -> Result<Quality, Error> {
        let number = self.byte("quality")?;
        Quality::ALL.into_iter().find(|q| q.number() == number).ok_or_else(|| self.wrong("quality"))
    }

    fn output(&mut self) -> Result<Output, Error> {
        if self.bytes.first() == Some(&AUDIO) {
            self.bytes.advance(1);
            return Ok(Output::Audio);
        }
        self.quality().map(Output::Video)
    }

    fn codec(&mut self) -> Result<Codec, Error> {
        let length = usize::from(self.byte("codec")?);
        if length > self.bytes.len() {
            return Err(self.wrong("codec"));
        }
        let name = self.bytes.split_to(length);
        serde_json::from_slice(&name).map_err(|source| Error::Json { tag: self.tag, source })
    }

    pub(crate) fn json<T: for<'de> Deserialize<'de>>(&mut self) -> Result<T, Error> {
        serde_json::from_slice(&self.rest()).map_err(|source| Error::Json { tag: self.tag, source })
    }

    pub(crate) fn text(&mut self) -> String {
        String::from_utf8_lossy(&self.rest()).into_owned()
    }

    pub(crate) fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.bytes)
    }

    pub(crate) fn end(self) -> Result<(), Error> {
        if self.bytes.is_empty() { Ok(()) } else { Err(self.wrong("end")) }
    }
}

pub(crate) fn frame(tag: u8, fields: &[u8], payload: Bytes) -> Result<Frame, Error> {
    let length = 1 + fields.len() + payload.len();
    if length > MAX_FRAME {
        return Err(Error::TooLong { length });
    }
    let mut head = BytesMut::with_capacity(HEADER + 1 + fields.len());
    head.put_u32(length as u32);
    head.put_u8(tag);
    head.put_slice(fields);
    Ok(head.freeze().chain(payload))
}

pub(crate) fn json<T: Serialize>(tag: u8, value: &T) -> Result<Frame, Error> {
    let body = serde_json::to_vec(value).map_err(|source| Error::Json { tag, source })?;
    frame(tag, &[], body.into())
}

pub(crate) fn cut(mut text: String) -> Bytes {
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    text.into()
}

/// Nanoseconds, rounded up.
pub(crate) fn nanos_up(time: MediaTime) -> i64 {
    MediaTime::ZERO.since(time).nanos().saturating_neg()
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
