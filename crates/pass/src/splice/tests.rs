use super::*;
use bytes::Bytes;
use media::{Output, Quality};

const MS: Duration = Duration::from_millis(1);

/// A frame whose bytes say which lane it is of, and its number there.
pub(super) fn frame(lane: Lane, number: u32, millis: i64, keyframe: bool) -> Encoded {
    let data = [&[lane as u8][..], &number.to_be_bytes()].concat();
    Encoded {
        output: Output::Video(Quality::High),
        pts: MediaTime::from_millis(millis),
        keyframe,
        data: Bytes::from(data),
    }
}

struct Bench {
    splice: Splice,
    start: Instant,
}

impl Bench {
    /// On the source's lane, which has shown 0, 33 and 66 ms.
    fn on_source() -> Self {
        let mut bench = Self::new();
        bench.splice.aim(Lane::Source);
        assert_eq!(bench.source(0, 0, true), "s0k | OnSource 0");
        assert_eq!(bench.source(33, 33, false), "s33");
        assert_eq!(bench.source(66, 66, false), "s66");
        bench
    }

    fn new() -> Self {
        Self { splice: Splice::new(), start: Instant::now() }
    }

    fn at(&self, ms: u32) -> Instant {
        self.start + ms * MS
    }

    fn source(&mut self, now: u32, pts: i64, key: bool) -> String {
        let now = self.at(now);
        text(self.splice.from_source(now, frame(Lane::Source, 0, pts, key)))
    }

    fn worker(&mut self, now: u32, pts: i64, key: bool) -> String {
        let now = self.at(now);
        text(self.splice.from_worker(now, frame(Lane::Worker, 0, pts, key)))
    }

    fn expire(&mut self, now: u32) -> String {
        let now = self.at(now);
        text(self.splice.expire(now))
    }
}

/// Lane and time of each frame, `k` behind keyframes; then the event.
fn text(passed: Passed) -> String {
    let frame = |f: &Encoded| {
        let lane = if f.data[0] == Lane::Source as u8 { 's' } else { 'w' };
        format!("{lane}{}{}", f.pts.millis(), if f.keyframe { "k" } else { "" })
    };
    let mut text = passed.frames.iter().map(frame).collect::<Vec<_>>().join(" ");
    if let Some(event) = passed.event {
        text += &match event {
            Event::OnSource { key } => format!(" | OnSource {}", key.millis()),
            Event::OnWorker { key } => format!(" | OnWorker {}", key.millis()),
            Event::StayedOnSource => " | StayedOnSource".to_owned(),
        };
    }
    text
}

#[test]
fn the_worker_starts_with_a_keyframe_and_the_source_is_shut_out() {
    let mut bench = Bench::new();
    assert_eq!(bench.source(0, 0, true), "");
    assert_eq!(bench.worker(50, 0, false), "");
    assert_eq!(bench.worker(80, 33, true), "w33k | OnWorker 33");
    assert_eq!(bench.worker(110, 66, false), "w66");
    assert_eq!(bench.splice.lane(), Lane::Worker);
    assert_eq!(bench.splice.cut(Duration::ZERO), None, "the worker can be asked");
}

#[test]
fn the_sources_key_picture_waits_for_the_workers_frames_before_it() {
    let mut bench = Bench::new();
    bench.worker(50, 0, true);
    bench.splice.aim(Lane::Source);
    assert_eq!(bench.source(33, 33, false), "");
    assert_eq!(bench.source(66, 66, false), "");
    assert_eq!(bench.source(100, 100, true), "");
    assert_eq!(bench.worker(100, 33, false), "w33");
    assert_eq!(bench.source(133, 133, false), "");
    assert_eq!(bench.worker(134, 66, false), "w66 s100k s133 | OnSource 100", "its last one");
    assert_eq!(bench.worker(150, 100, false), "");
    assert_eq!(bench.source(166, 166, false), "s166");
}

