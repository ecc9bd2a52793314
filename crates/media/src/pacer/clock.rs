use crate::MediaTime;

const MILLION: i128 = 1_000_000;

/// Where in the source we are at which time, and what its times are on the session's clock.
#[derive(Debug, Default)]
pub(super) struct Clock {
    running: Option<Running>,
    /// Session's time minus source's time. Never grows smaller but where something is left out: times never go back.
    offset: Option<MediaTime>,
    /// Parts in a million by which it is played faster.
    ppm: i64,
}

/// At this time of the session this time of the source is played.
#[derive(Debug, Clone, Copy)]
struct Running {
    now: MediaTime,
    source: MediaTime,
}

impl Clock {
    /// What is played at `now`; `None` while it stands.
    pub(super) fn position(&self, now: MediaTime) -> Option<MediaTime> {
        let running = self.running?;
        let passed = i128::from(now.since(running.now).nanos());
        let played = passed * (MILLION + i128::from(self.ppm)) / MILLION;
        Some(running.source + MediaTime::from_nanos(i64::try_from(played).unwrap_or(i64::MAX)))
    }

    /// When `source` will be played; `None` while it stands.
    pub(super) fn when(&self, source: MediaTime) -> Option<MediaTime> {
        let running = self.running?;
        let ahead = i128::from(source.since(running.source).nanos());
        // Rounded up: asked at that time, it is due.
        let passes = (ahead * MILLION).div_euclid(MILLION + i128::from(self.ppm)) + 1;
        Some(running.now + MediaTime::from_nanos(i64::try_from(passes).unwrap_or(i64::MAX)))
    }

    /// Plays `source` at `now`.
    pub(super) fn start(&mut self, now: MediaTime, source: MediaTime) {
        let offset = now.since(source);
        self.offset = Some(self.offset.map_or(offset, |before| before.max(offset)));
        self.running = Some(Running { now, source });
    }

    pub(super) fn stop(&mut self) {
        self.running = None;
        self.ppm = 0;
    }

    /// Goes on at `to`, as if that were what comes next.
    pub(super) fn leave_out(&mut self, now: MediaTime, to: MediaTime) {
        let Some(position) = self.position(now) else { return };
        self.offset = self.offset.map(|offset| offset.since(to.since(position)));
        self.running = Some(Running { now, source: to });
    }

    pub(super) fn set_rate(&mut self, now: MediaTime, ppm: i64) {
        if let Some(source) = self.position(now) {
            self.running = Some(Running { now, source });
        }
        self.ppm = ppm;
    }

    /// What is added to a source's time.
    pub(super) fn offset(&self) -> MediaTime {
        self.offset.unwrap_or(MediaTime::ZERO)
    }
}
