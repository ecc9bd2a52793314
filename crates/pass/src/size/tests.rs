use proptest::prelude::*;

use super::*;

// What encoders wrote for pictures of 322 × 182 and 1920 × 1080: x264 164, x265 3.5, libvpx 1.12, libaom 3.6.
const H264_SMALL: &str = "6764000dacd941519e226c0440000003004000000f03c50a6580";
const H264_LARGE: &str = "67640028acd940780227e5c044000003000400000300f03c60c6580";
const H265_SMALL: &str = "420101016000000300900000030000\
                          03003ca00a480b9c9596566924caf0168080000003008000000f04";
const H265_LARGE: &str = "42010101600000030090000003000003\
                          0078a003c08010e596566924caf0168080000003008000000f04";
const VP8_SMALL: &str = "3059009d012a4201b6000007088585888584";
const VP8_LARGE: &str = "f0d4029d012a8007380400870885858885";
const VP9_SMALL: &str = "824983420014100b560838241c184a0006607fd1";
const VP9_LARGE: &str = "824983420077f043762238241c184a1804f87fd5";
const AV1_SMALL: &str = "000000043d06d4daf90040";
const AV1_LARGE: &str = "00000042abbfc3732be401";

const SMALL: Option<Size> = Some((322, 182));
const LARGE: Option<Size> = Some((1920, 1080));

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn with(head: &[u8], body: &str) -> Vec<u8> {
    [head, &hex(body)].concat()
}

#[test]
fn h264_parameter_sets_tell_alone_aggregated_and_at_the_start_of_a_fragment() {
    let size = |payload: &[u8]| picture_size(Codec::H264, payload);
    assert_eq!(size(&hex(H264_SMALL)), SMALL);
    assert_eq!(size(&hex(H264_LARGE)), LARGE);
    let sps = hex(H264_LARGE);
    let aggregated = [&[0x78, 0, 2, 0x09, 0x10, 0, sps.len() as u8][..], &sps, &[0, 2, 0x68, 0xeb]].concat();
    assert_eq!(size(&aggregated), LARGE);
    assert_eq!(size(&aggregated[..20]), None, "cut");
    assert_eq!(size(&[&[0x7c, 0x87], &sps[1..]].concat()), LARGE);
    assert_eq!(size(&[&[0x7c, 0x07], &sps[1..]].concat()), None, "not its start");
    assert_eq!(size(&[&[0x7c, 0x85], &sps[1..]].concat()), None, "a slice");
    assert_eq!(size(&[&[0x65], &sps[1..]].concat()), None, "a slice");
}

#[test]
fn h265_parameter_sets_tell_alone_aggregated_and_at_the_start_of_a_fragment() {
    let size = |payload: &[u8]| picture_size(Codec::H265, payload);
    assert_eq!(size(&hex(H265_SMALL)), SMALL);
    assert_eq!(size(&hex(H265_LARGE)), LARGE);
    let sps = hex(H265_LARGE);
    let aggregated = [&[0x60, 1, 0, 3, 0x40, 1, 12, 0, sps.len() as u8][..], &sps].concat();
    assert_eq!(size(&aggregated), LARGE);
    assert_eq!(size(&[&[0x62, 1, 0xa1], &sps[2..]].concat()), LARGE);
    assert_eq!(size(&[&[0x62, 1, 0x21], &sps[2..]].concat()), None, "not its start");
    assert_eq!(size(&[&[0x26, 1], &sps[2..]].concat()), None, "a slice");
}

#[test]
fn h265_sub_layers_are_passed_over() {
    // As x265's, with a second temporal layer that has a profile and a level of its own.
    let sps = hex(H265_LARGE);
    let unescaped: Vec<u8> = [&sps[3..6], &[0, 0, 0x90, 0, 0, 0, 0, 0, 0x78]].concat();
    let own = [0xc0, 0, 1, 0x60, 0, 0x10, 0x90, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x78];
    let sps = [&[0x42, 1, 0x03], &unescaped[..], &own, &sps[18..]].concat();
    assert_eq!(picture_size(Codec::H265, &sps), LARGE);
}

#[test]
fn a_vp8_key_frame_tells_behind_any_descriptor() {
    let size = |payload: &[u8]| picture_size(Codec::Vp8, payload);
    assert_eq!(size(&with(&[0x10], VP8_SMALL)), SMALL);
    assert_eq!(size(&with(&[0x90, 0x80, 0x12], VP8_LARGE)), LARGE);
    assert_eq!(size(&with(&[0x90, 0xe0, 0x81, 0x23, 0x45, 0x20], VP8_LARGE)), LARGE, "as browsers do");
    assert_eq!(size(&with(&[0x90, 0x10, 0x01], VP8_SMALL)), SMALL);
    assert_eq!(size(&with(&[0x00], VP8_SMALL)), None, "the middle of a frame");
    assert_eq!(size(&with(&[0x11], VP8_SMALL)), None, "another partition");
    let mut delta = with(&[0x10], VP8_SMALL);
    delta[1] |= 1;
    assert_eq!(size(&delta), None, "no key frame");
}

