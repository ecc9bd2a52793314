use std::{
    collections::VecDeque,
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use media::{Kind, Quality, Unit};
use pipeline::Command;

use crate::lane::Lane;

/// Requests read ahead; the session limits their rate. Past it the reader waits.
const MAX_CONTROL: usize = 16;

/// Raw frames between the pipelines and the command thread, which only hands them on. Past it frames are dropped:
/// the machine does not even get round to that.
const MAX_FRAMES: usize = 8;

/// The way to the command thread: a bounded channel with lanes, so that a request overtakes media, sound never waits for
/// pictures, and a raw frame never waits behind a packet. Its lock is never held across a call into GStreamer.
#[derive(Debug)]
pub(crate) struct Inbox {
    lanes: Mutex<Lanes>,
    changed: Condvar,
}

#[derive(Debug)]
struct Lanes {
    control: VecDeque<Command>,
    sound: Lane,
    pictures: Lane,
    /// Comes after the last unit.
    end: Option<Command>,
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
    /// Something for a decoder, and since when it has waited for it.
    Unit(Unit, Instant),
    Frame(Frame),
    /// The socket is closed, or speaks nonsense: nothing else matters.
    Closed(String),
}

/// Which decoders can take more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) sound: bool,
    pub(crate) pictures: bool,
}

impl Room {
    pub(crate) const ALL: Room = Room { sound: true, pictures: true };
}

impl Lanes {
    fn of(&mut self, kind: Kind) -> &mut Lane {
        match kind {
            Kind::Audio => &mut self.sound,
            Kind::Video => &mut self.pictures,
        }
    }

    /// Something waits that can be taken.
    fn has(&self, room: Room) -> bool {
        self.closed.is_some()
            || !self.control.is_empty()
            || !self.frames.is_empty()
            || (room.sound && !self.sound.is_empty())
            || (room.pictures && !self.pictures.is_empty())
            || self.is_over()
    }

    /// Nothing is left before the end of the stream.
    fn is_over(&self) -> bool {
        self.end.is_some() && self.sound.is_empty() && self.pictures.is_empty()
    }

    fn take(&mut self, room: Room) -> Option<Item> {
        if let Some(why) = self.closed.take() {
            return Some(Item::Closed(why));
        }
        if let Some(command) = self.control.pop_front() {
            return Some(Item::Command(command));
        }
        let now = Instant::now();
        // Sound before frames: it comes seldom, is small, and is what a listener misses first.
        if room.sound
            && let Some((unit, since)) = self.sound.pop(now)
        {
            return Some(Item::Unit(unit, since));
        }
        if let Some(frame) = self.frames.pop_front() {
            return Some(Item::Frame(frame));
        }
        if room.pictures
            && let Some((unit, since)) = self.pictures.pop(now)
        {
            return Some(Item::Unit(unit, since));
        }
        if self.is_over() { self.end.take().map(Item::Command) } else { None }
    }
}

