//! Real encoders' bytes, recorded with `crates/intake/examples/record_rtmp.rs` on Debian 12 (FFmpeg 5.1.9, GStreamer 1.22.0;
//! FFmpeg 9.0.2 of PyPI's imageio-ffmpeg 0.8.1).
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::Instant;

use media::{Codec, Unit};
use proptest::prelude::*;
use sluicegate_rtmp::{AUDIO, CodecId, Ended, Error, Event, Session, VIDEO};
use support::{Seen, feed, replay};

const FFMPEG: &[u8] = include_bytes!("../testdata/ffmpeg5_avc_aac_bframes.bin");
const FFMPEG_MP3: &[u8] = include_bytes!("../testdata/ffmpeg5_mp3_only.bin");
const FFMPEG_KILLED: &[u8] = include_bytes!("../testdata/ffmpeg5_killed.bin");
const FFMPEG_SORENSON: &[u8] = include_bytes!("../testdata/ffmpeg5_sorenson.bin");
const RTMP2SINK: &[u8] = include_bytes!("../testdata/rtmp2sink122_avc_aac.bin");
const RTMPSINK: &[u8] = include_bytes!("../testdata/rtmpsink_avc_aac.bin");
const FFMPEG9_OPUS: &[u8] = include_bytes!("../testdata/ffmpeg9_avc_opus.bin");
const FFMPEG9_TWO_SOUNDS: &[u8] = include_bytes!("../testdata/ffmpeg9_two_opus_tracks.bin");
const ALL: [&[u8]; 8] = [
    FFMPEG,
    FFMPEG_MP3,
    FFMPEG_KILLED,
    FFMPEG_SORENSON,
    FFMPEG9_OPUS,
    FFMPEG9_TWO_SOUNDS,
    RTMP2SINK,
    RTMPSINK,
];

/// (dts, pts) in ms and keyframe of each picture.
fn pictures(seen: &Seen) -> Vec<(i64, i64, bool)> {
    seen.track(VIDEO).iter().map(|p| (p.dts.millis(), p.pts.millis(), p.keyframe)).collect()
}

fn sound_times(seen: &Seen) -> Vec<i64> {
    seen.track(AUDIO).iter().map(|p| p.pts.millis()).collect()
}

fn formats(seen: &Seen) -> Vec<(media::TrackId, Codec)> {
    let format = |event: &Event| match event {
        Event::Unit(Unit::Format(track, format)) => Some((*track, format.codec)),
        _ => None,
    };
    seen.events.iter().filter_map(format).collect()
}

fn key(seen: &Seen) -> (&str, &str) {
    match &seen.events[0] {
        Event::Publish(publish) => (&publish.app, publish.key.reveal()),
        other => panic!("{other:?}"),
    }
}

/// Every picture's NAL units fill it exactly: nothing was lost or mixed up on the way.
fn assert_whole(seen: &Seen) {
    for picture in seen.track(VIDEO) {
        let mut rest = &picture.data[..];
        while let Some((length, behind)) = rest.split_first_chunk::<4>() {
            rest = &behind[u32::from_be_bytes(*length) as usize..];
        }
        assert!(rest.is_empty());
    }
}

#[test]
fn ffmpeg_with_b_frames() {
    let seen = replay(FFMPEG);
    assert_eq!(seen.result, Ok(()));
    assert_eq!(key(&seen), ("live", "testkey1234"));
    assert_eq!(formats(&seen), [(VIDEO, Codec::H264), (AUDIO, Codec::Aac)]);
    assert_eq!(
        pictures(&seen),
        [
            (0, 200, true),
            (100, 500, false),
            (200, 300, false),
            (300, 400, false),
            (400, 600, false),
            (500, 700, true),
            (600, 1000, false),
            (700, 800, false),
            (800, 900, false),
            (900, 1100, false),
        ]
    );
    let sounds = sound_times(&seen);
    assert_eq!((sounds.len(), sounds[0], *sounds.last().unwrap()), (45, 177, 1198));
    assert!(sounds.windows(2).all(|pair| (22..=24).contains(&(pair[1] - pair[0]))), "{sounds:?}");
    assert_eq!(seen.events.last(), Some(&Event::Ended(Ended::Unpublished)));
    assert_whole(&seen);
}

