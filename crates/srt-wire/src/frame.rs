use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

use crate::{CallerId, Command, Event};

/// Longest frame: what one turn of the process's loop takes from one caller, with room to spare.
pub const MAX_FRAME: usize = 1 << 20;

/// Longest text of a warning or failure; more is cut.
const MAX_TEXT: usize = 512;

const HEADER: usize = 4;

/// Bytes that are no message.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// Past [`MAX_FRAME`].
    #[error("srt socket: frame of {length} bytes, expected at most {MAX_FRAME}")]
    TooLong {
        /// As declared or needed.
        length: usize,
    },
    /// A tag that this side does not know.
    #[error("srt socket: unknown message tag {tag}")]
    Tag {
        /// The byte.
        tag: u8,
    },
    /// A body that ends early.
    #[error("srt socket: message {tag} is cut short")]
    Short {
        /// The message.
        tag: u8,
    },
    /// A body that is no such message.
    #[error("srt socket: message {tag}: {kind}")]
    Json {
        /// The message.
        tag: u8,
        /// What serde_json makes of it; its own words may hold a secret.
        kind: &'static str,
    },
}

/// A message of either direction.
pub trait Message: Sized {
    /// Appends the frame of this message.
    ///
    /// # Errors
    /// [`Error::TooLong`]; nothing is appended then.
    fn write(&self, out: &mut BytesMut) -> Result<(), Error>;

    /// Reads tag and body of one frame.
    ///
    /// # Errors
    /// Whatever is not such a message.
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
    let tag = body.try_get_u8().map_err(|_| Error::Short { tag: 0 })?;
    M::read(tag, body).map(Some)
}

impl Message for Command {
    fn write(&self, out: &mut BytesMut) -> Result<(), Error> {
        match self {
            Command::Start(start) => json(out, 1, start),
            Command::Answer { caller, verdict } => json(out, 2, &(caller, verdict)),
            Command::Close { caller } => json(out, 3, caller),
        }
    }

    fn read(tag: u8, body: Bytes) -> Result<Self, Error> {
        match tag {
            1 => Ok(Command::Start(parse(tag, &body)?)),
            2 => {
                let (caller, verdict) = parse(tag, &body)?;
                Ok(Command::Answer { caller, verdict })
            }
            3 => Ok(Command::Close { caller: parse(tag, &body)? }),
            tag => Err(Error::Tag { tag }),
        }
    }
}

impl Message for Event {
    fn write(&self, out: &mut BytesMut) -> Result<(), Error> {
        match self {
            Event::Ready { version } => json(out, 1, version),
            Event::Asked(asked) => json(out, 2, asked),
            Event::Begun(begun) => json(out, 3, begun),
            Event::Data { caller, bytes } => {
                frame(out, 4, &[caller.0.to_be_bytes().as_slice(), bytes.as_ref()])
            }
            Event::Stats(stats) => json(out, 5, stats),
            Event::Ended { caller, end } => json(out, 6, &(caller, end)),
            Event::Warning(text) => frame(out, 7, &[cut(text)]),
            Event::Failed(text) => frame(out, 8, &[cut(text)]),
        }
    }

    fn read(tag: u8, mut body: Bytes) -> Result<Self, Error> {
        let text = |body: &Bytes| String::from_utf8_lossy(body).into_owned();
        match tag {
            1 => Ok(Event::Ready { version: parse(tag, &body)? }),
            2 => Ok(Event::Asked(parse(tag, &body)?)),
            3 => Ok(Event::Begun(parse(tag, &body)?)),
            4 => {
                let caller = CallerId(body.try_get_u32().map_err(|_| Error::Short { tag })?);
                Ok(Event::Data { caller, bytes: body })
            }
            5 => Ok(Event::Stats(parse(tag, &body)?)),
            6 => {
                let (caller, end) = parse(tag, &body)?;
                Ok(Event::Ended { caller, end })
            }
            7 => Ok(Event::Warning(text(&body))),
            8 => Ok(Event::Failed(text(&body))),
            tag => Err(Error::Tag { tag }),
        }
    }
}

