use std::sync::Arc;

use media::MediaTime;

use super::*;

const MS: Duration = Duration::from_millis(1);

/// VP8 frames of three packets; those of number 0, 10, 20 … are keyframes.
fn vp8(frame: u64) -> Vec<RtpPacket> {
    (0..3).map(|part| packet(frame * 3 + part, frame, part == 2, &payload(frame, part))).collect()
}

fn payload(frame: u64, part: u64) -> Vec<u8> {
    let (descriptor, tag) = if part == 0 { (0x10, u8::from(!frame.is_multiple_of(10))) } else { (0, 0x55) };
    vec![descriptor, tag, u8::try_from(frame).unwrap(), u8::try_from(part).unwrap()]
}

fn packet(sequence: u64, frame: u64, marker: bool, payload: &[u8]) -> RtpPacket {
    RtpPacket {
        stream: 1,
        sequence,
        timestamp: u32::try_from(frame * 3000).unwrap(),
        captured: MediaTime::from_millis(i64::try_from(frame * 33).unwrap()),
        marker,
        keyframe: str0m::format::detect_vp8_keyframe(payload),
        level: None,
        payload: Arc::from(payload),
    }
}

/// What comes out: the frames' numbers, from their bytes.
struct Run {
    frames: Frames,
    now: Instant,
    got: Vec<u8>,
    asked: Vec<Duration>,
    began: Instant,
}

impl Run {
    fn new() -> Self {
        let now = Instant::now();
        Self { frames: Frames::new(Some(Codec::Vp8)), now, got: Vec::new(), asked: Vec::new(), began: now }
    }

    fn push(&mut self, packet: RtpPacket) {
        self.frames.push(self.now, packet);
        self.poll();
        if self.frames.asks(self.now) {
            self.asked.push(self.now - self.began);
        }
    }

    fn poll(&mut self) {
        while let Some(packet) = self.frames.poll(self.now) {
            assert_eq!(packet.pts, MediaTime::from_millis(i64::from(packet.data[1]) * 33));
            assert_eq!((packet.track, packet.pts), (TrackId(0), packet.dts));
            assert_eq!(packet.keyframe, packet.data[1] % 10 == 0);
            self.got.push(packet.data[1]);
        }
    }

    /// Frames each 33 ms, without the packets of these numbers.
    fn play(&mut self, frames: std::ops::Range<u64>, lost: &[u64]) {
        for frame in frames {
            for packet in vp8(frame).into_iter().filter(|packet| !lost.contains(&packet.sequence)) {
                self.push(packet);
            }
            for _ in 0..33 {
                self.now += MS;
                self.poll();
            }
        }
    }
}

#[test]
fn a_keyframe_after_a_gap_that_no_resend_closes_does_not_wait_for_it() {
    let mut run = Run::new();
    run.play(0..5, &[]);
    run.play(45..46, &[]);
    let [first, second, third] = vp8(50).try_into().unwrap();
    let back = run.now;
    [second, first, third].into_iter().for_each(|packet| run.push(packet));
    assert_eq!((run.got.last(), run.now), (Some(&50), back));
    assert_eq!(run.asked.len(), 1, "as soon as the gap was seen");
    run.play(51..55, &[]);
    assert_eq!(run.got, [0, 1, 2, 3, 4, 50, 51, 52, 53, 54]);
}

#[test]
fn frames_come_out_whole_and_at_once() {
    let mut run = Run::new();
    run.play(0..12, &[]);
    assert_eq!(run.got, (0..12).collect::<Vec<u8>>());
    assert!(run.asked.is_empty());
    assert_eq!(run.frames.deadline(), None);
}

#[test]
fn what_comes_late_is_waited_for_and_put_in_its_place() {
    let mut run = Run::new();
    run.play(0..3, &[4]);
    assert_eq!(run.got, [0]);
    run.push(vp8(1).remove(1));
    assert_eq!(run.got, [0, 1, 2]);
    run.push(vp8(1).remove(1));
    run.play(3..5, &[]);
    assert_eq!(run.got, [0, 1, 2, 3, 4], "what comes twice is one");
    assert!(run.asked.is_empty());
}

#[test]
fn after_a_loss_nothing_comes_until_the_next_keyframe() {
    let mut run = Run::new();
    run.play(0..4, &[7]);
    assert_eq!(run.got, [0, 1]);
    let gap = run.frames.deadline().unwrap() - run.began;
    assert_eq!(gap, 66 * MS + VIDEO_PATIENCE, "counts from the packet after it");
    run.play(4..13, &[]);
    assert_eq!(run.got, [0, 1]);
    run.play(13..40, &[]);
    assert_eq!(run.got, [&[0, 1][..], &(10..40).collect::<Vec<u8>>()].concat(), "that one came meanwhile");
    assert!(run.asked.is_empty());
}

#[test]
fn after_a_loss_a_keyframe_is_asked_for() {
    let mut run = Run::new();
    run.play(0..10, &[4]);
    run.play(11..20, &[]);
    assert_eq!(run.asked.len(), 1);
    assert!(run.asked[0] >= VIDEO_PATIENCE && run.asked[0] < VIDEO_PATIENCE + 100 * MS);
    assert_eq!(run.got, [0]);
}

