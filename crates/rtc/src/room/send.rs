use std::time::Instant;

use media::{Encoded, MediaTime, Output, RtpPacket};
use str0m::{
    media::{Frequency, Mid, Pt, Rid},
    rtp::{ExtensionValues, RtpWrite},
};

use super::{Error, Room, numbers::Numbers};

/// RTP times are unsigned while a pts may be a little below zero: this much is added to every pts.
const RTP_OFFSET_SECONDS: i64 = 3600;

/// The largest payload that is forwarded. With our header and extensions (32 bytes), the resend's number (2) and SRTP's tag (16) it
/// stays under the 1460 bytes that livekit-server reads of a datagram (pion's receive MTU), and under 1500 with IPv6 and UDP.
/// Publishers stay below it: browsers and ffmpeg at 1200, GStreamer's payloaders at 1400 with their header.
pub(super) const PAYLOAD_LIMIT: usize = 1400;

/// The numbers of each output's packets, when packets are forwarded.
#[derive(Debug)]
pub(super) struct Forward([Numbers; 4]);

impl Forward {
    pub(super) fn new() -> Self {
        let video = || Numbers::new(Frequency::NINETY_KHZ.get());
        Self([Numbers::new(Frequency::FORTY_EIGHT_KHZ.get()), video(), video(), video()])
    }

    fn numbers(&mut self, output: Output) -> &mut Numbers {
        match output {
            Output::Audio => &mut self.0[0],
            Output::Video(quality) => &mut self.0[1 + usize::from(quality.number())],
        }
    }
}

impl Room {
    /// Sends a frame: an Annex B access unit, a VP8 frame or an Opus packet. Returns false when it was dropped because its
    /// output is not open, or packets are forwarded.
    pub fn write(&mut self, now: Instant, frame: &Encoded) -> Result<bool, Error> {
        // Also for frames that are dropped: the anchor is the better known the more frames it has seen.
        let wallclock = self.epoch.wallclock(now, frame.pts);
        let Some((mid, rid, pt)) = self.lane(frame.output).filter(|_| self.forward.is_none()) else {
            return Ok(false);
        };
        let Some(writer) = self.rtc.writer(mid) else { return Ok(false) };
        let writer = match rid {
            Some(rid) => writer.rid(rid),
            None => writer,
        };
        let time = rtp_time(frame.pts, rate(frame.output));
        writer.write(pt, wallclock, time, frame.data.as_ref()).map_err(Error::Engine)?;
        self.sent(now, frame.output, frame.keyframe)
    }

    /// Sends a publisher's packet, with the next numbers of this output's own stream. Returns false when it was dropped: the
    /// output is not open, frames are sent, the packet comes twice or too late (2048 packets), or its payload is over 1400 bytes.
    ///
    /// Numbers keep their distances within a stream. Another stream goes on with the next number, and with times as much
    /// later as it was captured later.
    pub fn forward(&mut self, now: Instant, output: Output, packet: &RtpPacket) -> Result<bool, Error> {
        let wallclock = self.epoch.wallclock(now, packet.captured);
        let lane = self.lane(output).filter(|_| packet.payload.len() <= PAYLOAD_LIMIT);
        let (Some((mid, rid, pt)), Some(forward)) = (lane, &mut self.forward) else { return Ok(false) };
        let mut api = self.rtc.direct_api();
        let Some(stream) = api.stream_tx_by_mid(mid, rid) else { return Ok(false) };
        let Some((number, time)) = forward.numbers(output).assign(packet) else { return Ok(false) };
        let write = RtpWrite::new(pt, number.into(), time, wallclock, packet.payload.clone());
        let write = write.marker(packet.marker).nackable(output != Output::Audio);
        stream.write_rtp(write.ext_vals(extensions(packet)));
        self.sent(now, output, packet.keyframe)
    }

    /// Packets of this output are not handed over for a while, or some were not: the next one that is goes on without a gap.
    /// What came before it then comes too late.
    pub fn pause(&mut self, output: Output) {
        if let Some(forward) = &mut self.forward {
            forward.numbers(output).cut();
        }
    }

    fn sent(&mut self, now: Instant, output: Output, keyframe: bool) -> Result<bool, Error> {
        if let (Output::Video(quality), true) = (output, keyframe) {
            self.keyframes.sent(now, quality);
        }
        self.settle(now)?;
        Ok(true)
    }

    /// How an output is addressed; `None` while it is not open.
    pub(super) fn lane(&self, output: Output) -> Option<(Mid, Option<Rid>, Pt)> {
        let (track, rid) = match output {
            Output::Audio => (self.audio.as_ref()?, None),
            Output::Video(quality) => {
                let track = self.video.as_ref().filter(|track| track.qualities.contains(&quality))?;
                (track, track.rid(quality))
            }
        };
        let mid = track.mid.filter(|_| self.connected && self.rtc.is_alive())?;
        let taken = self.rtc.media(mid)?.remote_pts();
        let pt =
            self.rtc.codec_config().params().iter().map(|params| params.pt()).find(|pt| taken.contains(pt));
        Some((mid, rid, pt?))
    }
}

/// What is told beside a packet; how it is addressed is the engine's business.
fn extensions(packet: &RtpPacket) -> ExtensionValues {
    let mut values = ExtensionValues::default();
    if let Some(level) = packet.level {
        // In decibels from 0 down; the room is told both or neither.
        values.audio_level = Some(-i8::try_from(level.below_peak_db).unwrap_or(i8::MAX));
        values.voice_activity = Some(level.voice);
    }
    values
}

fn rate(output: Output) -> Frequency {
    match output {
        Output::Audio => Frequency::FORTY_EIGHT_KHZ,
        Output::Video(_) => Frequency::NINETY_KHZ,
    }
}

/// The pts on the RTP clock. The same for all layers of a picture.
fn rtp_time(pts: MediaTime, rate: Frequency) -> str0m::media::MediaTime {
    str0m::media::MediaTime::new(rtp_ticks(pts, rate.get()), rate)
}

/// The same, in ticks that do not wrap.
pub(super) fn rtp_ticks(pts: MediaTime, rate: u32) -> u64 {
    let ticks = pts.ticks_at(rate).saturating_add(RTP_OFFSET_SECONDS * i64::from(rate));
    u64::try_from(ticks).unwrap_or(0)
}
