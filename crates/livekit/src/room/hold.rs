use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use media::{Encoded, Output};
use rtc::room::Cadence;

use super::lanes::{Lanes, OUTPUTS, index};

/// How much later than a picture that leaves together with it sound is heard: libwebrtc's jitter buffer holds even sound for
/// 35 to 50 ms; pictures stay 15 to 20 ms in theirs, and are then decoded. Tuned by hand with one clip and one subscriber
/// (docs/adr/0008): 55 ms was far too much, this came out near zero. Rooms play
/// a publisher's tracks in sync only if they were made so, which is not the default, so it is done here.
const RECEIVER_LAG: Duration = Duration::from_millis(10);

/// The longest that a picture is held for sound's sake.
const PICTURE_LIMIT: Duration = Duration::from_millis(100);

/// Frames of one output that are held: a tenth of a second at 120 per second. More of them wait in queue B.
const HELD: usize = 12;

/// Frames that have a time to leave: sound evenly, pictures so that they are seen when their sound is heard.
#[derive(Debug, Default)]
pub(super) struct Hold {
    cadence: Cadence,
    held: [VecDeque<(Instant, Encoded)>; OUTPUTS.len()],
}

impl Hold {
    /// Takes frames of `output` out of its queue and gives each its time.
    pub(super) fn take_in(&mut self, now: Instant, output: Output, frames: &Lanes<Encoded>) {
        let held = &mut self.held[index(output)];
        while held.len() < HELD
            && let Some((frame, _)) = frames.pop(output)
        {
            let due = match output {
                Output::Audio => self.cadence.due(now, frame.pts),
                Output::Video(_) => {
                    let heard =
                        self.cadence.leaves(now, frame.pts).map_or(now, |leaves| leaves + RECEIVER_LAG);
                    let due = heard.clamp(now, now + PICTURE_LIMIT);
                    held.back().map_or(due, |(last, _)| due.max(*last))
                }
            };
            held.push_back((due, frame));
        }
    }

    /// The next frame of `output`, if it is its time.
    pub(super) fn pop(&mut self, now: Instant, output: Output) -> Option<Encoded> {
        self.held[index(output)].pop_front_if(|(due, _)| *due <= now).map(|(_, frame)| frame)
    }

    /// Forgets the frames of `output`.
    pub(super) fn clear(&mut self, output: Output) {
        self.held[index(output)].clear();
    }

    /// When the next frame is to leave.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.held.iter().filter_map(|held| held.front()).map(|(due, _)| *due).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use media::{MediaTime, Quality};

    const MS: Duration = Duration::from_millis(1);
    const HIGH: Output = Output::Video(Quality::High);

    fn frame(output: Output, millis: i64) -> Encoded {
        Encoded { output, pts: MediaTime::from_millis(millis), keyframe: true, data: Bytes::new() }
    }

    /// Writes a frame that comes at `at` (ms) and gives back when it is to leave.
    fn leaves(hold: &mut Hold, start: Instant, output: Output, pts: i64, at: u32) -> u128 {
        let frames = Lanes::new();
        frames.push(output, frame(output, pts));
        hold.take_in(start + at * MS, output, &frames);
        let due = hold.held[index(output)].back().unwrap().0;
        assert_eq!(hold.pop(due - MS.min(due - start), output).is_some(), due == start);
        hold.clear(output);
        (due - start).as_millis()
    }

    #[test]
    fn a_picture_leaves_when_its_sound_will_be_heard() {
        let (start, mut hold) = (Instant::now(), Hold::default());
        assert_eq!(leaves(&mut hold, start, Output::Audio, 1000, 100), 100);
        assert_eq!(leaves(&mut hold, start, HIGH, 1000, 105), 110);
        assert_eq!(leaves(&mut hold, start, HIGH, 1033, 200), 200, "a late one leaves at once");
        assert_eq!(leaves(&mut hold, start, HIGH, 9000, 210), 310, "none is held for long");
    }

    #[test]
    fn without_sound_pictures_leave_at_once() {
        let (start, mut hold) = (Instant::now(), Hold::default());
        assert_eq!(leaves(&mut hold, start, HIGH, 1000, 5), 5);
        leaves(&mut hold, start, Output::Audio, 1000, 10);
        assert_eq!(leaves(&mut hold, start, HIGH, 4000, 3010), 3010, "sound has stopped");
    }

    #[test]
    fn pictures_keep_their_order() {
        let (start, mut hold) = (Instant::now(), Hold::default());
        let frames = Lanes::new();
        frames.push(Output::Audio, frame(Output::Audio, 0));
        hold.take_in(start, Output::Audio, &frames);
        for pts in [0, 33, 10, 66] {
            frames.push(HIGH, frame(HIGH, pts));
        }
        hold.take_in(start, HIGH, &frames);
        let late = start + Duration::from_secs(1);
        let order: Vec<_> = std::iter::from_fn(|| hold.pop(late, HIGH)).map(|f| f.pts.millis()).collect();
        assert_eq!(order, [0, 33, 10, 66]);
        assert_eq!(hold.next_due(), Some(start), "sound is still there");
    }
}
