//! What the tests share: a session that is fed and accepts all, and bytes as encoders write them.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::{collections::HashMap, time::Instant};

use media::{Packet, Unit};
use sluicegate_rtmp::{
    Error, Event, Session,
    amf0::{Value, encode},
};

/// What came out of a session.
#[derive(Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) events: Vec<Event>,
    pub(crate) result: Result<(), Error>,
}

impl Seen {
    pub(crate) fn packets(&self) -> Vec<&Packet> {
        let packet = |event| match event {
            &Event::Unit(Unit::Packet(ref packet)) => Some(packet),
            _ => None,
        };
        self.events.iter().filter_map(packet).collect()
    }

    pub(crate) fn track(&self, track: media::TrackId) -> Vec<&Packet> {
        self.packets().into_iter().filter(|packet| packet.track == track).collect()
    }
}

/// Feeds a session piece by piece and accepts when asked.
pub(crate) fn feed<'a>(
    session: &mut Session,
    now: Instant,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Seen {
    let mut events = Vec::new();
    for piece in pieces {
        let result = session.handle_input(now, piece);
        while let Some(event) = session.poll_event() {
            if matches!(event, Event::Publish(_)) {
                session.accept(now);
            }
            events.push(event);
        }
        if result.is_err() {
            return Seen { events, result };
        }
    }
    Seen { events, result: Ok(()) }
}

pub(crate) fn replay(bytes: &[u8]) -> Seen {
    let now = Instant::now();
    feed(&mut Session::new(now), now, [bytes])
}

/// All that the session says, as text and bytes mixed: enough to look for a status code.
pub(crate) fn said(session: &mut Session) -> String {
    let bytes: Vec<u8> = std::iter::from_fn(|| session.poll_output()).flatten().collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// C0, C1 and C2 of the simple handshake.
pub(crate) fn handshake() -> Vec<u8> {
    let mut bytes = vec![0; 1 + 2 * 1536];
    bytes[0] = 3;
    bytes
}

/// A message to be cut into chunks.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) csid: u32,
    /// The chunk type that its first chunk has; chosen by the test.
    pub(crate) fmt: u8,
    pub(crate) kind: u8,
    pub(crate) timestamp: u32,
    pub(crate) body: Vec<u8>,
}

impl Message {
    pub(crate) fn new(csid: u32, kind: u8, timestamp: u32, body: impl Into<Vec<u8>>) -> Message {
        Message { csid, fmt: 0, kind, timestamp, body: body.into() }
    }

    pub(crate) fn fmt(self, fmt: u8) -> Message {
        Message { fmt, ..self }
    }
}

/// Writes chunks of every type, after RTMP 5.3 and apart from the crate's own code.
pub(crate) struct Chunks {
    pub(crate) size: usize,
    /// RTMP 5.3.1.3: type 3 chunks repeat the extended timestamp. Not so with old OBS.
    pub(crate) repeats_extended: bool,
    last: HashMap<u32, u32>,
}

impl Chunks {
    pub(crate) fn new(repeats_extended: bool) -> Chunks {
        Chunks { size: 128, repeats_extended, last: HashMap::new() }
    }

    /// The chunks of a message, one by one.
    pub(crate) fn cut(&mut self, message: &Message) -> Vec<Vec<u8>> {
        let last = self.last.insert(message.csid, message.timestamp).unwrap_or(0);
        let time = if message.fmt == 0 { message.timestamp } else { message.timestamp.wrapping_sub(last) };
        let field = time.min(0xff_ffff);
        let mut head = basic(message.fmt, message.csid);
        if message.fmt < 3 {
            head.extend(&field.to_be_bytes()[1..]);
        }
        if message.fmt < 2 {
            head.extend(&u32::try_from(message.body.len()).unwrap().to_be_bytes()[1..]);
            head.push(message.kind);
        }
        if message.fmt == 0 {
            head.extend(1_u32.to_le_bytes());
        }
        let extended = if field == 0xff_ffff { time.to_be_bytes().to_vec() } else { Vec::new() };
        if message.fmt < 3 || self.repeats_extended {
            head.extend(&extended);
        }
        let mut parts = message.body.chunks(self.size);
        let mut chunks = vec![[head, parts.next().unwrap_or_default().to_vec()].concat()];
        for part in parts {
            let mut chunk = basic(3, message.csid);
            if self.repeats_extended {
                chunk.extend(&extended);
            }
            chunk.extend(part);
            chunks.push(chunk);
        }
        chunks
    }

    pub(crate) fn bytes(&mut self, message: &Message) -> Vec<u8> {
        self.cut(message).concat()
    }
}

fn basic(fmt: u8, csid: u32) -> Vec<u8> {
    let high = fmt << 6;
    match csid {
        2..=63 => vec![high | csid as u8],
        64..=319 => vec![high, (csid - 64) as u8],
        _ => vec![high | 1, ((csid - 64) % 256) as u8, ((csid - 64) / 256) as u8],
    }
}

pub(crate) fn text(text: &str) -> Value {
    Value::String(text.into())
}

/// A command's body.
pub(crate) fn command(values: &[Value]) -> Vec<u8> {
    let mut bytes = Vec::new();
    values.iter().for_each(|value| encode(value, &mut bytes));
    bytes
}

pub(crate) fn connect(app: &str) -> Vec<u8> {
    let fields = [("app", app), ("flashVer", "test/1.0"), ("tcUrl", "rtmp://host/live?token=t")];
    let object = fields.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect();
    command(&[text("connect"), Value::Number(1.0), Value::Object(object)])
}

pub(crate) fn publish(name: &str) -> Vec<u8> {
    command(&[text("publish"), Value::Number(5.0), Value::Null, text(name), text("live")])
}

/// Everything up to and with `publish`.
pub(crate) fn greeting(chunks: &mut Chunks) -> Vec<u8> {
    let mut bytes = handshake();
    bytes.extend(chunks.bytes(&Message::new(3, 20, 0, connect("live"))));
    let create = command(&[text("createStream"), Value::Number(4.0), Value::Null]);
    bytes.extend(chunks.bytes(&Message::new(3, 20, 0, create)));
    bytes.extend(chunks.bytes(&Message::new(4, 20, 0, publish("key12345"))));
    bytes
}

/// A session that publishes, and the chunk writer that goes on with its stream.
pub(crate) fn publishing(now: Instant, repeats_extended: bool) -> (Session, Chunks) {
    let (mut session, mut chunks) = (Session::new(now), Chunks::new(repeats_extended));
    let seen = feed(&mut session, now, [&greeting(&mut chunks)[..]]);
    assert!(matches!(&seen.events[..], [Event::Publish(_)]), "{seen:?}");
    assert!(said(&mut session).contains("NetStream.Publish.Start"));
    (session, chunks)
}

/// The bodies of an AVC and an AAC sequence header.
pub(crate) const AVC_HEADER: [u8; 16] = [0x17, 0, 0, 0, 0, 1, 0x64, 0, 31, 0xff, 0xe1, 0, 1, 0x67, 1, 0];
pub(crate) const AAC_HEADER: [u8; 4] = [0xaf, 0, 0x12, 0x10];

/// An IDR picture of `len` bytes with a pattern made from `seed`.
pub(crate) fn picture(seed: u8, len: usize) -> Vec<u8> {
    let nal: Vec<u8> = std::iter::once(0x65).chain((1..len).map(|i| seed.wrapping_add(i as u8))).collect();
    [&[0x17, 1, 0, 0, 0][..], &u32::try_from(nal.len()).unwrap().to_be_bytes(), &nal].concat()
}
