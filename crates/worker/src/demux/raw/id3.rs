/// The frame that packed audio of HLS begins with (RFC 8216 §3.4).
const OWNER: &[u8] = b"com.apple.streaming.transportStreamTimestamp\0";

/// The timestamp of packed audio, ns; nothing when it does not begin with such a tag, or not all of it is there.
pub(super) fn time(start: &[u8]) -> Option<i64> {
    let body = start.strip_prefix(b"ID3")?;
    let size = body.get(3..7)?.iter().fold(0_usize, |size, byte| size << 7 | usize::from(byte & 0x7f));
    let frames = body.get(7..7 + size)?;
    let at = frames.windows(OWNER.len()).position(|window| window == OWNER)?;
    let value: [u8; 8] = frames.get(at + OWNER.len()..)?.first_chunk::<8>().copied()?;
    let ticks = i64::try_from(u64::from_be_bytes(value) & ((1 << 33) - 1)).ok()?;
    Some(ticks * 100_000 / 9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_audio_tells_its_time() {
        let mut tag = b"ID3\x04\0\0\0\0\0\x3fPRIV\0\0\0\x35\0\0".to_vec();
        tag.extend_from_slice(OWNER);
        tag.extend_from_slice(&900_000_u64.to_be_bytes());
        assert_eq!(time(&tag), Some(10_000_000_000));
        assert_eq!(time(&tag[..40]), None);
        assert_eq!(time(b"ID3"), None);
        assert_eq!(time(&[0xff, 0xf1, 0x50, 0x80]), None);
    }
}
