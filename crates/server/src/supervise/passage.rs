//! The way to the room: the worker's frames, and for the top layer the publisher's own pictures while they fit it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use livekit::room::Participant;
use media::{Codec, Encoded, Kind, Ladder, Layer, MediaTime, Output, Packet, Unit};
use pass::{Event, Judge, Lane, Passed, Splice, Verdict, Why};
use session::{Input, SourceId};

use crate::metrics::{self, Metrics, Origin};

/// One session's way to its room. The gate has no clock of its own: what waits in it goes on with the next frame of either
/// lane, which a live source gives within a fraction of a second.
pub(super) struct Passage {
    pub(super) room: Arc<OnceLock<Participant>>,
    metrics: Metrics,
    input: metrics::Input,
    epoch: Instant,
    /// The operator allows it.
    enabled: bool,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// The connection that feeds the session.
    source: Option<SourceId>,
    /// Of every connection that sends: it has to hear the first word of one that feeds the session a moment later.
    judges: HashMap<SourceId, Judge>,
    splice: Splice,
    /// The top layer that H.264 can be, and the most frames in 1 000 s.
    limit: Option<(Layer, u32)>,
    /// The room's newest frames of the top layer are the publisher's own.
    passing: bool,
}

/// What became of the worker's frame.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// Frames that the room had no place for.
    pub(super) lost: u64,
    /// For the state machine.
    pub(super) input: Option<Input>,
}

impl Passage {
    pub(super) fn new(
        room: Arc<OnceLock<Participant>>,
        metrics: Metrics,
        input: metrics::Input,
        epoch: Instant,
        enabled: bool,
    ) -> Self {
        Self { room, metrics, input, epoch, enabled, inner: Mutex::default() }
    }

    /// A worker starts, and this connection feeds the session from now on.
    pub(super) fn follow(&self, source: SourceId) {
        let mut inner = self.lock();
        inner.splice.restart_worker();
        if inner.source.replace(source) != Some(source) {
            inner.splice.reset();
            inner.judges.retain(|of, _| *of == source);
            inner.passing = false;
        }
    }

    /// The ladder as the worker will make it.
    pub(super) fn fit(&self, ladder: &Ladder) {
        let mut inner = self.lock();
        let top = ladder.layers.last().filter(|_| ladder.codec == Codec::H264);
        inner.limit = top.map(|top| (*top, ladder.max_fps_milli));
    }

    /// A unit of a connection, on the session's clock. Gives what the state machine has to know.
    pub(super) fn source(&self, source: SourceId, unit: &Unit, now: Instant) -> Vec<Input> {
        if !self.enabled {
            return Vec::new();
        }
        let mut guard = self.lock();
        let inner = &mut *guard;
        let judge = inner.judges.entry(source).or_default();
        judge.set_layer(inner.limit.map(|(layer, _)| layer), inner.limit.map_or(0, |(_, fps)| fps));
        let verdict = judge.take(unit);
        let Unit::Packet(packet) = unit else { return Vec::new() };
        if inner.source != Some(source) || packet.kind != Kind::Video {
            return Vec::new();
        }
        match verdict {
            Some(Verdict::Fits) => inner.splice.aim(Lane::Source),
            Some(Verdict::Unfit(why)) => return self.unfit(inner, source, packet, why).into_iter().collect(),
            None => {}
        }
        // Until the worker's keyframe is there nothing more goes out: a B-frame would come before its time.
        let over = judge.verdict() != Verdict::Fits && inner.splice.lane() == Lane::Source;
        let Some((top, _)) = inner.limit.filter(|_| !over) else { return Vec::new() };
        let Some(frame) = judge.frame(packet, Output::Video(top.quality)) else { return Vec::new() };
        let passed = inner.splice.from_source(now, frame);
        self.carry_out(inner, source, passed, None, now).1.into_iter().collect()
    }

    /// The publisher's pictures must not be shown from this one on.
    fn unfit(&self, inner: &mut Inner, source: SourceId, packet: &Packet, why: Why) -> Option<Input> {
        inner.splice.aim(Lane::Worker);
        if inner.splice.lane() == Lane::Worker {
            return None;
        }
        tracing::info!(%source, "publisher's own pictures no longer fit the top layer, which is encoded from here on: {why}");
        inner.splice.cut_at(packet.pts).map(|from| Input::NotPassing { source, from })
    }

    /// A frame of the worker's.
    pub(super) fn worker(&self, frame: Encoded, now: Instant) -> Sent {
        let mut inner = self.lock();
        let (Output::Video(quality), Some(source)) = (frame.output, inner.source) else {
            drop(inner);
            return Sent { lost: self.write(frame, Origin::Encoded, now), input: None };
        };
        if inner.limit.is_some_and(|(top, _)| top.quality != quality) {
            drop(inner);
            return Sent { lost: self.write(frame, Origin::Encoded, now), input: None };
        }
        let own = frame.data.as_ptr();
        let passed = inner.splice.from_worker(now, frame);
        let (lost, input) = self.carry_out(&mut inner, source, passed, Some(own), now);
        Sent { lost, input }
    }

    /// Nothing of the top layer goes out, or it does again.
    pub(super) fn show(&self, shown: bool) {
        let mut inner = self.lock();
        if shown {
            inner.splice.open();
        } else {
            inner.splice.close();
            inner.passing = false;
        }
    }

    /// Over to the worker, which takes `lead` until it can give its first picture. The time of that picture; `None` when
    /// the worker's frames go out already, or the publisher's key picture has come.
    pub(super) fn bridge(&self, lead: Duration) -> Option<MediaTime> {
        self.lock().splice.cut(lead)
    }

    /// Writes what the gate lets out. `own` is the data of the worker's frame, where it is one of them.
    fn carry_out(
        &self,
        inner: &mut Inner,
        source: SourceId,
        passed: Passed,
        own: Option<*const u8>,
        now: Instant,
    ) -> (u64, Option<Input>) {
        let (mut lost, mut key) = (0, false);
        for frame in passed.frames {
            let origin = if own == Some(frame.data.as_ptr()) { Origin::Encoded } else { Origin::Passed };
            key |= frame.keyframe && origin == Origin::Passed;
            lost += self.write(frame, origin, now);
        }
        let input = match passed.event {
            Some(Event::OnSource { .. } | Event::StayedOnSource) => {
                if !std::mem::replace(&mut inner.passing, true) {
                    self.metrics.switched(Origin::Passed);
                    tracing::info!(%source, "publisher's own pictures are the top layer");
                }
                Some(Input::Passing(source))
            }
            Some(Event::OnWorker { .. }) => {
                if std::mem::take(&mut inner.passing) {
                    self.metrics.switched(Origin::Encoded);
                }
                None
            }
            None => key.then_some(Input::PassedKey(source)),
        };
        (lost, input)
    }

    /// Before the room is there, frames have nowhere to go; once it is, it asks for keyframes. Gives the number of frames lost.
    fn write(&self, frame: Encoded, origin: Origin, now: Instant) -> u64 {
        let Some(room) = self.room.get() else { return 0 };
        let came = MediaTime::from_duration(now.saturating_duration_since(self.epoch));
        let late = came.duration_since(frame.pts);
        self.metrics.packet_latency(frame.output.kind(), self.input, late);
        self.metrics.frame(frame.output, origin);
        u64::from(!room.write(frame))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that holds this lock can panic half way through a change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
