//! Requests: keyframes, pausing, where output starts, and how it ends.

use media::{MediaTime, Packet, Quality, Unit};
use pipeline::{Command, Exit};

mod support;
use support::{
    generate::{self, AUDIO, Clip, VIDEO},
    look,
    rig::{BOTH, Rig, plan, start},
};

const DEFAULT: &str = pipeline::ladder::DEFAULT_PRESET;
const SMALL: Clip = Clip { width: 640, height: 360, b_frames: 0, ..Clip::HD };

async fn small_rig(clip: Clip) -> (Rig, Vec<Packet>) {
    let (format, packets) = clip.encode();
    let mut rig = Rig::in_process(start(plan(DEFAULT)));
    rig.format(VIDEO, format).await;
    (rig, packets)
}

#[tokio::test]
async fn a_requested_keyframe_comes_within_the_frames_in_flight_and_only_in_its_layer() {
    let (mut rig, packets) = small_rig(SMALL).await;
    rig.feed(&packets[..40], BOTH).await;
    // Asked for three times before it can have come out: one keyframe.
    for _ in 0..3 {
        rig.send(Command::Keyframe(Quality::High)).await;
    }
    rig.feed(&packets[40..], BOTH).await;
    rig.finish().await;
    // What was sent before the request may still be on its way to the encoder; elsewhere an encoder may see a scene change.
    let keys = |quality| {
        let frames = look::layer(&rig.encoded, quality);
        frames
            .iter()
            .enumerate()
            .filter(|(n, f)| f.keyframe && (30..=50).contains(n))
            .map(|(n, _)| n)
            .collect()
    };
    let (smaller, larger): (Vec<usize>, Vec<usize>) = (keys(Quality::Medium), keys(Quality::High));
    assert!(smaller.is_empty(), "{smaller:?}");
    assert!(larger.len() == 1 && (34..=41).contains(&larger[0]), "{larger:?}");
}

#[tokio::test]
async fn pictures_of_an_unwatched_while_are_decoded_and_not_encoded() {
    let (mut rig, packets) = small_rig(SMALL).await;
    rig.feed(&packets[..20], BOTH).await;
    // A request overtakes pictures: the last of them must be through.
    rig.until(|rig| rig.count(Quality::Medium) == 20 && rig.count(Quality::High) == 20).await;
    for quality in [Quality::Medium, Quality::High] {
        rig.send(Command::Pause(quality)).await;
    }
    // Nothing of 20..60 is sent but, when somebody watches again, what follows the last keyframe.
    let key = (20..60).rev().find(|&n| packets[n].keyframe).expect("a keyframe every second");
    for quality in [Quality::Medium, Quality::High] {
        rig.send(Command::Resume(quality)).await;
    }
    rig.send(Command::SkipTo(SMALL.pts(59))).await;
    for packet in &packets[key..60] {
        rig.send(Command::Unit(Unit::Packet(packet.clone()))).await;
    }
    rig.feed(&packets[60..], BOTH).await;
    rig.finish().await;
    for quality in [Quality::Medium, Quality::High] {
        let frames = look::layer(&rig.encoded, quality);
        let resumed = frames.iter().position(|f| f.pts >= SMALL.pts(20)).expect("it resumes");
        assert_eq!((frames[resumed].pts, frames[resumed].keyframe), (SMALL.pts(59), true));
        assert_eq!(look::decode(&frames[resumed..], look::H264)[0].counter, 59);
    }
}

#[tokio::test]
async fn a_paused_layer_makes_nothing_and_resumes_with_a_keyframe_of_now() {
    let (mut rig, packets) = small_rig(SMALL).await;
    rig.feed(&packets[..20], &[Quality::Medium]).await;
    rig.send(Command::Pause(Quality::High)).await;
    rig.feed(&packets[20..60], &[Quality::Medium]).await;
    rig.send(Command::Resume(Quality::High)).await;
    rig.feed(&packets[60..], &[Quality::Medium]).await;
    rig.finish().await;

    let frames = look::layer(&rig.encoded, Quality::High);
    let resumed = frames.iter().position(|f| f.pts >= SMALL.pts(30)).expect("it resumes");
    assert!(frames[resumed].keyframe);
    assert!((50..=60).contains(&(frames[resumed].pts.millis() * 30 / 1000)), "{:?}", frames[resumed].pts);
    assert!(resumed <= 20, "nothing is encoded while paused: {resumed} frames before");
    assert!(frames.windows(2).all(|pair| pair[0].pts < pair[1].pts));
    assert!(frames.last().unwrap().pts >= SMALL.pts(80));
    look::decode(&frames[resumed..], look::H264);
    assert_eq!(rig.count(Quality::Medium), SMALL.frames, "the other layer goes on");
}