#[test]
fn ffmpegs_metadata() {
    let seen = replay(FFMPEG);
    let Event::Metadata(metadata) = &seen.events[1] else { panic!("{:?}", seen.events[1]) };
    assert_eq!((metadata.width, metadata.height, metadata.fps), (Some(160), Some(90), Some(10.0)));
    assert_eq!(metadata.video_codec, Some(CodecId::Flv(7)));
    assert_eq!(metadata.audio_codec, Some(CodecId::Flv(10)));
    assert_eq!(metadata.encoder.as_deref(), Some("Lavf59.27.100"));
}

#[test]
fn ffmpeg_with_mp3_only() {
    let seen = replay(FFMPEG_MP3);
    assert_eq!(formats(&seen), [(AUDIO, Codec::Mp3)]);
    let sounds = sound_times(&seen);
    assert_eq!((sounds.len(), *sounds.last().unwrap()), (40, 1019));
    // Layer III frame sync.
    assert!(seen.track(AUDIO).iter().all(|p| p.data.starts_with(&[0xff, 0xfb])));
}

#[test]
fn ffmpeg_that_is_killed_just_stops() {
    let seen = replay(FFMPEG_KILLED);
    assert_eq!(seen.result, Ok(()));
    let keyframes: Vec<_> = pictures(&seen).into_iter().filter(|p| p.2).map(|p| p.0).collect();
    assert_eq!((pictures(&seen).len(), keyframes), (14, vec![0, 1000]));
    assert!(!seen.events.iter().any(|event| matches!(event, Event::Ended(_))));
    assert_whole(&seen);
}

#[test]
fn a_codec_of_the_flash_age_is_refused_by_name() {
    let seen = replay(FFMPEG_SORENSON);
    assert_eq!(seen.packets(), Vec::<&media::Packet>::new());
    assert!(
        matches!(&seen.result, Err(Error::Unsupported { codec, .. }) if codec.contains("Sorenson")),
        "{:?}",
        seen.result
    );
}

#[test]
fn gstreamers_sinks() {
    // rtmp2sink sets the chunk size with a type 1 chunk on a chunk stream that it has not opened.
    assert!(RTMP2SINK.windows(12).any(|w| w == [0x42, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 128]));
    for capture in [RTMP2SINK, RTMPSINK] {
        let seen = replay(capture);
        assert_eq!(seen.result, Ok(()));
        assert_eq!(key(&seen), ("live", "testkey1234"));
        assert_eq!(formats(&seen), [(VIDEO, Codec::H264), (AUDIO, Codec::Aac)]);
        let expected: Vec<_> = (0..10).map(|n| (n * 100, n * 100, n % 5 == 0)).collect();
        assert_eq!(pictures(&seen), expected);
        let sounds = sound_times(&seen);
        assert_eq!((sounds.len(), sounds[0], *sounds.last().unwrap()), (44, 0, 998));
        assert_eq!(seen.events.last(), Some(&Event::Ended(Ended::Unpublished)));
        assert_whole(&seen);
    }
}

