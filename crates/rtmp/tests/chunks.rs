//! Chunk streams as RTMP 5.3 allows them and as faults.md throws them, written by the tests' own chunk writer.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::Instant;

use proptest::prelude::*;
use sluicegate_rtmp::{
    AUDIO, Error, Event, VIDEO,
    limits::{CHUNK_SIZE, CHUNK_STREAMS, COMMAND_MESSAGE, MEDIA_MESSAGE, UNFINISHED},
};
use support::{AAC_HEADER, AVC_HEADER, Message, Seen, feed, picture, publishing};

const VIDEO_KIND: u8 = 9;
const AUDIO_KIND: u8 = 8;

fn sound(seed: u8, len: usize) -> Vec<u8> {
    [vec![0xaf, 1], (0..len).map(|i| seed.wrapping_mul(3).wrapping_add(i as u8)).collect()].concat()
}

/// Feeds messages, one after the other, to a publishing session.
fn run(repeats_extended: bool, messages: &[Message]) -> Seen {
    let now = Instant::now();
    let (mut session, mut chunks) = publishing(now, repeats_extended);
    let bytes: Vec<u8> = messages.iter().flat_map(|message| chunks.bytes(message)).collect();
    feed(&mut session, now, [&bytes[..]])
}

fn video_times(seen: &Seen) -> Vec<i64> {
    seen.track(VIDEO).iter().map(|p| p.dts.millis()).collect()
}

/// An AVC header and a picture at each time: the first by type 0, the others by `fmt`.
fn pictures(times: &[u32], fmt: u8) -> Vec<Message> {
    let mut messages = vec![Message::new(6, VIDEO_KIND, times[0], AVC_HEADER)];
    for (n, &time) in times.iter().enumerate() {
        messages.push(Message::new(6, VIDEO_KIND, time, picture(n as u8, 500)).fmt(if n == 0 {
            0
        } else {
            fmt
        }));
    }
    messages
}

#[test]
fn all_chunk_types_follow_the_clock() {
    let mut messages = pictures(&[1000, 1040, 1080], 1);
    messages.push(Message::new(6, VIDEO_KIND, 1130, picture(3, 500)).fmt(2));
    messages.push(Message::new(6, VIDEO_KIND, 1180, picture(4, 500)).fmt(3));
    messages.push(Message::new(6, VIDEO_KIND, 1230, picture(5, 500)).fmt(3));
    let seen = run(true, &messages);
    assert_eq!(video_times(&seen), [1000, 1040, 1080, 1130, 1180, 1230]);
    assert!(seen.track(VIDEO).iter().enumerate().all(|(n, p)| p.data == picture(n as u8, 500)[5..]));
}

#[test]
fn a_type_3_behind_a_type_0_repeats_a_small_time_as_delta_and_a_large_one_not_at_all() {
    let messages = |time: u32| {
        let mut messages = vec![Message::new(6, VIDEO_KIND, 0, AVC_HEADER)];
        messages.push(Message::new(6, VIDEO_KIND, time, picture(0, 50)));
        messages.push(Message::new(6, VIDEO_KIND, time, picture(0, 50)).fmt(3));
        messages
    };
    assert_eq!(video_times(&run(true, &messages(40))), [40, 80]);
    assert_eq!(video_times(&run(true, &messages(50_000))), [50_000, 50_000]);
}

#[test]
fn extended_timestamps_in_both_conventions_past_2_to_the_24() {
    let start = (1 << 24) - 5000;
    let times: Vec<u32> = (0..250).map(|n| start + n * 40).collect();
    let expected: Vec<i64> = times.iter().map(|t| i64::from(*t)).collect();
    for repeats in [true, false] {
        for fmt in [0, 1] {
            let seen = run(repeats, &pictures(&times, fmt));
            assert_eq!(seen.result, Ok(()));
            assert_eq!(video_times(&seen), expected, "repeats {repeats}, type {fmt}");
            assert!(seen.track(VIDEO).iter().enumerate().all(|(n, p)| p.data == picture(n as u8, 500)[5..]));
        }
    }
}

