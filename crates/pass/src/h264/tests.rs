use super::*;
use crate::testing::{clip, parts};
use proptest::prelude::*;

fn description(units: Vec<media::Unit>) -> Description {
    *Stream::read(&parts(units).0).unwrap().description().unwrap()
}

/// A stream that has seen a whole clip, and what it saw.
fn look(units: Vec<media::Unit>) -> Vec<Picture> {
    let (record, packets) = parts(units);
    let mut stream = Stream::read(&record).unwrap();
    packets.iter().map(|packet| stream.look(&packet.data).unwrap()).collect()
}

/// Length-prefixed units of these NAL units.
fn unit(nals: &[&[u8]]) -> Bytes {
    nals.iter().flat_map(|nal| [&u32::try_from(nal.len()).unwrap().to_be_bytes()[..], nal].concat()).collect()
}

/// The NAL units of a length-prefixed access unit.
fn nals(unit: &Bytes) -> Vec<Bytes> {
    Nals::new(unit, 4).map(|nal| unit.slice(nal.unwrap().range)).collect()
}

fn types(annex_b: &[u8]) -> Vec<u8> {
    let starts = annex_b.windows(5).filter(|window| window[..4] == START_CODE);
    starts.map(|window| window[4] & 0x1f).collect()
}

#[test]
fn parameter_sets_of_real_encoders_are_described() {
    let x264 = Description {
        width: 96,
        height: 72,
        square: true,
        profile_idc: 100,
        constraints: 0,
        level_idc: 9,
        progressive: true,
        yuv420_8bit: true,
        reorder: Some(0),
        fps_milli: Some(25_000),
    };
    assert_eq!(description(clip!("x264_no_b")), x264);
    assert_eq!(description(clip!("x264_b")), Description { reorder: Some(2), ..x264 });
    let baseline = Description { profile_idc: 66, constraints: 0xd0, level_idc: 11, ..x264 };
    assert_eq!(description(clip!("x264_baseline")), baseline);
    let interlaced = Description { progressive: false, level_idc: 21, ..x264 };
    assert_eq!(description(clip!("x264_interlaced")), interlaced);
    let yuv444 = Description { profile_idc: 244, yuv420_8bit: false, level_idc: 10, ..x264 };
    assert_eq!(description(clip!("x264_444")), yuv444);
    assert_eq!(description(clip!("x264_high10")), Description { profile_idc: 110, ..yuv444 });
    let cropped =
        Description { width: 100, height: 74, square: false, level_idc: 10, fps_milli: Some(29_970), ..x264 };
    assert_eq!(description(clip!("x264_sar_hrd_aud")), cropped);
    let openh264 = description(clip!("openh264"));
    assert_eq!((openh264.width, openh264.height, openh264.reorder), (160, 96, Some(0)));
}

#[test]
fn pictures_are_known_by_their_slices() {
    let pictures = look(clip!("x264_no_b"));
    assert_eq!(pictures.len(), 25);
    let keys: Vec<usize> = (0..25).filter(|at| pictures[*at].idr).collect();
    assert_eq!(keys, [0, 12, 24]);
    assert!(pictures.iter().all(|picture| !picture.has_b && !picture.field && picture.slices == 1));
    assert!(look(clip!("x264_b")).iter().any(|picture| picture.has_b));
    assert!(look(clip!("x264_sar_hrd_aud")).iter().all(|picture| picture.slices == 3 && !picture.has_b));
    assert!(look(clip!("openh264")).iter().all(|picture| !picture.has_b));
    assert!(look(clip!("x264_interlaced")).iter().all(|picture| !picture.field), "macroblocks of fields");
}

#[test]
fn a_b_slice_behind_others_makes_a_b_picture() {
    let (record, packets) = parts(clip!("x264_b"));
    let mut stream = Stream::read(&record).unwrap();
    let slice = |wanted: bool| {
        let nals = packets.iter().flat_map(|packet| nals(&packet.data)).filter(|nal| nal[0] & 0x1f == 1);
        let mut stream = stream.clone();
        nals.into_iter().find(|nal| stream.look(&unit(&[nal])).unwrap().has_b == wanted).unwrap()
    };
    let (p, b) = (slice(false), slice(true));
    let picture = stream.look(&unit(&[&p, &b])).unwrap();
    assert_eq!(picture, Picture { slices: 2, bytes: p.len() + b.len(), has_b: true, ..Picture::default() });
}

