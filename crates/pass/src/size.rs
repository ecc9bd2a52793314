//! How large the pictures of an RTP stream are, read from the packets of a key picture without decoding.

mod av1;
mod bits;
mod h265;
mod nal;
mod vp8;
mod vp9;

use media::Codec;

use crate::simulcast::Size;

/// Width and height in pixels, as far as this packet tells: one of a key picture's first packets mostly does, and others say nothing.
///
/// H.264 and H.265: a sequence parameter set, alone, aggregated or at the start of a fragment (RFC 6184, RFC 7798). VP8: a key
/// frame's first packet (RFC 7741). VP9: the scalability structure, else a key frame's first packet (RFC 9628); of several spatial
/// layers the largest. AV1: a sequence header's largest frame (the AV1 RTP specification, section 4.4).
pub fn picture_size(codec: Codec, payload: &[u8]) -> Option<Size> {
    let (width, height) = match codec {
        Codec::H264 => nal::h264(payload),
        Codec::H265 => nal::h265(payload),
        Codec::Vp8 => vp8::size(payload),
        Codec::Vp9 => vp9::size(payload),
        Codec::Av1 => av1::size(payload),
        _ => None,
    }?;
    (width > 0 && height > 0).then_some((width, height))
}

#[cfg(test)]
mod tests;
