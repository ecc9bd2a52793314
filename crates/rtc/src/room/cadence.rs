use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use media::{MediaTime, Quality};

use super::epoch::shift;

/// What a source's bursts may be spread over. Encoders write sound together with the next picture, so it comes in bursts of one
/// picture's time: 33 or 40 ms. Sound that comes later than this leaves at once.
const SPREAD_LIMIT: Duration = Duration::from_millis(60);

/// Earliest and latest arrivals are those of this time and of as much before it.
const WINDOW: Duration = Duration::from_secs(2);

/// A source whose sound has stopped for this long has none.
const SILENCE: Duration = Duration::from_secs(1);

/// How much later than a picture that leaves together with it sound is heard: libwebrtc's jitter buffer holds even sound for
/// 35 to 50 ms; pictures stay 15 to 20 ms in theirs, and are then decoded. Tuned by hand with one clip and one subscriber
/// (docs/adr/0008): 55 ms was far too much, this came out near zero. Rooms play
/// a publisher's tracks in sync only if they were made so, which is not the default, so it is done here.
const RECEIVER_LAG: Duration = Duration::from_millis(10);

/// The longest that a picture is held for sound's sake.
const PICTURE_LIMIT: Duration = Duration::from_millis(100);

/// The delay changes by a hundredth of the time that goes by: receivers follow that. A jump makes them stretch sound, and they
/// take seconds to be back in step with the pictures.
const SLEW: u32 = 100;

/// When sound and pictures leave: sound as evenly as it was made, and both so that they are seen and heard together.
///
/// A receiver's jitter buffer must hold as much as the worst burst, and one packet more; the same hold on our side costs no
/// more, is the same for every receiver, and lets their buffers shrink to one packet: sound comes out sooner and without
/// stretching.
#[derive(Debug, Default)]
pub struct Cadence {
    sound: Extent,
    pictures: HashMap<Quality, Extent>,
    /// The zero of the media clock by which sound leaves, and when that was found.
    line: Option<(Instant, Instant)>,
    last: Option<Instant>,
}

impl Cadence {
    /// When the packet of sound that came at `now` is to leave: not before `now`, never before the one before it, and at
    /// most 60 ms later.
    pub fn sound(&mut self, now: Instant, pts: MediaTime) -> Instant {
        let Some(zero) = zero(now, pts) else { return now };
        self.sound.note(now, zero);
        let line = self.moved(now, zero);
        self.line = Some((line, now));
        let held = line.saturating_duration_since(zero);
        let due = self.last.map_or(now + held, |last| (now + held).max(last)).min(now + SPREAD_LIMIT);
        self.last = Some(due);
        due
    }

    /// When the picture of a layer that came at `now` is to leave: when its sound will be heard, but not before `now`, and at
    /// most 100 ms later.
    pub fn picture(&mut self, now: Instant, quality: Quality, pts: MediaTime) -> Instant {
        if let Some(zero) = zero(now, pts) {
            self.pictures.entry(quality).or_default().note(now, zero);
        }
        let line = self.line.filter(|_| self.sound.is_fresh(now));
        let heard = line.and_then(|(line, _)| shift(line + RECEIVER_LAG, pts.nanos()));
        heard.unwrap_or(now).clamp(now, now + PICTURE_LIMIT)
    }

    /// The line to leave by from now on: as late as the latest sound, and as the earliest pictures where all of those are later.
    fn moved(&self, now: Instant, zero: Instant) -> Instant {
        let (early, late) = self.sound.ends().unwrap_or((zero, zero));
        let most = early + SPREAD_LIMIT;
        let even = late.min(most);
        let pictures = self.pictures.values().filter(|layer| layer.is_fresh(now));
        let seen = pictures.filter_map(|layer| layer.ends()?.0.checked_sub(RECEIVER_LAG)).max();
        let wanted = seen.map_or(even, |seen| seen.clamp(even, most));
        let Some((line, at)) = self.line else { return even };
        let step = now.saturating_duration_since(at) / SLEW;
        if line < wanted {
            (line + step).clamp(even, wanted)
        } else {
            line.checked_sub(step).unwrap_or(wanted).clamp(wanted, most)
        }
    }
}

/// The zero of the media clock as the earliest and the latest frame of some seconds saw it.
#[derive(Debug, Default)]
struct Extent {
    now: Option<Window>,
    before: Option<Window>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    since: Instant,
    last: Instant,
    early: Instant,
    late: Instant,
}

impl Extent {
    fn note(&mut self, now: Instant, zero: Instant) {
        match &mut self.now {
            Some(window) if now.saturating_duration_since(window.since) < WINDOW => {
                window.last = now;
                window.early = window.early.min(zero);
                window.late = window.late.max(zero);
            }
            window => {
                self.before = window.replace(Window { since: now, last: now, early: zero, late: zero });
            }
        }
    }

    fn is_fresh(&self, now: Instant) -> bool {
        self.now.is_some_and(|window| now.saturating_duration_since(window.last) < SILENCE)
    }

