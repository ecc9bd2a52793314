use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, SyncSender},
    },
    thread,
    time::{Duration, Instant},
};

use gst::prelude::*;
use gstreamer as gst;
use gstreamer_video::UpstreamForceKeyUnitEvent;
use media::{Encoded, Kind, Output, Quality};
use pipeline::{Element, Event};

use crate::{
    build::{Chain, Error, News},
    clock,
    input::Input,
    load::Gauge,
    outbox::Outbox,
    track::copy,
};

/// A device that has taken frames for so long and given nothing is broken; one that is only slow drops frames long before.
const STUCK: Duration = Duration::from_millis(1500);

/// Frames come more often than this, or it is a pause in which nothing has to come out.
const PAUSE: Duration = Duration::from_millis(500);

/// Notes about frames that wait in the chain: more than may wait.
const MAX_NOTES: usize = 16;

/// What an encoder is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recipe {
    /// As in [`pipeline::Plan::encoders`].
    pub(crate) name: String,
    /// On a device, which may hang.
    pub(crate) hardware: bool,
    /// From raw frames to bytes.
    pub(crate) elements: Vec<Element>,
    /// Frames per 1 000 s.
    pub(crate) fps_milli: u32,
}

/// Where an encoder's frames and figures go.
#[derive(Debug, Clone)]
pub(crate) struct Ways {
    pub(crate) outbox: Outbox,
    pub(crate) gauge: Gauge,
}

/// One layer's encoder at work.
#[derive(Debug)]
pub(crate) struct Encoder {
    pub(crate) recipe: Recipe,
    input: Input,
    /// Tells the chain's front since when a frame has waited.
    notes: SyncSender<(gst::ClockTime, Option<Instant>)>,
    /// Where a keyframe is asked for.
    keyframes: gst::Element,
    key_wanted: Option<Key>,
    output: Arc<OutputState>,
    pulse: Pulse,
    /// Keeps frames from going in.
    held: Option<(gst::Pad, gst::PadProbeId)>,
}

/// Which frame is to be a keyframe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// The first that the encoder gets to: a frame that waits already will do, and so does one asked for before.
    Soon,
    /// The very next one that is given to it.
    Next,
}

/// What comes out, as the streaming thread sees it.
#[derive(Debug, Default)]
struct OutputState {
    /// A keyframe was asked of the encoder and has not come out.
    key_under_way: AtomicBool,
    frames: AtomicU64,
    /// A frame waits for the server to read.
    sending: AtomicBool,
}

impl Encoder {
    /// Builds and starts a chain. Its first frame is a keyframe.
    pub(crate) fn start(recipe: Recipe, quality: Quality, ways: &Ways) -> Result<Self, Error> {
        let chain = Chain::new(Kind::Video)?;
        // What is behind an encoder hands a wish for a keyframe on to it.
        let keyframes = chain.append(chain.source.upcast_ref(), &recipe.elements)?;
        let output = Arc::new(OutputState::default());
        chain.sink(&keyframes, send_picture(Output::Video(quality), output.clone(), ways.outbox.clone()))?;
        let notes = watch_front(&chain, ways.gauge.clone());
        let fps = gst::Fraction::new(i32::try_from(recipe.fps_milli).unwrap_or(i32::MAX), 1000);
        let input = Input::new(chain, fps)?;
        let pulse = Pulse::new(Instant::now());
        Ok(Self { recipe, input, notes, keyframes, key_wanted: None, output, pulse, held: None })
    }

    /// A frame is to be a keyframe; asking again before it has come out changes nothing.
    pub(crate) fn want_keyframe(&mut self, key: Key) {
        if self.key_wanted != Some(Key::Next) {
            self.key_wanted = Some(key);
        }
    }

    /// Takes a frame of the layer's size that waits since `since`; false when it was dropped.
    pub(crate) fn encode(&mut self, frame: &gst::Sample, since: Option<Instant>) -> bool {
        let Some(time) = frame.buffer().and_then(|buffer| buffer.pts()) else { return false };
        let under_way = &self.output.key_under_way;
        match self.key_wanted.take() {
            Some(Key::Next) => {
                under_way.store(true, Ordering::Release);
                self.ask_for_keyframe(Some(time));
            }
            Some(Key::Soon) if !under_way.swap(true, Ordering::AcqRel) => self.ask_for_keyframe(None),
            Some(Key::Soon) | None => {}
        }
        self.pulse.given(Instant::now());
        let notes = &self.notes;
        self.input.push_after(frame, || {
            // There is room: no more frames than that wait.
            let _ = notes.try_send((time, since));
        })
    }

    /// The frame at or after a time, or the first that the encoder gets to.
    fn ask_for_keyframe(&self, at: Option<gst::ClockTime>) {
        let event = UpstreamForceKeyUnitEvent::builder().all_headers(true).running_time(at).build();
        if let Some(pad) = self.keyframes.static_pad("src") {
            pad.send_event(event);
        }
    }

    /// Frames wait from now on, until [`Encoder::release`].
    pub(crate) fn hold(&mut self) {
        let Some(pad) = self.input.front() else { return };
        let kind = gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER;
        let probe = pad.add_probe(kind, |_, _| gst::PadProbeReturn::Ok);
        self.held = probe.map(|probe| (pad, probe));
    }

