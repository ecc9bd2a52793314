//! How often, and after what wait, a read is tried again.

use std::time::Duration;

use super::Limits;

/// This much of a body is progress: what was tried in vain before it is forgotten. Less would let a server that sends one byte
/// per connection be asked for ever.
const PROGRESS: u64 = 64 * 1024;

/// The attempts that are left to one read.
#[derive(Debug, Clone)]
pub(super) struct Retry {
    attempts: u32,
    tried: u32,
    since: u64,
    backoff: Duration,
    most: Duration,
}

impl Retry {
    /// `attempts` in all, the first included, which counts as made.
    pub(super) fn new(attempts: u32, limits: &Limits) -> Self {
        Self { attempts, tried: 1, since: 0, backoff: limits.backoff, most: limits.backoff_most }
    }

    /// `bytes` of body have come.
    pub(super) fn received(&mut self, bytes: usize) {
        self.since = self.since.saturating_add(bytes as u64);
        if self.since >= PROGRESS {
            (self.since, self.tried) = (0, 1);
        }
    }

    /// The wait before the next attempt; `None` where none is left or the server wants a longer one than is waited for.
    /// `jitter` in 0..=1 spreads those that failed together.
    pub(super) fn next(&mut self, asked: Option<Duration>, jitter: f64) -> Option<Duration> {
        if self.tried >= self.attempts || asked.is_some_and(|asked| asked > self.most) {
            return None;
        }
        let doubled = self.backoff.saturating_mul(1 << (self.tried - 1).min(16));
        self.tried += 1;
        self.since = 0;
        let wait = doubled.min(self.most).mul_f64(0.5 + jitter / 2.0);
        Some(asked.map_or(wait, |asked| asked.max(wait)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry(attempts: u32) -> Retry {
        let limits = Limits {
            backoff: Duration::from_millis(100),
            backoff_most: Duration::from_millis(500),
            ..Limits::default()
        };
        Retry::new(attempts, &limits)
    }

    fn ms(ms: u64) -> Option<Duration> {
        Some(Duration::from_millis(ms))
    }

    #[test]
    fn waits_double_up_to_the_longest_and_the_attempts_end() {
        let mut retry = retry(6);
        let waits: Vec<_> = (0..6).map(|_| retry.next(None, 1.0)).collect();
        assert_eq!(waits, [ms(100), ms(200), ms(400), ms(500), ms(500), None]);
    }

    #[test]
    fn jitter_shortens_a_wait_by_half_at_most() {
        assert_eq!(retry(2).next(None, 0.0), ms(50));
        assert_eq!(retry(1).next(None, 0.0), None);
    }

    #[test]
    fn a_server_is_waited_for_as_it_asks_but_not_for_long() {
        assert_eq!(retry(2).next(ms(450), 1.0), ms(450));
        assert_eq!(retry(2).next(ms(501), 1.0), None);
    }

    #[test]
    fn progress_and_only_progress_gives_the_attempts_back() {
        let mut retry = retry(2);
        assert_eq!(retry.next(None, 1.0), ms(100));
        retry.received(65535);
        assert_eq!(retry.next(None, 1.0), None);
        retry.received(65535);
        retry.received(1);
        assert_eq!(retry.next(None, 1.0), ms(100));
    }
}