#[test]
fn the_wrap_at_2_to_the_32_goes_on() {
    let start = u32::MAX - 4999;
    let times: Vec<u32> = (0..250_u32).map(|n| start.wrapping_add(n * 40)).collect();
    let expected: Vec<i64> = (0..250).map(|n| i64::from(start) + n * 40).collect();
    for repeats in [true, false] {
        for fmt in [0, 1] {
            assert_eq!(video_times(&run(repeats, &pictures(&times, fmt))), expected);
        }
    }
}

#[test]
fn a_negative_delta_goes_back() {
    let seen = run(true, &pictures(&[1000, 1040, 1020, 1060], 1));
    assert_eq!(video_times(&seen), [1000, 1040, 1020, 1060]);
}

#[test]
fn sound_and_picture_wrap_together() {
    let mut messages = vec![Message::new(4, AUDIO_KIND, 0xffff_fff0, AAC_HEADER)];
    messages.extend(pictures(&[0xffff_fff0, 10], 0));
    messages.push(Message::new(4, AUDIO_KIND, 0xffff_fffa, sound(1, 9)));
    messages.push(Message::new(4, AUDIO_KIND, 20, sound(1, 9)));
    let seen = run(true, &messages);
    let wrap = 1_i64 << 32;
    assert_eq!(video_times(&seen), [wrap - 16, wrap + 10]);
    let sounds: Vec<_> = seen.track(AUDIO).iter().map(|p| p.pts.millis()).collect();
    assert_eq!(sounds, [wrap - 6, wrap + 20]);
}

#[test]
fn a_chunk_size_of_one_works() {
    let now = Instant::now();
    let (mut session, mut chunks) = publishing(now, true);
    let mut bytes = chunks.bytes(&Message::new(2, 1, 0, 1_u32.to_be_bytes()));
    chunks.size = 1;
    for message in pictures(&[0, 40], 1) {
        bytes.extend(chunks.bytes(&message));
    }
    assert_eq!(video_times(&feed(&mut session, now, [&bytes[..]])), [0, 40]);
}

#[test]
fn impossible_chunk_sizes_are_refused() {
    for declared in [0, CHUNK_SIZE + 1, 0x7fff_ffff, 0x8000_0001, u32::MAX] {
        let seen = run(true, &[Message::new(2, 1, 0, declared.to_be_bytes())]);
        assert!(
            matches!(seen.result, Err(Error::ChunkSize { csid: 2, declared: d, .. }) if d == declared),
            "{:?}",
            seen.result
        );
    }
    assert_eq!(run(true, &[Message::new(2, 1, 0, CHUNK_SIZE.to_be_bytes())]).result, Ok(()));
}

#[test]
fn a_message_over_the_limit_is_refused_by_its_header() {
    for (kind, limit) in [(VIDEO_KIND, MEDIA_MESSAGE), (20, COMMAND_MESSAGE), (99, COMMAND_MESSAGE)] {
        let now = Instant::now();
        let (mut session, _) = publishing(now, true);
        let length = u32::try_from(limit + 1).unwrap().to_be_bytes();
        let header = [4, 0, 0, 0, length[1], length[2], length[3], kind, 1, 0, 0, 0];
        let seen = feed(&mut session, now, [&header[..]]);
        assert!(
            matches!(seen.result, Err(Error::MessageTooLong { csid: 4, declared, .. }) if declared == limit + 1),
            "{:?}",
            seen.result
        );
    }
}

