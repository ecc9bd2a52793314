use crate::limits::SMALLEST_WINDOW;

/// When the peer wants to hear how much we have received (RTMP 5.4.3, 5.4.4).
#[derive(Debug, Default)]
pub(super) struct Ear {
    window: Option<u32>,
    acknowledged: u64,
}

impl Ear {
    /// The peer's window; 0 asks for nothing.
    pub(super) fn set_window(&mut self, bytes: u32) {
        self.window = (bytes > 0).then(|| bytes.max(SMALLEST_WINDOW));
    }

    /// The sequence number to send, if one is due with `received` bytes.
    pub(super) fn due(&mut self, received: u64) -> Option<u32> {
        let window = u64::from(self.window?);
        if received - self.acknowledged < window {
            return None;
        }
        self.acknowledged = received;
        // The field wraps like a TCP sequence number.
        Some(received as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_acknowledgement_for_each_window() {
        let mut ear = Ear::default();
        assert_eq!(ear.due(1 << 40), None);
        ear.set_window(5000);
        assert_eq!(ear.due((1 << 40) + 7), Some(7));
        assert_eq!(ear.due((1 << 40) + 5006), None);
        assert_eq!(ear.due((1 << 40) + 5007), Some(5007));
    }

    #[test]
    fn a_tiny_window_does_not_make_a_storm() {
        let mut ear = Ear::default();
        ear.set_window(1);
        assert_eq!((1..=10_000).filter(|received| ear.due(*received).is_some()).count(), 2);
        ear.set_window(0);
        assert_eq!(ear.due(1 << 30), None);
    }
}
