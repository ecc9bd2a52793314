use std::{collections::VecDeque, time::Instant};

use media::{Encoded, Output};
use rtc::room::Cadence;

use super::lanes::{Lanes, OUTPUTS, index};

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
                Output::Audio => self.cadence.sound(now, frame.pts),
                Output::Video(quality) => {
                    let due = self.cadence.picture(now, quality, frame.pts);
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
    use std::time::Duration;

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