    /// Frames go in.
    pub(crate) fn release(&mut self) {
        if let Some((pad, probe)) = self.held.take() {
            pad.remove_probe(probe);
        }
    }

    /// Nothing more comes.
    pub(crate) fn end(&self) {
        // A chain that has failed says why on its bus.
        let _ = self.input.end();
    }

    pub(crate) fn news(&self) -> Option<News> {
        self.input.news()
    }

    /// What has gone wrong with it.
    pub(crate) fn failure(&mut self, now: Instant) -> Option<String> {
        if let Some(News::Failed(why)) = self.news() {
            return Some(why);
        }
        let frames = self.output.frames.load(Ordering::Acquire);
        let waits = self.held.is_some() || self.output.sending.load(Ordering::Acquire);
        let stuck = self.pulse.stopped(frames, waits, now) && self.recipe.hardware;
        stuck.then(|| format!("takes frames and has given none for {} ms", STUCK.as_millis()))
    }

    /// Frames dropped since the last call.
    pub(crate) fn take_dropped(&mut self) -> u64 {
        self.input.take_dropped()
    }

    /// Ends it without waiting: stopping a chain waits for its driver, which may never answer.
    pub(crate) fn bury(self) {
        let name = "encoder's end";
        // Without a thread it is dropped here, and waited for.
        let _ = thread::Builder::new().name(name.into()).spawn(move || drop(self));
    }
}

/// Whether something comes out while something goes in.
#[derive(Debug)]
struct Pulse {
    given: Option<Instant>,
    /// Counted from here.
    since: Instant,
    frames: u64,
}

impl Pulse {
    fn new(now: Instant) -> Self {
        Self { given: None, since: now, frames: 0 }
    }

    /// A frame goes in, or would if there were room.
    fn given(&mut self, now: Instant) {
        if self.given.is_none_or(|last| now.duration_since(last) > PAUSE) {
            self.since = now;
        }
        self.given = Some(now);
    }

    /// True when nothing has come out for too long. `frames` have so far; `waits`: none can.
    fn stopped(&mut self, frames: u64, waits: bool, now: Instant) -> bool {
        if waits || std::mem::replace(&mut self.frames, frames) != frames {
            self.since = now;
        }
        let fed = self.given.is_some_and(|last| now.saturating_duration_since(last) <= PAUSE);
        fed && now.saturating_duration_since(self.since) > STUCK
    }
}

/// Looks at each frame as the encoder takes it. The receiver is used by the one streaming thread alone: its lock is
/// there for the compiler, and never waited for.
fn watch_front(chain: &Chain, gauge: Gauge) -> SyncSender<(gst::ClockTime, Option<Instant>)> {
    let (sender, notes) = mpsc::sync_channel::<(gst::ClockTime, Option<Instant>)>(MAX_NOTES);
    let notes = Mutex::new(notes);
    if let Some(pad) = chain.source.static_pad("src") {
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let time = info.buffer().and_then(|buffer| buffer.pts());
            let notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
            let note = notes.try_iter().find(|(noted, _)| Some(*noted) >= time);
            gauge.begin(note.and_then(|(noted, since)| since.filter(|_| Some(noted) == time)));
            gst::PadProbeReturn::Ok
        });
    }
    sender
}

fn send_picture(
    output: Output,
    state: Arc<OutputState>,
    outbox: Outbox,
) -> impl FnMut(gst::Sample) + Send + 'static {
    move |sample| {
        let Some(pts) = clock::running_time(&sample).map(clock::from_gst) else { return };
        let Some(data) = copy(&sample) else { return };
        let keyframe =
            sample.buffer().is_some_and(|buffer| !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT));
        if keyframe {
            state.key_under_way.store(false, Ordering::Release);
        }
        state.sending.store(true, Ordering::Release);
        outbox.send(Event::Encoded(Encoded { output, pts, keyframe, data }));
        state.frames.fetch_add(1, Ordering::AcqRel);
        state.sending.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn an_encoder_is_stuck_when_it_is_fed_and_gives_nothing_for_a_second_and_a_half() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        let at = |ms: u32| start + ms * MS;
        // It gives frames for a second, then no more.
        let stopped = (0..100).map(|n| n * 33).find(|&ms| {
            pulse.given(at(ms));
            pulse.stopped(u64::from(ms.min(1000)), false, at(ms))
        });
        assert!((2500..2600).contains(&stopped.unwrap()), "{stopped:?}");
    }

    #[test]
    fn a_pause_and_a_server_that_does_not_read_are_no_fault_of_an_encoder() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        let at = |ms: u32| start + ms * MS;
        pulse.given(at(0));
        assert!(!pulse.stopped(0, false, at(5000)), "nothing was given to it");
        pulse.given(at(5000));
        assert!(!pulse.stopped(0, false, at(5001)), "it has just been given something");
        for ms in (5000..9000).step_by(33) {
            pulse.given(at(ms));
            assert!(!pulse.stopped(0, true, at(ms)));
        }
    }
}
