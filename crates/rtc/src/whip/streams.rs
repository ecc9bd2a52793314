use std::{
    collections::HashMap,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use media::MediaTime;
use str0m::{
    Rtc,
    media::{Mid, Rid},
    rtp::{RtpPacket, Ssrc},
};

use super::{
    Offer, Track,
    clock::{Clock, Report, Shift},
    start::Start,
};

/// SSRCs that are remembered: sound, four layers, and what comes after each of them is restarted some times.
const MAX_STREAMS: usize = 32;

/// What is known of each SSRC: where it belongs, its clock, where its pictures begin.
pub(super) struct Streams {
    /// All times count from here.
    born: Instant,
    shift: Shift,
    streams: HashMap<Ssrc, Stream>,
}

struct Stream {
    track: Track,
    number: u32,
    clock: Clock,
    start: Start,
}

impl Streams {
    pub(super) fn new(born: Instant) -> Self {
        Self { born, shift: Shift::default(), streams: HashMap::new() }
    }

    /// A packet as the world outside sees it; `None` when it belongs to nothing that was offered.
    pub(super) fn packet(
        &mut self,
        rtc: &mut Rtc,
        offer: &Offer,
        packet: RtpPacket,
    ) -> Option<(Track, media::RtpPacket)> {
        let ssrc = packet.header.ssrc;
        if !self.streams.contains_key(&ssrc) {
            let stream = self.begin(rtc, offer, ssrc)?;
            self.streams.insert(ssrc, stream);
        }
        let stream = self.streams.get_mut(&ssrc)?;
        let arrived = MediaTime::from_duration(packet.timestamp.saturating_duration_since(self.born));
        let report = packet.last_sender_info.map(|info| Report {
            timestamp: truncated(info.rtp_time.numer()),
            at: unix_nanos(info.ntp_time),
        });
        let (sequence, timestamp) = (*packet.seq_no, packet.header.timestamp);
        let marked = media::RtpPacket {
            stream: stream.number,
            sequence,
            timestamp,
            captured: stream.clock.captured(timestamp, arrived, report, &mut self.shift),
            marker: packet.header.marker,
            keyframe: stream.start.is_keyframe(sequence, timestamp, &packet.payload),
            payload: packet.payload,
        };
        Some((stream.track, marked))
    }

    /// An SSRC that is heard for the first time; `None` for one of no track that was offered.
    fn begin(&self, rtc: &mut Rtc, offer: &Offer, ssrc: Ssrc) -> Option<Stream> {
        if self.streams.len() >= MAX_STREAMS {
            return None;
        }
        let mut api = rtc.direct_api();
        let known = api.stream_rx(&ssrc)?;
        let (mid, rid) = (known.mid(), known.rid());
        let is = |offered: &str| mid == Mid::from(offered);
        let (track, rate, codec) = match (&offer.video, &offer.audio) {
            (Some(video), _) if is(&video.mid) => {
                let place =
                    |rid: Rid| video.rids.iter().position(|offered| rid == Rid::from(offered.as_str()));
                (Track::Video(rid.map_or(Some(0), place)?), 90_000, Some(video.codec))
            }
            (_, Some(audio)) if is(&audio.mid) => (Track::Audio, 48_000, None),
            _ => return None,
        };
        let number = u32::try_from(self.streams.len()).unwrap_or(u32::MAX) + 1;
        Some(Stream { track, number, clock: Clock::new(rate), start: Start::new(codec) })
    }
}

/// An extended RTP time as it stands in packets.
#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
fn truncated(time: u64) -> u32 {
    time as u32
}

fn unix_nanos(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
