use std::{
    mem,
    time::{Duration, Instant},
};

use media::{Encoded, MediaTime};

use crate::keys::Keys;

/// How long the source's key picture waits for the worker's frames before it, which come later by what decoding and
/// encoding take (some 50 ms on an idle machine). Past it the worker's late frames are dropped. Also: a worker that gave
/// nothing for this long has nothing on its way.
const TAIL: Duration = Duration::from_millis(250);

/// How long a worker may keep its first keyframe back once the source's pictures have ended for its sake. Past it the
/// source goes on, all at once with what waited, which must fit the second that the room's queue holds.
const PATIENCE: Duration = Duration::from_millis(700);

/// What may wait, in bytes: a publisher's backlog can come at the speed of its network. Past it waiting ends.
const HELD_BYTES: usize = 4 << 20;

/// The least distance of two frames: one tick of RTP's 90 kHz, rounded up so that it stays one.
const TICK: MediaTime = MediaTime::from_nanos(11_112);

/// Where the frames of a layer come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Decoded and encoded anew.
    Worker,
    /// As the publisher sent them.
    Source,
}

/// A lane's frames go out that did not before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The source's, from this key picture on (or still, because it came before a cut was carried out): the worker need
    /// not make this layer any more.
    OnSource {
        /// Its time as it left.
        key: MediaTime,
    },
    /// The worker's, from this keyframe on.
    OnWorker {
        /// Its time as it left.
        key: MediaTime,
    },
    /// The source's go on, without a key picture: the worker did not give a keyframe in time for a cut. Who asked for a
    /// keyframe did not get one.
    StayedOnSource,
}

/// What one call lets out, in order, and what changed with it.
#[derive(Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Passed {
    /// For the room, now.
    pub frames: Vec<Encoded>,
    /// For the state machine.
    pub event: Option<Event>,
}

/// The gate in front of one layer of the room: two lanes in, one decodable stream with strictly growing times out.
///
/// It is told every frame of both lanes, also those that it will drop, each lane complete and in its order; frames that are
/// lost before it must be followed by a key frame on that lane, or by [`Splice::cut_at`].
#[derive(Debug)]
pub struct Splice {
    aim: Lane,
    open: bool,
    state: State,
    /// The newest time that went out.
    last: Option<MediaTime>,
    /// The worker's frame before the next one went out.
    worker_flows: bool,
    /// The worker's newest frame, and when it came.
    worker: Option<(MediaTime, Instant)>,
    /// The source's newest time.
    source: Option<MediaTime>,
    keys: Keys,
}

#[derive(Debug)]
enum State {
    /// The worker's frames go out.
    Worker,
    /// A key picture of the source has come; the worker's frames before it go out first.
    Closing { key: MediaTime, before: Option<MediaTime>, held: Held },
    /// The source's pictures go out.
    Source,
    /// The source's pictures before a time still go out, then the worker's from a keyframe on.
    Cut(Cut),
}

#[derive(Debug)]
struct Cut {
    at: MediaTime,
    /// The source's pictures still go out.
    flows: bool,
    /// Whether the source may go on should the worker give nothing: its pictures since.
    stay: Option<Held>,
}

/// The source's pictures without a gap, and until when they may wait.
#[derive(Debug, Default)]
struct Held {
    frames: Vec<Encoded>,
    bytes: usize,
    until: Option<Instant>,
}

impl Held {
    fn push(&mut self, until: Instant, frame: Encoded) {
        self.until.get_or_insert(until);
        self.bytes += frame.data.len();
        self.frames.push(frame);
    }

    fn is_over(&self, now: Instant) -> bool {
        self.bytes > HELD_BYTES || self.until.is_some_and(|until| until <= now)
    }
}

impl Default for Splice {
    fn default() -> Self {
        Self::new()
    }
}

impl Splice {
    /// An open gate on the worker's lane, aimed at the worker.
    pub fn new() -> Self {
        Self {
            aim: Lane::Worker,
            open: true,
            state: State::Worker,
            last: None,
            worker_flows: false,
            worker: None,
            source: None,
            keys: Keys::default(),
        }
    }

    /// Whose frames go out, or will next: a cut that is not carried out yet counts as the source.
    pub fn lane(&self) -> Lane {
        match &self.state {
            State::Worker | State::Closing { .. } => Lane::Worker,
            State::Source => Lane::Source,
            State::Cut(cut) if cut.flows || cut.stay.is_some() => Lane::Source,
            State::Cut(_) => Lane::Worker,
        }
    }

