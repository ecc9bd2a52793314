/// The steps that encoders are told: each changes how an encoder works, and libopus changes its very mode on the way.
const STEPS: [u8; 4] = [0, 5, 10, 20];

/// A step holds from this loss on, in percent,
const UP: [f32; 4] = [0.0, 2.0, 7.0, 15.0];

/// until it falls below this.
const DOWN: [f32; 4] = [0.0, 1.0, 5.0, 12.0];

/// How much of a new report counts. Losses come in bursts: they are believed sooner than their end.
const RISE: f32 = 0.5;
const FALL: f32 = 0.2;

/// The part of the sound's packets that the receiver misses, smoothed and in steps. The SFU reports the larger one of its
/// own losses and those of its subscribers.
#[derive(Debug, Default)]
pub(super) struct Loss {
    percent: f32,
    step: usize,
}

impl Loss {
    /// Takes a report in, 0 to 1; gives the step in percent when it is another one.
    pub(super) fn note(&mut self, fraction: f32) -> Option<u8> {
        let reported = fraction.clamp(0.0, 1.0) * 100.0;
        let weight = if reported > self.percent { RISE } else { FALL };
        self.percent += (reported - self.percent) * weight;
        let before = self.step;
        while self.step + 1 < STEPS.len() && self.percent >= UP[self.step + 1] {
            self.step += 1;
        }
        while self.percent < DOWN[self.step] {
            self.step -= 1;
        }
        (self.step != before).then(|| STEPS[self.step])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(loss: &mut Loss, fraction: f32, reports: usize) -> Vec<u8> {
        (0..reports).filter_map(|_| loss.note(fraction)).collect()
    }

    #[test]
    fn losses_are_told_soon_and_their_end_later_each_step_once() {
        let mut loss = Loss::default();
        assert_eq!(told(&mut loss, 0.0, 10), [0_u8; 0]);
        assert_eq!(told(&mut loss, 0.20, 10), [10, 20]);
        assert_eq!(told(&mut loss, 0.08, 30), [10]);
        assert_eq!(told(&mut loss, 0.0, 30), [5, 0]);
    }

    #[test]
    fn a_single_bad_report_is_a_small_step_and_a_trickle_none() {
        let mut loss = Loss::default();
        assert_eq!(told(&mut loss, 0.01, 100), [0_u8; 0]);
        assert_eq!(told(&mut loss, 0.05, 1), [5]);
        assert_eq!(told(&mut loss, 0.01, 20), [0_u8; 0], "it hovers between two steps");
        assert_eq!(told(&mut loss, 0.0, 20), [0]);
    }

    proptest! {
        #[test]
        fn what_is_told_is_a_step_and_news(fractions in prop::collection::vec(-1_f32..2.0, 0..100)) {
            let mut loss = Loss::default();
            let mut last = 0;
            for fraction in fractions {
                if let Some(step) = loss.note(fraction) {
                    prop_assert!(STEPS.contains(&step) && step != last);
                    last = step;
                }
            }
        }
    }
}
