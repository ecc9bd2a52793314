//! The demuxer as the server runs it: a process of its own, restricted; and files that were changed to break it.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use media::Kind;
use pipeline::{
    Exit,
    demux::{Demux, Event, Incoming, InputInfo, Start},
};

mod support;
use support::demux::{BOTH, Heard, SOUND, Source, X264, both, clip, drive, launch};

const WORKER: &str = env!("CARGO_BIN_EXE_sluicegate-worker");

/// What a process makes of one file; and how long it took.
async fn process(bytes: &Bytes) -> (Heard, Duration) {
    let source = Source::file(bytes.clone());
    let info = InputInfo { size: Some(bytes.len() as u64), seekable: true, media_type: None };
    let launch = launch(WORKER).await;
    let begun = Instant::now();
    let (sender, receiver) = Demux::spawn(&launch, Start { inputs: vec![info], ..both() }).unwrap();
    let heard = tokio::time::timeout(Duration::from_secs(20), drive(sender, receiver, &[source])).await;
    (heard.expect("it does not hang"), begun.elapsed())
}

#[tokio::test]
async fn a_restricted_process_takes_a_file_apart_and_exits_by_itself() {
    let (heard, _) = process(&clip("mp4", &format!("{BOTH} {X264} -c:a aac"))).await;
    assert_eq!((heard.ended, heard.exit, heard.failed), (true, Some(Exit::Code(0)), None));
    assert_eq!(heard.packets.iter().filter(|packet| packet.kind == Kind::Video).count(), 50);
}

#[tokio::test]
async fn a_process_ends_with_its_socket_whatever_it_is_at() {
    let launch = launch(WORKER).await;
    let inputs = vec![InputInfo::default()];
    let (sender, mut receiver) = Demux::spawn(&launch, Start { inputs, ..both() }).unwrap();
    let mut sender = sender;
    sender.flush().await.unwrap();
    assert!(matches!(receiver.recv().await, Incoming::Event(Event::Read { .. })));
    drop(sender);
    let exit = tokio::time::timeout(Duration::from_secs(10), receiver.recv()).await.unwrap();
    assert_eq!(exit, Incoming::Exit(Exit::Code(1)));
}

/// Files per container; more with `SLUICEGATE_MUTATIONS`.
fn mutations() -> u64 {
    std::env::var("SLUICEGATE_MUTATIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(8)
}

/// A file with some bytes changed, a piece left out, doubled, or the end cut off.
fn mutated(good: &Bytes, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    let mut bytes = good.to_vec();
    let (at, length) = (random(bytes.len()), 1 + random(2_000));
    match seed % 4 {
        // Headers are at the front: most changes go there.
        0 => (0..=random(20)).for_each(|_| {
            let at = random(4_000.min(good.len()));
            bytes[at] = random(256) as u8;
        }),
        1 => (0..=random(200)).for_each(|_| {
            let at = random(good.len());
            bytes[at] = random(256) as u8;
        }),
        2 => drop(bytes.drain(at..(at + length).min(good.len()))),
        _ if seed % 8 == 3 => bytes.truncate(at),
        _ => {
            let piece = bytes[at..(at + length).min(good.len())].to_vec();
            let to = random(good.len());
            bytes.splice(to..to, piece);
        }
    }
    bytes.into()
}

#[tokio::test]
async fn no_broken_file_hangs_it() {
    let both_kinds = format!("{BOTH} {X264}");
    let clips = [
        clip("mp4", &format!("{both_kinds} -c:a aac")),
        clip("mp4", &format!("{both_kinds} -c:a aac -movflags +frag_keyframe+empty_moov")),
        clip("mkv", &format!("{both_kinds} -c:a libvorbis")),
        clip("ts", &format!("{both_kinds} -c:a aac")),
        clip("flv", &format!("{both_kinds} -c:a aac")),
        clip("avi", &format!("{BOTH} -c:v mpeg4 -c:a libmp3lame")),
        clip("ogg", &format!("{SOUND} -c:a libvorbis")),
        clip("wav", &format!("{SOUND} -c:a pcm_s16le")),
        clip("flac", &format!("{SOUND} -c:a flac")),
        clip("mp3", &format!("{SOUND} -c:a libmp3lame")),
    ];
    let (mut slowest, mut outcomes) = (Duration::ZERO, [0; 3]);
    for (number, good) in clips.iter().enumerate() {
        let (_, usual) = process(good).await;
        for seed in 0..mutations() {
            let (heard, took) = process(&mutated(good, 1 + seed + 1_000 * number as u64)).await;
            let outcome = match (&heard.failed, heard.ended) {
                (Some(_), _) => 1,
                (None, true) => 0,
                // It died: what it has said until then may be anything.
                (None, false) => 2,
            };
            outcomes[outcome] += 1;
            let longer = took.saturating_sub(usual);
            assert!(
                longer < Duration::from_secs(2),
                "clip {number}, seed {seed}: {took:?} {:?}",
                heard.failed
            );
            slowest = slowest.max(took);
        }
    }
    eprintln!("ended, failed, died: {outcomes:?}; slowest {slowest:?}");
    assert!(outcomes[0] + outcomes[1] > outcomes[2], "it should not die of most of them: {outcomes:?}");
}
