use super::Error;

/// The payload of a NAL unit bit by bit, without its emulation prevention bytes (H.264 7.3.1, 7.2, 9.1).
#[derive(Debug, Clone)]
pub(crate) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    byte: u8,
    /// Bits of `byte` not yet read.
    left: u8,
    /// Zero bytes right before.
    zeros: u8,
    what: &'static str,
}

impl<'a> Bits<'a> {
    /// Reads behind the NAL unit's header byte; `what` it is goes into errors.
    pub(crate) fn new(nal: &'a [u8], what: &'static str) -> Self {
        Self { bytes: nal, at: 1, byte: 0, left: 0, zeros: 0, what }
    }

    /// The same with the header, of whatever length, taken off.
    pub(crate) fn headless(bytes: &'a [u8], what: &'static str) -> Self {
        Self { at: 0, ..Self::new(bytes, what) }
    }

    pub(crate) fn bit(&mut self) -> Result<bool, Error> {
        if self.left == 0 {
            self.next_byte()?;
        }
        self.left -= 1;
        Ok(self.byte >> self.left & 1 == 1)
    }

    /// Up to 32 bits, first one highest: u(n).
    pub(crate) fn bits(&mut self, count: u32) -> Result<u32, Error> {
        (0..count).try_fold(0, |value: u32, _| Ok(value << 1 | u32::from(self.bit()?)))
    }

    pub(crate) fn skip(&mut self, count: u32) -> Result<(), Error> {
        (0..count).try_for_each(|_| self.bit().map(drop))
    }

    /// ue(v), at most `limit`.
    pub(crate) fn ue(&mut self, field: &'static str, limit: u32) -> Result<u32, Error> {
        let out_of_range = Error::Range { in_what: self.what, field };
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
            if zeros > 31 {
                return Err(out_of_range);
            }
        }
        let value = (1_u32 << zeros) - 1 + self.bits(zeros)?;
        if value <= limit { Ok(value) } else { Err(out_of_range) }
    }

    /// se(v).
    pub(crate) fn se(&mut self, field: &'static str) -> Result<i32, Error> {
        let value = i64::from(self.ue(field, u32::MAX - 1)?);
        let value = if value % 2 == 0 { -value / 2 } else { (value + 1) / 2 };
        i32::try_from(value).map_err(|_| Error::Range { in_what: self.what, field })
    }

    fn next_byte(&mut self) -> Result<(), Error> {
        let mut byte = self.take()?;
        if self.zeros >= 2 && byte == 3 {
            self.zeros = 0;
            byte = self.take()?;
        }
        self.zeros = if byte == 0 { self.zeros.saturating_add(1) } else { 0 };
        (self.byte, self.left) = (byte, 8);
        Ok(())
    }

    fn take(&mut self) -> Result<u8, Error> {
        let short = Error::Short { in_what: self.what, bytes: self.bytes.len() };
        let byte = *self.bytes.get(self.at).ok_or(short)?;
        self.at += 1;
        Ok(byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_codes_as_in_table_9_2() {
        // 1 010 011 00100 00111, behind a header byte.
        let mut bits = Bits::new(&[0x67, 0b1010_0110, 0b0100_0011, 0b1000_0000], "test");
        let values: Vec<u32> = (0..5).map(|_| bits.ue("x", 9).unwrap()).collect();
        assert_eq!(values, [0, 1, 2, 3, 6]);
        let mut bits = Bits::new(&[0x67, 0b1010_0110, 0b0100_0010, 0b1000_0000], "test");
        let values: Vec<i32> = (0..5).map(|_| bits.se("x").unwrap()).collect();
        assert_eq!(values, [0, 1, -1, 2, -2]);
    }

    #[test]
    fn emulation_prevention_is_left_out() {
        let mut bits = Bits::new(&[0x67, 0, 0, 3, 1, 0, 0, 3], "test");
        assert_eq!(bits.bits(24), Ok(1));
        assert_eq!(bits.bits(16), Ok(0));
        assert_eq!(bits.bit(), Err(Error::Short { in_what: "test", bytes: 8 }));
    }

    #[test]
    fn codes_too_long_or_too_large_are_refused() {
        let range = Err(Error::Range { in_what: "test", field: "x" });
        assert_eq!(Bits::new(&[0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0], "test").ue("x", u32::MAX), range);
        assert_eq!(Bits::new(&[0, 0b0010_0000], "test").ue("x", 2), range);
        let longest = [0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(Bits::new(&longest, "test").ue("x", u32::MAX), Ok(u32::MAX - 1));
    }
}