    /// Where to go. [`Lane::Source`]: over to it with its next key picture, after every cut again. [`Lane::Worker`]: no
    /// more; when the source's pictures go out already they do until a cut.
    pub fn aim(&mut self, lane: Lane) {
        self.aim = lane;
        match &mut self.state {
            State::Closing { .. } if lane == Lane::Worker => self.state = State::Worker,
            State::Cut(cut) if lane == Lane::Worker => cut.stay = None,
            _ => {}
        }
    }

    /// Over to the worker, because a keyframe is wanted that the source cannot give. Returns the time from which the
    /// worker must make pictures, the first of them a keyframe; `None` when there is no need: nobody watches, or the
    /// worker's frames go out already (it can be asked for a keyframe).
    ///
    /// The source's pictures go out for `lead` longer, so that nobody sees a standstill while a decoder that was at rest
    /// catches up. A key picture of the source that comes before the worker's keyframe ends the cut.
    pub fn cut(&mut self, lead: Duration) -> Option<MediaTime> {
        match &self.state {
            _ if !self.open => None,
            State::Closing { .. } => None,
            State::Worker if self.worker_flows => None,
            // Nothing goes out, so the newest picture is the first worth showing.
            State::Worker => Some(self.after_last(self.source.unwrap_or(MediaTime::ZERO))),
            State::Cut(cut) => Some(cut.at),
            State::Source => {
                let newest = self.source.or(self.last).unwrap_or(MediaTime::ZERO);
                let at = self.after_last(newest + MediaTime::from_duration(lead) + TICK);
                let stay = (self.aim == Lane::Source).then(Held::default);
                self.state = State::Cut(Cut { at, flows: true, stay });
                Some(at)
            }
        }
    }

    /// Over to the worker, because the source's pictures from `time` on must not be shown. Returns what [`Splice::cut`]
    /// does. None of them goes out any more; with the aim still on the source, its next key picture does.
    pub fn cut_at(&mut self, time: MediaTime) -> Option<MediaTime> {
        let time = self.after_last(time);
        match &mut self.state {
            State::Worker => return self.cut(Duration::ZERO),
            State::Closing { .. } => {
                self.state = State::Worker;
                return None;
            }
            State::Cut(cut) => {
                cut.at = cut.at.min(time);
                cut.stay = None;
                return Some(cut.at);
            }
            State::Source => {}
        }
        self.state = State::Cut(Cut { at: time, flows: true, stay: None });
        Some(time)
    }

    /// Nobody watches: nothing goes out.
    pub fn close(&mut self) {
        self.open = false;
        self.state = State::Worker;
        self.worker_flows = false;
    }

    /// Somebody watches again. The source's pictures go out from a key picture on; [`Splice::cut`] gives the worker's
    /// earlier.
    pub fn open(&mut self) {
        self.open = true;
    }

    /// Another connection feeds the session: back to the worker, aimed at the worker. Times still grow.
    pub fn reset(&mut self) {
        *self = Self { open: self.open, last: self.last, ..Self::new() };
    }

    /// Another worker takes the place of one that died: its frames go out from a keyframe on.
    pub fn restart_worker(&mut self) {
        self.worker_flows = false;
        self.worker = None;
    }

    /// A picture of the source, ready for the room; `keyframe` only where every receiver can start.
    pub fn from_source(&mut self, now: Instant, frame: Encoded) -> Passed {
        let before = self.source;
        self.source = self.source.max(Some(frame.pts));
        if frame.keyframe {
            self.keys.note(now, frame.pts);
        }
        let mut passed = self.expire(now);
        if !self.open {
            return passed;
        }
        let aimed = self.aim == Lane::Source;
        match &mut self.state {
            State::Worker if frame.keyframe && aimed => self.close_in(now, before, frame, &mut passed),
            State::Worker => {}
            State::Source => self.emit(frame, &mut passed),
            State::Closing { held, .. } => {
                held.push(now + TAIL, frame);
                if held.is_over(now) {
                    self.go_on_source(&mut passed);
                }
            }
            State::Cut(cut) if frame.keyframe && aimed && (cut.stay.is_some() || frame.pts >= cut.at) => {
                let held = cut.stay.take().map(|held| held.frames).unwrap_or_default();
                self.stay(held, frame, &mut passed);
            }
            State::Cut(cut) if cut.flows && frame.pts < cut.at => self.emit(frame, &mut passed),
            State::Cut(cut) => {
                cut.flows = false;
                if let Some(held) = &mut cut.stay {
                    held.push(now + PATIENCE, frame);
                }
                let more = self.expire(now);
                passed.frames.extend(more.frames);
                passed.event = passed.event.or(more.event);
            }
        }
        passed
    }

