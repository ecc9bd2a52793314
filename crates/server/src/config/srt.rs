//! The SRT listener, and what SRT inputs have in common.

use std::time::Duration;

use super::{secret::Secret, section::Section};

/// Enough for four round trips of 50 ms: what was lost is asked for again that often.
const LATENCY: Duration = Duration::from_millis(200);

/// libsrt's buffers have an end, and no live stream is held back for longer.
const LATENCY_MOST: i64 = 8000;

/// SRT. `Debug` shows no passphrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Srt {
    /// What every publisher's program must have, 10 to 79 bytes; none: their streams are not encrypted.
    pub passphrase: Option<Secret>,
    /// How long media is held back at least, for what was lost to be sent again.
    pub latency: Duration,
}

impl Default for Srt {
    fn default() -> Self {
        Self { passphrase: None, latency: LATENCY }
    }
}

pub(super) fn read(s: &mut Section<'_>) -> Srt {
    let passphrase = s.parsed("passphrase", |text| match text.len() {
        10..=79 => Ok(Secret::new(text)),
        length => Err(format!("expected 10 to 79 characters, found {length}")),
    });
    let latency =
        s.integer("latency_ms", 0..=LATENCY_MOST, "milliseconds, at most 8000, or 0 for the default");
    let latency =
        latency.filter(|millis| *millis > 0).map(|millis| Duration::from_millis(millis.unsigned_abs()));
    Srt { passphrase, latency: latency.unwrap_or(LATENCY) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{problems, with};

    #[test]
    fn srt_is_off_unless_its_port_is_set() {
        assert_eq!((with("").srt_port, with("").srt), (None, Srt::default()));
        assert_eq!(with("srt_port: 10080\n").srt_port, Some(10080));
        assert_eq!((with("srt_port: -1\n").srt_port, with("srt_port: 0\n").srt_port), (None, None));
    }

    #[test]
    fn a_passphrase_has_the_length_that_srt_wants_and_is_not_shown() {
        let config = with("srt: {passphrase: correct horse, latency_ms: 500}\n").srt;
        assert_eq!(config.latency, Duration::from_millis(500));
        assert_eq!(config.passphrase.as_ref().map(Secret::reveal), Some("correct horse"));
        assert!(!format!("{config:?}").contains("horse"));
        for bad in ["passphrase: short", "latency_ms: 9000", "latency_ms: x"] {
            let problems = problems(&format!("srt: {{{bad}}}\n"));
            assert_eq!(problems.len(), 1, "{bad}");
            assert!(!problems[0].contains("short"), "{problems:?}");
        }
    }
}