    /// The earliest and the latest; `None` before the first.
    fn ends(&self) -> Option<(Instant, Instant)> {
        let windows = || [self.now, self.before].into_iter().flatten();
        Some((windows().map(|x| x.early).min()?, windows().map(|x| x.late).max()?))
    }
}

fn zero(now: Instant, pts: MediaTime) -> Option<Instant> {
    shift(now, pts.nanos().saturating_neg())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    /// The largest and the smallest step between departures of packets of 20 ms that arrive at `arrivals` (ms), once the
    /// cadence has seen a second.
    fn steps(arrivals: impl Iterator<Item = u64>) -> (Duration, Duration) {
        let start = Instant::now() + 3600 * 1000 * MS;
        let mut cadence = Cadence::default();
        let due: Vec<_> = (0..)
            .zip(arrivals)
            .map(|(i, at)| {
                let now = start + u32::try_from(at).unwrap() * MS;
                let due = cadence.sound(now, MediaTime::from_millis(i * 20));
                assert!(due >= now && due <= now + SPREAD_LIMIT);
                due
            })
            .collect();
        let steps: Vec<_> = due.windows(2).skip(50).map(|pair| pair[1].duration_since(pair[0])).collect();
        (*steps.iter().max().unwrap(), *steps.iter().min().unwrap())
    }

    #[test]
    fn sound_that_comes_with_each_picture_leaves_evenly() {
        let with_pictures = (0..1000_u64).map(|i| (i * 20).div_ceil(40) * 40);
        assert_eq!(steps(with_pictures), (20 * MS, 20 * MS));
    }

    #[test]
    fn even_sound_is_not_held() {
        let start = Instant::now() + 3600 * 1000 * MS;
        let mut cadence = Cadence::default();
        for i in 0..500 {
            let now = start + i * 20 * MS;
            assert_eq!(cadence.sound(now, MediaTime::from_millis(i64::from(i) * 20)), now);
        }
    }

    #[test]
    fn a_stall_is_forgotten_step_by_step_after_two_windows() {
        let stall = |i: u64| if (100..150).contains(&i) { 3000 } else { i * 20 };
        let start = Instant::now() + 3600 * 1000 * MS;
        let mut cadence = Cadence::default();
        let held: Vec<_> = (0..800_u64)
            .map(|i| {
                let now = start + u32::try_from(stall(i)).unwrap() * MS;
                cadence.sound(now, MediaTime::from_millis(i as i64 * 20)).duration_since(now)
            })
            .collect();
        assert_eq!(held[160], SPREAD_LIMIT);
        assert_eq!(*held.last().unwrap(), Duration::ZERO);
        assert!(held[160..].windows(2).all(|pair| pair[0] - pair[1] <= 20 * MS / SLEW), "{held:?}");
    }

    /// By how much later than sound pictures leave that come `late` ms later than theirs, after ten seconds, in ms.
    fn behind(late: u32) -> i64 {
        let start = Instant::now() + 3600 * 1000 * MS;
        let mut cadence = Cadence::default();
        let mut behind = 0;
        for i in 0..1000_u32 {
            let pts = MediaTime::from_millis(i64::from(i) * 20);
            let sound = cadence.sound(start + i * 20 * MS, pts);
            let picture = cadence.picture(start + (i * 20 + late) * MS, Quality::High, pts);
            behind = picture.duration_since(start).as_millis() as i64
                - sound.duration_since(start).as_millis() as i64;
        }
        behind
    }

    #[test]
    fn pictures_and_sound_wait_for_one_another() {
        let lag = RECEIVER_LAG.as_millis() as i64;
        for late in [0, 10, 30, 60, 70] {
            assert_eq!(behind(late), lag, "{late} ms late");
        }
        assert_eq!(behind(100), 40, "sound waits for 60 ms and no longer");
    }

    #[test]
    fn sound_does_not_wait_for_a_picture_that_is_late_once() {
        let start = Instant::now() + 3600 * 1000 * MS;
        let mut cadence = Cadence::default();
        for i in 0..500_u32 {
            let (now, pts) = (start + i * 20 * MS, MediaTime::from_millis(i64::from(i) * 20));
            assert_eq!(cadence.sound(now, pts), now);
            let late = if i % 30 == 7 { 200 } else { 5 };
            cadence.picture(now + late * MS, Quality::High, pts);
        }
    }

    proptest! {
        #[test]
        fn departures_keep_their_order_and_the_limit(
            packets in prop::collection::vec((0_u32..2000, -10_000_i64..10_000), 1..200)
        ) {
            let mut now = Instant::now() + 3600 * 1000 * MS;
            let (mut cadence, mut last) = (Cadence::default(), now);
            for (step, pts) in packets {
                now += step * MS;
                let due = cadence.sound(now, MediaTime::from_millis(pts));
                prop_assert!(due >= now && due <= now + SPREAD_LIMIT && due >= last);
                last = due;
            }
        }
    }
}