#[test]
fn a_worker_whose_times_are_its_own_is_over_with_its_first_frame_behind_the_key_picture() {
    let mut bench = Bench::new();
    bench.worker(50, 0, true);
    bench.splice.aim(Lane::Source);
    bench.source(66, 66, false);
    assert_eq!(bench.source(100, 100, true), "");
    assert_eq!(bench.worker(105, 60, false), "w60");
    assert_eq!(bench.worker(134, 110, false), "s100k | OnSource 100");
}

#[test]
fn a_worker_that_lags_too_far_loses_its_late_frames() {
    let mut bench = Bench::new();
    bench.worker(50, 0, true);
    bench.splice.aim(Lane::Source);
    bench.source(66, 66, false);
    bench.source(100, 100, true);
    assert_eq!(bench.splice.deadline(), Some(bench.at(350)));
    assert_eq!(bench.expire(349), "");
    assert_eq!(bench.expire(350), "s100k | OnSource 100");
    assert_eq!(bench.worker(360, 66, false), "");
    assert_eq!(bench.splice.deadline(), None);
}

#[test]
fn a_worker_that_gives_nothing_is_not_waited_for() {
    let mut bench = Bench::new();
    bench.worker(0, 0, true);
    bench.splice.aim(Lane::Source);
    bench.source(300, 300, false);
    assert_eq!(bench.source(333, 333, true), "s333k | OnSource 333");
}

#[test]
fn a_cut_lets_the_source_go_on_for_its_lead() {
    let mut bench = Bench::on_source();
    assert_eq!(bench.splice.cut(40 * MS).unwrap().millis(), 106);
    assert_eq!(bench.splice.cut(Duration::ZERO).unwrap().millis(), 106, "once");
    assert_eq!(bench.source(100, 100, false), "s100");
    assert_eq!(bench.worker(110, 66, true), "", "from before the cut");
    assert_eq!(bench.source(133, 133, false), "");
    assert_eq!(bench.splice.lane(), Lane::Source);
    assert_eq!(bench.worker(150, 133, true), "w133k | OnWorker 133");
    assert_eq!(bench.source(166, 166, false), "");
    assert_eq!(bench.worker(170, 166, false), "w166");
    // And back, by itself.
    assert_eq!(bench.source(200, 200, true), "s200k | OnSource 200");
}

#[test]
fn a_key_picture_before_the_workers_keyframe_ends_the_cut_without_a_gap() {
    let mut bench = Bench::on_source();
    bench.splice.cut(Duration::ZERO);
    assert_eq!(bench.source(100, 100, false), "");
    assert_eq!(bench.source(133, 133, true), "s100 s133k | OnSource 133");
    assert_eq!(bench.worker(140, 100, true), "");
    assert_eq!(bench.source(166, 166, false), "s166");
}

#[test]
fn a_worker_that_gives_no_keyframe_in_time_leaves_the_source_on() {
    let mut bench = Bench::on_source();
    bench.splice.cut(Duration::ZERO);
    bench.source(100, 100, false);
    assert_eq!(bench.splice.deadline(), Some(bench.at(800)));
    assert_eq!(bench.source(133, 133, false), "");
    assert_eq!(bench.expire(800), "s100 s133 | StayedOnSource");
    assert_eq!(bench.source(833, 833, false), "s833");
}

#[test]
fn a_picture_that_must_not_be_shown_is_not() {
    let mut bench = Bench::on_source();
    bench.splice.aim(Lane::Worker);
    assert_eq!(bench.splice.cut_at(MediaTime::from_millis(133)).unwrap().millis(), 133);
    assert_eq!(bench.source(100, 100, false), "s100");
    assert_eq!(bench.source(133, 133, false), "");
    assert_eq!(bench.source(166, 166, true), "");
    assert_eq!(bench.splice.deadline(), None);
    assert_eq!(bench.splice.lane(), Lane::Worker);
    assert_eq!(bench.worker(2000, 133, true), "w133k | OnWorker 133");
}

