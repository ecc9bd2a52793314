//! When a live stream that stopped is asked for again.

use std::time::Duration;

use tokio::time::Instant;

use super::Failure;

/// After this, then after twice as long each time: a server restarts in seconds.
const FIRST: Duration = Duration::from_millis(250);

/// The longest such wait.
const LONGEST: Duration = Duration::from_secs(4);

/// So often it is asked for before any media has come; the last of these waits is 4 s.
const ATTEMPTS: u32 = 6;

/// One that has played and broke off is asked for again for so long: a camera restarts in that time. The participant stays.
const OUTAGE: Duration = Duration::from_secs(30);

/// How often a stream was asked for in vain, and since when.
#[derive(Debug, Default)]
pub(super) struct Outage {
    attempt: u32,
    /// It has played until then.
    since: Option<Instant>,
}

impl Outage {
    /// Something that `played`, or should have, broke off: waits until it is worth asking for again.
    ///
    /// # Errors
    /// The same failure, when it was asked for long enough.
    pub(super) async fn after(&mut self, failure: Failure, played: bool) -> Result<(), Failure> {
        if played {
            self.played();
        }
        tracing::warn!(reason = failure.label, "stream broke off: {}", failure.text);
        if self.wait().await { Ok(()) } else { Err(failure) }
    }

    /// Media came of it, until now.
    pub(super) fn played(&mut self) {
        *self = Self { attempt: 0, since: Some(Instant::now()) };
    }

    /// Whether it ever played.
    pub(super) fn has_played(&self) -> bool {
        self.since.is_some()
    }

    /// Waits until it is time to ask again; false when it was asked for long enough.
    pub(super) async fn wait(&mut self) -> bool {
        self.attempt += 1;
        let given_up = match self.since {
            Some(since) => since.elapsed() >= OUTAGE,
            None => self.attempt >= ATTEMPTS,
        };
        if !given_up {
            tokio::time::sleep(LONGEST.min(FIRST * 2_u32.saturating_pow(self.attempt - 1))).await;
        }
        !given_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn seconds(outage: &mut Outage) -> f64 {
        let began = Instant::now();
        while outage.wait().await {}
        began.elapsed().as_secs_f64()
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_played_is_asked_for_longer() {
        let mut outage = Outage::default();
        assert!((7.7..7.8).contains(&seconds(&mut outage).await));
        outage.played();
        assert!((30.0..34.0).contains(&seconds(&mut outage).await));
    }
}
