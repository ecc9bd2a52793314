/// An RTP packet's header (RFC 3550 section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) marker: bool,
    pub(super) payload_type: u8,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) ssrc: u32,
}

impl Header {
    /// The header and the payload, without extensions and padding; `None` for what is no RTP.
    pub(super) fn read(datagram: &[u8]) -> Option<(Header, &[u8])> {
        let (&[first, second, a, b, c, d, e, f, g, h, i, j], rest) = datagram.split_first_chunk::<12>()?;
        if first >> 6 != 2 {
            return None;
        }
        let mut rest = rest.get(usize::from(first & 0x0f) * 4..)?;
        if first & 0x10 != 0 {
            let (&[_, _, high, low], extended) = rest.split_first_chunk::<4>()?;
            rest = extended.get(usize::from(u16::from_be_bytes([high, low])) * 4..)?;
        }
        if first & 0x20 != 0 {
            let padding = usize::from(*rest.last()?);
            rest = rest.get(..rest.len().checked_sub(padding)?)?;
        }
        let header = Header {
            marker: second & 0x80 != 0,
            payload_type: second & 0x7f,
            sequence: u16::from_be_bytes([a, b]),
            timestamp: u32::from_be_bytes([c, d, e, f]),
            ssrc: u32::from_be_bytes([g, h, i, j]),
        };
        Some((header, rest))
    }
}
