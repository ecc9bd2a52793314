use std::{cmp::Ordering, fmt, num::NonZeroU32, time::Duration};

/// An instant on a media clock: ticks at a rate, exact, no floats. May be negative.
///
/// Two times compare by the instant they mean, whatever their rates.
#[derive(Clone, Copy, serde::Serialize, serde::Deserialize)]
pub struct MediaTime {
    ticks: i64,
    rate: NonZeroU32,
}

const NANOS: u32 = 1_000_000_000;

const fn rate(hz: u32) -> NonZeroU32 {
    match NonZeroU32::new(hz) {
        Some(rate) => rate,
        None => panic!("a clock rate is at least 1 Hz"),
    }
}

impl MediaTime {
    /// The start of any clock.
    pub const ZERO: MediaTime = MediaTime { ticks: 0, rate: rate(1000) };

    /// `ticks` at `hz` ticks per second.
    pub const fn new(ticks: i64, hz: NonZeroU32) -> Self {
        Self { ticks, rate: hz }
    }

    /// RTMP's clock.
    pub const fn from_millis(ticks: i64) -> Self {
        Self { ticks, rate: rate(1000) }
    }

    /// GStreamer's clock.
    pub const fn from_nanos(ticks: i64) -> Self {
        Self { ticks, rate: rate(NANOS) }
    }

    /// RTP's video clock.
    pub const fn from_90khz(ticks: i64) -> Self {
        Self { ticks, rate: rate(90_000) }
    }

    /// A span since the start of the clock. Saturates after 292 years.
    pub fn from_duration(d: Duration) -> Self {
        Self::from_nanos(i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
    }

    /// Ticks at this time's own rate.
    pub const fn ticks(self) -> i64 {
        self.ticks
    }

    /// Ticks at `hz`, rounded down. Saturates.
    pub fn ticks_at(self, hz: u32) -> i64 {
        let scaled = (i128::from(self.ticks) * i128::from(hz)).div_euclid(i128::from(self.rate.get()));
        i64::try_from(scaled).unwrap_or(if scaled < 0 { i64::MIN } else { i64::MAX })
    }

    /// Nanoseconds, rounded down.
    pub fn nanos(self) -> i64 {
        self.ticks_at(NANOS)
    }

    /// Milliseconds, rounded down.
    pub fn millis(self) -> i64 {
        self.ticks_at(1000)
    }

    /// The span since the clock's start; zero for times before it.
    pub fn to_duration(self) -> Duration {
        Duration::from_nanos(u64::try_from(self.nanos()).unwrap_or(0))
    }

    /// `self - earlier`, exact to the nanosecond; negative when `earlier` is later.
    pub fn since(self, earlier: MediaTime) -> MediaTime {
        self + MediaTime { ticks: earlier.ticks.saturating_neg(), rate: earlier.rate }
    }

    /// How long after `earlier`; zero when it is not after.
    pub fn duration_since(self, earlier: MediaTime) -> Duration {
        self.since(earlier).to_duration()
    }
}

/// Exact for equal rates, to the nanosecond else. Saturates.
impl std::ops::Add for MediaTime {
    type Output = MediaTime;

    fn add(self, other: MediaTime) -> MediaTime {
        if self.rate == other.rate {
            return Self { ticks: self.ticks.saturating_add(other.ticks), rate: self.rate };
        }
        Self::from_nanos(self.nanos().saturating_add(other.nanos()))
    }
}

impl PartialEq for MediaTime {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for MediaTime {}

impl PartialOrd for MediaTime {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for MediaTime {
    fn cmp(&self, other: &Self) -> Ordering {
        let a = i128::from(self.ticks) * i128::from(other.rate.get());
        let b = i128::from(other.ticks) * i128::from(self.rate.get());
        a.cmp(&b)
    }
}

impl fmt::Debug for MediaTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ticks, self.rate)
    }
}

/// Seconds and milliseconds, as in `-1.250 s`.
impl fmt::Display for MediaTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.millis();
        let sign = if ms < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{:03} s", ms.unsigned_abs() / 1000, ms.unsigned_abs() % 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rates_convert_rounding_down() {
        assert_eq!(MediaTime::from_millis(40).ticks_at(90_000), 3600);
        assert_eq!(MediaTime::from_90khz(-1).millis(), -1);
        assert_eq!(MediaTime::from_nanos(i64::MIN).ticks_at(u32::MAX), i64::MIN);
    }

    #[test]
    fn equal_instants_at_different_rates_are_equal() {
        assert_eq!(MediaTime::from_millis(1000), MediaTime::from_90khz(90_000));
        assert!(MediaTime::from_90khz(1) < MediaTime::from_millis(1));
    }

    #[test]
    fn a_span_backwards_is_negative_and_no_duration() {
        let (a, b) = (MediaTime::from_millis(10), MediaTime::from_90khz(1800));
        assert_eq!(a.since(b).millis(), -10);
        assert_eq!(a.duration_since(b), Duration::ZERO);
        assert_eq!(a.since(b).to_string(), "-0.010 s");
    }

    proptest! {
        #[test]
        fn add_and_since_are_inverse(a in -1_i64 << 40..1_i64 << 40, b in -1_i64 << 40..1_i64 << 40) {
            let (a, b) = (MediaTime::from_millis(a), MediaTime::from_millis(b));
            prop_assert_eq!((a + b).since(b), a);
        }
    }
}
