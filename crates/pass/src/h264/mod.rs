//! The little of H.264 that says whether pictures may be passed through, and their way from length-prefixed NAL units
//! (ISO/IEC 14496-15) to the access units in Annex B form that a room takes.

mod bits;
mod error;
mod nal;
mod sets;

use bytes::Bytes;

pub use error::Error;
pub use sets::Description;

pub(crate) use bits::Bits;
use nal::{Kind, Nals};
use sets::{Pps, Sps};

/// Parameter sets of a kind that are remembered. Encoders send one; the standard allows 32 and 256.
const MAX_SETS: usize = 16;

/// Before each NAL unit.
const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// One H.264 stream: its parameter sets, kept up to date from what goes by.
#[derive(Debug, Clone)]
pub struct Stream {
    nal_length: usize,
    sps: Vec<(Sps, Bytes)>,
    pps: Vec<Kept>,
    /// A set changed since the last picture.
    changed: bool,
}

#[derive(Debug, Clone)]
struct Kept {
    read: Pps,
    nal: Bytes,
}

/// The parameter sets that a [`Stream`] has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sets {
    /// Sequence parameter sets.
    pub sps: usize,
    /// Picture parameter sets.
    pub pps: usize,
    /// All of them together.
    pub bytes: usize,
    /// Macroblocks in another order than line by line: a tool of Baseline that decoders leave out.
    pub slice_groups: bool,
}

/// What one access unit holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Picture {
    /// Slices of the picture; none when there is no picture in here at all.
    pub slices: u32,
    /// Of the slices: what goes to a room. Filler, which encoders at a constant bitrate add, is not in it.
    pub bytes: usize,
    /// Every slice is one of an IDR picture: any decoder can start here.
    pub idr: bool,
    /// At least one B slice: it may be shown before a picture that was decoded earlier.
    pub has_b: bool,
    /// One field, not a frame.
    pub field: bool,
    /// Parameter sets came with it, or since the picture before, that differ from the ones known.
    pub new_sets: bool,
}

/// An access unit in Annex B form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// For the room.
    pub data: Bytes,
    /// Any decoder can start here: the parameter sets are in it.
    pub idr: bool,
}

impl Stream {
    /// Reads an `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15 5.3.3.1). One without parameter sets is fine: they come
    /// with the pictures then.
    pub fn read(record: &Bytes) -> Result<Self, Error> {
        let bad = |at, expected| Error::Record { at, len: record.len(), expected };
        let &[1, _, _, _, length, ..] = &record[..] else {
            return Err(bad(0, "version 1, profile and length size in 5 bytes"));
        };
        let mut stream =
            Self { nal_length: usize::from(length & 3) + 1, sps: vec![], pps: vec![], changed: false };
        let mut at = 5;
        for mask in [0x1f, 0xff] {
            let count = record.get(at).ok_or(bad(at, "a count of parameter sets"))? & mask;
            at += 1;
            for _ in 0..count {
                let len = record.get(at..at + 2).ok_or(bad(at, "a parameter set's length in 2 bytes"))?;
                let len = usize::from(u16::from_be_bytes([len[0], len[1]]));
                at += 2;
                let set = at..at + len;
                if record.len() < set.end {
                    return Err(bad(at, "as many bytes of a parameter set as its length says"));
                }
                at = set.end;
                stream.keep(record.slice(set))?;
            }
        }
        stream.changed = false;
        Ok(stream)
    }

    /// What the (first) sequence parameter set says; `None` while none has come.
    pub fn description(&self) -> Option<&Description> {
        self.sps.first().map(|(sps, _)| &sps.description)
    }

    /// How many parameter sets there are.
    pub fn sets(&self) -> Sets {
        let nals = self.sps.iter().map(|(_, nal)| nal).chain(self.pps.iter().map(|pps| &pps.nal));
        Sets {
            sps: self.sps.len(),
            pps: self.pps.len(),
            bytes: nals.map(Bytes::len).sum(),
            slice_groups: self.pps.iter().any(|pps| pps.read.slice_groups),
        }
    }

    /// Looks at an access unit, and keeps parameter sets that are in it.
    pub fn look(&mut self, unit: &Bytes) -> Result<Picture, Error> {
        let mut picture = Picture { idr: true, ..Picture::default() };
        for nal in Nals::new(unit, self.nal_length) {
            let nal = nal?;
            match nal.kind {
                Kind::Sps | Kind::Pps => self.keep(unit.slice(nal.range))?,
                Kind::Slice | Kind::Idr => {
                    let bytes = &unit[nal.range.clone()];
                    if let Some(at) = start_code(bytes) {
                        return Err(Error::Nal { at: nal.range.start + at, what: "a start code inside" });
                    }
                    let (b, field) = self.slice(bytes)?;
                    picture.slices += 1;
                    picture.bytes += bytes.len();
                    picture.idr &= nal.kind == Kind::Idr;
                    picture.has_b |= b;
                    picture.field |= field;
                }
                Kind::Other => {}
            }
        }
        picture.idr &= picture.slices > 0;
        if picture.slices > 0 {
            picture.new_sets = std::mem::take(&mut self.changed);
        }
        Ok(picture)
    }

