use media::MediaTime;

/// A correction is spread over packets in steps of this,
const STEP: i64 = MS;

/// unless it is larger than this: then the clock was wrong, not drifting, and sound and pictures are apart.
const JUMP: i64 = 100 * MS;

/// A time that is further before or after the packet's arrival than this was not meant so: a pause in the RTP clock, another track's clock in
/// a sender report. Networks are not that slow, and nothing comes before it was sent.
const LATE: i64 = 10_000 * MS;
const EARLY: i64 = 1_000 * MS;

/// The packet that came fastest tells how far two clocks are apart: at once if nothing came as fast before, since nothing comes before it was
/// captured (clients begin with what they had kept for us, ffmpeg then sends it too fast), else after this time.
const WINDOW: i64 = 10_000 * MS;

/// And so far at most they are moved for it when it was slow, since a slow network is no drift: 500 ppm.
const DRIFT: i64 = 5 * MS;

/// Two reports of one stream may disagree by this, and by 2 % of the time between them.
const SLACK: i64 = 100 * MS;

const MS: i64 = 1_000_000;

/// What a sender report says (RFC 3550 section 6.4.1): this RTP time was that moment of the sender's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) timestamp: u32,
    /// Nanoseconds since any fixed moment, the same for all streams of the sender.
    pub(crate) at: i64,
}

/// How far our clock is ahead of the sender's: one for all its streams, so that sound and pictures keep their distance.
#[derive(Debug, Default)]
pub(crate) struct Shift {
    ahead: Option<i64>,
    least: Least,
    /// Since when reports have been unbelievable.
    refused: Option<i64>,
}

/// Puts the RTP times of one stream on the clock of its connection: by arrival until a sender report has come, by those from then on.
#[derive(Debug)]
pub(crate) struct Clock {
    /// Ticks a second.
    rate: i64,
    /// The newest RTP time, and the same without wraps.
    newest: Option<(u32, i64)>,
    /// From ticks, in nanoseconds, to our clock.
    offset: i64,
    /// What that should be: it gets there by and by.
    goal: i64,
    /// The newest report, and whether it agrees with the one before it.
    told: Option<(Report, bool)>,
    least: Least,
}

/// The least delay in a [`WINDOW`].
#[derive(Debug, Default)]
struct Least(Option<(i64, i64)>);

impl Least {
    /// At the end of a window: how much later everything happened than was thought.
    fn note(&mut self, arrived: i64, delay: i64) -> Option<i64> {
        let (since, least) = self.0.unwrap_or((arrived, delay));
        let least = least.min(delay);
        self.0 = Some((since, least));
        (arrived - since >= WINDOW).then(|| {
            self.0 = None;
            least.min(DRIFT)
        })
    }
}

fn is_believable(captured: i64, arrived: i64) -> bool {
    (arrived - LATE..=arrived + EARLY).contains(&captured)
}

impl Shift {
    /// When it was on our clock, if that can be. `estimate` is when the stream itself thinks that it was.
    fn captured(&mut self, sent: i64, estimate: i64, arrived: i64) -> Option<i64> {
        let ahead = *self.ahead.get_or_insert(estimate.saturating_sub(sent));
        let captured = sent.saturating_add(ahead);
        if is_believable(captured, arrived) {
            self.refused = None;
            let moved = match self.least.note(arrived, arrived - captured) {
                Some(moved) => moved,
                None => (arrived - captured).min(0),
            };
            self.ahead = Some(ahead.saturating_add(moved));
            return Some(captured.saturating_add(moved));
        }
        // One stream's reports may be wrong; if all are, the sender's clock was set.
        if arrived - *self.refused.get_or_insert(arrived) > WINDOW {
            *self = Self::default();
        }
        None
    }
}

impl Clock {
    pub(crate) fn new(rate: u32) -> Self {
        Self {
            rate: rate.max(1).into(),
            newest: None,
            offset: 0,
            goal: 0,
            told: None,
            least: Least::default(),
        }
    }

