//! What both sides of a connection do alike: handshake, chunks, the protocol's own messages, and reading media.

mod clock;
mod control;
mod ear;
mod media;

use bytes::{Bytes, BytesMut};

use crate::{
    Error,
    amf0::{self, Value, encode},
    chunk::{Reader, Writer},
    handshake::Handshake,
    message::{Message, kind},
};
pub(crate) use control::event;
use ear::Ear;
pub(crate) use media::Media;

/// Chunk streams as everybody uses them: 2 for the protocol's own messages, 3 for commands.
const PROTOCOL: u8 = 2;
const COMMANDS: u8 = 3;

/// Received bytes in, whole messages out; messages in, bytes to send out.
#[derive(Debug)]
pub(crate) struct Wire {
    /// Bytes received.
    received: u64,
    handshake: Handshake,
    /// What the handshake has not taken yet.
    unread: BytesMut,
    reader: Reader,
    writer: Writer,
    output: Vec<u8>,
    ear: Ear,
}

impl Wire {
    /// The side that is connected to.
    pub(crate) fn server() -> Wire {
        Wire::new(Handshake::Hello, Vec::new())
    }

    /// The side that connects: it speaks first.
    pub(crate) fn client() -> Wire {
        let mut output = Vec::new();
        let handshake = Handshake::hail(&mut output);
        Wire::new(handshake, output)
    }

    fn new(handshake: Handshake, output: Vec<u8>) -> Wire {
        let (unread, reader, writer) = (BytesMut::new(), Reader::new(0), Writer::new());
        Wire { received: 0, handshake, unread, reader, writer, output, ear: Ear::default() }
    }

    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    pub(crate) fn handshake(&self) -> &Handshake {
        &self.handshake
    }

    pub(crate) fn is_greeted(&self) -> bool {
        matches!(self.handshake, Handshake::Done)
    }

    /// Counts received bytes, before they are looked at: a limit may forbid that.
    pub(crate) fn count(&mut self, bytes: &[u8]) {
        self.received += bytes.len() as u64;
    }

    /// Takes counted bytes. Read all messages with [`Wire::next`] before the next call.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.is_greeted() {
            self.reader.push(bytes);
            return Ok(());
        }
        self.unread.extend_from_slice(bytes);
        self.handshake.advance(&mut self.unread, &mut self.output)?;
        if self.is_greeted() {
            let chunks = std::mem::take(&mut self.unread);
            self.reader = Reader::new(self.received - chunks.len() as u64);
            self.reader.push(&chunks);
        }
        Ok(())
    }

    /// The next whole message; `None` until more bytes come.
    pub(crate) fn next(&mut self) -> Result<Option<Message>, Error> {
        if self.is_greeted() { self.reader.next() } else { Ok(None) }
    }

    /// Bytes to send, in order.
    pub(crate) fn poll_output(&mut self) -> Option<Bytes> {
        (!self.output.is_empty()).then(|| Bytes::from(std::mem::take(&mut self.output)))
    }

    pub(crate) fn acknowledge(&mut self) {
        if let Some(sequence) = self.ear.due(self.received) {
            self.say_protocol(kind::ACKNOWLEDGEMENT, &sequence.to_be_bytes());
        }
    }

    /// A command of the connection itself.
    pub(crate) fn say_command(&mut self, values: &[Value]) {
        self.say_values(COMMANDS, 0, values);
    }

    /// A command of a message stream.
    pub(crate) fn say_values(&mut self, csid: u8, stream: u32, values: &[Value]) {
        let mut bytes = Vec::new();
        values.iter().for_each(|value| encode(value, &mut bytes));
        self.say(csid, kind::COMMAND_AMF0, stream, &bytes);
    }

    fn say(&mut self, csid: u8, kind: u8, stream: u32, payload: &[u8]) {
        self.writer.write(csid, kind, stream, payload, &mut self.output);
    }
}

/// The AMF0 values of a command or data message. The AMF3 kinds hold AMF0 too, behind a zero byte.
pub(crate) fn decode(message: &Message) -> Result<Vec<Value>, Error> {
    let body = match message.kind {
        kind::COMMAND_AMF3 | kind::DATA_AMF3 => {
            message.payload.strip_prefix(&[0]).unwrap_or(&message.payload)
        }
        _ => &message.payload,
    };
    let Message { csid, at, kind, .. } = *message;
    amf0::decode(body).map_err(|source| Error::Amf { csid, at, kind, source })
}

pub(crate) fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

pub(crate) fn object(fields: &[(&str, Value)]) -> Value {
    Value::Object(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}