fn frame(out: &mut BytesMut, tag: u8, parts: &[&[u8]]) -> Result<(), Error> {
    let length = 1 + parts.iter().map(|part| part.len()).sum::<usize>();
    if length > MAX_FRAME {
        return Err(Error::TooLong { length });
    }
    out.reserve(HEADER + length);
    out.put_u32(length as u32);
    out.put_u8(tag);
    parts.iter().for_each(|part| out.put_slice(part));
    Ok(())
}

fn json<T: Serialize>(out: &mut BytesMut, tag: u8, value: &T) -> Result<(), Error> {
    let body = serde_json::to_vec(value).map_err(|_| Error::Json { tag, kind: "cannot be written" })?;
    frame(out, tag, &[&body])
}

fn parse<T: DeserializeOwned>(tag: u8, body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|_| Error::Json { tag, kind: "is not what was expected" })
}

fn cut(text: &str) -> &[u8] {
    &text.as_bytes()[..text.floor_char_boundary(MAX_TEXT)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Asked, Begun, End, Refusal, Role, Secret, Start, Stats};

    fn round_trip<M: Message + PartialEq + std::fmt::Debug>(messages: Vec<M>) {
        let mut out = BytesMut::new();
        messages.iter().for_each(|message| message.write(&mut out).unwrap());
        let whole = out.clone();
        for message in &messages {
            assert_eq!(next::<M>(&mut out).unwrap().as_ref(), Some(message));
        }
        assert!(out.is_empty());
        // Cut anywhere it is not yet a message, never a wrong one.
        for end in 0..whole.len() {
            let mut part = BytesMut::from(&whole[..end]);
            while let Some(message) = next::<M>(&mut part).unwrap() {
                assert!(messages.contains(&message));
            }
        }
    }

    #[test]
    fn messages_come_back_as_they_went() {
        let (caller, peer) = (CallerId(7), "[::1]:9".parse().unwrap());
        let passphrase = Some(Secret::new("correct horse"));
        let call = Role::Call { peer, stream_id: Secret::new("#!::r=k,m=request") };
        round_trip(vec![
            Command::Start(Box::new(Start { role: Role::Listen, passphrase, latency_ms: 200 })),
            Command::Start(Box::new(Start { role: call, passphrase: None, latency_ms: 0 })),
            Command::Answer { caller, verdict: Ok(()) },
            Command::Answer { caller, verdict: Err(Refusal::Forbidden) },
            Command::Close { caller },
        ]);
        round_trip(vec![
            Event::Ready { version: 0x01_0501 },
            Event::Asked(Asked { caller, peer, stream_id: Secret::new("key") }),
            Event::Begun(Begun { caller, version: 0x01_0503, latency_ms: 120, encrypted: true }),
            Event::Data { caller, bytes: Bytes::from_static(&[0x47; 376]) },
            Event::Stats(Stats { caller: 7, rtt_ms: 1.5, bitrate_bps: 3, received: 4, ..Stats::default() }),
            Event::Ended { caller, end: End::Handshake },
            Event::Ended { caller, end: End::NotTaken { code: 1403, text: "no".into() } },
            Event::Warning("w".into()),
            Event::Failed("f".into()),
        ]);
    }

    #[test]
    fn nonsense_is_an_error_and_never_shows_what_it_held() {
        let mut bytes = BytesMut::from(&[0xff; 8][..]);
        assert!(matches!(next::<Event>(&mut bytes), Err(Error::TooLong { .. })));
        let mut bytes = BytesMut::new();
        frame(&mut bytes, 2, &[br#"{"caller":1,"peer":"secret","stream_id":"secret"}"#]).unwrap();
        let error = next::<Event>(&mut bytes).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"));
        let mut bytes = BytesMut::new();
        frame(&mut bytes, 99, &[]).unwrap();
        assert!(matches!(next::<Command>(&mut bytes), Err(Error::Tag { tag: 99 })));
    }

    #[test]
    fn secrets_do_not_show() {
        let asked = Asked {
            caller: CallerId(1),
            peer: "127.0.0.1:1".parse().unwrap(),
            stream_id: Secret::new("hunter2"),
        };
        assert!(!format!("{asked:?}").contains("hunter2"));
    }

    #[test]
    fn a_refusal_is_what_the_caller_reads() {
        assert_eq!(Refusal::Forbidden.code(), 1403);
        assert_eq!(Refusal::BadMode.code(), 1405);
    }
}