#[test]
fn a_thousand_unfinished_messages_end_at_the_limit_of_chunk_streams() {
    let now = Instant::now();
    let (mut session, _) = publishing(now, true);
    let length = u32::try_from(MEDIA_MESSAGE).unwrap().to_be_bytes();
    let bytes: Vec<u8> = (0..1000_u32)
        .flat_map(|n| {
            let [low, high] = u16::try_from(n + 100).unwrap().to_le_bytes();
            // The first chunk is full, so that the next header is read as one.
            let header = [1, low, high, 0, 0, 0, length[1], length[2], length[3], VIDEO_KIND, 1, 0, 0, 0];
            [&header[..], &[0; 128]].concat()
        })
        .collect();
    let seen = feed(&mut session, now, [&bytes[..]]);
    assert!(
        matches!(seen.result, Err(Error::TooManyChunkStreams { limit: CHUNK_STREAMS, .. })),
        "{:?}",
        seen.result
    );
}

#[test]
fn unfinished_messages_together_are_bounded() {
    let now = Instant::now();
    let (mut session, mut chunks) = publishing(now, true);
    chunks.size = 1 << 20;
    let size = u32::try_from(chunks.size).unwrap();
    let mut seen = feed(&mut session, now, [&chunks.bytes(&Message::new(2, 1, 0, size.to_be_bytes()))[..]]);
    let body = vec![0x27; MEDIA_MESSAGE];
    let mut sent = 0;
    for csid in 10..40 {
        // The last quarter never comes.
        for chunk in &chunks.cut(&Message::new(csid, VIDEO_KIND, 0, body.clone()))[..3] {
            sent += chunk.len();
            seen = feed(&mut session, now, [&chunk[..]]);
            if seen.result.is_err() {
                assert!(matches!(seen.result, Err(Error::TooMuchUnfinished { limit: UNFINISHED, .. })));
                assert!(sent <= UNFINISHED + chunks.size, "noticed at once: {sent}");
                return;
            }
        }
    }
    panic!("{:?} after {sent} bytes", seen.result);
}

#[test]
fn chunk_streams_that_were_never_opened() {
    for (first, fmt) in [(0x87, 2), (0xc7, 3)] {
        let now = Instant::now();
        let (mut session, _) = publishing(now, true);
        let seen = feed(&mut session, now, [&[first, 0, 0, 0][..]]);
        assert!(
            matches!(seen.result, Err(Error::UnknownChunkStream { csid: 7, fmt: f, .. }) if f == fmt),
            "{:?}",
            seen.result
        );
    }
    // A type 1 has all that is needed; GStreamer's rtmp2sink begins so.
    let mut messages = pictures(&[0], 0);
    messages[0].fmt = 1;
    assert_eq!(video_times(&run(true, &messages)), [0]);
}

#[test]
fn a_header_inside_a_message_is_refused_and_an_abort_makes_room_for_it() {
    let now = Instant::now();
    for abort in [false, true] {
        let (mut session, mut chunks) = publishing(now, true);
        let mut bytes = chunks.bytes(&Message::new(6, VIDEO_KIND, 0, AVC_HEADER));
        bytes.extend(&chunks.cut(&Message::new(6, VIDEO_KIND, 0, picture(1, 500)))[0]);
        if abort {
            bytes.extend(chunks.bytes(&Message::new(2, 2, 0, 6_u32.to_be_bytes())));
        }
        bytes.extend(chunks.bytes(&Message::new(6, VIDEO_KIND, 40, picture(2, 500))));
        let seen = feed(&mut session, now, [&bytes[..]]);
        if abort {
            assert_eq!((video_times(&seen), seen.result), (vec![40], Ok(())));
        } else {
            assert!(matches!(seen.result, Err(Error::Interrupted { csid: 6, fmt: 0, missing: 381, .. })));
        }
    }
}