    /// When a packet was captured that came at `arrived`.
    pub(crate) fn captured(
        &mut self,
        timestamp: u32,
        arrived: MediaTime,
        report: Option<Report>,
        shift: &mut Shift,
    ) -> MediaTime {
        let arrived = arrived.nanos();
        let first = self.newest.is_none();
        let (before, ticks) = self.newest.unwrap_or((timestamp, timestamp.into()));
        let ticks = ticks + i64::from(timestamp.wrapping_sub(before).cast_signed());
        if self.newest.is_none_or(|(_, newest)| ticks > newest) {
            self.newest = Some((timestamp, ticks));
        }
        let media = self.nanos(ticks);
        // As if it had been captured when it came, which is the latest that can be.
        let latest = arrived - media;
        if first || !is_believable(media + self.offset, arrived) {
            (self.offset, self.goal) = (latest, latest);
        }
        self.offset = self.offset.min(latest);
        self.goal = self.goal.min(latest);
        let reported = report.filter(|report| self.trusts(*report)).and_then(|report| {
            let since = self.nanos(timestamp.wrapping_sub(report.timestamp).cast_signed().into());
            shift.captured(report.at.saturating_add(since), media + self.goal, arrived)
        });
        match reported {
            Some(captured) => self.goal = captured - media,
            None => self.goal += self.least.note(arrived, latest - self.goal).unwrap_or_default(),
        }
        let off = self.goal - self.offset;
        self.offset += if off.abs() > JUMP { off } else { off.clamp(-STEP, STEP) };
        self.offset = self.offset.min(latest);
        MediaTime::from_nanos(media + self.offset)
    }

    /// Two reports have to agree that the stream's clock runs as fast as the sender's: webrtcbin's (GStreamer 1.22) has run twice as fast.
    fn trusts(&mut self, report: Report) -> bool {
        let agrees = match self.told {
            Some((before, agrees)) if before == report => agrees,
            Some((before, _)) => {
                let ticks = report.timestamp.wrapping_sub(before.timestamp).cast_signed();
                let (by_rtp, by_clock) = (self.nanos(ticks.into()), report.at.saturating_sub(before.at));
                by_rtp.saturating_sub(by_clock).saturating_abs() <= SLACK + by_clock.saturating_abs() / 50
            }
            None => false,
        };
        self.told = Some((report, agrees));
        agrees
    }

