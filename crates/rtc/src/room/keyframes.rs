use std::time::{Duration, Instant};

use media::Quality;

/// An encoder that was asked for a keyframe delivers within 30 ms; the SFU repeats its PLI at best every 500 ms, and often
/// sends one right after a resume's own keyframe. Requests of a layer closer than this are one.
const INTERVAL: Duration = Duration::from_millis(250);

/// Collects the requests for keyframes, layer by layer, so that an encoder is asked at most once every 250 ms and no
/// request is lost.
#[derive(Debug, Default)]
pub struct Keyframes {
    layers: [Gate; 3],
}

#[derive(Debug, Default, Clone, Copy)]
struct Gate {
    /// When the encoder was last asked.
    asked: Option<Instant>,
    /// The earliest and the latest instant that a keyframe is wanted at.
    wanted: Option<(Instant, Instant)>,
}

impl Gate {
    fn request(&mut self, from: Instant) {
        self.wanted = Some(match self.wanted {
            Some((first, last)) => (first.min(from), last.max(from)),
            None => (from, from),
        });
    }

    /// A keyframe made at `now` serves every wish up to now.
    fn serve(&mut self, now: Instant) {
        self.wanted = match self.wanted {
            Some((first, last)) if last > now => Some((if first > now { first } else { last }, last)),
            _ => None,
        };
    }

    fn due(&self) -> Option<Instant> {
        let (first, _) = self.wanted?;
        Some(self.asked.map_or(first, |asked| first.max(asked + INTERVAL)))
    }
}

impl Keyframes {
    /// Somebody needs a keyframe of this layer, made at `from` or later.
    pub fn request(&mut self, from: Instant, quality: Quality) {
        self.gate(quality).request(from);
    }

    /// A keyframe of this layer was sent: the requests that it serves are done.
    pub fn sent(&mut self, now: Instant, quality: Quality) {
        self.gate(quality).serve(now);
    }

    /// The next layer whose encoder is to be asked now.
    pub fn poll(&mut self, now: Instant) -> Option<Quality> {
        let due = |gate: &Gate| gate.due().is_some_and(|due| due <= now);
        let quality = Quality::ALL.into_iter().find(|quality| due(self.gate(*quality)))?;
        let gate = self.gate(quality);
        gate.serve(now);
        gate.asked = Some(now);
        Some(quality)
    }

    /// When [`Keyframes::poll`] has something.
    pub fn timeout(&self) -> Option<Instant> {
        self.layers.iter().filter_map(Gate::due).min()
    }

    fn gate(&mut self, quality: Quality) -> &mut Gate {
        &mut self.layers[usize::from(quality.number())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_first_request_passes_at_once_and_the_next_waits() {
        let now = Instant::now();
        let mut keyframes = Keyframes::default();
        keyframes.request(now, Quality::High);
        assert_eq!(keyframes.poll(now), Some(Quality::High));
        keyframes.request(now + 10 * MS, Quality::High);
        assert_eq!(keyframes.poll(now + 10 * MS), None);
        assert_eq!(keyframes.timeout(), Some(now + INTERVAL));
        assert_eq!(keyframes.poll(now + INTERVAL), Some(Quality::High));
        assert_eq!(keyframes.poll(now + 2 * INTERVAL), None);
    }

    #[test]
    fn a_keyframe_that_came_meanwhile_serves_a_waiting_request() {
        let now = Instant::now();
        let mut keyframes = Keyframes::default();
        keyframes.request(now, Quality::Low);
        keyframes.poll(now);
        keyframes.request(now + 10 * MS, Quality::Low);
        keyframes.sent(now + 20 * MS, Quality::Low);
        assert_eq!(keyframes.timeout(), None);
    }

    #[test]
    fn a_keyframe_before_its_time_does_not_serve_a_later_wish() {
        let now = Instant::now();
        let mut keyframes = Keyframes::default();
        keyframes.request(now + 300 * MS, Quality::Medium);
        keyframes.sent(now + 20 * MS, Quality::Medium);
        assert_eq!(keyframes.poll(now + 299 * MS), None);
        assert_eq!(keyframes.poll(now + 300 * MS), Some(Quality::Medium));
    }

    #[test]
    fn a_request_for_now_does_not_wait_for_one_for_later() {
        let now = Instant::now();
        let mut keyframes = Keyframes::default();
        keyframes.request(now + 300 * MS, Quality::High);
        keyframes.request(now, Quality::High);
        assert_eq!(keyframes.poll(now), Some(Quality::High));
        assert_eq!(keyframes.poll(now + 299 * MS), None);
        assert_eq!(keyframes.poll(now + 300 * MS), Some(Quality::High));
    }

    #[test]
    fn layers_do_not_wait_for_each_other() {
        let now = Instant::now();
        let mut keyframes = Keyframes::default();
        for quality in Quality::ALL {
            keyframes.request(now, quality);
        }
        let asked: Vec<_> = std::iter::from_fn(|| keyframes.poll(now)).collect();
        assert_eq!(asked, Quality::ALL);
    }

    proptest! {
        #[test]
        fn an_encoder_is_never_asked_twice_within_the_interval_and_no_request_is_lost(
            steps in proptest::collection::vec((0_u64..400, 0_u64..2), 1..80),
        ) {
            let mut now = Instant::now();
            let mut keyframes = Keyframes::default();
            let mut asked = None::<Instant>;
            for (wait, ahead) in steps {
                now += Duration::from_millis(wait);
                while keyframes.poll(now).is_some() {
                    prop_assert!(asked.is_none_or(|at| now - at >= INTERVAL));
                    asked = Some(now);
                }
                keyframes.request(now + Duration::from_millis(ahead * 300), Quality::High);
                prop_assert!(keyframes.timeout().is_some());
            }
            now += Duration::from_secs(10);
            prop_assert_eq!(keyframes.poll(now), Some(Quality::High));
        }
    }
}
