use super::*;

const CONFIG: [u8; 11] = [1, 0x64, 0, 31, 0xff, 0xe1, 0, 1, 0x67, 1, 0];

fn video(tracks: &mut Tracks, dts: i64, bytes: &[u8]) -> Option<Unit> {
    tracks.video(0, dts, Bytes::copy_from_slice(bytes)).unwrap()
}

fn with_header() -> Tracks {
    let mut tracks = Tracks::default();
    let header = [&[0x17, 0, 0, 0, 0][..], &CONFIG].concat();
    assert!(matches!(video(&mut tracks, 0, &header), Some(Unit::Format(VIDEO, f)) if f.config == CONFIG[..]));
    assert_eq!(video(&mut tracks, 0, &header), None, "the same header again is no news");
    tracks
}

fn packet(unit: Option<Unit>) -> Packet {
    match unit {
        Some(Unit::Packet(packet)) => packet,
        other => panic!("{other:?}"),
    }
}

#[test]
fn composition_time_is_signed() {
    let mut tracks = with_header();
    let idr = [0, 0, 0, 2, 0x65, 1];
    for (bytes, offset) in [([0, 0, 80], 80), ([0xff, 0xff, 0xd8], -40), ([0x80, 0, 0], -8_388_608)] {
        let body = [&[0x17, 1][..], &bytes, &idr].concat();
        let packet = packet(video(&mut tracks, 1000, &body));
        assert_eq!((packet.dts.millis(), packet.pts.millis()), (1000, 1000 + offset));
        assert!(packet.keyframe);
        assert_eq!(packet.data, idr[..]);
    }
}

#[test]
fn pictures_without_a_header_and_broken_bodies_are_skipped_and_counted() {
    let mut tracks = Tracks::default();
    assert_eq!(video(&mut tracks, 0, &[0x27, 1, 0, 0, 0, 0, 0, 0, 1, 0x41]), None);
    assert_eq!(video(&mut tracks, 0, &[0x17, 0]), None);
    assert_eq!(video(&mut tracks, 0, &[0x17, 0, 0, 0, 0, 9]), None);
    assert_eq!(tracks.audio(0, 0, Bytes::from_static(&[0xaf, 1])), Ok(vec![]));
    assert_eq!(tracks.audio(0, 0, Bytes::from_static(&[0xaf, 1, 2])), Ok(vec![]));
    assert_eq!(tracks.skipped(), 5);
}

#[test]
fn end_of_sequence_in_both_forms_is_nothing() {
    let mut tracks = with_header();
    assert_eq!(video(&mut tracks, 0, &[0x17, 2, 0, 0, 0]), None);
    assert_eq!(video(&mut tracks, 0, &[0x27, 2, 0, 0, 0]), None);
    assert_eq!(tracks.skipped(), 0);
}

#[test]
fn aac_and_mp3_become_formats_and_packets() {
    let mut tracks = Tracks::default();
    let aac = tracks.audio(0, 0, Bytes::from_static(&[0xaf, 0, 0x12, 0x10])).unwrap();
    let format = Format::new(Codec::Aac, Bytes::from_static(&[0x12, 0x10]));
    assert_eq!(aac, [Unit::Format(AUDIO, format)]);
    let frame = tracks.audio(0, 23, Bytes::from_static(&[0xaf, 1, 1, 2])).unwrap();
    assert!(matches!(&frame[..], [Unit::Packet(p)] if p.pts.millis() == 23 && p.data == [1, 2][..]));

    let mp3 = tracks.audio(0, 46, Bytes::from_static(&[0x2f, 0xff, 0xfb])).unwrap();
    assert!(matches!(&mp3[..], [Unit::Format(AUDIO, f), Unit::Packet(_)] if f.codec == Codec::Mp3));
    assert_eq!(tracks.audio(0, 72, Bytes::from_static(&[0x2f, 0xff, 0xfb])).unwrap().len(), 1);
}

#[test]
fn unsupported_codecs_are_named() {
    for (body, word) in [
        (&b"\x90hvc1"[..], "hvc1"),
        (b"\x91av01", "av01"),
        (b"\x1c\x01", "HEVC"),
        (b"\x12", "Sorenson"),
        (b"\x90av01", "av01"),
        (b"\x96\x01vp09\x02", "vp09"),
    ] {
        let error = Tracks::default().video(77, 0, Bytes::from_static(body)).unwrap_err().to_string();
        assert!(error.contains(word) && error.contains("byte 77"), "{error}");
    }
    for (body, word) in [(&b"\x90fLaC"[..], "fLaC"), (b"\xb6\x00", "Speex"), (b"\x7e\x00", "G.711")] {
        let error = Tracks::default().audio(77, 0, Bytes::from_static(body)).unwrap_err().to_string();
        assert!(error.contains(word) && error.contains("byte 77"), "{error}");
    }
}

const OPUS_HEAD: &[u8] = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0";

fn audio(tracks: &mut Tracks, pts: i64, parts: &[&[u8]]) -> Vec<Unit> {
    tracks.audio(0, pts, Bytes::from(parts.concat())).unwrap()
}

fn format(codec: Codec, config: &[u8]) -> Unit {
    Unit::Format(AUDIO, Format::new(codec, Bytes::copy_from_slice(config)))
}