#[test]
fn aggregates_are_taken_apart() {
    let mut body = Vec::new();
    for (time, part) in [(500_u32, picture(1, 40)), (540, picture(2, 300))] {
        let length = u32::try_from(part.len()).unwrap().to_be_bytes();
        let time = time.to_be_bytes();
        body.extend([
            VIDEO_KIND, length[1], length[2], length[3], time[1], time[2], time[3], time[0], 0, 0, 0,
        ]);
        body.extend(&part);
        body.extend(u32::try_from(part.len() + 11).unwrap().to_be_bytes());
    }
    let seen = run(true, &[Message::new(6, VIDEO_KIND, 0, AVC_HEADER), Message::new(4, 22, 2000, body)]);
    assert_eq!(video_times(&seen), [2000, 2040]);
    assert_eq!(seen.track(VIDEO)[1].data, picture(2, 300)[5..]);
}

#[test]
fn empty_messages_of_any_type_are_ignored() {
    let mut messages =
        vec![Message::new(6, VIDEO_KIND, 0, AVC_HEADER), Message::new(4, AUDIO_KIND, 0, AAC_HEADER)];
    messages.extend([8, 9, 15, 17, 18, 20, 22, 108].map(|kind| Message::new(5, kind, 0, [])));
    messages.push(Message::new(6, VIDEO_KIND, 40, picture(0, 9)));
    let seen = run(true, &messages);
    assert_eq!((video_times(&seen), seen.result), (vec![40], Ok(())));
}

#[derive(Debug, Clone)]
struct Lane {
    csid: u32,
    sizes: Vec<usize>,
}

fn lanes() -> impl Strategy<Value = Vec<Lane>> {
    let sizes = || prop::collection::vec(1..2000_usize, 1..12);
    (sizes(), sizes(), sizes()).prop_map(|(a, b, c)| {
        vec![Lane { csid: 4, sizes: a }, Lane { csid: 70, sizes: b }, Lane { csid: 600, sizes: c }]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Each lane's messages are cut into chunks, and the chunks of the three lanes are shuffled together.
    #[test]
    fn three_interleaved_chunk_streams_come_out_bit_exact(
        lanes in lanes(),
        order in prop::collection::vec(0..3_usize, 1..40),
        size in 1..700_usize,
        start in prop::sample::select(vec![0_u32, 0xff_fff0, 0xffff_ff00]),
        repeats in any::<bool>(),
    ) {
        let now = Instant::now();
        let (mut session, mut chunks) = publishing(now, repeats);
        let mut bytes = chunks.bytes(&Message::new(6, VIDEO_KIND, start, AVC_HEADER));
        bytes.extend(chunks.bytes(&Message::new(2, 1, 0, u32::try_from(size).unwrap().to_be_bytes())));
        chunks.size = size;

        let mut expected = Vec::new();
        let mut cut = lanes.iter().map(|lane| {
            let mut all = std::collections::VecDeque::new();
            for (n, len) in lane.sizes.iter().enumerate() {
                let body = picture((lane.csid as u8).wrapping_add(n as u8), *len);
                expected.push(body[5..].to_vec());
                let fmt = if n == 0 { 0 } else { 1 };
                let time = start.wrapping_add(u32::try_from(n).unwrap() * 40);
                all.extend(chunks.cut(&Message::new(lane.csid, VIDEO_KIND, time, body).fmt(fmt)));
            }
            all
        }).collect::<Vec<_>>();
        for lane in order.iter().cycle().take(100_000) {
            bytes.extend(cut[*lane].pop_front().unwrap_or_default());
        }
        for lane in cut {
            bytes.extend(lane.into_iter().flatten());
        }

        let seen = feed(&mut session, now, bytes.chunks(1000));
        prop_assert_eq!(&seen.result, &Ok(()));
        let mut got: Vec<_> = seen.track(VIDEO).iter().map(|p| p.data.to_vec()).collect();
        // Lanes finish in any order.
        got.sort();
        expected.sort();
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn random_chunks_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
        let now = Instant::now();
        let (mut session, _) = publishing(now, true);
        let seen = feed(&mut session, now, [&bytes[..]]);
        prop_assert!(!seen.events.iter().any(|event| matches!(event, Event::Publish(_))));
    }
}