    /// A frame of the worker.
    pub fn from_worker(&mut self, now: Instant, frame: Encoded) -> Passed {
        self.worker = Some((frame.pts, now));
        let mut passed = self.expire(now);
        let starts = self.worker_flows || frame.keyframe;
        match &self.state {
            State::Worker if self.open && starts => self.emit_worker(frame, &mut passed),
            State::Closing { key, before, .. } if frame.pts < *key => {
                let is_last = before.is_some_and(|before| before <= frame.pts);
                if starts {
                    self.emit_worker(frame, &mut passed);
                }
                if is_last {
                    self.go_on_source(&mut passed);
                }
            }
            State::Closing { .. } => self.go_on_source(&mut passed),
            State::Cut(cut) if frame.keyframe && frame.pts >= cut.at => {
                self.state = State::Worker;
                self.emit_worker(frame, &mut passed);
            }
            State::Worker | State::Source | State::Cut(_) => {}
        }
        passed
    }

    /// When to call [`Splice::expire`] if nothing comes.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Closing { held, .. } | State::Cut(Cut { stay: Some(held), .. }) => held.until,
            _ => None,
        }
    }

    /// Ends a wait whose time has come.
    pub fn expire(&mut self, now: Instant) -> Passed {
        let mut passed = Passed::default();
        match &mut self.state {
            State::Closing { held, .. } if held.is_over(now) => self.go_on_source(&mut passed),
            State::Cut(Cut { stay: Some(held), .. }) if held.is_over(now) => {
                let held = mem::take(&mut held.frames);
                self.state = State::Source;
                held.into_iter().for_each(|frame| self.emit(frame, &mut passed));
                passed.event = Some(Event::StayedOnSource);
            }
            _ => {}
        }
        passed
    }

    /// How long ago the source's last key picture came.
    pub fn key_age(&self, now: Instant) -> Option<Duration> {
        self.keys.age(now)
    }

    /// How long until the source's next key picture, if they come regularly and it is not overdue.
    pub fn next_key_expected(&self, now: Instant) -> Option<Duration> {
        self.keys.next(now)
    }

    /// The source's key picture has come while the worker's lane is on.
    fn close_in(&mut self, now: Instant, before: Option<MediaTime>, frame: Encoded, passed: &mut Passed) {
        let (key, mut held) = (frame.pts, Held::default());
        held.push(now + TAIL, frame);
        let more_to_come = self.worker_flows
            && self.worker.is_some_and(|(pts, came)| {
                now.saturating_duration_since(came) < TAIL && before.is_some_and(|before| pts < before)
            });
        self.state = State::Closing { key, before, held };
        if !more_to_come {
            self.go_on_source(passed);
        }
    }

    /// What has waited goes out, and the source with it.
    fn go_on_source(&mut self, passed: &mut Passed) {
        let State::Closing { held, .. } = mem::replace(&mut self.state, State::Source) else { return };
        self.worker_flows = false;
        let mut frames = held.frames.into_iter();
        if let Some(key) = frames.next() {
            self.emit(key, passed);
            passed.event = self.last.map(|key| Event::OnSource { key });
        }
        frames.for_each(|frame| self.emit(frame, passed));
    }

    /// A key picture of the source ends a cut.
    fn stay(&mut self, held: Vec<Encoded>, key: Encoded, passed: &mut Passed) {
        self.state = State::Source;
        held.into_iter().for_each(|frame| self.emit(frame, passed));
        self.emit(key, passed);
        passed.event = self.last.map(|key| Event::OnSource { key });
    }

    fn emit_worker(&mut self, frame: Encoded, passed: &mut Passed) {
        self.emit(frame, passed);
        if !mem::replace(&mut self.worker_flows, true) {
            passed.event = self.last.map(|key| Event::OnWorker { key });
        }
    }

    /// Lets a frame out. A time that does not grow is moved up by as little as possible: leaving the frame out would spoil
    /// those that follow. It happens where lanes meet, and where the source's clock stood still.
    fn emit(&mut self, mut frame: Encoded, passed: &mut Passed) {
        frame.pts = self.after_last(frame.pts);
        self.last = Some(frame.pts);
        passed.frames.push(frame);
    }

    fn after_last(&self, time: MediaTime) -> MediaTime {
        self.last.map_or(time, |last| time.max(last + TICK))
    }
}

#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;
