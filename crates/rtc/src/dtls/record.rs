//! Records: what datagrams are made of (RFC 6347 §4.1), in the clear and under AES-128-GCM (RFC 5288).

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::{Fault, wire::Reader};

pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;

/// Bytes before a record's body.
pub(super) const HEADER: usize = 13;
/// What a sealed body is longer by: the nonce's explicit part and the tag.
pub(super) const SEALING: usize = 8 + 16;
/// Key and implicit nonce of both sides.
pub(super) const KEY_BLOCK: usize = 2 * (16 + 4);

pub(super) const VERSION: u16 = 0xfefd;

/// One record of a datagram, as it came.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    pub(super) kind: u8,
    pub(super) epoch: u16,
    /// Epoch and sequence number, as in the header.
    pub(super) number: u64,
    pub(super) body: &'a [u8],
}

/// The records of a datagram; what cannot be read ends it, as RFC 6347 §4.1.2.7 wants it.
pub(super) fn records(datagram: &[u8]) -> Vec<Record<'_>> {
    fn next<'a>(reader: &mut Reader<'a>) -> Result<Record<'a>, Fault> {
        let kind = reader.u8()?;
        // OpenSSL and BoringSSL write 1.0 here until a version is agreed upon.
        let major = reader.u16()? >> 8;
        let number = reader.take(8)?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let body = reader.vector(2)?;
        if major != VERSION >> 8 {
            return Err(Fault::Malformed);
        }
        Ok(Record { kind, epoch: (number >> 48) as u16, number, body })
    }
    let mut reader = Reader::new(datagram);
    let mut records = Vec::new();
    while let Ok(record) = next(&mut reader) {
        records.push(record);
    }
    records
}

fn write_header(out: &mut Vec<u8>, kind: u8, number: u64, length: usize) {
    out.push(kind);
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(&(length as u16).to_be_bytes());
}

pub(super) fn write_plain(out: &mut Vec<u8>, kind: u8, number: u64, body: &[u8]) {
    write_header(out, kind, number, body.len());
    out.extend_from_slice(body);
}

struct Direction {
    key: LessSafeKey,
    salt: [u8; 4],
}

impl Direction {
    fn new(key: &[u8], salt: &[u8]) -> Result<Self, Fault> {
        let salt = salt.try_into().map_err(|_| Fault::Crypto)?;
        Ok(Self { key: LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key)?), salt })
    }

    fn nonce(&self, explicit: &[u8]) -> Result<Nonce, Fault> {
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&self.salt);
        nonce[4..].copy_from_slice(explicit);
        Ok(Nonce::assume_unique_for_key(nonce))
    }
}

fn additional(kind: u8, number: u64, length: usize) -> Aad<[u8; 13]> {
    let mut data = [0; 13];
    data[..8].copy_from_slice(&number.to_be_bytes());
    data[8] = kind;
    data[9..11].copy_from_slice(&VERSION.to_be_bytes());
    data[11..].copy_from_slice(&(length as u16).to_be_bytes());
    Aad::from(data)
}

/// The keys of epoch 1, both directions.
pub(super) struct Keys {
    ours: Direction,
    theirs: Direction,
}

impl Keys {
    pub(super) fn new(block: &[u8; KEY_BLOCK], client: bool) -> Result<Self, Fault> {
        let (client_write, server_write) =
            (Direction::new(&block[..16], &block[32..36])?, Direction::new(&block[16..32], &block[36..])?);
        Ok(if client {
            Self { ours: client_write, theirs: server_write }
        } else {
            Self { ours: server_write, theirs: client_write }
        })
    }

    /// `number` is never used twice: it is the explicit part of the nonce.
    pub(super) fn seal(&self, out: &mut Vec<u8>, kind: u8, number: u64, body: &[u8]) -> Result<(), Fault> {
        let explicit = number.to_be_bytes();
        let mut sealed = body.to_vec();
        let tag = self.ours.key.seal_in_place_separate_tag(
            self.ours.nonce(&explicit)?,
            additional(kind, number, body.len()),
            &mut sealed,
        )?;
        write_header(out, kind, number, body.len() + SEALING);
        out.extend_from_slice(&explicit);
        out.extend_from_slice(&sealed);
        out.extend_from_slice(tag.as_ref());
        Ok(())
    }

    /// `None` if the peer did not write it.
    pub(super) fn open(&self, record: &Record<'_>) -> Option<Vec<u8>> {
        let (explicit, sealed) = record.body.split_at_checked(8)?;
        let length = sealed.len().checked_sub(16)?;
        let mut body = sealed.to_vec();
        let nonce = self.theirs.nonce(explicit).ok()?;
        let aad = additional(record.kind, record.number, length);
        self.theirs.key.open_in_place(nonce, aad, &mut body).ok()?;
        body.truncate(length);
        Some(body)
    }
}

/// Which of the last 64 records came already (RFC 6347 §4.1.2.6).
#[derive(Default)]
pub(super) struct Window {
    top: u64,
    seen: u64,
}

impl Window {
    pub(super) fn is_new(&self, number: u64) -> bool {
        match self.top.checked_sub(number) {
            None => true,
            Some(behind) => behind < 64 && self.seen >> behind & 1 == 0,
        }
    }

    /// Only for a record that was opened: a forged one would move the window.
    pub(super) fn note(&mut self, number: u64) {
        if number > self.top {
            self.seen = self.seen.checked_shl((number - self.top).min(64) as u32).unwrap_or(0);
            self.top = number;
        }
        self.seen |= 1 << (self.top - number).min(63);
    }
}
