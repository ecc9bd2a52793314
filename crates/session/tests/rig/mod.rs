//! A session on a virtual clock, with names for what its surroundings usually do.

#![allow(dead_code, unreachable_pub, reason = "each test file uses another part of it")]

use std::time::{Duration, Instant};

use media::{Codec, Kind, Layer, Quality};
use sluicegate_session::*;

pub const MS: Duration = Duration::from_millis(1);
pub const SECOND: Duration = Duration::from_secs(1);
pub const FIRST: SourceId = SourceId(1);
pub const SETTINGS: Settings = Settings {
    refusal: None,
    active_elsewhere: false,
    reusable: true,
    video: true,
    audio: true,
    forward: false,
    proxied: false,
    pull: false,
};

/// A URL that is played.
pub const PULL: Settings = Settings { reusable: false, pull: true, ..SETTINGS };

pub struct Rig {
    pub now: Instant,
    pub ingress: Ingress,
    /// Everything it said so far.
    pub log: Vec<Output>,
}

impl Rig {
    pub fn new(settings: Settings) -> Self {
        let now = Instant::now();
        Self { now, ingress: Ingress::new(now, FIRST, settings, Budget::default()), log: Vec::new() }
    }

    /// A session in the given stage, with sound and three layers once it is live, and its log so far dropped.
    pub fn at(stage: Stage) -> Self {
        Self::with(SETTINGS, stage)
    }

    pub fn with(settings: Settings, stage: Stage) -> Self {
        let mut rig = Rig::new(settings);
        if stage >= Stage::Admitted {
            rig.feed(Input::Admission(Admitted::Yes));
        }
        if stage >= Stage::Joining {
            rig.feed(Input::SourceAccepted(FIRST));
        }
        if stage >= Stage::Buffering {
            rig.feed(Input::RoomJoined { sid: "RM_1".into() });
        }
        if stage >= Stage::Live {
            rig.worker_ready();
            rig.media_ready();
            rig.feed(Input::Published(Kind::Video));
            rig.feed(Input::Published(Kind::Audio));
        }
        assert_eq!(rig.ingress.stage(), stage);
        rig.log.clear();
        rig
    }

    pub fn feed(&mut self, input: Input) -> Vec<Output> {
        let out = self.ingress.handle(self.now, input);
        self.log.extend(out.iter().cloned());
        out
    }

    /// Lets time pass, with a tick at each deadline on the way.
    pub fn pass(&mut self, time: Duration) -> Vec<Output> {
        let (until, from) = (self.now + time, self.log.len());
        while let Some(at) = self.ingress.next_deadline().filter(|at| *at <= until) {
            assert!(at > self.now, "a deadline in the past would never let the caller sleep");
            self.now = at;
            self.feed(Input::Tick);
        }
        self.now = until;
        self.log[from..].to_vec()
    }

    /// The last worker that was started, in this rig's log or before.
    pub fn worker(&self) -> WorkerId {
        self.log.iter().rev().find_map(started).unwrap_or_else(first_worker)
    }

    pub fn worker_ready(&mut self) -> Vec<Output> {
        self.feed(Input::WorkerReady(self.worker()))
    }

    pub fn layers_ready(&mut self, layers: Vec<Layer>) -> Vec<Output> {
        self.feed(Input::LayersReady { worker: self.worker(), layers })
    }

    pub fn audio_ready(&mut self) -> Vec<Output> {
        self.feed(Input::AudioReady { worker: self.worker(), channels: 2 })
    }

    /// Both kinds are promised, described and ready.
    pub fn media_ready(&mut self) {
        for kind in [Kind::Video, Kind::Audio] {
            self.feed(Input::SourceFormat { source: FIRST, kind });
        }
        self.feed(Input::SourceInfo { worker: self.worker(), info: VIDEO });
        self.feed(Input::SourceInfo { worker: self.worker(), info: AUDIO });
        self.layers_ready(layers());
        self.audio_ready();
    }

    /// `time` of media going in, and coming out when `out`.
    pub fn stream(&mut self, source: SourceId, time: Duration, out: bool) {
        let until = self.now + time;
        while self.now < until {
            self.pass(200 * MS);
            self.feed(Input::SourceMedia { source, video_bytes: 50_000, audio_bytes: 2_500, refused: false });
            if out {
                self.feed(Input::FrameOut(self.worker()));
            }
        }
    }

    /// The states that were posted.
    pub fn reports(&self) -> Vec<Status> {
        self.log.iter().filter_map(reported).cloned().collect()
    }

    pub fn phases(&self) -> Vec<Phase> {
        self.reports().iter().map(|status| status.phase).collect()
    }

    pub fn outcome(&self) -> Option<Outcome> {
        self.log.iter().find_map(|out| match out {
            Output::Over(outcome) => Some(outcome.clone()),
            _ => None,
        })
    }

    /// The same for a session that may never have been in a room.
    pub fn finish_anyhow(&mut self) -> Outcome {
        self.feed(Input::Reported);
        self.feed(Input::RoomEnded(RoomEnd::Left));
        self.outcome().expect("the session is over")
    }

    /// Lets a session that is ending come to its end: the room is left, the state is posted.
    pub fn finish(&mut self) -> Outcome {
        self.pass(SECOND);
        self.feed(Input::Reported);
        self.feed(Input::RoomEnded(RoomEnd::Left));
        self.outcome().expect("the session is over")
    }
}

pub const VIDEO: SourceInfo =
    SourceInfo::Video { codec: Codec::H264, width: 1280, height: 720, fps_milli: 30_000 };
pub const AUDIO: SourceInfo = SourceInfo::Audio { codec: Codec::Aac, channels: 2, sample_rate: 48_000 };

pub fn layers() -> Vec<Layer> {
    let layer = |quality, width, height, bitrate_bps| Layer { quality, width, height, bitrate_bps };
    vec![
        layer(Quality::Low, 320, 180, 240_000),
        layer(Quality::Medium, 640, 360, 680_000),
        layer(Quality::High, 1280, 720, 1_900_000),
    ]
}

/// What a subscriber of the named quality makes the SFU want.
pub fn up_to(quality: Quality) -> Qualities {
    Quality::ALL.into_iter().filter(|other| *other <= quality).collect()
}

pub fn started(out: &Output) -> Option<WorkerId> {
    match out {
        Output::StartWorker { worker, .. } => Some(*worker),
        _ => None,
    }
}

pub fn reported(out: &Output) -> Option<&Status> {
    match out {
        Output::Report(status) => Some(status),
        _ => None,
    }
}

pub fn is_close(out: &Output, id: SourceId, reason: &Why) -> bool {
    matches!(out, Output::CloseSource { source, why } if *source == id && why == reason)
}

/// Workers are numbered by the session: this is the name of each session's first.
fn first_worker() -> WorkerId {
    let mut rig = Rig::new(SETTINGS);
    rig.feed(Input::Admission(Admitted::Yes));
    rig.feed(Input::SourceAccepted(FIRST));
    rig.log.iter().find_map(started).expect("an accepted source has a worker")
}
