use std::time::Duration;

use crate::{MediaTime, Packet, TrackId};

/// A step of the source's clock that is larger than what the wall clock did by this much is a jump, not media.
/// Encoders' own gaps (a dropped frame, a scene of stills) stay far under it.
const JUMP: Duration = Duration::from_secs(1);

/// How late the source may run behind the session's clock for a whole [`WINDOW`] before it is moved up: a pause of the
/// source's clock would else stay in the latency for ever.
const LATE: Duration = Duration::from_millis(500);

/// A burst after a network stall catches up by itself within this time; only what is late for longer is moved.
const WINDOW: Duration = Duration::from_secs(2);

/// More tracks than this are not told apart any more (their clock is the newest one).
const TRACKS: usize = 8;

/// Maps a source's timestamps to the session's clock, over reconnects, clock jumps and pauses of the source.
///
/// All tracks share one offset, so that sound and picture keep their distance; when the source's clock jumps, the first
/// track to show it finds the new offset, and the others take it over with their own first packet after the jump.
#[derive(Debug, Default)]
pub struct Timeline {
    offset: Option<MediaTime>,
    tracks: Vec<Track>,
    window: Option<Window>,
    jumps: u64,
}

#[derive(Debug)]
struct Track {
    id: TrackId,
    offset: MediaTime,
    /// Last decoding time, on the session's clock.
    last: MediaTime,
    /// The session's clock when it came.
    came: MediaTime,
}

#[derive(Debug)]
struct Window {
    since: MediaTime,
    least: MediaTime,
}

impl Timeline {
    /// A timeline whose first packet happens at the time it comes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the source's clock: the next packet, from a new connection, happens at the time it comes.
    pub fn restart(&mut self) {
        *self = Self { jumps: self.jumps, ..Self::default() };
    }

    /// How often the source's clock was found to have jumped, or to have stood still.
    pub fn jumps(&self) -> u64 {
        self.jumps
    }

    /// Gives `packet` its times on the session's clock; `now` is that clock's time at arrival.
    /// Decoding times of a track never go back.
    pub fn map(&mut self, mut packet: Packet, now: MediaTime) -> Packet {
        let newest = *self.offset.get_or_insert(now.since(packet.dts));
        let known = self.tracks.iter().position(|track| track.id == packet.track);
        let offset = match known.map(|index| &self.tracks[index]) {
            None => newest,
            Some(track) if track.follows(packet.dts + track.offset, now) => track.offset,
            Some(track) if track.follows(packet.dts + newest, now) => newest,
            Some(_) => {
                self.jumps += 1;
                *self.offset.insert(now.since(packet.dts))
            }
        };
        let lead = packet.pts.since(packet.dts);
        packet.dts = packet.dts + offset;
        if let Some(index) = known {
            packet.dts = packet.dts.max(self.tracks[index].last);
        }
        packet.pts = packet.dts + lead;
        let track = Track { id: packet.track, offset, last: packet.dts, came: now };
        match known {
            Some(index) => self.tracks[index] = track,
            None if self.tracks.len() < TRACKS => self.tracks.push(track),
            None => {}
        }
        self.watch(now, now.since(packet.dts));
        packet
    }

    /// Moves every track up when the whole source has been late for a window.
    fn watch(&mut self, now: MediaTime, late: MediaTime) {
        let window = self.window.get_or_insert(Window { since: now, least: late });
        window.least = window.least.min(late);
        if now.duration_since(window.since) < WINDOW {
            return;
        }
        let least = window.least;
        self.window = None;
        if least > MediaTime::from_duration(LATE) {
            self.jumps += 1;
            self.offset = self.offset.map(|offset| offset + least);
            for track in &mut self.tracks {
                track.offset = track.offset + least;
                // What is skipped is not a jump of the source.
                track.last = track.last + least;
            }
        }
    }
}

impl Track {
    /// Whether `dts` can be this track's next decoding time at `now`.
    fn follows(&self, dts: MediaTime, now: MediaTime) -> bool {
        let (step, passed) = (dts.since(self.last), now.since(self.came));
        let jump = MediaTime::from_duration(JUMP);
        step + MediaTime::from_duration(JUMP / 10) >= MediaTime::ZERO && step <= passed + jump
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn packet(track: u8, ms: i64) -> Packet {
        let time = MediaTime::from_millis(ms);
        Packet {
            track: TrackId(track),
            kind: crate::Kind::Video,
            pts: time,
            dts: time,
            keyframe: true,
            data: Bytes::new(),
        }
    }

    fn map(timeline: &mut Timeline, track: u8, ms: i64, now: i64) -> i64 {
        timeline.map(packet(track, ms), MediaTime::from_millis(now)).dts.millis()
    }

    #[test]
    fn a_steady_source_keeps_its_distances() {
        let mut t = Timeline::new();
        assert_eq!(map(&mut t, 0, 50_000, 100), 100);
        assert_eq!(map(&mut t, 1, 50_010, 103), 110);
        assert_eq!(map(&mut t, 0, 50_033, 150), 133);
        assert_eq!(t.jumps(), 0);
    }

    #[test]
    fn both_tracks_follow_one_jump_and_stay_together() {
        for to in [3_600_000, -3_600_000] {
            let mut t = Timeline::new();
            map(&mut t, 0, 0, 0);
            map(&mut t, 1, 0, 0);
            assert_eq!(map(&mut t, 0, to + 33, 33), 33);
            assert_eq!(map(&mut t, 1, 23, 34), 23, "sound from before the jump keeps its time");
            assert_eq!(
                map(&mut t, 1, to + 46, 47),
                46,
                "sound after the jump is as far from the picture as at the source"
            );
            assert_eq!(t.jumps(), 1);
        }
    }

    #[test]
    fn a_network_stall_with_its_burst_is_no_jump() {
        let mut t = Timeline::new();
        map(&mut t, 0, 0, 0);
        for i in 1..200 {
            assert_eq!(map(&mut t, 0, i * 33, 5_000 + i), i * 33);
        }
        assert_eq!(t.jumps(), 0);
    }

    #[test]
    fn a_source_that_paused_its_clock_does_not_stay_late() {
        let mut t = Timeline::new();
        map(&mut t, 0, 0, 0);
        let late =
            (1..200).map(|i| 15_000 + i * 33 - map(&mut t, 0, i * 33, 15_000 + i * 33)).last().unwrap();
        assert!(late <= 500, "{late} ms late");
    }

    #[test]
    fn decoding_times_never_go_back() {
        let mut t = Timeline::new();
        map(&mut t, 0, 100, 0);
        assert_eq!(map(&mut t, 0, 60, 10), 0, "a small step back is held, not a jump");
        assert_eq!(t.jumps(), 0);
    }
}
