use media::Codec;

use super::picture::{Units, av1_starts};

/// Finds the packets with which a receiver can start: the first one of a picture that stands alone.
///
/// Of H.264 and H.265 that is the one with the parameter sets, which may be packets of their own before the picture's first slice
/// (RFC 6184, RFC 7798); str0m's detectors know the slice only.
#[derive(Debug)]
pub(crate) struct Start {
    codec: Option<Codec>,
    /// The newest packet's number and RTP time.
    newest: Option<(u64, u32)>,
    /// The RTP time of the picture that was found last.
    found: Option<u32>,
}

/// What the first byte or two of a payload say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// Parameter sets: whatever stands before them in the picture can be missed.
    Sets,
    /// The beginning of a picture that stands alone.
    Picture,
    /// Anything else.
    Other,
}

impl Start {
    /// `None` for sound, where every packet is a start.
    pub(crate) fn new(codec: Option<Codec>) -> Self {
        Self { codec, newest: None, found: None }
    }

    pub(crate) fn is_keyframe(&mut self, sequence: u64, timestamp: u32, payload: &[u8]) -> bool {
        let Some(codec) = self.codec else { return true };
        let holds = holds(codec, payload);
        // Slices after the parameter sets, or further ones, are of a picture that has begun.
        let goes_on = self.found == Some(timestamp);
        let first = self.newest.is_none_or(|(newest, of)| of != timestamp && sequence == newest + 1);
        if self.newest.is_none_or(|(newest, _)| sequence > newest) {
            self.newest = Some((sequence, timestamp));
        }
        let starts = match (codec, holds) {
            (_, Holds::Other) => false,
            (_, Holds::Sets) => !goes_on,
            // Without parameter sets: if nothing of the picture is missing before it.
            (Codec::H264 | Codec::H265, Holds::Picture) => first && !goes_on,
            (_, Holds::Picture) => !goes_on,
        };
        if starts {
            self.found = Some(timestamp);
        }
        starts
    }
}

fn holds(codec: Codec, payload: &[u8]) -> Holds {
    let picture = |yes: bool| if yes { Holds::Picture } else { Holds::Other };
    match codec {
        Codec::H264 => h264(payload),
        Codec::H265 => h265(payload),
        Codec::Vp8 => picture(str0m::format::detect_vp8_keyframe(payload)),
        Codec::Vp9 => picture(vp9(payload)),
        Codec::Av1 => picture(av1_starts(payload)),
        _ => Holds::Other,
    }
}

/// RFC 6184 section 5.2: a NAL unit, several (STAP-A), or a part of one (FU-A).
fn h264(payload: &[u8]) -> Holds {
    let kind = |header: u8| match header & 0x1f {
        7 => Holds::Sets,
        5 => Holds::Picture,
        _ => Holds::Other,
    };
    match payload {
        [header, units @ ..] if header & 0x1f == 24 => best(Units(units).map(|unit| kind(unit[0]))),
        [indicator, header, ..] if indicator & 0x1f == 28 && header & 0x80 != 0 => kind(*header),
        [indicator, ..] if indicator & 0x1f == 28 => Holds::Other,
        [header, ..] => kind(*header),
        [] => Holds::Other,
    }
}

/// RFC 7798 section 4.4: a NAL unit, several (AP), or a part of one (FU).
fn h265(payload: &[u8]) -> Holds {
    let kind = |number: u8| match number {
        32 | 33 => Holds::Sets,
        16..=21 => Holds::Picture,
        _ => Holds::Other,
    };
    let number = |header: u8| (header >> 1) & 0x3f;
    match payload {
        [header, _, units @ ..] if number(*header) == 48 => {
            best(Units(units).map(|unit| kind(number(unit[0]))))
        }
        [header, _, part, ..] if number(*header) == 49 && part & 0x80 != 0 => kind(part & 0x3f),
        [header, ..] if number(*header) == 49 => Holds::Other,
        [header, ..] => kind(number(*header)),
        [] => Holds::Other,
    }
}