#[tokio::test]
async fn a_layer_resumed_at_a_time_begins_with_a_keyframe_there_and_the_others_go_on() {
    let clip = Clip { width: 1280, height: 720, ..SMALL };
    let (mut rig, packets) = small_rig(clip).await;
    let smaller = &[Quality::Low, Quality::Medium];
    rig.send(Command::Pause(Quality::High)).await;
    rig.feed(&packets[..20], smaller).await;
    // Between two pictures: the later one is the first.
    rig.send(Command::ResumeAt(Quality::High, clip.pts(54) + MediaTime::from_millis(5))).await;
    // It runs, and goes on.
    rig.send(Command::ResumeAt(Quality::Medium, clip.pts(80))).await;
    rig.feed(&packets[20..61], smaller).await;
    rig.pace(&packets[61..], &Quality::ALL).await;
    rig.finish().await;
    for quality in [Quality::Low, Quality::Medium] {
        let all: Vec<_> = (0..clip.frames).map(|n| clip.pts(n)).collect();
        assert_eq!(rig.times(quality), all, "{quality}");
    }
    let frames = look::layer(&rig.encoded, Quality::High);
    assert_eq!((frames[0].pts, frames[0].keyframe), (clip.pts(55), true));
    assert_eq!(frames.last().unwrap().pts, clip.pts(clip.frames - 1));
    assert_eq!(look::decode(&frames, look::H264)[0].counter, 55);
}

#[tokio::test]
async fn frames_on_their_way_do_not_take_the_keyframe_of_a_layer_resumed_at_a_time() {
    let (mut rig, packets) = small_rig(SMALL).await;
    rig.feed(&packets[..20], &[Quality::Medium]).await;
    // A keyframe is asked for and perhaps under way; then at once the rest.
    rig.send(Command::Keyframe(Quality::High)).await;
    rig.send(Command::Pause(Quality::High)).await;
    rig.send(Command::ResumeAt(Quality::High, SMALL.pts(30))).await;
    rig.feed(&packets[20..], &[Quality::Medium]).await;
    rig.finish().await;
    let frames = look::layer(&rig.encoded, Quality::High);
    let resumed = frames.iter().position(|frame| frame.pts >= SMALL.pts(20)).expect("it resumes");
    assert_eq!((frames[resumed].pts, frames[resumed].keyframe), (SMALL.pts(30), true));
    look::decode(&frames[resumed..], look::H264);
}

#[tokio::test]
async fn a_layer_that_waits_for_its_time_can_be_resumed_at_once_or_paused_for_good() {
    let (mut rig, packets) = small_rig(SMALL).await;
    for quality in [Quality::Medium, Quality::High] {
        rig.send(Command::Pause(quality)).await;
        rig.send(Command::ResumeAt(quality, SMALL.pts(85))).await;
    }
    rig.send(Command::Resume(Quality::Medium)).await;
    rig.send(Command::Pause(Quality::High)).await;
    rig.feed(&packets, &[Quality::Medium]).await;
    rig.finish().await;
    assert_eq!((rig.count(Quality::Medium), rig.count(Quality::High)), (SMALL.frames, 0));
}

#[tokio::test]
async fn a_worker_that_encodes_says_once_a_second_how_far_behind_it_is() {
    let (mut rig, packets) = small_rig(SMALL).await;
    rig.feed(&packets[..60], BOTH).await;
    rig.until(|rig| !rig.loads.is_empty()).await;
    let told = rig.loads.len();
    rig.send(Command::Pause(Quality::Medium)).await;
    rig.send(Command::Pause(Quality::High)).await;
    rig.feed(&packets[60..], &[]).await;
    rig.finish().await;
    // In lockstep a picture waits for the few before it.
    assert!(rig.loads.iter().all(|load| load.behind_ms < 5_000 && load.dropped == 0), "{:?}", rig.loads);
    assert!(rig.loads.len() <= told + 1, "nothing is encoded any more: {:?}", rig.loads);
}

#[tokio::test]
async fn the_smaller_layer_is_fed_while_larger_ones_are_paused() {
    let clip = Clip { frames: 60, ..Clip::HD };
    let (mut rig, packets) = small_rig(clip).await;
    rig.send(Command::Pause(Quality::High)).await;
    rig.send(Command::Pause(Quality::Medium)).await;
    rig.feed(&packets, &[Quality::Low]).await;
    rig.finish().await;
    assert_eq!((rig.count(Quality::High), rig.count(Quality::Medium)), (0, 0));
    let seen = look::decode(&look::layer(&rig.encoded, Quality::Low), look::H264);
    assert!(seen.iter().enumerate().all(|(n, seen)| seen.counter == n && seen.width == 320));
}

