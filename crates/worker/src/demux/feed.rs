//! An input's bytes: asked of the server one piece at a time, handed to the source element of whatever chain runs.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use media::MediaTime;
use pipeline::demux::{Event, InputInfo, MAX_READ};

use super::raw;
use crate::outbox::Outbox;

/// The way between the server and one input's source element. At most one read is open.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) input: u8,
    pub(crate) info: InputInfo,
    pub(crate) pulse: Arc<Pulse>,
    outbox: Outbox<Event>,
    slot: Mutex<Slot>,
    changed: Condvar,
    raw: Mutex<raw::Reader>,
}

#[derive(Debug, Default)]
struct Slot {
    /// A read waits for its answer.
    open: bool,
    answer: Option<Answer>,
    /// Who waits is to stop waiting: a seek, or the end of the chain.
    flushing: bool,
    /// The chain has come to its end, and this comes after it.
    section: Option<MediaTime>,
    /// There is nothing after what has been read.
    over: bool,
    /// The chain has been told that its stream is over.
    drained: bool,
    /// Where the last data ended.
    position: u64,
    /// The section was given another beginning before its first byte.
    moved: Option<MediaTime>,
}

#[derive(Debug)]
enum Answer {
    Data(Bytes),
    Section(MediaTime),
}

/// What a source element gets.
#[derive(Debug)]
pub(crate) enum Got {
    Data(Bytes),
    /// The chain's stream is over.
    End,
    /// It was told to stop.
    Flushing,
}

impl Feed {
    pub(crate) fn new(input: u8, info: InputInfo, outbox: Outbox<Event>, pulse: Arc<Pulse>) -> Self {
        Self {
            input,
            info,
            pulse,
            outbox,
            slot: Mutex::default(),
            changed: Condvar::new(),
            raw: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the bytes of this section say of its times and marks, so far.
    pub(crate) fn raw(&self) -> MutexGuard<'_, raw::Reader> {
        self.raw.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From the source element: bytes from `offset` on, at most `length`. Waits.
    pub(crate) fn read(&self, offset: u64, length: u32) -> Got {
        self.pulse.rest();
        let got = self.ask(offset, length.clamp(1, MAX_READ));
        self.pulse.beat();
        match &got {
            Got::Data(data) => {
                let mut slot = self.lock();
                (slot.drained, slot.position) = (false, offset.saturating_add(data.len() as u64));
                drop(slot);
                self.raw().take(offset, data);
            }
            Got::End => self.lock().drained = true,
            Got::Flushing => {}
        }
        got
    }

    fn ask(&self, offset: u64, length: u32) -> Got {
        let mut slot = self.lock();
        // The answer to what was asked for before a seek: of no use any more.
        while slot.open && !slot.flushing {
            slot = self.changed.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
        if slot.flushing {
            return Got::Flushing;
        }
        if slot.over || slot.section.is_some() {
            return Got::End;
        }
        slot.answer = None;
        slot.open = true;
        drop(slot);
        self.outbox.send(Event::Read { input: self.input, offset, length });
        let waiting = |slot: &mut Slot| slot.answer.is_none() && !slot.flushing;
        let mut slot = self.changed.wait_while(self.lock(), waiting).unwrap_or_else(PoisonError::into_inner);
        if slot.flushing {
            return Got::Flushing;
        }
        match slot.answer.take() {
            // A live stream that has ended stays so; a file may be read elsewhere.
            Some(Answer::Data(data)) if data.is_empty() => {
                slot.over = !self.info.seekable;
                Got::End
            }
            Some(Answer::Data(data)) => Got::Data(data),
            // Nothing of this one has been read: it is this one that begins then.
            Some(Answer::Section(at)) if slot.position == 0 => {
                slot.moved = Some(at);
                drop(slot);
                self.ask(offset, length)
            }
            Some(Answer::Section(at)) => {
                slot.section = Some(at);
                Got::End
            }
            None => Got::Flushing,
        }
    }

    /// From the reader. False when nothing was asked for, or it is more than was: the server is broken.
    pub(crate) fn data(&self, data: Bytes) -> bool {
        data.len() <= MAX_READ as usize && self.put(Answer::Data(data))
    }

    /// From the reader.
    pub(crate) fn section(&self, at: MediaTime) -> bool {
        self.put(Answer::Section(at))
    }

    fn put(&self, answer: Answer) -> bool {
        let mut slot = self.lock();
        if !std::mem::take(&mut slot.open) {
            return false;
        }
        slot.answer = Some(answer);
        self.changed.notify_all();
        true
    }

    /// From the chain's seek or its end: whoever waits stops waiting.
    pub(crate) fn flush(&self, flushing: bool) {
        self.lock().flushing = flushing;
        self.changed.notify_all();
    }

    /// The chain has been told that its stream is over.
    pub(crate) fn is_drained(&self) -> bool {
        self.lock().drained
    }

    /// When this section begins, if that was said only when its first byte was asked for.
    pub(crate) fn moved(&self) -> Option<MediaTime> {
        self.lock().moved
    }

    /// Reads what a demuxer left, which has seen enough: the next section is behind it.
    pub(crate) fn drain(&self) {
        self.flush(false);
        loop {
            let position = self.lock().position;
            if !matches!(self.read(position, MAX_READ), Got::Data(_)) {
                return;
            }
        }
    }

    /// When the chain is drained: the section that comes next, if there is one.
    pub(crate) fn next_section(&self) -> Option<MediaTime> {
        *self.raw() = raw::Reader::default();
        let mut slot = self.lock();
        (slot.drained, slot.position, slot.moved) = (false, 0, None);
        slot.section.take()
    }
}

/// Whether the machinery is at work on bytes that it has, and since when: a demuxer that never comes back for more is caught
/// in a loop.
#[derive(Debug)]
pub(crate) struct Pulse {
    start: Instant,
    /// Of the last sign of life, ms since the start, plus one; 0 while it waits for the server.
    busy: AtomicU64,
}

impl Pulse {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), busy: AtomicU64::new(0) }
    }

    /// What it does now is up to the server.
    pub(crate) fn rest(&self) {
        self.busy.store(0, Ordering::Relaxed);
    }

    /// It is at work, and got somewhere.
    pub(crate) fn beat(&self) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.busy.store(now + 1, Ordering::Relaxed);
    }

    /// For the watcher: since when it has been at work without getting anywhere, as a number that changes with each beat.
    pub(crate) fn busy_since(&self) -> Option<u64> {
        Some(self.busy.load(Ordering::Relaxed)).filter(|busy| *busy > 0)
    }
}