/// Enhanced RTMP (V2), ExAudioTagBody.
#[test]
fn enhanced_opus_aac_and_mp3_become_formats_and_packets() {
    let mut tracks = Tracks::default();
    assert_eq!(audio(&mut tracks, 0, &[b"\x91Opus\xfca"]), [], "no header yet");
    assert_eq!(audio(&mut tracks, 0, &[b"\x90Opus", &OPUS_HEAD[..18]]), [], "a header cut short");
    assert_eq!(tracks.skipped(), 2);
    assert_eq!(audio(&mut tracks, 0, &[b"\x90Opus", OPUS_HEAD]), [format(Codec::Opus, OPUS_HEAD)]);
    assert_eq!(audio(&mut tracks, 0, &[b"\x94Opus\x01\x02\0\0\0\x03"]), [], "of channels");
    assert_eq!(audio(&mut tracks, 20, &[b"\x91Opus\xfca"]), [sound(20, Bytes::from_static(b"\xfca"))]);
    assert_eq!(audio(&mut tracks, 40, &[b"\x92Opus"]), [], "the end of a sequence");
    assert_eq!(tracks.skipped(), 2);

    assert_eq!(audio(&mut tracks, 60, &[b"\x91mp4aab"]), [], "AAC without a header");
    assert_eq!(tracks.skipped(), 3);
    assert_eq!(audio(&mut tracks, 60, &[b"\x90mp4a\x12\x10"]), [format(Codec::Aac, &[0x12, 0x10])]);
    assert_eq!(audio(&mut tracks, 60, &[b"\x91mp4aab"]), [sound(60, Bytes::from_static(b"ab"))]);
    let mp3 = [format(Codec::Mp3, b""), sound(80, Bytes::from_static(b"\xff\xfb"))];
    assert_eq!(audio(&mut tracks, 80, &[b"\x91.mp3\xff\xfb"]), mp3);
}

#[test]
fn of_several_sounds_the_lowest_number_is_taken_and_the_others_are_counted() {
    let mut tracks = Tracks::default();
    assert_eq!(audio(&mut tracks, 0, &[b"\x95\0Opus\x01", OPUS_HEAD]), [format(Codec::Opus, OPUS_HEAD)]);
    // OBS: the main track is 0, in a message that names none; here it even has another codec.
    assert_eq!(audio(&mut tracks, 0, &[b"\xaf\0\x12\x10"]), [format(Codec::Aac, &[0x12, 0x10])]);
    assert_eq!(tracks.skipped(), 0);
    assert_eq!(audio(&mut tracks, 0, &[b"\x95\x01Opus\x01\xfca"]), []);
    assert_eq!(audio(&mut tracks, 0, &[b"\x95\0fLaC\x02?"]), [], "what is not taken is no reason to refuse");
    assert_eq!(tracks.skipped(), 2);
    assert_eq!(audio(&mut tracks, 9, &[b"\xaf\x01ab"]), [sound(9, Bytes::from_static(b"ab"))]);
    let many = b"\x95\x21mp4a\0\0\0\x02abOpus\x01\0\0\x01c";
    assert_eq!(audio(&mut tracks, 30, &[many]), [sound(30, Bytes::from_static(b"ab"))]);
    assert_eq!(tracks.skipped(), 3);
}

/// Enhanced RTMP (V2), ExVideoTagBody.
#[test]
fn enhanced_h264_has_a_composition_time_or_none() {
    let mut tracks = Tracks::default();
    let header = [b"\x90avc1", &CONFIG[..]].concat();
    assert!(matches!(video(&mut tracks, 0, &header), Some(Unit::Format(VIDEO, f)) if f.config == CONFIG[..]));
    let idr = [0, 0, 0, 2, 0x65, 1];
    for (head, time, offset) in [
        (&b"\x91avc1"[..], &[0, 0, 80][..], 80),
        (b"\x91avc1", &[0xff, 0xff, 0xd8], -40),
        (b"\x93avc1", &[], 0),
    ] {
        let packet = packet(video(&mut tracks, 1000, &[head, time, &idr].concat()));
        assert_eq!((packet.dts.millis(), packet.pts.millis()), (1000, 1000 + offset));
        assert!(packet.keyframe && packet.data == idr[..]);
    }
    for nothing in [&b"\x92avc1"[..], b"\x94avc1\x02", b"\xd0\x01"] {
        assert_eq!(video(&mut tracks, 0, nothing), None, "end, metadata, command: {nothing:?}");
    }
    assert_eq!(tracks.skipped(), 0);
    for broken in [&b"\x91avc1\0"[..], b"\x91av", b"\x97\xff"] {
        assert_eq!(video(&mut tracks, 0, broken), None, "{broken:?}");
    }
    assert_eq!(tracks.skipped(), 3);
}

#[test]
fn of_several_pictures_the_lowest_number_is_taken() {
    let mut tracks = with_header();
    let picture = [0, 0, 0, 2, 0x65, 1];
    assert_eq!(video(&mut tracks, 0, &[b"\x96\x01hvc1\x01", &[0, 0, 0][..], &picture].concat()), None);
    assert_eq!(tracks.skipped(), 1);
    assert_eq!(packet(video(&mut tracks, 0, &[b"\x96\x03avc1\0", &picture[..]].concat())).data, picture[..]);
}

proptest::proptest! {
    #[test]
    fn no_body_panics(
        head in 0x80_u8..=0xff,
        code in proptest::sample::select(vec![&b""[..], b"avc1", b"Opus", b"mp4a", b"\x01Opus", b"\x20", b"\0a\x05"]),
        rest in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64),
    ) {
        let mut tracks = with_header();
        audio(&mut tracks, 0, &[b"\x90Opus", OPUS_HEAD]);
        let body = [&[head][..], code, &rest].concat();
        // Refused or taken: both are fine.
        let _ = tracks.video(0, 0, body.clone().into());
        let _ = tracks.audio(0, 0, body.into());
    }
}