    /// An access unit that [`Stream::look`] has seen, in Annex B form: the slices, with the parameter sets in front when
    /// it is an IDR picture. All else is left out: delimiters, filler, and messages that say nothing to a WebRTC receiver.
    /// Every byte is copied once. `None`: there is no picture in it, or it cannot be read.
    pub fn annex_b(&self, unit: &[u8]) -> Option<Access> {
        let (mut len, mut idr) = (0, true);
        for nal in Nals::new(unit, self.nal_length) {
            let nal = nal.ok()?;
            if nal.kind.is_slice() {
                len += START_CODE.len() + nal.range.len();
                idr &= nal.kind == Kind::Idr;
            }
        }
        if len == 0 {
            return None;
        }
        let sets = self.sps.iter().map(|(_, nal)| nal).chain(self.pps.iter().map(|pps| &pps.nal));
        let sets = sets.filter(|_| idr);
        let sets_len: usize = sets.clone().map(|nal| START_CODE.len() + nal.len()).sum();
        let mut out = Vec::with_capacity(sets_len + len);
        let mut write = |nal: &[u8]| {
            out.extend_from_slice(&START_CODE);
            out.extend_from_slice(nal);
        };
        sets.for_each(|nal| write(nal));
        for nal in Nals::new(unit, self.nal_length).flatten().filter(|nal| nal.kind.is_slice()) {
            write(&unit[nal.range]);
        }
        Some(Access { data: out.into(), idr })
    }

    /// Keeps a parameter set in place of an older one with its number.
    fn keep(&mut self, nal: Bytes) -> Result<(), Error> {
        match Kind::of(&nal) {
            Some(Kind::Sps) => {
                if self.sps.iter().any(|(_, known)| *known == nal) {
                    return Ok(());
                }
                let sps = Sps::read(&nal)?;
                self.sps.retain(|(known, _)| known.id != sps.id);
                self.sps.push((sps, own(&nal)));
            }
            Some(Kind::Pps) => {
                if self.pps.iter().any(|known| known.nal == nal) {
                    return Ok(());
                }
                let read = Pps::read(&nal)?;
                self.pps.retain(|known| known.read.id != read.id);
                self.pps.push(Kept { read, nal: own(&nal) });
            }
            // A record may hold what nobody asked for.
            _ => return Ok(()),
        }
        self.changed = true;
        if self.sps.len() > MAX_SETS || self.pps.len() > MAX_SETS {
            return Err(Error::TooManySets { limit: MAX_SETS });
        }
        Ok(())
    }

    /// Whether a slice is a B slice, and whether it is one of a field (H.264 7.3.3).
    fn slice(&self, nal: &[u8]) -> Result<(bool, bool), Error> {
        let mut bits = Bits::new(nal, "slice header");
        bits.ue("first_mb_in_slice", u32::MAX)?;
        let slice_type = bits.ue("slice_type", 9)?;
        let id = bits.ue("pic_parameter_set_id", 255)?;
        let pps = self.pps.iter().find(|pps| pps.read.id == id).ok_or(Error::NoSet { pps: id })?;
        let (sps, _) =
            self.sps.iter().find(|(sps, _)| sps.id == pps.read.sps).ok_or(Error::NoSet { pps: id })?;
        if sps.separate_colours {
            bits.skip(2)?;
        }
        bits.skip(sps.frame_num_bits)?;
        let field = !sps.description.progressive && bits.bit()?;
        Ok((slice_type % 5 == 1, field))
    }
}

/// The pictures' size in a sequence parameter set; the first byte, its header, is not looked at.
pub(crate) fn sps_size(nal: &[u8]) -> Option<(u32, u32)> {
    let description = Sps::read(nal).ok()?.description;
    Some((description.width, description.height))
}

/// A copy, so that a set does not hold on to the whole access unit that it came in.
fn own(nal: &[u8]) -> Bytes {
    Bytes::copy_from_slice(nal)
}

/// Where three bytes stand that would begin another NAL unit in Annex B form. Encoders must not make them (H.264 7.4.1);
/// some cameras do.
fn start_code(nal: &[u8]) -> Option<usize> {
    let mut at = 2;
    while let Some(&byte) = nal.get(at) {
        match byte {
            1 if nal[at - 2..at] == [0, 0] => return Some(at - 2),
            0 | 1 => at += 1,
            _ => at += 3,
        }
    }
    None
}

#[cfg(test)]
mod tests;
