use super::*;
use bytes::Bytes;
use media::{Kind, TrackId};
use proptest::prelude::*;

const STEREO_64K: Limits = Limits { channels: 2, bitrate_bps: 64_000, dtx: true };
const MONO_64K: Limits = Limits { channels: 1, ..STEREO_64K };

/// CELT at 20 ms (configuration 31), stereo and mono.
const STEREO: u8 = 0xfc;
const MONO: u8 = 0xf8;

fn head(channels: u8) -> Format {
    let config = [&b"OpusHead\x01"[..], &[channels], b"\x38\x01\x80\xbb\0\0\0\0\0"].concat();
    Format::new(Codec::Opus, config.into())
}

fn judge(limits: Limits, channels: u8) -> Judge {
    let mut judge = Judge::new(limits);
    judge.format(&head(channels));
    judge
}

fn packet(ms: i64, toc: u8, bytes: usize) -> Packet {
    let mut data = vec![0x55; bytes];
    data[0] = toc;
    let pts = MediaTime::from_millis(ms);
    Packet { track: TrackId(1), kind: Kind::Audio, pts, dts: pts, keyframe: true, data: Bytes::from(data) }
}

/// What becomes of packets of 20 ms from `from` to `to`.
fn verdicts(judge: &mut Judge, (from, to): (i64, i64), toc: u8, bytes: usize) -> Vec<Verdict> {
    (from..to).step_by(20).map(|ms| judge.packet(&packet(ms, toc, bytes))).collect()
}

fn at(ms: i64) -> Verdict {
    Verdict::Untouched(MediaTime::from_millis(ms))
}

#[test]
fn the_toc_says_how_long_a_packet_is() {
    let micros = |bytes: &[u8]| Toc::read(bytes).map(|toc| toc.duration.as_micros());
    // RFC 6716 §3.1, table 2: the first and the last of each kind.
    for (config, expected) in
        [(0, 10_000), (3, 60_000), (11, 60_000), (12, 10_000), (15, 20_000), (16, 2_500), (31, 20_000)]
    {
        assert_eq!(micros(&[config << 3, 1]), Some(expected), "configuration {config}");
    }
    // §3.2: two of equal length, two of others, three.
    assert_eq!(micros(&[31 << 3 | 1, 1, 1]), Some(40_000));
    assert_eq!(micros(&[31 << 3 | 2, 1, 1]), Some(40_000));
    assert_eq!(micros(&[31 << 3 | 3, 3, 1]), Some(60_000));
    assert_eq!(micros(&[31 << 3]), Some(20_000), "a frame of no bytes: DTX");
    for broken in [&[][..], &[31 << 3 | 1, 1], &[31 << 3 | 2], &[31 << 3 | 3], &[0xfb, 0], &[0xfb, 7]] {
        assert_eq!(micros(broken), None, "{broken:?}");
    }
    assert!(Toc::read(&[STEREO]).unwrap().stereo && !Toc::read(&[MONO]).unwrap().stereo);
}

#[test]
fn sound_within_what_the_ingress_asks_for_goes_through() {
    for (limits, channels, toc) in [(STEREO_64K, 2, STEREO), (STEREO_64K, 1, MONO), (MONO_64K, 1, MONO)] {
        let mut judge = judge(limits, channels);
        // 160 bytes in 20 ms are 64 kbit/s.
        let expected: Vec<_> = (0..10_000).step_by(20).map(at).collect();
        assert_eq!(verdicts(&mut judge, (0, 10_000), toc, 160), expected);
    }
}

#[test]
fn stereo_is_not_mono_however_it_shows() {
    for (channels, toc) in [(2, MONO), (1, STEREO)] {
        let mut judge = judge(MONO_64K, channels);
        assert_eq!(judge.packet(&packet(0, toc, 100)), Verdict::Encode(Why::Stereo));
    }
}

#[test]
fn other_sound_and_surround_are_encoded() {
    let mut judge = Judge::new(STEREO_64K);
    assert_eq!(judge.packet(&packet(0, STEREO, 100)), Verdict::Encode(Why::NotOpus));
    judge.format(&Format::new(Codec::Aac, Bytes::from_static(&[0x12, 0x10])));
    assert_eq!(judge.packet(&packet(20, STEREO, 100)), Verdict::Encode(Why::NotOpus));
    let config = b"OpusHead\x01\x06\x38\x01\x80\xbb\0\0\0\0\x01\x04\x02\0\x04\x01\x02\x03\x05";
    judge.format(&Format::new(Codec::Opus, Bytes::from_static(config)));
    assert_eq!(judge.packet(&packet(40, STEREO, 100)), Verdict::Encode(Why::Surround));
    judge.format(&head(2));
    assert_eq!(judge.packet(&packet(60, STEREO, 100)), at(60), "a new description is a fresh start");
}

