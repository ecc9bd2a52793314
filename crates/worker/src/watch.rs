use gstreamer::ClockTime;
use media::Quality;

/// Which layers are wanted, and from when.
#[derive(Debug, Default)]
pub(crate) struct Watch([Wanted; Quality::ALL.len()]);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Wanted {
    #[default]
    Now,
    /// Pictures before this time are for another source of the layer; holds until the first one has been encoded.
    From(ClockTime),
    No,
}

impl Watch {
    /// Whether the picture at `time` is for this layer.
    pub(crate) fn wants(&self, quality: Quality, time: ClockTime) -> bool {
        match self.0[index(quality)] {
            Wanted::Now => true,
            Wanted::From(from) => time >= from,
            Wanted::No => false,
        }
    }

    /// The layer is wanted, and its next picture is its first.
    pub(crate) fn begins(&self, quality: Quality) -> bool {
        matches!(self.0[index(quality)], Wanted::From(_))
    }

    /// Its first picture has been encoded.
    pub(crate) fn begun(&mut self, quality: Quality) {
        let wanted = &mut self.0[index(quality)];
        if matches!(wanted, Wanted::From(_)) {
            *wanted = Wanted::Now;
        }
    }

    pub(crate) fn is_paused(&self, quality: Quality) -> bool {
        self.0[index(quality)] == Wanted::No
    }

    pub(crate) fn pause(&mut self, quality: Quality) {
        self.0[index(quality)] = Wanted::No;
    }

    /// True when it is a change: its next picture is to be a keyframe.
    pub(crate) fn resume(&mut self, quality: Quality) -> bool {
        std::mem::replace(&mut self.0[index(quality)], Wanted::Now) != Wanted::Now
    }

    /// The same for a start in time. A layer that runs already goes on.
    pub(crate) fn resume_at(&mut self, quality: Quality, time: ClockTime) -> bool {
        let wanted = &mut self.0[index(quality)];
        if *wanted == Wanted::Now {
            return false;
        }
        *wanted = Wanted::From(time);
        true
    }
}

fn index(quality: Quality) -> usize {
    usize::from(quality.number())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOW: Quality = Quality::Low;

    fn seconds(n: u64) -> ClockTime {
        ClockTime::from_seconds(n)
    }

    #[test]
    fn a_layer_waits_for_its_time_until_it_has_begun() {
        let mut watch = Watch::default();
        assert!(!watch.resume_at(LOW, seconds(5)), "it runs already");
        watch.pause(LOW);
        assert!(watch.resume_at(LOW, seconds(5)));
        assert!(!watch.wants(LOW, seconds(4)) && watch.wants(LOW, seconds(5)) && !watch.is_paused(LOW));
        assert!(watch.wants(Quality::High, seconds(4)), "others are not affected");
        watch.begun(LOW);
        assert!(watch.wants(LOW, seconds(4)) && !watch.resume(LOW));
    }

    #[test]
    fn a_resumption_ends_the_wait_and_a_pause_forgets_the_time() {
        let mut watch = Watch::default();
        watch.pause(LOW);
        assert!(watch.resume_at(LOW, seconds(5)) && watch.resume_at(LOW, seconds(7)));
        assert!(!watch.wants(LOW, seconds(6)), "the later wish counts");
        assert!(watch.resume(LOW) && watch.wants(LOW, seconds(1)));
        watch.pause(LOW);
        assert!(watch.resume_at(LOW, seconds(5)));
        watch.pause(LOW);
        assert!(!watch.wants(LOW, seconds(9)));
        watch.begun(LOW);
        assert!(watch.is_paused(LOW));
    }
}
