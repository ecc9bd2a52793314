//! How long a caller's handshake may wait for the server's answer.

use std::time::{Duration, Instant};

/// With nobody else on the port only other handshakes wait, which callers repeat for about three seconds. A look-up takes a few
/// milliseconds; on a machine with no CPU to spare, some hundred.
const ALONE: Duration = Duration::from_secs(1);

/// With live callers, whose packets meanwhile wait in the system's buffer (some hundred milliseconds of one stream): less than
/// any latency in use, so that a stream loses nothing by it.
const SHARED: Duration = Duration::from_millis(100);

/// Of the time with live callers so much may be spent waiting, whoever calls and however often.
const SHARE: u32 = 10;

/// Handshakes are answered on the thread that receives for all callers: what one of them waits, all wait. A caller whose answer is
/// not there in time is connected, and closed if the answer is no.
#[derive(Debug)]
pub struct Patience {
    left: Duration,
    at: Instant,
}

impl Patience {
    /// Nothing is spent yet.
    pub fn new(now: Instant) -> Self {
        Self { left: SHARED, at: now }
    }

    /// How long may be waited now.
    pub fn allows(&mut self, now: Instant, alone: bool) -> Duration {
        if alone {
            return ALONE;
        }
        let earned = now.saturating_duration_since(self.at) / SHARE;
        (self.left, self.at) = ((self.left + earned).min(SHARED), now);
        self.left
    }

    /// So much was waited.
    pub fn spend(&mut self, waited: Duration) {
        self.left = self.left.saturating_sub(waited);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_callers_wait_for_a_tenth_of_the_time_at_most() {
        let start = Instant::now();
        let mut patience = Patience::new(start);
        let (mut now, mut waited) = (start, Duration::ZERO);
        // A flood of callers, none of whom gets an answer.
        while now < start + Duration::from_secs(10) {
            let may = patience.allows(now, false);
            assert!(may <= SHARED);
            patience.spend(may);
            waited += may;
            now += may + Duration::from_millis(1);
        }
        assert!(waited <= Duration::from_millis(1200), "{waited:?}");
    }

    #[test]
    fn a_caller_alone_has_a_second() {
        let now = Instant::now();
        let mut patience = Patience::new(now);
        patience.spend(ALONE);
        assert_eq!(patience.allows(now, true), ALONE);
        assert_eq!(patience.allows(now, false), Duration::ZERO);
    }

    #[test]
    fn what_is_not_used_is_not_saved_up() {
        let now = Instant::now();
        let mut patience = Patience::new(now);
        assert_eq!(patience.allows(now + Duration::from_secs(3600), false), SHARED);
    }
}
