//! The wall clock of the wire (unix nanoseconds), and ids. The rest of the crate measures with `Instant`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::RngExt as _;
use rand::distr::Alphanumeric;

/// Now, as `sent_at` and `expiry` count.
pub(crate) fn unix_nanos() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX)
}

/// `timeout` from `now`, as `expiry` counts.
pub(crate) fn expiry(now: i64, timeout: Duration) -> i64 {
    now.saturating_add(i64::try_from(timeout.as_nanos()).unwrap_or(i64::MAX))
}

/// How long until `expiry`; `None` when it is over.
pub(crate) fn until(expiry: i64, now: i64) -> Option<Duration> {
    let left = u64::try_from(expiry.saturating_sub(now)).ok()?;
    (left > 0).then(|| Duration::from_nanos(left))
}

/// `prefix` and 12 letters and digits, as all peers make them. Only equality matters.
pub(crate) fn id(prefix: &str) -> String {
    const LEN: usize = 12;
    let random = rand::rng().sample_iter(Alphanumeric).take(LEN).map(char::from);
    prefix.chars().chain(random).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiry_is_over_at_its_nanosecond() {
        assert_eq!(until(100, 99), Some(Duration::from_nanos(1)));
        assert_eq!(until(100, 100), None);
        assert_eq!(until(i64::MIN, 100), None);
        assert_eq!(expiry(5, Duration::MAX), i64::MAX);
    }

    #[test]
    fn ids_have_twelve_letters_or_digits_and_differ() {
        let (one, other) = (id("REQ_"), id("REQ_"));
        assert_ne!(one, other);
        let random = one.strip_prefix("REQ_").unwrap();
        assert!(random.len() == 12 && random.chars().all(|c| c.is_ascii_alphanumeric()));
    }
}
