use super::{Picture, Units};

const START: [u8; 4] = [0, 0, 0, 1];

/// NAL units with start codes between them.
#[derive(Default)]
struct Stream {
    data: Vec<u8>,
    keyframe: bool,
    /// The end of a fragmented unit has not come yet.
    open: bool,
    /// A slice has come.
    begun: bool,
}

/// What a unit is to the picture that it is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Stands before the slices: parameter sets, SEI, delimiters.
    Head,
    /// A slice, of a random access point or not.
    Slice(bool),
    Other,
}

impl Stream {
    fn unit(&mut self, unit: &[u8], role: Role) -> Option<()> {
        if self.open {
            return None;
        }
        if let Role::Slice(key) = role {
            self.begun = true;
            self.keyframe |= key;
        } else if role == Role::Head && self.begun {
            // GStreamer's payloader puts the parameter sets before each IDR slice (config-interval=-1). Parsers would take
            // what follows for another picture, of which the upper slices are missing.
            return Some(());
        }
        self.data.extend_from_slice(&START);
        self.data.extend_from_slice(unit);
        Some(())
    }

    /// A part of a unit. `flags` has its S bit and its E bit where both RFCs have them.
    fn part(&mut self, flags: u8, header: &[u8], part: &[u8], role: Role) -> Option<()> {
        if flags & 0x80 != 0 {
            // Large ones are passed on wherever they are: they are slices.
            self.unit(header, if role == Role::Head { Role::Other } else { role })?;
        } else if !self.open {
            return None;
        }
        self.data.extend_from_slice(part);
        self.open = flags & 0x40 == 0;
        Some(())
    }

    fn several(&mut self, bytes: &[u8], role: impl Fn(u8) -> Role) -> Option<()> {
        let mut units = Units(bytes);
        for unit in units.by_ref() {
            self.unit(unit, role(unit[0]))?;
        }
        units.0.is_empty().then_some(())
    }

    fn finish(self) -> Option<Picture> {
        let whole = !self.open && !self.data.is_empty();
        whole.then_some(Picture { data: self.data, keyframe: self.keyframe })
    }
}

/// RFC 6184, packetization modes 0 and 1. A keyframe is one with an IDR slice: others may have parameter sets too.
pub(super) fn h264<'a>(payloads: impl Iterator<Item = &'a [u8]>) -> Option<Picture> {
    let role = |header: u8| match header & 0x1f {
        kind @ 1..=5 => Role::Slice(kind == 5),
        6..=9 => Role::Head,
        _ => Role::Other,
    };
    let mut stream = Stream::default();
    for payload in payloads {
        let (&header, rest) = payload.split_first()?;
        match header & 0x1f {
            1..=23 => stream.unit(payload, role(header))?,
            24 => stream.several(rest, role)?,
            28 => {
                let (&flags, part) = rest.split_first()?;
                stream.part(flags, &[header & 0xe0 | flags & 0x1f], part, role(flags))?;
            }
            _ => return None,
        }
    }
    stream.finish()
}

