use super::Picture;

/// RFC 7741: payloads without their descriptors.
pub(super) fn join<'a>(payloads: impl Iterator<Item = &'a [u8]>) -> Option<Picture> {
    let mut data = Vec::new();
    for payload in payloads {
        data.extend_from_slice(payload.get(descriptor(payload)?..)?);
    }
    // Frame tag, RFC 6386 section 9.1: a key frame has a 0.
    let keyframe = data.first()? & 1 == 0;
    Some(Picture { data, keyframe })
}

/// Length of the descriptor, RFC 7741 section 4.2.
fn descriptor(payload: &[u8]) -> Option<usize> {
    if payload.first()? & 0x80 == 0 {
        return Some(1);
    }
    let extension = *payload.get(1)?;
    let id = match (extension & 0x80 != 0, payload.get(2)) {
        (true, Some(id)) => 1 + usize::from(id >> 7),
        (true, None) => return None,
        (false, _) => 0,
    };
    let index = usize::from(extension & 0x40 != 0);
    Some(2 + id + index + usize::from(extension & 0x30 != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_of_every_length_are_taken_off() {
        for (descriptor, length) in [
            (&[0x10, 9, 9, 9, 9, 9, 9][..], 1),
            (&[0x90, 0x80, 0x12, 9, 9, 9, 9], 3),
            (&[0x90, 0x80, 0x92, 0x34, 9, 9, 9], 4),
            (&[0x90, 0xe0, 0x92, 0x34, 1, 0x20, 9], 6),
            (&[0x90, 0x10, 0x01, 9, 9, 9, 9], 3),
        ] {
            assert_eq!(super::descriptor(descriptor), Some(length), "{descriptor:?}");
        }
    }

    #[test]
    fn a_frame_is_the_sum_of_its_partitions() {
        let payloads: [&[u8]; 2] = [&[0x90, 0x80, 1, 0x50, 1], &[0x80, 0x80, 1, 2, 3]];
        let picture = join(payloads.into_iter()).unwrap();
        assert_eq!((picture.data, picture.keyframe), (vec![0x50, 1, 2, 3], true));
        assert!(!join([&[0x10, 0x51][..]].into_iter()).unwrap().keyframe);
        assert_eq!(join([&[0x90, 0x80][..]].into_iter()), None);
        assert_eq!(join([&[0x10][..]].into_iter()), None);
    }
}
