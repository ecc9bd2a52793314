use media::{MediaTime, Packet};

/// Further apart than this is no order of decoding but a jump of the clock. H.264 and H.265 keep 16 pictures at most: half a second.
const MOST: MediaTime = MediaTime::from_millis(700);

/// Decoding times. RTP has none: packets come in decoding order with the times at which they are shown, which go back where a picture
/// refers to a later one. So pictures are decoded as long before they are shown as times have gone back so far.
#[derive(Debug)]
pub(super) struct Decoding {
    latest: Option<MediaTime>,
    last: Option<MediaTime>,
    before: MediaTime,
}

impl Default for Decoding {
    fn default() -> Self {
        Self { latest: None, last: None, before: MediaTime::ZERO }
    }
}

impl Decoding {
    /// The same picture with its decoding time. Only while the distance is being learned, at a stream's first such pictures, is
    /// one decoded after it is shown.
    pub(super) fn order(&mut self, packet: Packet) -> Packet {
        let latest = self.latest.map_or(packet.pts, |latest| latest.max(packet.pts));
        let back = latest.since(packet.pts);
        if back > MOST {
            *self = Self { before: self.before, ..Self::default() };
            return self.order(packet);
        }
        self.latest = Some(latest);
        self.before = self.before.max(back);
        let dts = packet.pts.since(self.before);
        let dts = self.last.map_or(dts, |last| last.max(dts));
        self.last = Some(dts);
        Packet { dts, ..packet }
    }
}