/// RFC 7798, without decoding order numbers. A keyframe is one with a random access point's slice (IDR, CRA, BLA).
pub(super) fn h265<'a>(payloads: impl Iterator<Item = &'a [u8]>) -> Option<Picture> {
    let kind = |header: u8| (header >> 1) & 0x3f;
    let role = |kind: u8| match kind {
        0..=31 => Role::Slice((16..=21).contains(&kind)),
        32..=35 | 39 => Role::Head,
        _ => Role::Other,
    };
    let mut stream = Stream::default();
    for payload in payloads {
        let (&[first, second], rest) = payload.split_first_chunk::<2>()?;
        match kind(first) {
            number @ 0..=47 => stream.unit(payload, role(number))?,
            48 => stream.several(rest, |header| role(kind(header)))?,
            49 => {
                let (&flags, part) = rest.split_first()?;
                let number = flags & 0x3f;
                stream.part(flags, &[first & 0x81 | number << 1, second], part, role(number))?;
            }
            _ => return None,
        }
    }
    stream.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Payloads = &'static [&'static [u8]];

    fn of(picture: Option<Picture>) -> Option<(Vec<u8>, bool)> {
        picture.map(|picture| (picture.data, picture.keyframe))
    }

    fn h264(payloads: Payloads) -> Option<(Vec<u8>, bool)> {
        of(super::h264(payloads.iter().copied()))
    }

    fn h265(payloads: Payloads) -> Option<(Vec<u8>, bool)> {
        of(super::h265(payloads.iter().copied()))
    }

    #[test]
    fn h264_units_come_alone_together_and_in_parts() {
        let payloads: Payloads = &[
            &[9, 0xf0],
            &[0x78, 0, 2, 0x67, 1, 0, 1, 0x68],
            &[0x7c, 0x85, 1, 2],
            &[0x7c, 0x05, 3],
            &[0x7c, 0x45, 4],
            &[0x65, 5],
        ];
        let expected = [
            0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 0, 0, 0, 1, 0x65, 1, 2, 3, 4, 0, 0,
            0, 1, 0x65, 5,
        ];
        assert_eq!(h264(payloads), Some((expected.to_vec(), true)));
        assert_eq!(h264(&[&[0x67, 1], &[0x41, 1]]).map(|(_, keyframe)| keyframe), Some(false));
    }

    /// webrtcbin with x264enc's slice threads and `config-interval=-1`.
    #[test]
    fn parameter_sets_between_the_slices_of_a_picture_are_left_out() {
        let payloads: Payloads = &[
            &[0x78, 0, 2, 0x67, 1, 0, 1, 0x68, 0, 2, 0x65, 2],
            &[0x78, 0, 2, 0x67, 1, 0, 1, 0x68, 0, 2, 0x65, 3],
        ];
        let expected = [0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 0, 0, 0, 1, 0x65, 2, 0, 0, 0, 1, 0x65, 3];
        assert_eq!(h264(payloads), Some((expected.to_vec(), true)));
        let h265_expected = [0, 0, 0, 1, 0x42, 1, 9, 0, 0, 0, 1, 0x26, 1, 2, 0, 0, 0, 1, 0x26, 1, 3];
        let payloads: Payloads = &[&[0x42, 1, 9], &[0x26, 1, 2], &[0x42, 1, 9], &[0x26, 1, 3]];
        assert_eq!(h265(payloads), Some((h265_expected.to_vec(), true)));
    }

    #[test]
    fn h264_without_an_end_or_a_beginning_is_no_picture() {
        let broken: [Payloads; 8] = [
            &[&[0x7c, 0x85, 1]],
            &[&[0x7c, 0x45, 1]],
            &[&[0x7c, 0x85, 1], &[0x65, 1]],
            &[&[0x7c, 0x85, 1], &[0x7c, 0xc5, 1]],
            &[&[0x78, 0, 9, 0x67, 1]],
            &[&[0x7a, 1, 2, 3]],
            &[&[]],
            &[],
        ];
        for payloads in broken {
            assert_eq!(h264(payloads), None, "{payloads:?}");
        }
    }

    #[test]
    fn h265_pictures_of_several_fragmented_slices_stay_whole() {
        let payloads: Payloads = &[
            &[0x60, 1, 0, 3, 0x40, 1, 9, 0, 3, 0x42, 1, 9],
            &[0x44, 1, 9],
            &[0x62, 1, 0x93, 1],
            &[0x62, 1, 0x53, 2],
            &[0x62, 1, 0x93, 3],
            &[0x62, 1, 0x53, 4],
        ];
        let expected = [
            0, 0, 0, 1, 0x40, 1, 9, 0, 0, 0, 1, 0x42, 1, 9, 0, 0, 0, 1, 0x44, 1, 9, 0, 0, 0, 1, 0x26, 1, 1,
            2, 0, 0, 0, 1, 0x26, 1, 3, 4,
        ];
        assert_eq!(h265(payloads), Some((expected.to_vec(), true)));
        assert_eq!(h265(&[&[0x02, 1, 7]]), Some((vec![0, 0, 0, 1, 0x02, 1, 7], false)));
        assert_eq!(h265(&[&[0x62, 1, 0x13, 1]]), None);
        assert_eq!(h265(&[&[0x64, 1, 1, 1]]), None, "PACI");
    }
}
