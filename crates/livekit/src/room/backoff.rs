use std::time::Duration;

/// First step; doubles from here (as LiveKit's own SDKs do).
const FIRST: Duration = Duration::from_millis(300);

/// The longest wait. The SDKs go up to 7 s; here a participant is to be back within 5 s of the server.
const LONGEST: Duration = Duration::from_secs(3);

/// Waits between attempts: at random between nothing and a bound that doubles, so that the participants of a server that
/// comes back do not all knock at once.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// How long to wait before the next attempt; nothing before the first.
    pub(super) fn next(&mut self) -> Duration {
        let attempt = self.attempts;
        self.attempts = self.attempts.saturating_add(1);
        match attempt {
            0 => Duration::ZERO,
            n => bound(n).mul_f64(rand::random()),
        }
    }
}

fn bound(attempt: u32) -> Duration {
    FIRST.saturating_mul(1_u32.checked_shl(attempt - 1).unwrap_or(u32::MAX)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_the_first_attempt_does_not_wait() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.next(), Duration::ZERO);
        for _ in 0..100 {
            assert!(backoff.next() <= LONGEST);
        }
        assert_eq!([1, 2, 4, 100].map(bound).map(|d| d.as_millis()), [300, 600, 2400, 3000]);
    }
}