    fn nanos(&self, ticks: i64) -> i64 {
        let nanos = i128::from(ticks) * 1_000_000_000 / i128::from(self.rate);
        i64::try_from(nanos).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> MediaTime {
        MediaTime::from_millis(ms)
    }

    /// One that has been told this time before.
    fn told(rate: u32, at: i64) -> Clock {
        Clock { told: Some((Report { timestamp: 0, at }, true)), ..Clock::new(rate) }
    }

    /// The report of the second in which step `n` of 20 ms is, of a sender with this epoch.
    fn each_second(n: u32, rate: u32, epoch_ms: i64) -> Option<Report> {
        let second = n / 50;
        Some(Report { timestamp: second * rate, at: (epoch_ms + i64::from(second) * 1000) * MS })
    }

    #[test]
    fn without_reports_the_first_arrival_counts_and_jitter_does_not() {
        let (mut clock, mut shift) = (Clock::new(90_000), Shift::default());
        assert_eq!(clock.captured(5000, at(100), None, &mut shift), at(100));
        assert_eq!(clock.captured(5000 + 9000, at(260), None, &mut shift), at(200));
    }

    #[test]
    fn rtp_time_wraps_and_old_packets_are_old() {
        let (mut clock, mut shift) = (Clock::new(90_000), Shift::default());
        let start = u32::MAX - 8999;
        clock.captured(start, at(0), None, &mut shift);
        assert_eq!(clock.captured(start.wrapping_add(18_000), at(200), None, &mut shift), at(200));
        assert_eq!(clock.captured(start.wrapping_add(9000), at(210), None, &mut shift), at(100));
        assert_eq!(clock.captured(start.wrapping_add(27_000), at(300), None, &mut shift), at(300));
    }

    #[test]
    fn reports_bring_sound_and_pictures_together_a_millisecond_at_a_time() {
        let mut shift = Shift::default();
        let (mut picture, mut sound) = (told(90_000, 77_000 * MS), told(48_000, 77_000 * MS));
        // Captured at once; the sound took 40 ms longer.
        picture.captured(0, at(1000), Some(Report { timestamp: 0, at: 77_000 * MS }), &mut shift);
        let late = sound.captured(0, at(1040), Some(Report { timestamp: 0, at: 77_000 * MS }), &mut shift);
        assert_eq!(late, at(1039));
        let mut last = late;
        for n in 1..100_u32 {
            let report = Report { timestamp: 0, at: 77_000 * MS };
            let time = sound.captured(n * 960, at(1040 + 20 * i64::from(n)), Some(report), &mut shift);
            assert!(time > last);
            last = time;
        }
        assert_eq!(last, at(1000 + 99 * 20));
    }

    #[test]
    fn a_clock_that_is_far_off_is_put_right_at_once() {
        let mut shift = Shift::default();
        let (mut picture, mut sound) = (told(90_000, 0), told(48_000, 0));
        picture.captured(0, at(0), Some(Report { timestamp: 0, at: 0 }), &mut shift);
        assert_eq!(sound.captured(0, at(900), Some(Report { timestamp: 0, at: 0 }), &mut shift), at(0));
    }

    /// Two streams of a sender whose clock is fast by `ppm`, 5 to 45 ms away: how late the times are that come out, at least and at most, of
    /// the second half of an hour.
    fn an_hour(ppm: i64, with_reports: bool) -> (i64, i64, i64) {
        an_hour_at(ppm, [0, 0], with_reports)
    }

    /// The same of one whose sound and pictures are captured faster by `paces` (ppm) than its clock says.
    fn an_hour_at(ppm: i64, paces: [i64; 2], with_reports: bool) -> (i64, i64, i64) {
        let (mut picture, mut sound) = (Clock::new(90_000), Clock::new(48_000));
        let mut shift = Shift::default();
        let (mut least, mut most, mut apart) = (i64::MAX, i64::MIN, 0);
        let mut random = 1_u64;
        for step in 0..180_000_i64 {
            let mut delay = || {
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                i64::try_from(random >> 40).unwrap() % (40 * MS) + 5 * MS
            };
            let real = step * 20 * MS;
            let theirs = real + real / 1_000_000 * ppm;
            let report = with_reports.then_some(theirs / (1000 * MS) * 1000 * MS);
            let mut of = |clock: &mut Clock, rate: i64, start: u32, pace: i64, delay: i64| {
                let rtp = |at: i64| {
                    let at = i128::from(at) * i128::from(1_000_000 + pace) / 1_000_000;
                    start.wrapping_add((at * i128::from(rate) / 1_000_000_000) as u32)
                };
                let report = report.map(|at| Report { timestamp: rtp(at), at: at + 1_800_000_000_000 * MS });
                clock.captured(rtp(theirs), MediaTime::from_nanos(real + delay), report, &mut shift).nanos()
                    - real
            };
            // Sound is 30 ms faster.
            let (a, b) = (delay(), delay());
            let late = [
                of(&mut sound, 48_000, 77, paces[0], a),
                of(&mut picture, 90_000, u32::MAX - 5, paces[1], b + 30 * MS),
            ];
            if step > 90_000 {
                least = least.min(late[0]).min(late[1]);
                most = most.max(late[0]).max(late[1]);
                apart = apart.max((late[0] - late[1]).abs());
            }
        }
        (least / MS, most / MS, apart / MS)
    }

    #[test]
    fn a_senders_clock_that_drifts_is_followed() {
        for ppm in [-300, -100, 0, 100, 300] {
            let (least, most, apart) = an_hour(ppm, true);
            assert!(
                least >= 0 && most <= 15 && apart <= 3,
                "{ppm} ppm: {least} to {most} ms late, {apart} ms apart"
            );
            let (least, most, apart) = an_hour(ppm, false);
            assert!(
                least >= 0 && most <= 45 && apart <= 40,
                "{ppm} ppm: {least} to {most} ms late, {apart} ms apart"
            );
        }
    }

    /// faults.md, row 22: at most 500 ms late, sound and pictures at most 40 ms apart.
    #[test]
    fn a_source_at_another_pace_than_its_clock_is_followed() {
        for paces in [[-20_000, -20_000], [20_000, 20_000], [100, 0], [-100, 0]] {
            let (least, most, apart) = an_hour_at(0, paces, true);
            assert!(
                least >= -20 && most <= 10 && apart <= 5,
                "{paces:?} ppm: {least} to {most} ms late, {apart} ms apart"
            );
        }
    }

    /// aiortc's first packets have waited for the connection, ffmpeg's first half second comes at once and 5 % too fast from then on.
    #[test]
    fn nothing_is_captured_after_it_came_and_nothing_goes_back() {
        let waited = |step: i64| if step < 3 { step } else { step * 20 + 1000 };
        let fast = |step: i64| if step < 25 { step * 20 } else { 500 + (step - 25) * 21 };
        for (rtp_of, reports) in
            [(&waited as &dyn Fn(i64) -> i64, true), (&waited, false), (&fast, true), (&fast, false)]
        {
            let (mut clock, mut shift) = (Clock::new(48_000), Shift::default());
            let (mut last, mut late) = (MediaTime::ZERO, 0);
            for step in 0..500 {
                let (rtp, arrived) = (rtp_of(step), 1000 + step * 20);
                let told = (reports && step > 10).then_some(step / 50);
                let report = told.map(|second| Report {
                    timestamp: u32::try_from(second * 48_000).unwrap(),
                    at: (77_000 + second * 1000) * MS,
                });
                let timestamp = u32::try_from(rtp * 48).unwrap();
                let captured = clock.captured(timestamp, at(arrived), report, &mut shift);
                assert!(
                    captured <= at(arrived) && captured >= last,
                    "{captured:?} after {last:?} at {arrived}"
                );
                (last, late) = (captured, at(arrived).since(captured).millis());
            }
            assert!(late <= 10, "{late} ms late after 10 s");
        }
    }

    #[test]
    fn reports_of_another_epoch_are_not_believed() {
        let (mut picture, mut sound, mut shift) = (Clock::new(90_000), Clock::new(48_000), Shift::default());
        for step in 0..1000_u32 {
            let now = at(i64::from(step) * 20);
            assert_eq!(
                picture.captured(step * 1800, now, each_second(step, 90_000, 50_000), &mut shift),
                now
            );
            assert_eq!(
                sound.captured(step * 960, now, each_second(step, 48_000, 3_900_000_000), &mut shift),
                now
            );
        }
    }

    #[test]
    fn reports_that_run_faster_than_the_packets_are_not_believed() {
        let (mut clock, mut shift) = (Clock::new(90_000), Shift::default());
        for step in 0..3000_u32 {
            let now = at(i64::from(step) * 20);
            // As webrtcbin's were: 11.8 s of the track in 5.2 s.
            let (second, at) = (step / 50, 50_000 + i64::from(step / 50) * 1000);
            let report = Some(Report { timestamp: second * 204_000, at: at * MS });
            assert_eq!(clock.captured(step * 1800, now, report, &mut shift), now);
        }
    }

    #[test]
    fn a_senders_clock_that_was_set_is_followed_again() {
        let (mut clock, mut shift) = (Clock::new(90_000), Shift::default());
        for step in 0..2000_u32 {
            let now = at(i64::from(step) * 20);
            let report = each_second(step, 90_000, if step < 500 { 50_000 } else { 9_950_000 });
            assert_eq!(clock.captured(step * 1800, now, report, &mut shift), now);
        }
        assert!(shift.refused.is_none() && shift.ahead.is_some());
    }

    #[test]
    fn a_jump_of_the_rtp_clock_is_no_jump_of_time() {
        let (mut clock, mut shift) = (Clock::new(90_000), Shift::default());
        assert_eq!(clock.captured(0, at(0), None, &mut shift), at(0));
        assert_eq!(clock.captured(900_000_000, at(33), None, &mut shift), at(33));
        assert_eq!(clock.captured(900_002_970, at(66), None, &mut shift), at(66));
        assert_eq!(clock.captured(5, at(99), None, &mut shift), at(99));
    }

    proptest::proptest! {
        /// Whatever a sender says: no time is before or after arrival by more than is believable.
        #[test]
        fn no_time_is_out_of_the_world(packets: Vec<(u32, u16, Option<(u32, i64)>)>) {
            let (mut clock, mut shift, mut now) = (Clock::new(90_000), Shift::default(), 0);
            for (timestamp, step, report) in packets {
                now += i64::from(step) * MS;
                let report = report.map(|(timestamp, at)| Report { timestamp, at });
                let captured = clock.captured(timestamp, MediaTime::from_nanos(now), report, &mut shift);
                proptest::prop_assert!(is_believable(captured.nanos(), now) && captured.nanos() <= now);
            }
        }
    }
}
