use super::Picture;

/// OBU types of AV1 section 6.2.2.
const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
const TILE_LIST: u8 = 8;
const PADDING: u8 = 15;

/// The AV1 RTP payload: OBU elements of all packets become OBUs with their sizes. Temporal delimiters and tile lists, which
/// do not belong into packets (section 5 there), are left out, and so is padding. A keyframe is what has a sequence header.
pub(super) fn join<'a>(payloads: impl Iterator<Item = &'a [u8]>) -> Option<Picture> {
    let mut picture = Picture { data: Vec::new(), keyframe: false };
    // An OBU that goes on in the next packet.
    let mut open: Option<Vec<u8>> = None;
    for payload in payloads {
        let (&head, mut rest) = payload.split_first()?;
        let (continues, goes_on, count) = (head & 0x80 != 0, head & 0x40 != 0, (head >> 4) & 3);
        if continues != open.is_some() {
            return None;
        }
        let mut number = 0;
        while !rest.is_empty() {
            number += 1;
            let length = if count == number { rest.len() } else { leb128(&mut rest)? };
            let (element, after) = rest.split_at_checked(length)?;
            rest = after;
            let mut obu = open.take().unwrap_or_default();
            obu.extend_from_slice(element);
            if rest.is_empty() && goes_on {
                open = Some(obu);
            } else {
                write(&mut picture, &obu)?;
            }
        }
        if count != 0 && count != number {
            return None;
        }
    }
    (open.is_none() && !picture.data.is_empty()).then_some(picture)
}

/// Whether a payload is the first of a picture that has a sequence header. The N bit should say so, but not every payloader sets it.
pub(in super::super) fn starts(payload: &[u8]) -> bool {
    let Some((&head, mut rest)) = payload.split_first() else { return false };
    let (continues, count) = (head & 0x80 != 0, (head >> 4) & 3);
    let mut number = 0;
    while !continues && !rest.is_empty() && number < 4 {
        number += 1;
        let length = if count == number { Some(rest.len()) } else { leb128(&mut rest) };
        let Some((element, after)) = length.and_then(|length| rest.split_at_checked(length)) else { break };
        match element.first().map(|header| (header >> 3) & 15) {
            Some(SEQUENCE_HEADER) => return true,
            Some(TEMPORAL_DELIMITER) => rest = after,
            _ => break,
        }
    }
    false
}

fn write(picture: &mut Picture, obu: &[u8]) -> Option<()> {
    let (&header, mut rest) = obu.split_first()?;
    let (kind, has_extension, has_size) = ((header >> 3) & 15, header & 4 != 0, header & 2 != 0);
    if matches!(kind, TEMPORAL_DELIMITER | TILE_LIST | PADDING) {
        return Some(());
    }
    picture.keyframe |= kind == SEQUENCE_HEADER;
    picture.data.push(header | 2);
    if has_extension {
        let (&extension, after) = rest.split_first()?;
        picture.data.push(extension);
        rest = after;
    }
    if has_size {
        let size = leb128(&mut rest)?;
        rest = rest.get(..size)?;
    }
    let mut size = rest.len();
    while size >= 0x80 {
        picture.data.push(0x80 | low_bits(size));
        size >>= 7;
    }
    picture.data.push(low_bits(size));
    picture.data.extend_from_slice(rest);
    Some(())
}

fn low_bits(size: usize) -> u8 {
    u8::try_from(size & 0x7f).unwrap_or_default()
}

/// AV1 section 4.10.5, as long as it says the size of something in a packet.
fn leb128(bytes: &mut &[u8]) -> Option<usize> {
    let mut value = 0;
    for place in 0..4 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(payloads: &[&[u8]]) -> Option<(Vec<u8>, bool)> {
        join(payloads.iter().copied()).map(|picture| (picture.data, picture.keyframe))
    }

    #[test]
    fn elements_become_obus_with_their_sizes() {
        // A delimiter, a sequence header, and a frame over two packets.
        let first: &[u8] = &[0x78, 1, 0x10, 3, 0x08, 1, 2, 0x30, 3, 4];
        let second: &[u8] = &[0x90, 5, 6];
        let expected = vec![0x0a, 2, 1, 2, 0x32, 4, 3, 4, 5, 6];
        assert_eq!(joined(&[first, second]), Some((expected, true)));
    }

    #[test]
    fn a_sequence_header_is_a_start_whatever_the_flags_say() {
        assert!(starts(&[0x78, 1, 0x10, 3, 0x08, 1, 2, 0x30, 3, 4]) && starts(&[0x10, 0x08, 1]));
        assert!(starts(&[0x00, 2, 0x12, 0x00, 3, 0x0a, 1, 2]));
        for other in [&[0x90, 0x08, 1][..], &[0x10, 0x30, 1], &[0x00, 9, 0x08], &[0x18], &[]] {
            assert!(!starts(other), "{other:02x?}");
        }
    }

    #[test]
    fn sizes_that_are_there_stay_and_an_extension_does_too() {
        assert_eq!(joined(&[&[0x00, 4, 0x36, 0x08, 1, 7]]), Some((vec![0x36, 0x08, 1, 7], false)));
        assert_eq!(joined(&[&[0x10, 0x34, 0x08, 7]]), Some((vec![0x36, 0x08, 1, 7], false)));
        let long = [&[0x10, 0x30][..], &[9; 300]].concat();
        let expected = [&[0x32, 0xac, 2][..], &[9; 300]].concat();
        assert_eq!(joined(&[&long]), Some((expected, false)));
    }

    #[test]
    fn a_part_without_the_others_is_no_picture() {
        let (first, second): (&[u8], &[u8]) = (&[0x50, 0x30, 1], &[0x90, 2]);
        assert!(joined(&[first, second]).is_some());
        assert_eq!(joined(&[first]), None);
        assert_eq!(joined(&[second]), None);
        assert_eq!(joined(&[first, first]), None);
        assert_eq!(joined(&[&[0x20, 9, 1]]), None);
        assert_eq!(joined(&[&[0x10, 0x12]]), None, "only a delimiter");
    }
}
