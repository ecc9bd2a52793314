//! When the units of a source that gives them faster than they are played, or in bursts, are to be given on.

mod clock;
mod lane;
mod level;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::{Kind, MediaTime, TrackId, Unit};
use clock::Clock;
use lane::Lane;
use level::{Level, Verdict};

/// Read ahead of what is played, at least: a connection that pauses for less is not noticed.
const AHEAD: Duration = Duration::from_secs(2);

/// Then so much is read at once: to wake up for each unit costs more than the unit.
const READ_AT_ONCE: Duration = Duration::from_secs(1);

/// Sound without pictures is given so much ahead, for the same reason: it is evened out on its way to the room, which spreads bursts
/// of 60 ms.
const SOUND_AT_ONCE: MediaTime = MediaTime::from_millis(50);

/// A track that is so far behind another no longer stops it: it has ended, or is a slide show. Files keep sound seconds away from
/// its pictures, and live renditions come a segment at a time.
const ABSENT: Duration = Duration::from_secs(10);

/// What is read ahead of a file at most: enough to know that a track is absent.
const FILE_MOST: Duration = Duration::from_secs(12);

/// The same of a live source, all of which is taken as it comes: some segments, or what an Icecast server gives at once.
const LIVE_MOST: Duration = Duration::from_secs(40);

/// The same in bytes: 10 s at 25 Mbit/s.
const MOST_BYTES: usize = 32 << 20;

/// So much of each kind has to be there before a file starts, or goes on after it ran dry.
const FILE_START: Duration = Duration::from_millis(500);

/// The same of a live source, whose segments come in bursts: the rate makes of it what it needs.
const LIVE_START: Duration = Duration::from_secs(1);

/// A kind of which nothing has come yet does not keep the other one from starting when that has so much: more than a segment.
const LATE_KIND: Duration = Duration::from_secs(8);

/// A track may be so much longer without a unit than before, before the others are stopped for it.
const SLACK: Duration = Duration::from_millis(200);

/// A hole in all tracks that is longer is no media, but a mistake in the times.
const HOLE: Duration = Duration::from_secs(60);

/// How much is played to nobody, to be played again from the start once somebody can see it.
const REHEARSAL: Duration = Duration::from_secs(5);
const REHEARSAL_BYTES: usize = 8 << 20;

/// What kind of source it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// It can be read as slowly as it is played, and ends.
    File,
    /// It comes at a clock of its own, in bursts, and what is not taken is lost.
    Live,
}

/// From the last packet that was given to nobody to the same film's beginning: as long as the longest packet of a usual file (46 ms,
/// HE-AAC), and longer than what a worker takes for a clock's rounding (20 ms). A shorter gap in the sound would stay in the lip
/// sync for ever.
const SEAM: MediaTime = MediaTime::from_millis(80);

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// This is due. Its times are on the session's clock.
    Give(Unit),
    /// Nothing is due before this time, or before something is pushed; `None`: only then.
    Wait(Option<MediaTime>),
    /// All was given, and is played.
    Over,
}

/// Gives units on at the times that they have, sound and pictures together, on a clock that is the caller's.
///
/// A source that runs dry stops the whole: picture and sound stand, and go on together from where they were. A live source is
/// played up to 2 % slower or faster, so that it neither runs dry nor falls behind; times between units stay the source's
/// own, so that this is no more than a clock that goes a little wrong.
#[derive(Debug)]
pub struct Pacer {
    pace: Pace,
    lanes: Vec<Lane>,
    clock: Clock,
    level: Level,
    /// The source has both kinds: what has not come yet is waited for.
    expected: usize,
    ended: bool,
    /// More is read until it is enough for a while.
    filling: bool,
    /// What is due before then, on the source's clock, is given now.
    at_once: MediaTime,
    /// Units that were given while nobody could see them, until it is too many.
    rehearsed: Option<Vec<Unit>>,
    /// The same, in bytes.
    rehearsed_bytes: usize,
    /// When what was rehearsed can begin.
    not_before: MediaTime,
    dry: u64,
    skipped: u64,
}

impl Pacer {
    /// Nothing to give yet. What a file's pacer gives before [`Pacer::start_over`] is a rehearsal.
    pub fn new(pace: Pace) -> Self {
        Self {
            pace,
            lanes: Vec::new(),
            clock: Clock::default(),
            level: Level::default(),
            expected: 0,
            ended: false,
            filling: true,
            at_once: MediaTime::ZERO,
            rehearsed: (pace == Pace::File).then(Vec::new),
            rehearsed_bytes: 0,
            not_before: MediaTime::ZERO,
            dry: 0,
            skipped: 0,
        }
    }

    /// The source says how many tracks it has.
    pub fn expect(&mut self, tracks: usize) {
        self.expected = tracks;
    }

