//! The little of H.264 that a session must see (ITU-T H.264 7.3.1, ISO/IEC 14496-15 5.3.3).

const IDR_SLICE: u8 = 5;
const SEI: u8 = 6;

/// The SEI payload that says "decoding can begin here" in streams without IDR pictures (H.264 D.1.8).
const RECOVERY_POINT: u8 = 6;

/// Bytes before each NAL unit, by an `AVCDecoderConfigurationRecord`; `None` when it is none.
pub(super) fn nal_length(config: &[u8]) -> Option<usize> {
    // Version, profile, compatibility, level, length size, count of SPS, count of PPS.
    let [1, _, _, _, length, _, _, ..] = config else { return None };
    Some(usize::from(length & 3) + 1)
}

/// True if decoding can start with this access unit. The container's flag alone is not enough: encoders set it on I slices
/// too, and forget it. Where the NAL units cannot be walked, the flag decides.
pub(super) fn is_keyframe(data: &[u8], nal_length: usize, says_key: bool) -> bool {
    let mut rest = data;
    while let Some((prefix, behind)) = rest.split_at_checked(nal_length) {
        let len = prefix.iter().fold(0, |len, byte| len << 8 | usize::from(*byte));
        let Some((nal, behind)) = behind.split_at_checked(len) else { return says_key };
        match nal {
            [head, ..] if head & 0x1f == IDR_SLICE => return true,
            [head, RECOVERY_POINT, ..] if head & 0x1f == SEI && says_key => return true,
            _ => rest = behind,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(nals: &[&[u8]]) -> Vec<u8> {
        nals.iter().flat_map(|nal| [&[0, 0, 0, nal.len() as u8][..], nal].concat()).collect()
    }

    #[test]
    fn an_idr_slice_behind_others_makes_a_keyframe() {
        assert!(is_keyframe(&unit(&[&[9, 0xf0], &[0x67, 1], &[], &[0x65, 2]]), 4, false));
    }

    #[test]
    fn an_i_slice_with_the_flag_is_no_keyframe_unless_it_is_a_recovery_point() {
        assert!(!is_keyframe(&unit(&[&[0x41, 1]]), 4, true));
        assert!(is_keyframe(&unit(&[&[6, RECOVERY_POINT, 1, 0xc4], &[0x41, 1]]), 4, true));
        assert!(!is_keyframe(&unit(&[&[6, RECOVERY_POINT, 1, 0xc4], &[0x41, 1]]), 4, false));
    }

    #[test]
    fn a_length_beyond_the_packet_leaves_it_to_the_flag() {
        for flag in [true, false] {
            assert_eq!(is_keyframe(&[0, 0, 0, 9, 0x41], 4, flag), flag);
        }
    }

    #[test]
    fn the_length_size_comes_from_the_record() {
        assert_eq!(nal_length(&[1, 0x42, 0, 30, 0xff, 0xe1, 0]), Some(4));
        assert_eq!(nal_length(&[1, 0x42, 0, 30, 0xfd, 0xe1, 0]), Some(2));
        assert_eq!(nal_length(&[0, 0x42, 0, 30, 0xff, 0xe1, 0]), None);
        assert_eq!(nal_length(&[1]), None);
        assert!(is_keyframe(&[0, 1, 0x65], 2, false));
    }
}
