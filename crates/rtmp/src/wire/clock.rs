/// 32-bit milliseconds to 64: each time is the one nearest to the last, forwards or back, so a wrap at 2^32 (49.7 days)
/// goes on and an audio frame slightly before a picture stays before it. One clock for all media of a connection, so
/// that sound and picture wrap together.
#[derive(Debug, Default)]
pub(super) struct Unwrap {
    last: Option<i64>,
}

impl Unwrap {
    pub(super) fn unwrap(&mut self, timestamp: u32) -> i64 {
        let time = match self.last {
            None => i64::from(timestamp),
            // Truncation to 32 bits is the point, and the difference is signed.
            Some(last) => last.saturating_add(i64::from(timestamp.wrapping_sub(last as u32).cast_signed())),
        };
        self.last = Some(time);
        time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrap_goes_on_and_a_step_back_stays_back() {
        let mut clock = Unwrap::default();
        let times = [u32::MAX - 10, u32::MAX, 9, u32::MAX - 1, 30].map(|t| clock.unwrap(t));
        let end = i64::from(u32::MAX);
        assert_eq!(times, [end - 10, end, end + 10, end - 1, end + 31]);
    }

    #[test]
    fn it_starts_anywhere_and_can_go_below_its_start() {
        let mut clock = Unwrap::default();
        assert_eq!([5, 0, 4_294_967_290].map(|t| clock.unwrap(t)), [5, 0, -6]);
    }
}