    /// True while more should be read; pushing is possible all the same.
    pub fn wants(&mut self) -> bool {
        if self.ended || self.is_full() {
            return false;
        }
        let ahead = if self.filling { AHEAD + READ_AT_ONCE } else { AHEAD };
        self.filling = self.pace == Pace::Live
            || self.lanes.len() < self.expected.max(1)
            || self.lanes.iter().any(|lane| lane.span() < ahead);
        self.filling
    }

    /// Takes what came at `now`.
    pub fn push(&mut self, now: MediaTime, unit: Unit) {
        if let Some(verdict) = self.level.look(now, self.low(now)) {
            self.correct(now, verdict);
        }
        let id = match &unit {
            Unit::Format(track, _) => *track,
            Unit::Packet(packet) => packet.track,
        };
        self.lane(id).push(unit);
    }

    /// Nothing more comes.
    pub fn finish(&mut self) {
        self.ended = true;
    }

    /// Another item follows what was pushed so far, of this pace: gives what is to be added to its times.
    pub fn next_item(&mut self, pace: Pace) -> MediaTime {
        if pace != self.pace {
            (self.pace, self.level) = (pace, Level::default());
        }
        if pace == Pace::Live {
            // What is live now is not live later.
            self.rehearsed = None;
        }
        self.end()
    }

    /// When the last picture that was pushed has been shown.
    fn end(&self) -> MediaTime {
        self.lanes.iter().map(Lane::end).max().unwrap_or(MediaTime::ZERO)
    }

    /// How much is to be played before another item is needed.
    pub fn buffered(&self) -> Duration {
        self.lanes.iter().map(Lane::span).max().unwrap_or_default()
    }

    /// How often the source ran dry.
    pub fn dry(&self) -> u64 {
        self.dry
    }

    /// Seconds of a live source that were left out to come back to the present, as units.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Somebody can see it from now on: a file that was played to nobody for a moment begins again, when what a decoder has of
    /// it is past. (One that gets earlier ones after it takes B-frames for others from then on: HEVC lost each fourth.)
    /// Gives when that is at the earliest, on the session's clock, the first time that it is called.
    pub fn start_over(&mut self) -> Option<MediaTime> {
        let units = self.rehearsed.take()?;
        let packets = || {
            units.iter().filter_map(|unit| if let Unit::Packet(packet) = unit { Some(packet) } else { None })
        };
        let first = packets().filter(|packet| packet.kind == Kind::Video).map(|packet| packet.pts).min();
        let (last, begin) =
            (packets().map(|packet| packet.pts).max(), packets().map(|packet| packet.dts).min());
        if let (Some(first), Some(last), Some(begin)) = (first, last, begin) {
            self.not_before = self.clock.offset() + last + SEAM + begin.since(first);
        }
        for unit in units.into_iter().rev() {
            let id = match &unit {
                Unit::Format(track, _) => *track,
                Unit::Packet(packet) => packet.track,
            };
            self.lane(id).push_back_again(unit);
        }
        self.clock.stop();
        Some(self.not_before)
    }

    /// What is to be done at `now`. Call again until it says to wait.
    pub fn next(&mut self, now: MediaTime) -> Step {
        if self.clock.position(now).is_none() && !self.start(now) {
            return match self.ended && self.is_empty() {
                true => Step::Over,
                false => Step::Wait(None),
            };
        }
        let Some(position) = self.clock.position(now) else { return Step::Wait(None) };
        if self.is_full() {
            // What is not there now cannot come before something is given.
            self.lanes.iter_mut().filter(|lane| lane.is_empty()).for_each(|lane| lane.absent = true);
        }
        if let Some(id) = self.lanes.iter().find(|lane| lane.has_format()).map(|lane| lane.id) {
            return self.give(id);
        }
        if self.starves_at().is_some_and(|at| at <= position) {
            return self.run_dry();
        }
        let first = self.lanes.iter().filter_map(|lane| Some((lane.head()?, lane.id))).min();
        match first {
            Some((due, id)) if due <= position => {
                self.at_once = position + self.lead();
                self.give(id)
            }
            Some((due, id)) if due <= self.at_once.min(position + self.lead()) => self.give(id),
            Some((due, _)) if due.duration_since(position) > HOLE => {
                self.clock.leave_out(now, due);
                Step::Wait(Some(now))
            }
            Some((due, _)) => {
                let until = self.starves_at().map_or(due, |at| at.min(due));
                Step::Wait(self.clock.when(until))
            }
            None if self.ended => {
                let end = self.end();
                if end <= position { Step::Over } else { Step::Wait(self.clock.when(end)) }
            }
            None => Step::Wait(self.starves_at().and_then(|at| self.clock.when(at))),
        }
    }

