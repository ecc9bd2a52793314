use crate::simulcast::Size;

/// A key frame's start code (RFC 6386 section 9.1).
const START_CODE: [u8; 3] = [0x9d, 0x01, 0x2a];

/// Behind the payload descriptor (RFC 7741 section 4.2), the frame's header.
pub(super) fn size(payload: &[u8]) -> Option<Size> {
    let frame = frame_start(payload)?;
    let [tag, _, _, start @ .., width, width_high, height, height_high] = frame.first_chunk::<10>()?;
    if tag & 1 != 0 || *start != START_CODE {
        return None;
    }
    // The upper two bits are a scale for showing.
    let side = |low: u8, high: u8| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
    Some((side(*width, *width_high), side(*height, *height_high)))
}

/// The first partition of a frame, if it begins in this packet.
fn frame_start(payload: &[u8]) -> Option<&[u8]> {
    let (first, mut rest) = payload.split_first()?;
    let (extended, starts) = (first & 0x80 != 0, first & 0x17 == 0x10);
    if extended {
        let (flags, behind) = rest.split_first()?;
        let long = flags & 0x80 != 0 && behind.first()? & 0x80 != 0;
        let picture_id = usize::from(flags & 0x80 != 0) + usize::from(long);
        let others = usize::from(flags & 0x40 != 0) + usize::from(flags & 0x30 != 0);
        rest = behind.get(picture_id + others..)?;
    }
    starts.then_some(rest)
}
