use crate::simulcast::Size;

use super::bits::Bits;

/// RFC 9628 section 4.2.
const PICTURE_ID: u8 = 0x80;
const INTER: u8 = 0x40;
const LAYERS: u8 = 0x20;
const FLEXIBLE: u8 = 0x10;
const BEGINS: u8 = 0x08;
const STRUCTURE: u8 = 0x02;

/// `frame_sync_code` (VP9 bitstream specification, section 7.2).
const SYNC_CODE: u32 = 0x0049_8342;

/// `color_space` of RGB.
const RGB: u32 = 7;

pub(super) fn size(payload: &[u8]) -> Option<Size> {
    let (flags, mut rest) = payload.split_first()?;
    let has = |flag: u8| flags & flag != 0;
    if has(PICTURE_ID) {
        let long = rest.first()? & 0x80 != 0;
        rest = rest.get(1 + usize::from(long)..)?;
    }
    if has(LAYERS) {
        // Without references, the number of the base layer's picture too.
        rest = rest.get(1 + usize::from(!has(FLEXIBLE))..)?;
    }
    if has(FLEXIBLE) && has(INTER) {
        let references = rest.iter().take(3).position(|reference| reference & 1 == 0)?;
        rest = rest.get(references + 1..)?;
    }
    if has(STRUCTURE) {
        let (size, behind) = structure(rest)?;
        if size.is_some() {
            return size;
        }
        rest = behind;
    }
    if has(BEGINS) && !has(INTER) { frame(rest) } else { None }
}

/// The largest spatial layer's size, if it is told, and what is behind the structure (RFC 9628 section 4.2.1).
fn structure(data: &[u8]) -> Option<(Option<Size>, &[u8])> {
    let (flags, mut rest) = data.split_first()?;
    let mut largest = None;
    if flags & 0x10 != 0 {
        for _ in 0..=flags >> 5 {
            let ([width, width_low, height, height_low], behind) = rest.split_first_chunk::<4>()?;
            let side = |high: u8, low: u8| u32::from(u16::from_be_bytes([high, low]));
            let size = (side(*width, *width_low), side(*height, *height_low));
            if largest.is_none_or(|(width, height)| size.0 * size.1 >= width * height) {
                largest = Some(size);
            }
            rest = behind;
        }
    }
    if flags & 0x08 != 0 {
        let (pictures, behind) = rest.split_first()?;
        rest = behind;
        for _ in 0..*pictures {
            let references = usize::from(rest.first()? >> 2 & 3);
            rest = rest.get(1 + references..)?;
        }
    }
    Some((largest, rest))
}

/// A key frame's uncompressed header (VP9 bitstream specification, section 6.2).
fn frame(data: &[u8]) -> Option<Size> {
    let bits = &mut Bits::new(data);
    let marker = bits.bits(2)?;
    let profile = u32::from(bits.bit()?) | u32::from(bits.bit()?) << 1;
    if profile == 3 {
        bits.skip(1)?;
    }
    let (shows_existing, inter) = (bits.bit()?, bits.bit()?);
    bits.skip(2)?;
    if marker != 2 || shows_existing || inter || bits.bits(24)? != SYNC_CODE {
        return None;
    }
    if profile >= 2 {
        bits.skip(1)?;
    }
    let odd_sampling = profile & 1 == 1;
    let colours =
        if bits.bits(3)? == RGB { u32::from(odd_sampling) } else { 1 + if odd_sampling { 3 } else { 0 } };
    bits.skip(colours)?;
    Some((bits.bits(16)? + 1, bits.bits(16)? + 1))
}