impl Inbox {
    pub(crate) fn new() -> Self {
        let lanes = Lanes {
            control: VecDeque::new(),
            sound: Lane::new(),
            pictures: Lane::new(),
            end: None,
            frames: VecDeque::new(),
            lost: 0,
            closed: None,
            deaf: false,
        };
        Self { lanes: Mutex::new(lanes), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From the reader: waits for room. False when nobody listens any more.
    pub(crate) fn put(&self, command: Command) -> bool {
        let kind = match &command {
            Command::Unit(Unit::Format(_, format)) => Some(format.codec.kind()),
            Command::Unit(Unit::Packet(packet)) => Some(packet.kind),
            _ => None,
        };
        let full = |lanes: &mut Lanes| {
            let full = kind.map_or(lanes.control.len() >= MAX_CONTROL, |kind| lanes.of(kind).is_full());
            full && !lanes.deaf
        };
        let mut lanes = self.changed.wait_while(self.lock(), full).unwrap_or_else(PoisonError::into_inner);
        if lanes.deaf {
            return false;
        }
        match &command {
            Command::SkipTo(time) => lanes.pictures.show_from(*time),
            Command::Start(start) => {
                if let Some(time) = start.output_from {
                    lanes.pictures.show_from(time);
                }
            }
            _ => {}
        }
        match (command, kind) {
            (Command::Unit(unit), Some(kind)) => lanes.of(kind).push(unit, Instant::now()),
            (command @ Command::EndOfStream, _) => lanes.end = Some(command),
            (command, _) => lanes.control.push_back(command),
        }
        self.changed.notify_all();
        true
    }

    /// From a streaming thread: never waits. A frame that finds no room is dropped and counted.
    pub(crate) fn offer(&self, frame: Frame) {
        let mut lanes = self.lock();
        if frame.from == Origin::Decoder {
            lanes.pictures.flows(Instant::now());
        }
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
    pub(crate) fn take(&self, room: Room, patience: Duration) -> Option<Item> {
        let empty = |lanes: &mut Lanes| !lanes.has(room);
        let (mut lanes, _) = self
            .changed
            .wait_timeout_while(self.lock(), patience, empty)
            .unwrap_or_else(PoisonError::into_inner);
        let item = lanes.take(room);
        self.changed.notify_all();
        item
    }

    /// No raw frame waits.
    pub(crate) fn frames_are_empty(&self) -> bool {
        self.lock().frames.is_empty()
    }

    /// What was dropped since the last call.
    pub(crate) fn take_lost(&self) -> Lost {
        let mut lanes = self.lock();
        Lost {
            frames: mem::take(&mut lanes.lost),
            pictures: lanes.pictures.take_dropped(),
            sound: lanes.sound.take_dropped(),
        }
    }
}

/// What the inbox had no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lost {
    /// Behind the decoder.
    pub(crate) frames: u64,
    /// Before the decoder.
    pub(crate) pictures: u64,
    /// Before the decoder.
    pub(crate) sound: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use media::{MediaTime, Packet, TrackId};

    const NOW: Duration = Duration::ZERO;

    fn frame() -> Frame {
        gstreamer::init().unwrap();
        Frame { from: Origin::Decoder, sample: gstreamer::Sample::builder().build() }
    }

    fn unit(kind: Kind, ms: i64) -> Command {
        let time = MediaTime::from_millis(ms);
        let packet =
            Packet { track: TrackId(0), kind, pts: time, dts: time, keyframe: true, data: Bytes::new() };
        Command::Unit(Unit::Packet(packet))
    }

    /// The kind of the next unit and its time in ms.
    fn next(inbox: &Inbox, room: Room) -> Option<(Kind, i64)> {
        match inbox.take(room, NOW)? {
            Item::Unit(Unit::Packet(packet), _) => Some((packet.kind, packet.pts.millis())),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn requests_and_frames_overtake_media_and_closing_overtakes_all() {
        let inbox = Inbox::new();
        assert!(inbox.put(unit(Kind::Video, 0)));
        inbox.offer(frame());
        assert!(inbox.put(Command::Keyframe(Quality::Low)));
        assert!(matches!(inbox.take(Room::ALL, NOW), Some(Item::Command(Command::Keyframe(Quality::Low)))));
        assert!(matches!(inbox.take(Room::ALL, NOW), Some(Item::Frame(_))));
        let none = Room { sound: false, pictures: false };
        assert!(inbox.take(none, NOW).is_none(), "no room for media");
        inbox.close("gone".into());
        assert!(matches!(inbox.take(Room::ALL, NOW), Some(Item::Closed(_))));
        assert_eq!(next(&inbox, Room::ALL), Some((Kind::Video, 0)));
    }

    #[test]
    fn neither_kind_waits_for_the_other_and_the_end_waits_for_both() {
        let inbox = Inbox::new();
        let commands = (0..500).map(|ms| unit(Kind::Video, ms)).chain([unit(Kind::Audio, 500)]);
        for command in commands.chain([unit(Kind::Audio, 501), Command::EndOfStream]) {
            assert!(inbox.put(command));
        }
        let sound = Room { sound: true, pictures: false };
        assert_eq!(next(&inbox, sound), Some((Kind::Audio, 500)));
        let pictures = Room { sound: false, pictures: true };
        assert_eq!(next(&inbox, pictures), Some((Kind::Video, 0)));
        assert_eq!(next(&inbox, Room::ALL), Some((Kind::Audio, 501)));
        assert_eq!(next(&inbox, sound), None);
        assert!((1..500).all(|ms| next(&inbox, Room::ALL) == Some((Kind::Video, ms))));
        assert!(matches!(inbox.take(sound, NOW), Some(Item::Command(Command::EndOfStream))));
    }

    #[test]
    fn frames_past_the_bound_are_dropped_and_counted_once() {
        let inbox = Inbox::new();
        (0..MAX_FRAMES + 3).for_each(|_| inbox.offer(frame()));
        assert_eq!((inbox.take_lost().frames, inbox.take_lost().frames), (3, 0));
    }

    #[test]
    fn a_full_lane_holds_the_reader_until_there_is_room_or_nobody_listens() {
        let inbox = Inbox::new();
        std::thread::scope(|scope| {
            let request = || inbox.put(Command::Keyframe(Quality::Low));
            let reader = scope.spawn(move || (0..MAX_CONTROL + 2).all(|_| request()));
            while !matches!(inbox.take(Room::ALL, Duration::from_secs(5)), Some(Item::Command(_))) {}
            inbox.stop();
            // Either it got its last command in before, or it was told that nobody listens: it never hangs.
            let _ = reader.join().unwrap();
        });
        assert!(!inbox.put(Command::EndOfStream));
    }
}