#[test]
fn key_pictures_get_the_records_parameter_sets_and_lose_all_but_slices() {
    let (record, packets) = parts(clip!("x264_sar_hrd_aud"));
    let mut stream = Stream::read(&record).unwrap();
    let seen: Vec<Vec<u8>> =
        packets.iter().take(2).map(|p| nals(&p.data).iter().map(|n| n[0] & 0x1f).collect()).collect();
    assert!(seen.iter().all(|types| types.contains(&9) && types.contains(&6)), "{seen:?}");
    for (at, expected) in [&[7, 8, 5, 5, 5][..], &[1, 1, 1]].into_iter().enumerate() {
        let picture = stream.look(&packets[at].data).unwrap();
        let access = stream.annex_b(&packets[at].data).unwrap();
        assert_eq!(types(&access.data), expected);
        assert_eq!((access.idr, picture.idr), (at == 0, at == 0));
        let copied: usize = nals(&packets[at].data)
            .iter()
            .filter(|n| [1, 5].contains(&(n[0] & 0x1f)))
            .map(|n| n.len() + 4)
            .sum();
        let sets = if at == 0 { stream.sets().bytes + 8 } else { 0 };
        assert_eq!(access.data.len(), copied + sets);
        assert_eq!(picture.bytes + 3 * 4, copied);
        assert!(picture.bytes + 16 < packets[at].data.len(), "delimiters and messages are not counted");
    }
}

#[test]
fn parameter_sets_among_the_pictures_take_the_place_of_the_records() {
    let (record, _) = parts(clip!("x264_no_b"));
    let (other, packets) = parts(clip!("x264_baseline"));
    let mut stream = Stream::read(&record).unwrap();
    assert!(!stream.look(&packets[0].data).unwrap().new_sets);
    // An access unit of the sets alone, as some cameras send them.
    let their = Stream::read(&other).unwrap();
    let sets = unit(&[&their.sps[0].1, &their.pps[0].nal]);
    assert_eq!(stream.look(&sets).unwrap(), Picture::default());
    assert_eq!(stream.annex_b(&sets), None);
    assert!(stream.look(&packets[0].data).unwrap().new_sets);
    assert_eq!(stream.description().unwrap().profile_idc, 66);
    assert_eq!((stream.sets().sps, stream.sets().pps), (1, 1));
    assert!(!stream.look(&packets[1].data).unwrap().new_sets);
    stream.look(&sets).unwrap();
    assert!(!stream.look(&packets[2].data).unwrap().new_sets, "the same ones again are no news");
    let access = stream.annex_b(&packets[12].data).unwrap();
    assert!(access.data[4..].starts_with(&their.sps[0].1));
}

#[test]
fn a_record_without_parameter_sets_waits_for_them() {
    let (record, packets) = parts(clip!("openh264"));
    let known = Stream::read(&record).unwrap();
    let mut stream = Stream::read(&Bytes::from_static(&[1, 66, 0, 30, 0xff, 0xe0, 0])).unwrap();
    assert_eq!(stream.description(), None);
    let slices = nals(&packets[0].data).into_iter().filter(|nal| nal[0] & 0x1f == 5).collect::<Vec<_>>();
    let slices: Vec<&[u8]> = slices.iter().map(|nal| &nal[..]).collect();
    assert_eq!(stream.look(&unit(&slices)), Err(Error::NoSet { pps: known.pps[0].read.id }));
    let with_sets = [&[&known.sps[0].1[..], &known.pps[0].nal[..]][..], &slices].concat();
    assert!(stream.look(&unit(&with_sets)).unwrap().idr);
    assert_eq!(stream.description(), known.description());
}

