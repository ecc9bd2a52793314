use super::Picture;

/// RFC 9628: payloads without their descriptors. The frames of all spatial layers of a picture follow one another.
pub(super) fn join<'a>(payloads: impl Iterator<Item = &'a [u8]>) -> Option<Picture> {
    let mut data = Vec::new();
    let mut keyframe = None;
    for payload in payloads {
        let predicted = payload.first()? & 0x40 != 0;
        keyframe.get_or_insert(!predicted);
        data.extend_from_slice(payload.get(descriptor(payload)?..)?);
    }
    (!data.is_empty()).then_some(Picture { data, keyframe: keyframe? })
}

/// Length of the descriptor, RFC 9628 section 4.2.
fn descriptor(payload: &[u8]) -> Option<usize> {
    let flags = *payload.first()?;
    let has = |flag: u8| flags & flag != 0;
    let mut at = 1;
    if has(0x80) {
        at += 1 + usize::from(payload.get(at)? >> 7);
    }
    if has(0x20) {
        // The layers, and TL0PICIDX where pictures are not referenced one by one.
        at += if has(0x10) { 1 } else { 2 };
    }
    if has(0x10) && has(0x40) {
        let more = |at: usize| payload.get(at).map(|reference| reference & 1 != 0);
        let mut references = 1;
        while more(at)? && references < 3 {
            at += 1;
            references += 1;
        }
        at += 1;
    }
    if has(0x02) {
        at = structure(payload, at)?;
    }
    Some(at)
}

/// The end of the scalability structure that begins at `at`, RFC 9628 section 4.2.1.
fn structure(payload: &[u8], mut at: usize) -> Option<usize> {
    let head = *payload.get(at)?;
    at += 1;
    if head & 0x10 != 0 {
        at += 4 * (usize::from(head >> 5) + 1);
    }
    if head & 0x08 != 0 {
        let pictures = *payload.get(at)?;
        at += 1;
        for _ in 0..pictures {
            at += 1 + usize::from((payload.get(at)? >> 2) & 3);
        }
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_of_every_kind_are_taken_off() {
        for (descriptor, length) in [
            (&[0x0c, 9, 9][..], 1),
            (&[0x8c, 0x12, 9, 9], 2),
            (&[0x8c, 0x92, 0x34, 9], 3),
            (&[0xac, 0x92, 0x34, 0x00, 7, 9], 5),
            (&[0xbc, 0x92, 0x34, 0x00, 9], 4),
            (&[0xfc, 0x92, 0x34, 0x00, 0x03, 0x04, 9], 6),
            // Two spatial layers with sizes, and a group of two pictures with 1 and 2 references.
            (&[0xae, 0x12, 0, 7, 0x38, 1, 2, 3, 4, 5, 6, 7, 8, 2, 0x04, 1, 0x08, 1, 2, 9], 19),
        ] {
            assert_eq!(super::descriptor(descriptor), Some(length), "{descriptor:?}");
        }
        assert_eq!(super::descriptor(&[0x82]), None);
    }

    #[test]
    fn a_picture_is_the_sum_of_its_packets() {
        let payloads: [&[u8]; 2] = [&[0x88, 1, 0x82, 0x49], &[0x84, 1, 0x83]];
        let picture = join(payloads.into_iter()).unwrap();
        assert_eq!((picture.data, picture.keyframe), (vec![0x82, 0x49, 0x83], true));
        assert!(!join([&[0xcc, 1, 0x86][..]].into_iter()).unwrap().keyframe);
    }
}