    /// How much more than what is due is given with it.
    fn lead(&self) -> MediaTime {
        let sound = self.expected <= 1 && self.lanes.iter().all(|lane| lane.kind == Some(Kind::Audio));
        if sound { SOUND_AT_ONCE } else { MediaTime::ZERO }
    }

    /// Begins to play, or goes on, if enough is there.
    fn start(&mut self, now: MediaTime) -> bool {
        let Some(first) = self.lanes.iter().filter_map(Lane::head).min().filter(|_| self.is_ready()) else {
            return false;
        };
        self.clock.start(now.max(self.not_before), first);
        true
    }

    fn is_ready(&self) -> bool {
        let need = if self.pace == Pace::Live { LIVE_START } else { FILE_START };
        let spans = || self.lanes.iter().map(Lane::span);
        let most = spans().max().unwrap_or_default();
        let filled = spans().filter(|span| *span >= need).count();
        let active = self.active().all(|lane| lane.span() >= need);
        let complete = self.lanes.len() >= self.expected || most >= LATE_KIND;
        self.ended || self.is_full() || (filled > 0 && active && complete)
    }

    fn is_full(&self) -> bool {
        let most = if self.pace == Pace::Live { LIVE_MOST } else { FILE_MOST };
        self.lanes.iter().map(Lane::bytes).sum::<usize>() >= MOST_BYTES
            || self.lanes.iter().any(|lane| lane.span() >= most)
    }

    fn is_empty(&self) -> bool {
        self.lanes.iter().all(Lane::is_empty)
    }

    /// When the first of the tracks that should have something has too long had nothing.
    fn starves_at(&self) -> Option<MediaTime> {
        if self.ended {
            return None;
        }
        let limit = |lane: &Lane| lane.newest + MediaTime::from_duration(lane.gap + SLACK);
        self.active().filter(|lane| lane.is_empty()).map(limit).min()
    }

    /// The tracks of which more is to be expected.
    fn active(&self) -> impl Iterator<Item = &Lane> {
        let newest = self.lanes.iter().map(|lane| lane.newest).max();
        let near =
            move |lane: &&Lane| newest.is_some_and(|newest| newest.duration_since(lane.newest) < ABSENT);
        self.lanes.iter().filter(|lane| !lane.absent).filter(near)
    }

    fn run_dry(&mut self) -> Step {
        self.dry += 1;
        self.clock.stop();
        self.level.reset();
        Step::Wait(None)
    }

    /// How far the live source is ahead of what is played, by the track that is the least.
    fn low(&self, now: MediaTime) -> Option<Duration> {
        let position = self.clock.position(now).filter(|_| self.pace == Pace::Live)?;
        self.active().map(|lane| lane.newest.duration_since(position)).min()
    }

    fn correct(&mut self, now: MediaTime, verdict: Verdict) {
        match verdict {
            Verdict::Rate(ppm) => self.clock.set_rate(now, ppm),
            Verdict::Skip(by) => self.skip(now, by),
        }
    }

    /// Leaves out what would be played in the next `by`, up to a key picture.
    fn skip(&mut self, now: MediaTime, by: Duration) {
        let Some(position) = self.clock.position(now) else { return };
        let limit = position + MediaTime::from_duration(by);
        let pictures = self.lanes.iter().find(|lane| lane.kind == Some(Kind::Video));
        let to = match pictures {
            Some(lane) => lane.last_key_until(limit).filter(|key| *key > position),
            None => Some(limit),
        };
        let Some(to) = to else { return };
        self.skipped += self.lanes.iter_mut().map(|lane| lane.drop_until(to)).sum::<u64>();
        self.clock.leave_out(now, to);
        self.level.reset();
    }

    fn give(&mut self, id: TrackId) -> Step {
        let offset = self.clock.offset();
        let Some((raw, unit)) = self.lane(id).pop(offset) else { return Step::Wait(None) };
        self.rehearse(raw);
        Step::Give(unit)
    }

    fn rehearse(&mut self, unit: Unit) {
        let Some(units) = &mut self.rehearsed else { return };
        let media = |unit: &Unit| match unit {
            Unit::Packet(packet) => Some((packet.dts, packet.data.len())),
            Unit::Format(..) => None,
        };
        let first = units.iter().find_map(media);
        let now = media(&unit);
        self.rehearsed_bytes += now.map_or(0, |(_, bytes)| bytes);
        let long = first.zip(now).is_some_and(|((first, _), (now, _))| now.duration_since(first) > REHEARSAL);
        if long || self.rehearsed_bytes > REHEARSAL_BYTES {
            self.rehearsed = None;
        } else {
            units.push(unit);
        }
    }

    fn lane(&mut self, id: TrackId) -> &mut Lane {
        let at = self.lanes.iter().position(|lane| lane.id == id).unwrap_or_else(|| {
            self.lanes.push(Lane::new(id));
            self.lanes.len() - 1
        });
        &mut self.lanes[at]
    }
}
