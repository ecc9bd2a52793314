//! The RTP payloads of one picture, in order, put together into what [`media::Codec`] says a picture looks like.
//!
//! str0m has depacketizers too, but not such as a worker needs: H.265 pictures of several fragmented slices come apart there, and a
//! malformed packet is an error of the whole connection.

mod annexb;
mod av1;
mod vp8;
mod vp9;

use media::Codec;

pub(super) use av1::starts as av1_starts;

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Picture {
    pub(super) data: Vec<u8>,
    /// Decoding can start here.
    pub(super) keyframe: bool,
}

/// `None` when the payloads are no picture, or not all of one.
pub(super) fn join<'a>(codec: Codec, payloads: impl Iterator<Item = &'a [u8]>) -> Option<Picture> {
    match codec {
        Codec::H264 => annexb::h264(payloads),
        Codec::H265 => annexb::h265(payloads),
        Codec::Vp8 => vp8::join(payloads),
        Codec::Vp9 => vp9::join(payloads),
        Codec::Av1 => av1::join(payloads),
        _ => None,
    }
}

/// NAL units after their lengths in two bytes (STAP-A, AP). An empty or truncated one ends it.
pub(super) struct Units<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Units<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk::<2>()?;
        let (unit, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        self.0 = rest;
        if unit.is_empty() { None } else { Some(unit) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_payloads_are_joined_or_refused(payloads: Vec<Vec<u8>>) {
            let bytes: usize = payloads.iter().map(Vec::len).sum();
            for codec in [Codec::H264, Codec::H265, Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::Opus] {
                if let Some(picture) = join(codec, payloads.iter().map(Vec::as_slice)) {
                    // A unit of one byte gets a start code of four, and a length of two.
                    proptest::prop_assert!(picture.data.len() <= 5 * bytes);
                }
            }
        }
    }
}