#[test]
fn a_source_that_turns_unfit_in_the_middle_of_a_cut_gives_up_what_waits() {
    let mut bench = Bench::on_source();
    let at = bench.splice.cut(Duration::ZERO);
    bench.source(100, 100, false);
    bench.splice.aim(Lane::Worker);
    assert_eq!(bench.splice.cut_at(MediaTime::from_millis(133)), at);
    assert_eq!(bench.source(133, 133, true), "");
    assert_eq!(bench.expire(5000), "");
    assert_eq!(bench.worker(5000, 100, true), "w100k | OnWorker 100");
}

#[test]
fn what_must_not_be_shown_is_not_for_being_aimed_at() {
    let mut bench = Bench::on_source();
    bench.splice.cut(100 * MS);
    bench.splice.cut_at(MediaTime::from_millis(133));
    assert_eq!(bench.source(100, 100, true), "s100k", "before it");
    assert_eq!(bench.source(133, 133, false), "");
    assert_eq!(bench.expire(5000), "");
    assert_eq!(bench.source(5000, 5000, true), "s5000k | OnSource 5000");
}

#[test]
fn every_change_of_lanes_is_told() {
    let mut bench = Bench::new();
    assert_eq!(bench.worker(0, 0, true), "w0k | OnWorker 0");
    bench.splice.aim(Lane::Source);
    assert_eq!(bench.source(33, 33, true), "s33k | OnSource 33");
    bench.splice.cut(Duration::ZERO);
    assert_eq!(bench.worker(70, 66, true), "w66k | OnWorker 66");
}

#[test]
fn a_source_that_turns_unfit_before_it_is_on_leaves_the_worker_on() {
    let mut bench = Bench::new();
    bench.worker(50, 0, true);
    bench.splice.aim(Lane::Source);
    bench.source(66, 66, false);
    bench.source(100, 100, true);
    assert_eq!(bench.splice.cut_at(MediaTime::from_millis(133)), None);
    bench.splice.aim(Lane::Worker);
    assert_eq!(bench.worker(150, 100, false), "w100");
}

#[test]
fn who_watches_again_gets_the_worker_at_once_or_the_next_key_picture() {
    let mut bench = Bench::on_source();
    bench.splice.close();
    assert_eq!(bench.source(100, 100, true), "");
    assert_eq!(bench.splice.cut(Duration::ZERO), None);
    bench.splice.open();
    assert_eq!(bench.source(133, 133, false), "");
    assert_eq!(bench.splice.cut(50 * MS).unwrap().millis(), 133, "the newest picture there is");
    assert_eq!(bench.worker(160, 133, true), "w133k | OnWorker 133");
    bench.splice.close();
    bench.splice.open();
    assert_eq!(bench.worker(166, 150, false), "");
    assert_eq!(bench.source(200, 200, true), "s200k | OnSource 200");
}

#[test]
fn another_connection_starts_on_the_worker_and_times_still_grow() {
    let mut bench = Bench::on_source();
    bench.splice.reset();
    assert_eq!(bench.source(70, 70, true), "");
    let passed = bench.splice.from_worker(bench.at(80), frame(Lane::Worker, 0, 66, true));
    assert_eq!(passed.frames[0].pts, MediaTime::from_millis(66) + TICK);
    assert_eq!(bench.splice.key_age(bench.at(80)), Some(10 * MS));
}

#[test]
fn another_worker_starts_with_a_keyframe() {
    let mut bench = Bench::new();
    bench.worker(0, 0, true);
    bench.splice.restart_worker();
    assert_eq!(bench.worker(33, 33, false), "");
    assert_eq!(bench.worker(66, 66, true), "w66k | OnWorker 66");
}

#[test]
fn what_waits_is_bounded_in_bytes() {
    let mut bench = Bench::on_source();
    bench.splice.cut(Duration::ZERO);
    let now = bench.at(100);
    let large =
        |ms| Encoded { data: Bytes::from(vec![1; HELD_BYTES / 2]), ..frame(Lane::Source, 0, ms, false) };
    assert!(bench.splice.from_source(now, large(100)).frames.is_empty());
    assert!(bench.splice.from_source(now, large(133)).frames.is_empty());
    assert_eq!(text(bench.splice.from_source(now, large(166))), "s100 s133 s166 | StayedOnSource");
}
