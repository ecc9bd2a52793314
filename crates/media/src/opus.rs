/// What an Opus stream says of itself before its first packet: the identification header of RFC 7845 §5.1, which
/// containers carry as the configuration of a [`Format`](crate::Format).
///
/// Its output gain and its pre-skip are not kept: RTP has neither (RFC 7587), so nobody here applies them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpusHead {
    /// Channels of the decoded sound, 1 to 255.
    pub channels: u8,
    /// How they are spread over several streams; `None` for the one mono or stereo stream of mapping family 0, the only
    /// one that RTP knows.
    pub mapping: Option<Mapping>,
}

/// Channel mapping of an Opus stream of several streams (RFC 7845 §5.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// 1: up to 7.1 surround; 255: of no meaning; others are not defined.
    pub family: u8,
    /// Opus streams in each packet.
    pub streams: u8,
    /// How many of them are stereo.
    pub coupled: u8,
    /// For each channel of the sound, which decoded channel it is.
    pub table: Vec<u8>,
}

impl OpusHead {
    /// Reads a header; `None` for what is none, or of a version that is to be refused (RFC 7845 §5.1).
    pub fn read(config: &[u8]) -> Option<Self> {
        let [version, channels, _, _, _, _, _, _, _, _, family, rest @ ..] =
            config.strip_prefix(b"OpusHead")?
        else {
            return None;
        };
        if version >> 4 != 0 || *channels == 0 {
            return None;
        }
        let channels = *channels;
        if *family == 0 {
            return (channels <= 2).then_some(Self { channels, mapping: None });
        }
        let [streams, coupled, table @ ..] = rest else { return None };
        let table = table.get(..usize::from(channels))?.to_vec();
        let mapping = Mapping { family: *family, streams: *streams, coupled: *coupled, table };
        Some(Self { channels, mapping: Some(mapping) })
    }

    /// The header in bytes, of 48 kHz, without pre-skip and gain.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = b"OpusHead\x01".to_vec();
        bytes.extend([self.channels, 0, 0]);
        bytes.extend(48_000_u32.to_le_bytes());
        bytes.extend([0, 0]);
        match &self.mapping {
            None => bytes.push(0),
            Some(mapping) => {
                bytes.extend([mapping.family, mapping.streams, mapping.coupled]);
                bytes.extend(&mapping.table);
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STEREO: &[u8] = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0";

    #[test]
    fn mono_stereo_and_surround_are_read() {
        assert_eq!(OpusHead::read(STEREO), Some(OpusHead { channels: 2, mapping: None }));
        let surround = b"OpusHead\x01\x06\x38\x01\x80\xbb\0\0\0\0\x01\x04\x02\0\x04\x01\x02\x03\x05";
        let table = vec![0, 4, 1, 2, 3, 5];
        let mapping = Mapping { family: 1, streams: 4, coupled: 2, table };
        assert_eq!(OpusHead::read(surround), Some(OpusHead { channels: 6, mapping: Some(mapping) }));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mapping = Mapping { family: 1, streams: 4, coupled: 2, table: vec![0, 4, 1, 2, 3, 5] };
        for (channels, mapping) in [(1, None), (2, None), (6, Some(mapping))] {
            let head = OpusHead { channels, mapping };
            assert_eq!(OpusHead::read(&head.to_bytes()), Some(head));
        }
    }

    #[test]
    fn what_is_cut_short_or_of_another_version_is_no_header() {
        for end in 0..STEREO.len() {
            assert_eq!(OpusHead::read(&STEREO[..end]), None, "{end} bytes");
        }
        for (at, value) in [(0, b'o'), (8, 0x10), (9, 0), (9, 3), (18, 1)] {
            let mut bytes = STEREO.to_vec();
            bytes[at] = value;
            assert_eq!(OpusHead::read(&bytes), None, "byte {at} = {value}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..32)) {
            let _ = OpusHead::read(&[b"OpusHead", &bytes[..]].concat());
        }
    }
}
