use std::{
    collections::VecDeque,
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use media::Quality;
use pipeline::Command;

/// Units read ahead of the decoders. Past it the socket fills, and the server's queue sheds load where it is counted.
const MAX_MEDIA: usize = 16;

/// Requests read ahead; the session limits their rate. Past it the reader waits.
const MAX_CONTROL: usize = 16;

/// Raw frames between the pipelines and the command thread, which only hands them on. Past it frames are dropped:
/// the machine does not even get round to that.
const MAX_FRAMES: usize = 8;

/// The way to the command thread: a bounded channel with three lanes, so that a request overtakes media and a raw frame
/// never waits behind a command. Its lock is never held across a call into GStreamer.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    lanes: Mutex<Lanes>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Lanes {
    control: VecDeque<Command>,
    media: VecDeque<Command>,
    frames: VecDeque<Frame>,
    lost: u64,
    closed: Option<String>,
    deaf: bool,
}

/// A raw frame and where it comes from.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) from: Origin,
    pub(crate) sample: gstreamer::Sample,
}

/// What made a raw frame. A generation is one fit of the layers: frames of an earlier one are stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Decoder,
    Layer(Quality, u64),
}

/// One thing for the command thread.
#[derive(Debug)]
pub(crate) enum Item {
    Command(Command),
    Frame(Frame),
    /// The socket is closed, or speaks nonsense: nothing else matters.
    Closed(String),
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From the reader: waits for room. False when nobody listens any more.
    pub(crate) fn put(&self, command: Command) -> bool {
        let mut lanes = self.lock();
        // The end of the stream comes after the last unit.
        let media = matches!(command, Command::Unit(_) | Command::EndOfStream);
        let full = |lanes: &mut Lanes| {
            let full =
                if media { lanes.media.len() >= MAX_MEDIA } else { lanes.control.len() >= MAX_CONTROL };
            full && !lanes.deaf
        };
        lanes = self.changed.wait_while(lanes, full).unwrap_or_else(PoisonError::into_inner);
        if lanes.deaf {
            return false;
        }
        if media {
            lanes.media.push_back(command)
        } else {
            lanes.control.push_back(command)
        }
        self.changed.notify_all();
        true
    }

    /// From a streaming thread: never waits. A frame that finds no room is dropped and counted.
    pub(crate) fn offer(&self, frame: Frame) {
        let mut lanes = self.lock();
        if lanes.frames.len() >= MAX_FRAMES {
            lanes.lost += 1;
            return;
        }
        lanes.frames.push_back(frame);
        self.changed.notify_all();
    }

    /// From the reader: the last thing that it says, and why.
    pub(crate) fn close(&self, why: String) {
        self.lock().closed = Some(why);
        self.changed.notify_all();
    }

    /// The command thread is gone: nobody waits for it any more.
    pub(crate) fn stop(&self) {
        self.lock().deaf = true;
        self.changed.notify_all();
    }

    /// For the command thread: the most urgent item, within `patience`. Media only when there is `room` for it.
    pub(crate) fn take(&self, room: bool, patience: Duration) -> Option<Item> {
        let empty = |lanes: &mut Lanes| {
            lanes.closed.is_none()
                && lanes.control.is_empty()
                && lanes.frames.is_empty()
                && (!room || lanes.media.is_empty())
        };
        let (mut lanes, _) = self
            .changed
            .wait_timeout_while(self.lock(), patience, empty)
            .unwrap_or_else(PoisonError::into_inner);
        let item = if let Some(why) = lanes.closed.take() {
            Some(Item::Closed(why))
        } else if let Some(command) = lanes.control.pop_front() {
            Some(Item::Command(command))
        } else if let Some(frame) = lanes.frames.pop_front() {
            Some(Item::Frame(frame))
        } else if room {
            lanes.media.pop_front().map(Item::Command)
        } else {
            None
        };
        self.changed.notify_all();
        item
    }

    /// No raw frame waits.
    pub(crate) fn frames_are_empty(&self) -> bool {
        self.lock().frames.is_empty()
    }

    /// Frames dropped since the last call.
    pub(crate) fn take_lost(&self) -> u64 {
        mem::take(&mut self.lock().lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn frame() -> Frame {
        gstreamer::init().unwrap();
        Frame { from: Origin::Decoder, sample: gstreamer::Sample::builder().build() }
    }

    #[test]
    fn requests_and_frames_overtake_media_and_closing_overtakes_all() {
        let inbox = Inbox::default();
        assert!(inbox.put(Command::EndOfStream));
        inbox.offer(frame());
        assert!(inbox.put(Command::Keyframe(Quality::Low)));
        assert!(matches!(inbox.take(true, NOW), Some(Item::Command(Command::Keyframe(Quality::Low)))));
        assert!(matches!(inbox.take(true, NOW), Some(Item::Frame(_))));
        assert!(inbox.take(false, NOW).is_none(), "no room for media");
        inbox.close("gone".into());
        assert!(matches!(inbox.take(true, NOW), Some(Item::Closed(_))));
        assert!(matches!(inbox.take(true, NOW), Some(Item::Command(Command::EndOfStream))));
    }

    #[test]
    fn frames_past_the_bound_are_dropped_and_counted_once() {
        let inbox = Inbox::default();
        (0..MAX_FRAMES + 3).for_each(|_| inbox.offer(frame()));
        assert_eq!((inbox.take_lost(), inbox.take_lost()), (3, 0));
    }

    #[test]
    fn a_full_lane_holds_the_reader_until_there_is_room_or_nobody_listens() {
        let inbox = Inbox::default();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| (0..MAX_MEDIA + 2).all(|_| inbox.put(Command::EndOfStream)));
            while !matches!(inbox.take(true, Duration::from_secs(5)), Some(Item::Command(_))) {}
            inbox.stop();
            // Either it got its last command in before, or it was told that nobody listens: it never hangs.
            let _ = reader.join().unwrap();
        });
        assert!(!inbox.put(Command::EndOfStream));
    }
}
