//! Random orders of everything that can happen to a gate.

use super::{tests::frame, *};
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);

#[derive(Debug, Clone)]
enum Step {
    /// The source's next picture, and the worker's copy of it so many steps later.
    Picture {
        key: bool,
        step_ms: i64,
    },
    /// The worker catches up by so many frames.
    Worker {
        frames: usize,
    },
    /// Another worker: what it had is lost.
    WorkerDies,
    WorkerKeyframe,
    Aim(Lane),
    Cut {
        lead_ms: u64,
    },
    CutAt,
    Close,
    Open,
    Reset,
    Wait {
        ms: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let lane = prop_oneof![Just(Lane::Worker), Just(Lane::Source), Just(Lane::Source)];
    let step = prop_oneof![
        30 => (prop::bool::weighted(0.15), -5_i64..80).prop_map(|(key, step_ms)| Step::Picture { key, step_ms }),
        20 => (0_usize..4).prop_map(|frames| Step::Worker { frames }),
        1 => Just(Step::WorkerDies),
        3 => Just(Step::WorkerKeyframe),
        4 => lane.prop_map(Step::Aim),
        4 => (0_u64..300).prop_map(|lead_ms| Step::Cut { lead_ms }),
        2 => Just(Step::CutAt),
        1 => Just(Step::Close),
        2 => Just(Step::Open),
        1 => Just(Step::Reset),
        3 => (1_u64..900).prop_map(|ms| Step::Wait { ms }),
    ];
    prop::collection::vec(step, 1..300)
}

/// What a receiver checks.
#[derive(Default)]
struct Receiver {
    last: Option<Encoded>,
}

impl Receiver {
    fn take(&mut self, frame: Encoded) -> Result<(), TestCaseError> {
        let id = |frame: &Encoded| (frame.data[0], u32::from_be_bytes(frame.data[1..5].try_into().unwrap()));
        match &self.last {
            None => prop_assert!(frame.keyframe, "starts with {frame:?}"),
            Some(last) => {
                // By RTP's clock, which is what a receiver sees.
                prop_assert!(
                    frame.pts.ticks_at(90_000) > last.pts.ticks_at(90_000),
                    "{frame:?} after {last:?}"
                );
                let (lane, number) = id(last);
                prop_assert!(frame.keyframe || id(&frame) == (lane, number + 1), "{frame:?} after {last:?}");
            }
        }
        self.last = Some(frame);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_goes_out_is_decodable_and_its_times_grow(steps in steps()) {
        let mut splice = Splice::new();
        let mut receiver = Receiver::default();
        let (mut now, mut pts, mut number) = (Instant::now(), 0, 0);
        let (mut encoded, mut behind, mut want_key) = (0, Vec::new(), true);
        let mut must_cut = None;
        for step in steps {
            let mut all = Vec::new();
            match step {
                Step::Picture { key, step_ms } => {
                    pts += step_ms;
                    number += 1;
                    behind.push(pts);
                    now += u32::try_from(step_ms.max(0)).unwrap() * MS;
                    all.push(splice.from_source(now, frame(Lane::Source, number, pts, key)));
                }
                Step::Worker { frames } => for pts in behind.drain(..frames.min(behind.len())) {
                    encoded += 1;
                    let key = std::mem::take(&mut want_key);
                    all.push(splice.from_worker(now, frame(Lane::Worker, encoded, pts, key)));
                },
                Step::WorkerDies => {
                    behind.clear();
                    // Frames are lost, and what follows need not begin as it should.
                    encoded += 1;
                    splice.restart_worker();
                }
                Step::WorkerKeyframe => want_key = true,
                Step::Aim(lane) => splice.aim(lane),
                Step::Cut { lead_ms } => if let Some(at) = splice.cut(Duration::from_millis(lead_ms)) {
                    want_key = true;
                    // The order may come late, or too late.
                    if lead_ms % 2 == 0 {
                        behind.retain(|pts| MediaTime::from_millis(*pts) >= at);
                    }
                },
                Step::CutAt => {
                    let time = MediaTime::from_millis(pts + 20);
                    splice.aim(Lane::Worker);
                    must_cut = splice.cut_at(time).map(|_| time);
                    want_key = true;
                }
                Step::Close => splice.close(),
                Step::Open => splice.open(),
                Step::Reset => splice.reset(),
                Step::Wait { ms } => {
                    now += Duration::from_millis(ms);
                    if splice.deadline().is_some_and(|deadline| deadline <= now) {
                        all.push(splice.expire(now));
                        prop_assert!(splice.deadline().is_none());
                    }
                }
            }
            for passed in all {
                if let Some(Event::OnSource { .. }) = passed.event {
                    must_cut = None;
                }
                let lane = |frame: &Encoded| frame.data[0];
                let told = matches!(passed.event, Some(Event::OnSource { .. } | Event::OnWorker { .. }));
                for frame in passed.frames {
                    let of_source = frame.data[0] == Lane::Source as u8;
                    let changes = receiver.last.as_ref().is_none_or(|last| lane(last) != lane(&frame));
                    prop_assert!(told || !changes, "not told of {frame:?}");
                    prop_assert!(!(of_source && must_cut.is_some_and(|time| frame.pts >= time)), "unfit: {frame:?}");
                    receiver.take(frame)?;
                }
            }
        }
    }

    #[test]
    fn an_aimed_gate_is_on_the_source_soon_after_its_next_key_picture(steps in steps()) {
        let mut splice = Splice::new();
        let (mut now, mut pts) = (Instant::now(), 0);
        for step in steps {
            match step {
                Step::Picture { key, step_ms } => {
                    pts += step_ms;
                    let _ = splice.from_source(now, frame(Lane::Source, 0, pts, key));
                }
                Step::Worker { .. } => drop(splice.from_worker(now, frame(Lane::Worker, 0, pts - 30, true))),
                Step::Cut { lead_ms } => drop(splice.cut(Duration::from_millis(lead_ms))),
                Step::Close => splice.close(),
                Step::Wait { ms } => now += Duration::from_millis(ms),
                _ => {}
            }
        }
        splice.open();
        splice.aim(Lane::Source);
        let far = pts + 10_000;
        let _ = splice.from_source(now, frame(Lane::Source, 0, far, true));
        let _ = splice.expire(now + TAIL);
        prop_assert_eq!(splice.lane(), Lane::Source);
        prop_assert_eq!(splice.from_source(now + TAIL, frame(Lane::Source, 0, far + 33, false)).frames.len(), 1);
    }
}