#[test]
fn what_cannot_be_read_is_named() {
    let (record, packets) = parts(clip!("x264_no_b"));
    let stream = Stream::read(&record).unwrap();
    let look = |unit: &Bytes| stream.clone().look(unit).unwrap_err();
    let cut = packets[0].data.slice(..packets[0].data.len() - 1);
    assert!(matches!(look(&cut), Error::Length { length, left, .. } if left + 1 == length));
    assert_eq!(look(&unit(&[&[0xe5, 1]])), Error::Nal { at: 4, what: "forbidden_zero_bit is set" });
    assert_eq!(look(&unit(&[&[0, 0, 1, 0x65]])), Error::Nal { at: 4, what: "no NAL unit type" });
    assert_eq!(look(&unit(&[&[0x41, 9, 0, 0, 1, 0x41]])), Error::Nal { at: 6, what: "a start code inside" });
    assert_eq!(look(&unit(&[&[0x41]])), Error::Short { in_what: "slice header", bytes: 1 });
    assert_eq!(stream.annex_b(&cut), None);
    for len in 0..record.len() - 4 {
        // Behind the sets of a High profile record come four bytes that are not read.
        let error = Stream::read(&record.slice(..len)).map(|_| len).unwrap_err();
        assert!(matches!(error, Error::Record { at, .. } if at <= len), "{error}");
    }
}

#[test]
fn start_codes_are_found_wherever_they_stand() {
    for at in 0..20 {
        let mut nal = vec![9; 23];
        nal[at..at + 3].copy_from_slice(&[0, 0, 1]);
        assert_eq!(start_code(&nal), Some(at));
        nal[at + 1] = 1;
        assert_eq!(start_code(&nal), None);
    }
    assert_eq!(start_code(&[0, 0, 0, 0, 1]), Some(2));
    assert_eq!(start_code(&[0, 0, 3, 1, 0, 0]), None);
}

#[test]
fn sets_without_number_are_refused() {
    let (record, _) = parts(clip!("x264_no_b"));
    let mut stream = Stream::read(&record).unwrap();
    // Picture parameter sets 15 to 30, each ue(v) in nine bits; the record has number 0.
    let set = |n: u8| [0x68, 0b0000_1000 | n >> 1, n << 7 | 0b0100_1000];
    let sets: Vec<[u8; 3]> = (0..16).map(set).collect();
    let sets: Vec<&[u8]> = sets.iter().map(|set| &set[..]).collect();
    assert_eq!(stream.look(&unit(&sets)), Err(Error::TooManySets { limit: MAX_SETS }));
}

fn clips() -> [Vec<media::Unit>; 8] {
    [
        clip!("x264_no_b"),
        clip!("x264_b"),
        clip!("x264_baseline"),
        clip!("x264_interlaced"),
        clip!("x264_444"),
        clip!("x264_high10"),
        clip!("x264_sar_hrd_aud"),
        clip!("openh264"),
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(record in prop::collection::vec(any::<u8>(), 0..200), unit in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Stream::read(&record.clone().into());
        let mut stream = Stream::read(&parts(clip!("x264_no_b")).0).unwrap();
        let _ = stream.look(&unit.clone().into());
        let _ = stream.annex_b(&unit);
        let _ = stream.look(&[&u32::try_from(record.len()).unwrap().to_be_bytes()[..], &record].concat().into());
        let _ = Sps::read(&unit);
        let _ = Pps::read(&unit);
    }

    #[test]
    fn real_units_cut_short_or_spoilt_are_read_or_refused(
        clip in 0_usize..8, at in any::<prop::sample::Index>(), len in any::<prop::sample::Index>(),
        spoil in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)
    ) {
        let spoilt = |bytes: &Bytes| {
            let mut bytes = bytes[..len.index(bytes.len()) + 1].to_vec();
            for (at, value) in &spoil {
                let at = at.index(bytes.len());
                bytes[at] = *value;
            }
            Bytes::from(bytes)
        };
        let (record, packets) = parts(clips()[clip].clone());
        let _ = Stream::read(&spoilt(&record));
        let mut stream = Stream::read(&record).unwrap();
        let _ = Sps::read(&spoilt(&stream.sps[0].1));
        let unit = spoilt(&packets[at.index(packets.len())].data);
        let looked = stream.look(&unit);
        let access = stream.annex_b(&unit);
        if let Ok(picture) = looked {
            prop_assert_eq!(access.is_some(), picture.slices > 0);
            prop_assert_eq!(access.is_some_and(|access| access.idr), picture.idr);
        }
    }
}