/// RFC 9628 section 4.2: not predicted from other pictures, the beginning of a frame, of the lowest layer.
fn vp9(payload: &[u8]) -> bool {
    let Some(first) = payload.first() else { return false };
    let (with_id, predicted, layered, begins) =
        (first & 0x80 != 0, first & 0x40 != 0, first & 0x20 != 0, first & 0x08 != 0);
    if predicted || !begins {
        return false;
    }
    let id = match payload.get(1) {
        Some(byte) if with_id => 1 + usize::from(byte >> 7),
        _ => 0,
    };
    !layered || payload.get(1 + id).is_some_and(|layer| (layer >> 1) & 7 == 0)
}

fn best(units: impl Iterator<Item = Holds>) -> Holds {
    let mut found = Holds::Other;
    for unit in units {
        match unit {
            Holds::Sets => return Holds::Sets,
            Holds::Picture => found = Holds::Picture,
            Holds::Other => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(codec: Codec, packets: &[(u64, u32, &[u8])]) -> Vec<bool> {
        let mut start = Start::new(Some(codec));
        packets.iter().map(|(sequence, time, payload)| start.is_keyframe(*sequence, *time, payload)).collect()
    }

    #[test]
    fn parameter_sets_in_packets_of_their_own_are_where_h264_starts() {
        let separate: &[(u64, u32, &[u8])] = &[
            (7, 0, &[0x67, 1, 2, 3]),
            (8, 0, &[0x68, 1]),
            (9, 0, &[0x7c, 0x85, 1]),
            (10, 0, &[0x7c, 0x45, 1]),
            (11, 3000, &[0x41, 1]),
        ];
        assert_eq!(starts(Codec::H264, separate), [true, false, false, false, false]);
        let together: &[u8] = &[0x78, 0, 2, 0x67, 1, 0, 1, 0x68, 0, 2, 0x65, 1];
        assert_eq!(
            starts(Codec::H264, &[(1, 0, &[9, 0xf0]), (2, 0, together), (3, 0, &[0x65, 1])]),
            [false, true, false]
        );
    }

    #[test]
    fn an_h264_slice_without_parameter_sets_starts_when_it_is_the_pictures_first() {
        let slices: &[(u64, u32, &[u8])] = &[(1, 0, &[0x41]), (2, 9, &[0x65, 1]), (3, 9, &[0x65, 2])];
        assert_eq!(starts(Codec::H264, slices), [false, true, false]);
        let lost: &[(u64, u32, &[u8])] = &[(1, 0, &[0x41]), (3, 9, &[0x7c, 0x85]), (2, 9, &[0x67, 1])];
        assert_eq!(starts(Codec::H264, lost), [false, false, true], "its parameter sets came late");
    }

    #[test]
    fn h265_starts_with_its_parameter_sets_or_a_random_access_point() {
        let picture: &[(u64, u32, &[u8])] =
            &[(1, 0, &[0x40, 1, 9]), (2, 0, &[0x42, 1, 9]), (3, 0, &[0x62, 1, 0x93]), (4, 9, &[0x02, 1, 9])];
        assert_eq!(starts(Codec::H265, picture), [true, false, false, false]);
        let together: &[u8] = &[0x60, 1, 0, 2, 0x40, 1, 0, 2, 0x26, 1];
        assert_eq!(starts(Codec::H265, &[(1, 0, together)]), [true]);
        assert_eq!(starts(Codec::H265, &[(1, 0, &[0x2a, 1, 9])]), [true], "CRA");
    }

    #[test]
    fn vp9_starts_with_the_lowest_layer_of_a_picture_of_its_own() {
        assert!(vp9(&[0x8b, 0x81, 2, 0x18]));
        assert!(!vp9(&[0x83, 0x81, 2, 0x18]), "in its middle");
        assert!(!vp9(&[0xcb, 0x81, 2, 0x18]), "predicted");
        assert!(vp9(&[0xa8, 5, 0x00]) && !vp9(&[0xa8, 5, 0x02]), "an upper layer");
        assert!(!vp9(&[0xa8]) && !vp9(&[]));
    }

    #[test]
    fn sound_starts_anywhere() {
        assert!(Start::new(None).is_keyframe(1, 2, &[]));
    }

    proptest::proptest! {
        #[test]
        fn any_payload_is_looked_at(payload: Vec<u8>) {
            for codec in [Codec::H264, Codec::H265, Codec::Vp8, Codec::Vp9, Codec::Av1] {
                let _ = holds(codec, &payload);
            }
        }
    }
}
