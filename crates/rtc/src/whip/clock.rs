use media::MediaTime;

/// A correction is spread over packets in steps of this,
const STEP: i64 = 1_000_000;

/// unless it is larger than this: then the clock was wrong, not drifting.
const JUMP: i64 = 300_000_000;

/// What a sender report says (RFC 3550 section 6.4.1): this RTP time was that moment of the sender's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) timestamp: u32,
    /// Nanoseconds since any fixed moment, the same for all streams of the sender.
    pub(super) at: i64,
}

/// How far our clock is ahead of the sender's: one for all its streams, so that sound and pictures keep their distance.
#[derive(Debug, Default)]
pub(super) struct Shift(Option<i64>);

/// Puts the RTP times of one stream on the clock of its connection: by arrival until a sender report has come, by those from then on.
#[derive(Debug)]
pub(super) struct Clock {
    /// Ticks a second.
    rate: i64,
    /// The newest RTP time, and the same without wraps.
    newest: Option<(u32, i64)>,
    /// From ticks, in nanoseconds, to our clock.
    offset: i64,
}

impl Clock {
    pub(super) fn new(rate: u32) -> Self {
        Self { rate: rate.max(1).into(), newest: None, offset: 0 }
    }

    /// When a packet was captured that came at `arrived`.
    pub(super) fn captured(
        &mut self,
        timestamp: u32,
        arrived: MediaTime,
        report: Option<Report>,
        shift: &mut Shift,
    ) -> MediaTime {
        let first = self.newest.is_none();
        let (before, ticks) = self.newest.unwrap_or((timestamp, timestamp.into()));
        let ticks = ticks + i64::from(timestamp.wrapping_sub(before).cast_signed());
        if first || ticks > self.newest.map_or(i64::MIN, |(_, newest)| newest) {
            self.newest = Some((timestamp, ticks));
        }
        let media = self.nanos(ticks);
        if first {
            self.offset = arrived.nanos() - media;
        }
        if let Some(report) = report {
            let since = self.nanos(timestamp.wrapping_sub(report.timestamp).cast_signed().into());
            let sent = report.at + since;
            let shift = *shift.0.get_or_insert(media + self.offset - sent);
            let off = sent + shift - media - self.offset;
            self.offset += if off.abs() > JUMP { off } else { off.clamp(-STEP, STEP) };
        }
        MediaTime::from_nanos(media + self.offset)
    }

    fn nanos(&self, ticks: i64) -> i64 {
        let nanos = i128::from(ticks) * 1_000_000_000 / i128::from(self.rate);
        i64::try_from(nanos).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    fn at(ms: i64) -> MediaTime {
        MediaTime::from_millis(ms)
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
        let (mut picture, mut sound) = (Clock::new(90_000), Clock::new(48_000));
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
        let (mut picture, mut sound) = (Clock::new(90_000), Clock::new(48_000));
        picture.captured(0, at(0), Some(Report { timestamp: 0, at: 0 }), &mut shift);
        assert_eq!(sound.captured(0, at(900), Some(Report { timestamp: 0, at: 0 }), &mut shift), at(0));
    }
}