#[tokio::test]
async fn output_starts_where_a_dead_worker_stopped() {
    let (h264, pictures) = SMALL.encode();
    let (aac, sound) = generate::aac(140, 0, false);
    let mut taken_over = start(plan(DEFAULT));
    let from = MediaTime::from_millis(1500);
    taken_over.output_from = Some(from);
    let mut rig = Rig::in_process(taken_over);
    rig.format(VIDEO, h264).await;
    rig.format(AUDIO, aac).await;
    // The kept pictures come at once, without waiting for anything to come out.
    for packet in &pictures[..45] {
        rig.send(Command::Unit(Unit::Packet(packet.clone()))).await;
    }
    for packet in sound {
        rig.send(Command::Unit(Unit::Packet(packet))).await;
    }
    rig.feed(&pictures[45..], BOTH).await;
    rig.finish().await;
    for quality in [Quality::Medium, Quality::High] {
        let frames = look::layer(&rig.encoded, quality);
        assert_eq!(frames[0].pts, SMALL.pts(45));
        assert!(frames[0].keyframe);
        assert_eq!(look::decode(&frames, look::H264)[0].counter, 45);
    }
    let first = look::sound(&rig.encoded)[0].pts;
    assert!(first >= from && first < from + MediaTime::from_millis(21), "{first}");
}

#[tokio::test]
async fn an_end_without_any_media_is_an_end() {
    let mut rig = Rig::in_process(start(plan(DEFAULT)));
    rig.finish().await;
    assert_eq!((rig.exit, rig.encoded.len()), (Some(Exit::Closed), 0));
}

#[tokio::test]
async fn a_server_that_does_not_read_costs_frames_before_they_are_encoded() {
    let clip = Clip { frames: 300, ..SMALL };
    let (mut rig, packets) = small_rig(clip).await;
    // The socket fills, then encoders wait, then their queues fill: decoding and commands go on all the same. A publisher
    // of 100 pictures a second: what waits for the decoder when reading begins is less than a second of them.
    let mut clock = tokio::time::interval(std::time::Duration::from_millis(10));
    for packet in packets {
        clock.tick().await;
        rig.send(Command::Unit(Unit::Packet(packet))).await;
    }
    rig.until(|rig| rig.warnings.iter().any(|warning| warning.contains("dropped"))).await;
    // Said as well, once it was read: how many, and how long the others waited for that.
    rig.until(|rig| rig.loads.iter().any(|load| load.dropped > 0)).await;
    rig.finish().await;
    let waited = rig.loads.iter().map(|load| load.behind_ms).max();
    assert!(waited > Some(100), "{:?}", rig.loads);
    for quality in [Quality::Medium, Quality::High] {
        let frames = look::layer(&rig.encoded, quality);
        assert!(frames.len() < clip.frames, "{} frames", frames.len());
        assert!(frames.windows(2).all(|pair| pair[0].pts < pair[1].pts));
        // Nothing was dropped after it was encoded: every picture is whole.
        let seen = look::decode(&frames, look::H264);
        let expected: Vec<_> = frames.iter().map(|frame| clip.pts(0).since(frame.pts)).collect();
        let shown: Vec<_> = seen.iter().map(|seen| clip.pts(0).since(clip.pts(seen.counter))).collect();
        assert_eq!(shown, expected);
    }
}

#[tokio::test]
async fn corrupt_pictures_are_skipped_and_the_layers_go_on() {
    let (format, mut packets) = SMALL.encode();
    for (n, packet) in packets.iter_mut().enumerate() {
        let mut data = packet.data.to_vec();
        match n {
            // Cut short, noise in the slice, a NAL length far past the end, nothing.
            20 => data.truncate(data.len() / 3),
            25 => data[100..].iter_mut().enumerate().for_each(|(at, byte)| *byte ^= (at * 37) as u8),
            35 => data[..4].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff]),
            40 => data.clear(),
            _ => continue,
        }
        packet.data = data.into();
    }
    let mut rig = Rig::in_process(start(plan(DEFAULT)));
    rig.format(VIDEO, format).await;
    for packet in packets {
        rig.send(Command::Unit(Unit::Packet(packet))).await;
    }
    let whole = SMALL.pts(60);
    rig.until(|rig| rig.times(Quality::Medium).last().is_some_and(|pts| *pts >= whole)).await;
    rig.finish().await;
    assert_eq!(rig.failed, None);
}

#[tokio::test]
async fn a_pipeline_ends_when_its_server_is_gone() {
    let (mut rig, packets) = small_rig(Clip { frames: 30, ..SMALL }).await;
    rig.feed(&packets, &[Quality::Medium]).await;
    let Rig { sender, mut receiver, .. } = rig;
    drop(sender);
    let exit = tokio::time::timeout(std::time::Duration::from_secs(10), async {
        loop {
            if let pipeline::Incoming::Exit(exit) = receiver.recv().await {
                return exit;
            }
        }
    });
    assert_eq!(exit.await.unwrap(), Exit::Closed);
}
