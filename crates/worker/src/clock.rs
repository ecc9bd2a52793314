use gstreamer::{ClockTime, SampleRef};
use media::MediaTime;

/// GStreamer's times start at zero, a session's may lie a little before: all are moved by one constant.
const OFFSET: ClockTime = ClockTime::from_seconds(3600);

/// A session's time on GStreamer's clock, rounded up to the nanosecond so that flooring it to the publisher's clock
/// gives the same tick; `None` more than an hour before the session, or past 292 years.
pub(crate) fn to_gst(time: MediaTime) -> Option<ClockTime> {
    let nanos = MediaTime::ZERO.since(time).nanos().saturating_neg();
    let moved = nanos.checked_add(i64::try_from(OFFSET.nseconds()).ok()?)?;
    u64::try_from(moved).ok().map(ClockTime::from_nseconds)
}

/// The way back.
pub(crate) fn from_gst(time: ClockTime) -> MediaTime {
    let nanos = i128::from(time.nseconds()) - i128::from(OFFSET.nseconds());
    MediaTime::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
}

/// A sample's presentation time on the session's clock. Encoders shift buffer times and segment alike (`x264enc` by
/// 1000 hours): only the running time means the same on both sides of them.
pub(crate) fn running_time(sample: &SampleRef) -> Option<ClockTime> {
    let segment = sample.segment()?.downcast_ref::<ClockTime>()?;
    segment.to_running_time(sample.buffer()?.pts()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_the_session_survive_the_way_through_gstreamer() {
        for time in [MediaTime::from_millis(-250), MediaTime::ZERO, MediaTime::from_90khz(1)] {
            let back = from_gst(to_gst(time).unwrap());
            assert_eq!(back.ticks_at(90_000), time.ticks_at(90_000));
        }
        assert_eq!(to_gst(MediaTime::from_millis(-3_600_001)), None);
        assert_eq!(to_gst(MediaTime::from_nanos(i64::MAX)), None);
    }
}
