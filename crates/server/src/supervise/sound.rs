//! Sound on its way to the room: from the worker, or from the publisher as it is, without a gap between the two.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use livekit::room::Participant;
use media::{Codec, Encoded, Format, Kind, MediaTime, Output, Packet, Unit};
use pass::opus::{Judge, Limits, Verdict, Why};
use session::{Input, SoundWay, SourceId, SourceInfo};

use crate::metrics::{self, Metrics};

/// Packets that a worker gets before those that it is to encode: a decoder needs 80 ms to find its feet (RFC 7845 §4.6).
const WARM_UP: usize = 4;

/// What a worker still has of the sound comes out within this time. Past it the publisher's own packets wait no longer.
const HAND_OVER: Duration = Duration::from_millis(100);

/// Packets of two makers are not aligned: one that begins less than half a usual packet after another stands for the
/// same sound.
const SAME: MediaTime = MediaTime::from_millis(10);

/// The session's one way of sound into the room. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Outlet {
    room: Arc<OnceLock<Participant>>,
    epoch: Instant,
    metrics: Metrics,
    input: metrics::Input,
    mix: Arc<Mutex<Mix>>,
}

impl Outlet {
    pub(super) fn new(
        room: Arc<OnceLock<Participant>>,
        epoch: Instant,
        metrics: Metrics,
        input: metrics::Input,
    ) -> Self {
        Self { room, epoch, metrics, input, mix: Arc::default() }
    }

    /// This connection feeds the session from now on.
    pub(super) fn begin(&self, source: SourceId) {
        self.mix(|mix, _| mix.begin(source));
    }

    /// What is earlier is not heard.
    fn start(&self, at: MediaTime) {
        self.mix(|mix, _| mix.start(at));
    }

    /// A packet that the worker has made; written when it is its turn.
    pub(super) fn worker_made(&self, packet: Encoded) {
        self.mix(|mix, out| mix.worker_made(packet, out));
    }

    fn publisher_sent(&self, source: SourceId, packet: Encoded) {
        self.mix(|mix, out| mix.publisher_sent(Instant::now(), source, packet, out));
    }

    fn encode(&self, source: SourceId) {
        self.mix(|mix, out| mix.encode(source, out));
    }

    /// Writes under the lock, so that packets keep their order.
    fn mix(&self, act: impl FnOnce(&mut Mix, &mut Vec<Encoded>)) {
        let mut out = Vec::new();
        // Nothing that holds this lock can panic half way through a change.
        let mut mix = self.mix.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut mix, &mut out);
        let Some(room) = self.room.get() else { return };
        for packet in out {
            let came = MediaTime::from_duration(self.epoch.elapsed());
            self.metrics.packet_latency(Kind::Audio, self.input, came.duration_since(packet.pts));
            self.metrics.sound_packet(if mix.untouched { "untouched" } else { "encoded" });
            room.write(packet);
        }
    }
}

/// Who of the two is heard.
#[derive(Debug, Default)]
struct Mix {
    source: Option<SourceId>,
    untouched: bool,
    /// When the last packet began. What comes is later.
    last: Option<MediaTime>,
    /// The last packet was the worker's: it may have others under way.
    from_worker: bool,
    /// The publisher's, until the worker's last ones have come.
    waiting: VecDeque<Encoded>,
    until: Option<Instant>,
}

impl Mix {
    fn begin(&mut self, source: SourceId) {
        if self.source != Some(source) {
            // Its times may begin before the last ones of the connection before it.
            *self = Self { source: Some(source), ..Self::default() };
        }
    }

    fn start(&mut self, at: MediaTime) {
        self.last = self.last.max(Some(at.since(SAME)));
    }

    fn worker_made(&mut self, packet: Encoded, out: &mut Vec<Encoded>) {
        if self.last.is_some_and(|last| packet.pts < last + SAME) {
            return;
        }
        match self.waiting.front() {
            Some(first) if packet.pts + SAME > first.pts => return self.release(out),
            None if self.untouched => return,
            _ => {}
        }
        (self.last, self.from_worker) = (Some(packet.pts), true);
        out.push(packet);
    }

    fn publisher_sent(&mut self, now: Instant, source: SourceId, packet: Encoded, out: &mut Vec<Encoded>) {
        if self.source != Some(source) {
            return;
        }
        if !std::mem::replace(&mut self.untouched, true) {
            self.until = self.from_worker.then(|| now + HAND_OVER);
        }
        self.waiting.push_back(packet);
        if self.until.is_none_or(|until| until <= now) {
            self.release(out);
        }
    }