#[test]
fn it_asks_again_until_a_keyframe_comes() {
    let mut run = Run::new();
    run.play(1..10, &[]);
    run.play(31..40, &[]);
    assert!(run.got.is_empty());
    let steps: Vec<Duration> = run.asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(run.asked[0].is_zero() && steps.len() == 1, "{:?}", run.asked);
    assert!(steps.iter().all(|step| *step >= ASK_EVERY && *step < ASK_EVERY + 40 * MS));
}

#[test]
fn a_keyframe_with_a_hole_is_none() {
    let mut run = Run::new();
    run.play(0..25, &[1, 31]);
    assert_eq!(run.got, (20..25).collect::<Vec<u8>>());
}

#[test]
fn a_picture_that_is_malformed_is_a_lost_one() {
    let mut run = Run::new();
    run.play(0..1, &[]);
    run.push(packet(3, 1, true, &[0x90, 0x80]));
    run.push(packet(4, 2, true, &[0x10, 1, 2]));
    assert_eq!(run.got, [0]);
    assert_eq!(run.asked.len(), 1);
    run.play(10..12, &[]);
    assert_eq!(run.got, [0, 10, 11]);
}

#[test]
fn another_stream_begins_with_a_keyframe_and_padding_is_passed_over() {
    let mut run = Run::new();
    run.play(0..2, &[]);
    run.push(packet(6, 1, false, &[]));
    run.push(packet(7, 2, true, &[0x10, 1, 2]));
    assert_eq!(run.got, [0, 1, 2]);
    for mut packet in vp8(5).into_iter().chain(vp8(10)) {
        packet.stream = 2;
        run.push(packet);
    }
    assert_eq!(run.got, [0, 1, 2, 10]);
}

#[test]
fn a_picture_without_a_marker_ends_where_the_next_begins() {
    let mut run = Run::new();
    for mut packet in (0..3).flat_map(vp8) {
        packet.marker = false;
        run.push(packet);
    }
    assert_eq!(run.got, [0, 1]);
}

#[test]
fn times_do_not_go_back_when_the_clock_is_corrected_between_packets_out_of_order() {
    let mut run = Frames::new(Some(Codec::Vp8));
    let now = Instant::now();
    let mut packets: Vec<RtpPacket> = (0..3).flat_map(vp8).collect();
    // The first packet of frame 1 came last, when the clock had been put back 50 ms.
    packets[3].captured = MediaTime::from_millis(-17);
    let late = packets.remove(3);
    packets.push(late);
    let mut times = Vec::new();
    for packet in packets {
        run.push(now, packet);
        times.extend(std::iter::from_fn(|| run.poll(now)).map(|packet| packet.pts.millis()));
    }
    assert_eq!(times, [0, 0, 66]);
}

#[test]
fn sound_is_waited_for_a_little_and_never_lost_for_good() {
    let mut frames = Frames::new(None);
    let now = Instant::now();
    let sound = |number: u64| packet(number, number, false, &[u8::try_from(number).unwrap()]);
    let mut got = Vec::new();
    for (at, number) in [(0, 5), (20, 7), (30, 6), (40, 9), (60, 10)] {
        frames.push(now + at * MS, RtpPacket { keyframe: true, ..sound(number) });
        got.extend(std::iter::from_fn(|| frames.poll(now + at * MS)).map(|packet| packet.data[0]));
    }
    assert_eq!(got, [5, 6, 7]);
    assert_eq!(frames.deadline(), Some(now + 140 * MS));
    got.extend(std::iter::from_fn(|| frames.poll(now + 140 * MS)).map(|packet| packet.data[0]));
    assert_eq!(got, [5, 6, 7, 9, 10]);
    assert!(!frames.asks(now));
}

#[test]
fn what_is_held_is_bounded() {
    let mut frames = Frames::new(Some(Codec::Vp8));
    let now = Instant::now();
    for number in 0..20_000 {
        frames.push(now, packet(number * 2, number, false, &[0; 1200]));
        assert!(frames.held.len() <= MAX_PACKETS && frames.bytes <= MAX_BYTES + 1200);
    }
    let held: usize = frames.held.values().map(|held| held.packet.payload.len()).sum();
    assert_eq!(held, frames.bytes);
}

proptest::proptest! {
    /// Packets in any order and number: what comes out is in order, and whole.
    #[test]
    fn any_order_gives_frames_in_order(packets in proptest::collection::vec((0..60u64, 0..3usize, 0..40u64), 0..300)) {
        let mut run = Run::new();
        for (frame, part, wait) in packets {
            run.push(vp8(frame).remove(part));
            run.now += u32::try_from(wait).unwrap() * MS;
            run.poll();
        }
        proptest::prop_assert!(run.got.is_sorted_by(|a, b| a < b));
        if let Some(first) = run.got.first() {
            proptest::prop_assert!(first % 10 == 0);
        }
    }
}
