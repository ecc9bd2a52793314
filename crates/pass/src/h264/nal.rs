use std::ops::Range;

use super::Error;

/// The types that matter here (H.264 table 7-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A slice of a picture that is not IDR, also the first partition of one.
    Slice,
    Idr,
    Sps,
    Pps,
    /// Delimiters, messages, filler, extensions for other decoders.
    Other,
}

impl Kind {
    /// By the header byte; `None` when the unit is empty.
    pub(super) fn of(nal: &[u8]) -> Option<Self> {
        Some(match nal.first()? & 0x1f {
            1 | 2 => Kind::Slice,
            5 => Kind::Idr,
            7 => Kind::Sps,
            8 => Kind::Pps,
            _ => Kind::Other,
        })
    }

    pub(super) fn is_slice(self) -> bool {
        matches!(self, Kind::Slice | Kind::Idr)
    }
}

/// A NAL unit's place in its access unit.
#[derive(Debug, Clone)]
pub(super) struct Nal {
    pub(super) kind: Kind,
    /// Its header byte included.
    pub(super) range: Range<usize>,
}

/// Walks over the NAL units of an access unit; empty ones are left out. Ends after an error.
#[derive(Debug)]
pub(super) struct Nals<'a> {
    unit: &'a [u8],
    at: usize,
    nal_length: usize,
}

impl<'a> Nals<'a> {
    pub(super) fn new(unit: &'a [u8], nal_length: usize) -> Self {
        Self { unit, at: 0, nal_length }
    }

    fn step(&mut self) -> Result<Option<Nal>, Error> {
        while self.at < self.unit.len() {
            let at = self.at;
            let rest = &self.unit[at..];
            let short =
                |length| Error::Length { at, length, left: rest.len().saturating_sub(self.nal_length) };
            let (prefix, behind) = rest.split_at_checked(self.nal_length).ok_or(short(0))?;
            let length = prefix.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            let nal = behind.get(..length).ok_or(short(length))?;
            let start = at + self.nal_length;
            self.at = start + length;
            let Some(kind) = Kind::of(nal) else { continue };
            match nal[0] {
                head if head & 0x80 != 0 => {
                    return Err(Error::Nal { at: start, what: "forbidden_zero_bit is set" });
                }
                // What a start code looks like where a header should be.
                0 => return Err(Error::Nal { at: start, what: "no NAL unit type" }),
                _ => return Ok(Some(Nal { kind, range: start..self.at })),
            }
        }
        Ok(None)
    }
}

impl Iterator for Nals<'_> {
    type Item = Result<Nal, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.at = self.unit.len();
        }
        step.transpose()
    }
}
