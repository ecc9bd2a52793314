use std::time::Instant;

use media::{Encoded, MediaTime, Output};
use str0m::media::{Frequency, Pt};

use super::{Error, Room};

/// RTP times are unsigned while a pts may be a little below zero: this much is added to every pts.
const RTP_OFFSET_SECONDS: i64 = 3600;

impl Room {
    /// Sends a frame: an Annex B access unit, a VP8 frame or an Opus packet. Returns false when it was dropped because its
    /// output is not open.
    pub fn write(&mut self, now: Instant, frame: &Encoded) -> Result<bool, Error> {
        // Also for frames that are dropped: the anchor is the better known the more frames it has seen.
        let wallclock = self.epoch.wallclock(now, frame.pts);
        let Some(pt) = self.payload_type(frame.output).filter(|_| self.connected) else { return Ok(false) };
        let (track, rid) = match frame.output {
            Output::Audio => (&self.audio, None),
            Output::Video(quality) => (&self.video, self.video.as_ref().and_then(|t| t.rid(quality))),
        };
        let Some(mid) = track.as_ref().and_then(|track| track.mid) else { return Ok(false) };
        let Some(writer) = self.rtc.writer(mid) else { return Ok(false) };
        let writer = match rid {
            Some(rid) => writer.rid(rid),
            None => writer,
        };
        let rate = match frame.output {
            Output::Audio => Frequency::FORTY_EIGHT_KHZ,
            Output::Video(_) => Frequency::NINETY_KHZ,
        };
        let time = rtp_time(frame.pts, rate);
        writer.write(pt, wallclock, time, frame.data.as_ref()).map_err(Error::Engine)?;
        if let (Output::Video(quality), true) = (frame.output, frame.keyframe) {
            self.keyframes.sent(now, quality);
        }
        self.settle(now)?;
        Ok(true)
    }

    pub(super) fn payload_type(&mut self, output: Output) -> Option<Pt> {
        let track = match output {
            Output::Audio => self.audio.as_ref(),
            Output::Video(quality) => self.video.as_ref().filter(|t| t.qualities.contains(&quality)),
        };
        let writer = self.rtc.writer(track?.mid?)?;
        writer.payload_params().next().map(|params| params.pt())
    }
}

/// The pts on the RTP clock. The same for all layers of a picture.
fn rtp_time(pts: MediaTime, rate: Frequency) -> str0m::media::MediaTime {
    let ticks = pts.ticks_at(rate.get()).saturating_add(RTP_OFFSET_SECONDS * i64::from(rate.get()));
    str0m::media::MediaTime::new(u64::try_from(ticks).unwrap_or(0), rate)
}