    fn encode(&mut self, source: SourceId, out: &mut Vec<Encoded>) {
        if self.source == Some(source) {
            self.release(out);
            self.untouched = false;
        }
    }

    fn release(&mut self, out: &mut Vec<Encoded>) {
        (self.until, self.from_worker) = (None, false);
        let last = self.last;
        let waiting =
            self.waiting.drain(..).filter(|packet| last.is_none_or(|last| packet.pts >= last + SAME));
        out.extend(waiting);
        self.last = out.last().map_or(self.last, |packet| Some(packet.pts));
    }
}

/// One connection's sound: it goes to the outlet, or with the pictures to the worker.
#[derive(Debug)]
pub(super) struct Lane {
    source: SourceId,
    outlet: Outlet,
    limits: Limits,
    judge: Judge,
    format: Option<Unit>,
    /// The last ones that went past the worker.
    recent: VecDeque<Unit>,
    /// As told; `None` before the first packet.
    way: Option<SoundWay>,
}

impl Lane {
    pub(super) fn new(source: SourceId, outlet: Outlet, audio: pipeline::Audio) -> Self {
        let pipeline::Audio { channels, bitrate_bps, dtx } = audio;
        let limits = Limits { channels, bitrate_bps, dtx };
        let (judge, recent) = (Judge::new(limits), VecDeque::new());
        Self { source, outlet, limits, judge, format: None, recent, way: None }
    }

    /// What the room hears begins at `at`: what was given before it was given to nobody.
    pub(super) fn start(&self, at: MediaTime) {
        self.outlet.start(at);
    }

    /// Takes what came, on the session's clock. Gives what is for the worker, and what is news.
    pub(super) fn take(&mut self, unit: Unit) -> (Vec<Unit>, Option<Input>) {
        match unit {
            Unit::Format(track, format) if format.codec.kind() == Kind::Audio => {
                self.judge.format(&format);
                self.describe(Unit::Format(track, format.clone()), &format)
            }
            Unit::Packet(packet) if packet.kind == Kind::Audio && self.format.is_some() => {
                self.packet(packet)
            }
            other => (vec![other], None),
        }
    }

    /// Opus waits for its first packet; the worker hears of anything else at once.
    fn describe(&mut self, unit: Unit, format: &Format) -> (Vec<Unit>, Option<Input>) {
        if format.codec == Codec::Opus {
            self.format = Some(unit);
            return (Vec::new(), None);
        }
        self.format = None;
        let news = matches!(self.way, Some(SoundWay::Untouched { .. })).then(|| self.go_over(None)).flatten();
        (vec![unit], news)
    }

    fn packet(&mut self, packet: Packet) -> (Vec<Unit>, Option<Input>) {
        match self.judge.packet(&packet) {
            Verdict::Untouched(pts) => {
                let data = packet.data.clone();
                self.outlet.publisher_sent(
                    self.source,
                    Encoded { output: Output::Audio, pts, keyframe: true, data },
                );
                self.recent.push_back(Unit::Packet(packet));
                if self.recent.len() > WARM_UP {
                    self.recent.pop_front();
                }
                let channels = u32::from(self.judge.channels().unwrap_or(2));
                let info = SourceInfo::Audio { codec: Codec::Opus, channels, sample_rate: 48_000 };
                let way = SoundWay::Untouched { info, channels: self.limits.channels };
                if self.way == Some(way) {
                    return (Vec::new(), None);
                }
                self.way = Some(way);
                tracing::info!(source = %self.source, "sound goes to the room as it comes");
                (Vec::new(), Some(Input::SoundWay { source: self.source, way }))
            }
            Verdict::Early => (Vec::new(), None),
            Verdict::Encode(why) => {
                if self.way == Some(SoundWay::Encoded) {
                    return (vec![Unit::Packet(packet)], None);
                }
                let mut units: Vec<Unit> =
                    self.format.clone().into_iter().chain(self.recent.drain(..)).collect();
                units.push(Unit::Packet(packet));
                (units, self.go_over(Some(why)))
            }
        }
    }

    fn go_over(&mut self, why: Option<Why>) -> Option<Input> {
        self.recent.clear();
        self.outlet.encode(self.source);
        self.way = Some(SoundWay::Encoded);
        match why {
            Some(why) => tracing::info!(source = %self.source, "sound is encoded again: {why}"),
            None => tracing::info!(source = %self.source, "sound is Opus no more"),
        }
        Some(Input::SoundWay { source: self.source, way: SoundWay::Encoded })
    }
}

#[cfg(test)]
#[path = "sound_tests.rs"]
mod tests;