#[test]
fn ffmpeg_9_with_opus() {
    let seen = replay(FFMPEG9_OPUS);
    assert_eq!(seen.result, Ok(()));
    assert_eq!(formats(&seen), [(VIDEO, Codec::H264), (AUDIO, Codec::Opus)]);
    let head = seen.events.iter().find_map(|event| match event {
        Event::Unit(Unit::Format(AUDIO, format)) => Some(&format.config),
        _ => None,
    });
    // RFC 7845 §5.1: version 1, two channels, 312 samples to skip, 48 kHz, no gain, mapping family 0.
    assert_eq!(head.unwrap()[..], b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0"[..]);
    let sounds = sound_times(&seen);
    assert_eq!((sounds.len(), sounds[0], *sounds.last().unwrap()), (51, 0, 1001));
    assert!(sounds.windows(2).all(|pair| (19..=21).contains(&(pair[1] - pair[0]))), "{sounds:?}");
    // RFC 6716 §3.1: frames of 20 ms, of any coding; stereo; one in a packet.
    let heads: Vec<u8> = seen.track(AUDIO).iter().map(|p| p.data[0]).collect();
    let configurations = [1, 5, 9, 13, 15, 19, 23, 27, 31];
    assert!(heads.iter().all(|head| configurations.contains(&(head >> 3)) && head & 7 == 4), "{heads:?}");
    let expected: Vec<_> = (0..10).map(|n| (n * 100, n * 100, n % 5 == 0)).collect();
    assert_eq!(pictures(&seen).iter().map(|p| (p.0 - 7, p.1 - 7, p.2)).collect::<Vec<_>>(), expected);
    assert_whole(&seen);
    let codec = seen.events.iter().find_map(|event| match event {
        Event::Metadata(metadata) => metadata.audio_codec.clone(),
        _ => None,
    });
    assert_eq!(codec, Some(CodecId::Name("Opus".into())));
}

#[test]
fn of_ffmpeg_9s_two_sounds_one_is_taken() {
    let now = Instant::now();
    let mut session = Session::new(now);
    let seen = feed(&mut session, now, [FFMPEG9_TWO_SOUNDS]);
    assert_eq!(seen.result, Ok(()));
    assert_eq!(formats(&seen), [(VIDEO, Codec::H264), (AUDIO, Codec::Opus)]);
    let sounds = sound_times(&seen);
    assert_eq!(sounds.len(), 51);
    assert!(sounds.windows(2).all(|pair| (19..=21).contains(&(pair[1] - pair[0]))), "{sounds:?}");
    // The other one: its header, its channels, its frames.
    assert_eq!(session.skipped(), 53);
}

#[test]
fn byte_by_byte_is_the_same_as_all_at_once() {
    for capture in ALL {
        let now = Instant::now();
        assert_eq!(feed(&mut Session::new(now), now, capture.chunks(1)), replay(capture));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_cut_is_the_same_as_all_at_once(
        which in 0..ALL.len(),
        sizes in prop::collection::vec(1..4000_usize, 1..30),
    ) {
        let (mut rest, mut pieces) = (ALL[which], Vec::new());
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, behind) = rest.split_at((*size).min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        let now = Instant::now();
        prop_assert_eq!(feed(&mut Session::new(now), now, pieces), replay(ALL[which]));
    }

    #[test]
    fn a_damaged_capture_never_panics(
        which in 0..ALL.len(),
        damage in prop::collection::vec((3073..20_000_usize, any::<u8>()), 1..8),
        cut in prop::option::of((3073..20_000_usize, 1..40_usize)),
    ) {
        let mut bytes = ALL[which].to_vec();
        for (at, value) in damage {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        if let Some((at, len)) = cut {
            let at = at % bytes.len();
            bytes.drain(at..(at + len).min(bytes.len()));
        }
        let now = Instant::now();
        let mut session = Session::new(now);
        feed(&mut session, now, [&bytes[..]]);
        while let Some(due) = session.poll_timeout() {
            if session.handle_timeout(due).is_err() {
                break;
            }
        }
    }

    #[test]
    fn random_bytes_behind_the_handshake_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..3000),
    ) {
        let now = Instant::now();
        let handshake = support::handshake();
        feed(&mut Session::new(now), now, [&handshake[..], &bytes]);
        feed(&mut Session::new(now), now, [&bytes[..]]);
    }
}
