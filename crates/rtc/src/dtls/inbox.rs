//! Handshake messages, put together from fragments that come in any order, twice or never (RFC 6347 §4.2.3).

use std::collections::BTreeMap;

use super::{Fault, wire::Reader};

/// Bytes before a message's body.
pub(super) const HEADER: usize = 12;
/// The longest message, in bytes: a certificate with its chain, generously.
const LONGEST: usize = 16 * 1024;
/// How many messages are kept that are not next. A flight has six at most.
const AHEAD: u16 = 8;

/// A whole message.
pub(super) struct Message {
    pub(super) kind: u8,
    /// Of the records that it came in.
    pub(super) epoch: u16,
    /// With the header that it would have in one piece, as the transcript wants it.
    pub(super) bytes: Vec<u8>,
}

impl Message {
    pub(super) fn body(&self) -> Reader<'_> {
        Reader::new(&self.bytes[HEADER..])
    }
}

/// A message in one piece.
pub(super) fn write(kind: u8, sequence: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    write_header(&mut bytes, kind, sequence, body.len(), 0, body.len());
    bytes.extend_from_slice(body);
    bytes
}

pub(super) fn write_header(
    out: &mut Vec<u8>,
    kind: u8,
    sequence: u16,
    length: usize,
    offset: usize,
    part: usize,
) {
    out.push(kind);
    out.extend_from_slice(&(length as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&sequence.to_be_bytes());
    out.extend_from_slice(&(offset as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&(part as u32).to_be_bytes()[1..]);
}

struct Partial {
    kind: u8,
    epoch: u16,
    body: Vec<u8>,
    has: Vec<bool>,
    missing: usize,
}

/// What the peer said, in order.
#[derive(Default)]
pub(super) struct Inbox {
    next: u16,
    partial: BTreeMap<u16, Partial>,
}

impl Inbox {
    /// Takes the fragments of one record. `true` if the message before the next one came once more, whole or its end: the peer
    /// waits for our answer to it.
    pub(super) fn push(&mut self, epoch: u16, record: &[u8]) -> bool {
        let mut reader = Reader::new(record);
        let mut repeated = false;
        while !reader.is_empty() {
            match self.fragment(epoch, &mut reader) {
                Ok(again) => repeated |= again,
                Err(_) => break,
            }
        }
        repeated
    }

    fn fragment(&mut self, epoch: u16, reader: &mut Reader<'_>) -> Result<bool, Fault> {
        let kind = reader.u8()?;
        let length = reader.u24()?;
        let sequence = reader.u16()?;
        let offset = reader.u24()?;
        let part = reader.vector(3)?;
        let end = offset + part.len();
        if length > LONGEST || end > length {
            return Err(Fault::Malformed);
        }
        if sequence < self.next {
            return Ok(sequence + 1 == self.next && end == length);
        }
        if sequence - self.next >= AHEAD {
            return Ok(false);
        }
        let partial = self.partial.entry(sequence).or_insert_with(|| Partial {
            kind,
            epoch,
            body: vec![0; length],
            has: vec![false; length],
            missing: length,
        });
        if (partial.kind, partial.epoch, partial.body.len()) != (kind, epoch, length) {
            return Ok(false);
        }
        partial.body[offset..end].copy_from_slice(part);
        for has in &mut partial.has[offset..end] {
            partial.missing -= usize::from(!std::mem::replace(has, true));
        }
        Ok(false)
    }

    /// The next message, once it is whole.
    pub(super) fn pop(&mut self) -> Option<Message> {
        if self.partial.get(&self.next)?.missing > 0 {
            return None;
        }
        let partial = self.partial.remove(&self.next)?;
        let bytes = write(partial.kind, self.next, &partial.body);
        self.next = self.next.wrapping_add(1);
        Some(Message { kind: partial.kind, epoch: partial.epoch, bytes })
    }
}
