//! Numbers and vectors as TLS writes them (RFC 5246 §4): a reader that never goes past the end, and a few ways to write.

use super::Fault;

/// What is left of a message.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Fault::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self, bytes: usize) -> Result<usize, Fault> {
        Ok(self.take(bytes)?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
    }

    pub(super) fn u8(&mut self) -> Result<u8, Fault> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, Fault> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    pub(super) fn u24(&mut self) -> Result<usize, Fault> {
        self.number(3)
    }

    /// A vector whose length is written in that many bytes, 1 to 3.
    pub(super) fn vector(&mut self, length_bytes: usize) -> Result<&'a [u8], Fault> {
        let length = self.number(length_bytes)?;
        self.take(length)
    }

    /// Each number of a vector of 16 bit ones.
    pub(super) fn numbers(&mut self) -> Result<Vec<u16>, Fault> {
        let bytes = self.vector(2)?;
        let (pairs, odd) = bytes.as_chunks::<2>();
        if odd.is_empty() {
            Ok(pairs.iter().map(|p| u16::from_be_bytes(*p)).collect())
        } else {
            Err(Fault::Malformed)
        }
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<(), Fault> {
        if self.0.is_empty() { Ok(()) } else { Err(Fault::Malformed) }
    }
}

/// Ours are all far shorter than the length can say; a longer one would be refused by the peer, not by us.
pub(super) fn vector(out: &mut Vec<u8>, length_bytes: usize, bytes: &[u8]) {
    let length = (bytes.len() as u32).to_be_bytes();
    out.extend_from_slice(&length[4 - length_bytes..]);
    out.extend_from_slice(bytes);
}

pub(super) fn numbers(out: &mut Vec<u8>, values: &[u16]) {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_be_bytes()).collect();
    vector(out, 2, &bytes);
}

pub(super) fn extension(out: &mut Vec<u8>, kind: u16, body: &[u8]) {
    out.extend_from_slice(&kind.to_be_bytes());
    vector(out, 2, body);
}

/// The extensions at the end of a hello, which may have none.
pub(super) fn extensions<'a>(reader: &mut Reader<'a>) -> Result<Vec<(u16, &'a [u8])>, Fault> {
    let mut found = Vec::new();
    if reader.is_empty() {
        return Ok(found);
    }
    let mut list = Reader::new(reader.vector(2)?);
    while !list.is_empty() {
        found.push((list.u16()?, list.vector(2)?));
    }
    reader.end()?;
    Ok(found)
}

/// The body of the first extension of that kind.
pub(super) fn find<'a>(extensions: &[(u16, &'a [u8])], kind: u16) -> Option<&'a [u8]> {
    extensions.iter().find(|(k, _)| *k == kind).map(|(_, body)| *body)
}
