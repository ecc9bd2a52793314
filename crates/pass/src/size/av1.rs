use crate::simulcast::Size;

use super::bits::Bits;

const SEQUENCE_HEADER: u8 = 1;

/// The first OBU element goes on from the packet before (the AV1 RTP specification, section 4.4).
const CONTINUES: u8 = 0x80;

pub(super) fn size(payload: &[u8]) -> Option<Size> {
    let (header, mut rest) = payload.split_first()?;
    if header & CONTINUES != 0 {
        return None;
    }
    // How many elements there are; the last one has no length then. None: each has one.
    let count = header >> 4 & 3;
    let mut element = 0;
    while !rest.is_empty() {
        element += 1;
        let obu = if element == count {
            std::mem::take(&mut rest)
        } else {
            let (length, behind) = leb128(rest)?;
            let (obu, behind) = behind.split_at_checked(length)?;
            rest = behind;
            obu
        };
        if let Some(size) = sequence_header(obu) {
            return Some(size);
        }
    }
    None
}

/// The largest frame that a sequence header OBU allows (AV1 specification, section 5.5).
fn sequence_header(obu: &[u8]) -> Option<Size> {
    let (header, mut rest) = obu.split_first()?;
    if header >> 3 & 0xf != SEQUENCE_HEADER {
        return None;
    }
    if header & 4 != 0 {
        rest = rest.get(1..)?;
    }
    if header & 2 != 0 {
        rest = leb128(rest)?.1;
    }
    let bits = &mut Bits::new(rest);
    bits.skip(4)?;
    if bits.bit()? {
        bits.skip(5)?; // reduced_still_picture_header
    } else {
        operating_points(bits)?;
    }
    let (width, height) = (bits.bits(4)? + 1, bits.bits(4)? + 1);
    Some((bits.bits(width)? + 1, bits.bits(height)? + 1))
}

fn operating_points(bits: &mut Bits<'_>) -> Option<()> {
    let mut delay_bits = None;
    if bits.bit()? {
        bits.skip(64)?;
        if bits.bit()? {
            uvlc(bits)?;
        }
        if bits.bit()? {
            delay_bits = Some(bits.bits(5)? + 1);
            bits.skip(32 + 5 + 5)?;
        }
    }
    let display_delays = bits.bit()?;
    for _ in 0..=bits.bits(5)? {
        bits.skip(12)?;
        if bits.bits(5)? > 7 {
            bits.skip(1)?;
        }
        if let Some(delay_bits) = delay_bits
            && bits.bit()?
        {
            bits.skip(2 * delay_bits + 1)?;
        }
        if display_delays && bits.bit()? {
            bits.skip(4)?;
        }
    }
    Some(())
}

/// Reads over a number of variable length (AV1 specification, section 4.10.3).
fn uvlc(bits: &mut Bits<'_>) -> Option<()> {
    let mut zeros = 0;
    while !bits.bit()? {
        zeros += 1;
    }
    if zeros < 32 { bits.skip(zeros) } else { Some(()) }
}

/// A length in 7 bits a byte, lowest first, and what is behind it.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}