#[test]
fn a_bitrate_that_is_too_high_is_encoded_until_four_seconds_after() {
    let mut judge = judge(STEREO_64K, 2);
    // 240 bytes in 20 ms are 96 kbit/s: 1.5 times 64.
    assert!(verdicts(&mut judge, (0, 5_000), STEREO, 240).iter().all(|v| matches!(v, Verdict::Untouched(_))));
    let high = verdicts(&mut judge, (5_000, 8_000), STEREO, 300);
    let first = high.iter().position(|v| matches!(v, Verdict::Encode(_)));
    assert_eq!((first, high.last()), (Some(0), Some(&Verdict::Encode(Why::Bitrate))));
    let low = verdicts(&mut judge, (8_000, 16_000), STEREO, 160);
    let back = low.iter().position(|v| matches!(v, Verdict::Untouched(_))).unwrap();
    // The last window that is too high ends within two seconds; then it takes four.
    assert!((4_000..=6_100).contains(&(back * 20)), "after {} ms", back * 20);
    assert!(low[back..].iter().all(|v| matches!(v, Verdict::Untouched(_))), "once back, it stays");
}

#[test]
fn odd_durations_silence_and_broken_packets_are_encoded() {
    let mut short = judge(STEREO_64K, 2);
    // CELT at 5 ms; SILK at 60 ms twice.
    assert_eq!(short.packet(&packet(0, 17 << 3, 20)), Verdict::Encode(Why::Duration));
    assert_eq!(short.packet(&packet(5, 3 << 3 | 1, 21)), Verdict::Encode(Why::Duration));
    let mut silent = judge(Limits { dtx: false, ..STEREO_64K }, 2);
    assert_eq!(silent.packet(&packet(0, STEREO, 100)), at(0));
    assert_eq!(silent.packet(&packet(20, STEREO, 1)), Verdict::Encode(Why::Dtx));
    assert_eq!(silent.packet(&packet(40, STEREO, 100)), Verdict::Encode(Why::Probation));
    assert_eq!(judge(STEREO_64K, 2).packet(&packet(0, STEREO, 1)), at(0));
    assert_eq!(judge(STEREO_64K, 2).packet(&packet(0, 0xfd, 100)), Verdict::Encode(Why::Broken));
}

#[test]
fn packets_follow_each_other_exactly_while_the_clock_only_trembles() {
    let mut judge = judge(STEREO_64K, 2);
    let times = [0, 19, 41, 60, 79].map(|ms| judge.packet(&packet(ms, STEREO, 100)));
    assert_eq!(times, [0, 20, 40, 60, 80].map(at));
    assert_eq!(judge.packet(&packet(500, STEREO, 100)), at(500), "a gap is a gap");
    assert_eq!(judge.packet(&packet(501, STEREO, 100)), at(520));
    assert_eq!(judge.packet(&packet(502, STEREO, 100)), at(540));
    assert_eq!(judge.packet(&packet(503, STEREO, 100)), Verdict::Early, "560 is too far from 503");
    assert_eq!(judge.packet(&packet(525, STEREO, 100)), at(560));
}

proptest! {
    #[test]
    fn nothing_panics_and_times_only_go_forward(
        packets in prop::collection::vec(
            (0_i64..100, prop::collection::vec(any::<u8>(), 0..6)), 0..300),
    ) {
        let mut judge = judge(STEREO_64K, 2);
        let (mut ms, mut last) = (0, None);
        for (step, data) in packets {
            ms += step;
            let pts = MediaTime::from_millis(ms);
            let data = Bytes::from(data);
            let packet = Packet { track: TrackId(1), kind: Kind::Audio, pts, dts: pts, keyframe: true, data };
            match judge.packet(&packet) {
                Verdict::Untouched(time) => {
                    prop_assert!(last.is_none_or(|last| time > last));
                    last = Some(time);
                }
                Verdict::Encode(_) => last = None,
                Verdict::Early => {}
            }
        }
    }
}
