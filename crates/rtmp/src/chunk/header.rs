use super::EXTENDED;

/// A chunk's basic header and message header (RTMP 5.3.1.1, 5.3.1.2), without a type 3's extended timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) fmt: u8,
    pub(super) csid: u32,
    /// Bytes that it takes.
    pub(super) len: usize,
    /// Type 0: the timestamp; types 1 and 2: the delta; 32 bits if `extended`. Type 3: 0.
    pub(super) time: u32,
    /// The time came as an extended timestamp.
    pub(super) extended: bool,
    /// Types 0 and 1: message length and message type.
    pub(super) message: Option<(usize, u8)>,
    /// Type 0: message stream.
    pub(super) stream: Option<u32>,
}

impl Header {
    /// Reads a header from the front of `bytes`; `None` when it is not all there.
    pub(super) fn read(bytes: &[u8]) -> Option<Header> {
        let (fmt, csid, basic) = basic(bytes)?;
        let fields = bytes.get(basic..basic + [11, 7, 3, 0][usize::from(fmt)])?;
        let mut header = Header {
            fmt,
            csid,
            len: basic + fields.len(),
            time: 0,
            extended: false,
            message: None,
            stream: None,
        };
        if let [a, b, c, rest @ ..] = fields {
            header.time = u32::from_be_bytes([0, *a, *b, *c]);
            if let [a, b, c, kind, stream @ ..] = rest {
                let length = u32::from_be_bytes([0, *a, *b, *c]);
                header.message = Some((usize::try_from(length).ok()?, *kind));
                // The one little-endian field of RTMP.
                header.stream = <[u8; 4]>::try_from(stream).ok().map(u32::from_le_bytes);
            }
        }
        if header.time == EXTENDED {
            header.time = u32::from_be_bytes(bytes.get(header.len..header.len + 4)?.try_into().ok()?);
            header.len += 4;
            header.extended = true;
        }
        Some(header)
    }
}

/// Chunk type, chunk stream and length of the basic header.
fn basic(bytes: &[u8]) -> Option<(u8, u32, usize)> {
    let first = *bytes.first()?;
    let fmt = first >> 6;
    match first & 0x3f {
        0 => Some((fmt, u32::from(*bytes.get(1)?) + 64, 2)),
        1 => Some((fmt, u32::from(*bytes.get(2)?) * 256 + u32::from(*bytes.get(1)?) + 64, 3)),
        csid => Some((fmt, u32::from(csid), 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_stream_ids_have_three_forms() {
        assert_eq!(basic(&[0xc5]), Some((3, 5, 1)));
        assert_eq!(basic(&[0x40, 255]), Some((1, 319, 2)));
        assert_eq!(basic(&[0x81, 1, 2]), Some((2, 577, 3)));
        assert_eq!(basic(&[0x81, 1]), None);
    }

    #[test]
    fn a_full_header_with_an_extended_timestamp() {
        let bytes = [4, 0xff, 0xff, 0xff, 0, 1, 0, 9, 1, 0, 0, 0, 0x01, 0x02, 0x03, 0x04];
        let header = Header::read(&bytes).unwrap();
        assert_eq!((header.time, header.extended, header.len), (0x0102_0304, true, 16));
        assert_eq!((header.message, header.stream), (Some((256, 9)), Some(1)));
        for cut in 0..bytes.len() {
            assert_eq!(Header::read(&bytes[..cut]), None, "{cut} bytes");
        }
    }

    #[test]
    fn types_one_to_three_leave_fields_out() {
        let one = Header::read(&[0x44, 0, 0, 20, 0, 0, 5, 8]).unwrap();
        assert_eq!((one.time, one.message, one.stream), (20, Some((5, 8)), None));
        let two = Header::read(&[0x84, 0, 0, 20]).unwrap();
        assert_eq!((two.time, two.message, two.stream, two.len), (20, None, None, 4));
        assert_eq!(Header::read(&[0xc4]).unwrap().len, 1);
    }
}