#[test]
fn a_vp9_structure_or_else_the_key_frame_tells() {
    let size = |payload: &[u8]| picture_size(Codec::Vp9, payload);
    assert_eq!(size(&with(&[0x08], VP9_SMALL)), SMALL);
    assert_eq!(size(&with(&[0x88, 0x81, 0x23], VP9_LARGE)), LARGE);
    assert_eq!(size(&with(&[0xa8, 0x12, 0x00, 0x07], VP9_LARGE)), LARGE, "with layers");
    assert_eq!(size(&with(&[0xb8, 0x12, 0x00], VP9_LARGE)), LARGE, "and flexible");
    // Chromium: picture id, one spatial layer with its size, one picture in the group.
    let structure = [0x8a, 0x81, 0x23, 0x18, 0x05, 0x00, 0x02, 0xd0, 0x01, 0x04, 0x01];
    assert_eq!(size(&with(&structure, VP9_SMALL)), Some((1280, 720)), "what the structure says");
    let two = [0x0a, 0x30, 0x02, 0x80, 0x01, 0x68, 0x05, 0x00, 0x02, 0xd0];
    assert_eq!(size(&two), Some((1280, 720)), "of two layers the larger");
    assert_eq!(size(&with(&[0x0a, 0x08, 0x01, 0x04, 0x01], VP9_SMALL)), SMALL, "a structure without sizes");
    assert_eq!(size(&with(&[0x00], VP9_SMALL)), None, "the middle of a frame");
    assert_eq!(size(&with(&[0x58, 0x02], VP9_SMALL)), None, "predicted from another picture");
    assert_eq!(size(&with(&[0x08], "86498342")), None, "no key frame");
}

#[test]
fn an_av1_sequence_header_tells() {
    let size = |payload: &[u8]| picture_size(Codec::Av1, payload);
    assert_eq!(size(&with(&[0x18, 0x08], AV1_SMALL)), SMALL, "the only element");
    let header = with(&[0x08], AV1_LARGE);
    let first = [&[0x28, header.len() as u8], &header[..], &[0x30, 1, 2, 3]].concat();
    assert_eq!(size(&first), LARGE, "before a frame");
    let counted = [&[0x08, 2, 0x12, 0, header.len() as u8], &header[..], &[2, 0x30, 1]].concat();
    assert_eq!(size(&counted), LARGE, "all with their lengths, behind a temporal delimiter");
    assert_eq!(size(&with(&[0x18, 0x0a, 0x0b], AV1_LARGE)), LARGE, "with its own length");
    assert_eq!(size(&with(&[0x98, 0x08], AV1_SMALL)), None, "goes on from the packet before");
    assert_eq!(size(&with(&[0x18, 0x30], AV1_SMALL)), None, "a frame");
}

#[test]
fn sound_and_nothing_have_no_size() {
    for codec in [Codec::H264, Codec::H265, Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::Opus] {
        assert_eq!(picture_size(codec, &[]), None);
    }
    assert_eq!(picture_size(Codec::Opus, &hex(H264_SMALL)), None);
    assert_eq!(picture_size(Codec::Vp8, &hex("103059009d012a00000000")), None, "no pixels");
}

fn codecs() -> impl Strategy<Value = Codec> {
    prop::sample::select(vec![Codec::H264, Codec::H265, Codec::Vp8, Codec::Vp9, Codec::Av1])
}

fn heads() -> impl Strategy<Value = Vec<u8>> {
    let real = [H264_LARGE, H265_LARGE, VP8_LARGE, VP9_LARGE, AV1_LARGE];
    (prop::collection::vec(any::<u8>(), 0..8), prop::sample::select(real.to_vec()))
        .prop_map(|(head, body)| with(&head, body))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_bytes_are_a_panic(codec in codecs(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        picture_size(codec, &bytes);
    }

    #[test]
    fn nor_are_real_ones_with_mistakes(
        codec in codecs(), mut bytes in heads(), at in any::<prop::sample::Index>(), bit in 0_u8..8, end in any::<prop::sample::Index>(),
    ) {
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        bytes.truncate(end.index(bytes.len() + 1));
        if let Some((width, height)) = picture_size(codec, &bytes) {
            prop_assert!(width > 0 && height > 0);
        }
    }
}
