//! The bounded queues between stages: what does not fit is dropped up to the next point where a decoder can start.

use std::{collections::VecDeque, time::Duration};

use crate::{Encoded, Format, Kind, MediaTime, Packet, TrackId, Unit};

/// How much a queue may hold. Past either bound it drops from the old end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// From the oldest to the newest item.
    pub span: Duration,
    /// Of payload.
    pub bytes: usize,
}

/// What a [`Queue`] must know of an item.
pub trait Item {
    /// Media: sound or picture, when it is due, and whether a decoder can start here.
    /// `None`: not media, never dropped (a format).
    fn media(&self) -> Option<(Kind, MediaTime, bool)>;
    /// Payload size.
    fn bytes(&self) -> usize;
}

impl Item for Unit {
    fn media(&self) -> Option<(Kind, MediaTime, bool)> {
        match self {
            Unit::Format(..) => None,
            Unit::Packet(packet) => Some((packet.kind, packet.dts, packet.keyframe)),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Unit::Format(_, format) => format.config.len(),
            Unit::Packet(packet) => packet.data.len(),
        }
    }
}

impl Item for Encoded {
    fn media(&self) -> Option<(Kind, MediaTime, bool)> {
        Some((self.output.kind(), self.pts, self.keyframe))
    }

    fn bytes(&self) -> usize {
        self.data.len()
    }
}

/// First in, first out, bounded in time and bytes.
///
/// Past a bound it drops whole groups of pictures from the old end, with the sound that belongs to them; when there is
/// no later key picture to drop to, it drops everything and lets no picture in before the next one. Without pictures it
/// drops the oldest sound.
#[derive(Debug)]
pub struct Queue<T> {
    bound: Bound,
    items: VecDeque<T>,
    bytes: usize,
    awaiting_key: bool,
    dropped: u64,
}

impl<T: Item> Queue<T> {
    /// An empty queue.
    pub fn new(bound: Bound) -> Self {
        Self { bound, items: VecDeque::new(), bytes: 0, awaiting_key: false, dropped: 0 }
    }

    /// Adds `item`. Returns how many items were dropped for it, itself included.
    pub fn push(&mut self, item: T) -> usize {
        match item.media() {
            Some((Kind::Video, _, true)) => self.awaiting_key = false,
            Some((Kind::Video, _, false)) if self.awaiting_key => {
                self.dropped += 1;
                return 1;
            }
            _ => {}
        }
        self.bytes += item.bytes();
        self.items.push_back(item);
        let mut dropped = 0;
        while self.over() {
            dropped += self.shed();
        }
        self.dropped += dropped as u64;
        dropped
    }

    /// Takes the oldest item.
    pub fn pop(&mut self) -> Option<T> {
        let item = self.items.pop_front()?;
        self.bytes -= item.bytes();
        Some(item)
    }

    /// True when there is nothing to take.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Items in the queue.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Items dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// From the oldest to the newest item.
    pub fn span(&self) -> Duration {
        let due = |item: &T| item.media().map(|(_, due, _)| due);
        match (self.items.iter().find_map(due), self.items.iter().rev().find_map(due)) {
            (Some(first), Some(last)) => last.duration_since(first),
            // Formats alone: their number is bounded by their senders.
            _ => Duration::ZERO,
        }
    }

    /// True while pictures are refused until one comes that a decoder can start from.
    pub fn awaits_keyframe(&self) -> bool {
        self.awaiting_key
    }

    /// Empties the queue of media; pictures start again with a key picture.
    pub fn clear(&mut self) {
        self.items.retain(|item| item.media().is_none());
        self.bytes = self.items.iter().map(Item::bytes).sum();
        self.awaiting_key = true;
    }

    fn over(&self) -> bool {
        !self.items.is_empty() && (self.bytes > self.bound.bytes || self.span() > self.bound.span)
    }

    /// Drops the oldest group. Called only while there is media in the queue, so it always drops something.
    fn shed(&mut self) -> usize {
        let picture = |item: &T| matches!(item.media(), Some((Kind::Video, ..)));
        let key = |item: &T| matches!(item.media(), Some((Kind::Video, _, true)));
        let first_media = self.items.iter().position(|item| item.media().is_some()).unwrap_or(0);
        let until = match self.items.iter().skip(first_media + 1).position(key) {
            Some(next) => first_media + 1 + next,
            None if self.items.iter().any(picture) => {
                self.awaiting_key = true;
                self.items.len()
            }
            None => first_media + 1,
        };
        let before = self.items.len();
        let mut index = 0;
        self.items.retain(|item| {
            index += 1;
            index > until || item.media().is_none()
        });
        self.bytes = self.items.iter().map(Item::bytes).sum();
        before - self.items.len()
    }
}

/// What a decoder that starts now needs: the formats, and all packets since the last key picture (without pictures:
/// nothing but the formats).
#[derive(Debug)]
pub struct GopCache {
    limit_bytes: usize,
    formats: Vec<(TrackId, Format)>,
    packets: Vec<Packet>,
    pictures: usize,
    bytes: usize,
}

impl GopCache {
    /// A cache that gives up on a group of pictures larger than `limit_bytes`, and waits for the next one.
    pub fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, formats: Vec::new(), packets: Vec::new(), pictures: 0, bytes: 0 }
    }

    /// Takes note of what goes by; payloads are shared, not copied.
    pub fn note(&mut self, unit: &Unit) {
        match unit {
            Unit::Format(track, format) => {
                self.formats.retain(|(known, _)| known != track);
                self.formats.push((*track, format.clone()));
                if format.codec.kind() == Kind::Video {
                    self.clear_packets();
                }
            }
            Unit::Packet(packet) => self.note_packet(packet),
        }
    }

    /// The formats, then the packets, in the order in which they came.
    pub fn replay(&self) -> impl Iterator<Item = Unit> + '_ {
        let formats = self.formats.iter().map(|(track, format)| Unit::Format(*track, format.clone()));
        formats.chain(self.packets.iter().cloned().map(Unit::Packet))
    }

    /// Pictures since the last key picture, itself included.
    pub fn pictures(&self) -> usize {
        self.pictures
    }

    /// Forgets everything: another source starts.
    pub fn clear(&mut self) {
        self.formats.clear();
        self.clear_packets();
    }

    fn note_packet(&mut self, packet: &Packet) {
        let key = packet.kind == Kind::Video && packet.keyframe;
        if key {
            self.clear_packets();
        }
        if key || !self.packets.is_empty() {
            self.bytes += packet.data.len();
            self.pictures += usize::from(packet.kind == Kind::Video);
            self.packets.push(packet.clone());
        }
        if self.bytes > self.limit_bytes {
            self.clear_packets();
        }
    }

    fn clear_packets(&mut self) {
        self.packets.clear();
        (self.pictures, self.bytes) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Codec;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn packet(kind: Kind, ms: i64, keyframe: bool) -> Unit {
        let time = MediaTime::from_millis(ms);
        let data = Bytes::from_static(&[0; 100]);
        Unit::Packet(Packet { track: TrackId(kind as u8), kind, pts: time, dts: time, keyframe, data })
    }

    fn format() -> Unit {
        Unit::Format(TrackId(1), Format::new(Codec::H264, Bytes::from_static(&[1])))
    }

    const BOUND: Bound = Bound { span: Duration::from_millis(500), bytes: 10_000 };

    #[test]
    fn a_full_queue_drops_to_the_next_key_picture_and_keeps_formats() {
        let mut queue = Queue::new(BOUND);
        queue.push(format());
        for (ms, key) in [(0, true), (100, false), (200, false), (300, true), (400, false)] {
            assert_eq!(queue.push(packet(Kind::Video, ms, key)), 0);
        }
        assert_eq!(queue.push(packet(Kind::Video, 600, false)), 3);
        assert_eq!(queue.pop(), Some(format()));
        assert_eq!(queue.pop(), Some(packet(Kind::Video, 300, true)));
        assert_eq!(queue.dropped(), 3);
    }

    #[test]
    fn without_a_later_key_picture_everything_goes_until_one_comes() {
        let mut queue = Queue::new(BOUND);
        queue.push(packet(Kind::Video, 0, true));
        assert_eq!(queue.push(packet(Kind::Video, 600, false)), 2);
        assert!(queue.awaits_keyframe());
        assert_eq!(queue.push(packet(Kind::Video, 633, false)), 1);
        assert_eq!(queue.push(packet(Kind::Audio, 640, true)), 0, "sound goes on");
        assert_eq!(queue.push(packet(Kind::Video, 666, true)), 0);
        assert_eq!(queue.len(), 2);
    }

    #[test]
    fn sound_alone_drops_its_oldest() {
        let mut queue = Queue::new(BOUND);
        for i in 0..30 {
            queue.push(packet(Kind::Audio, i * 20, true));
        }
        assert_eq!(queue.len(), 26);
        assert_eq!(queue.pop(), Some(packet(Kind::Audio, 80, true)));
    }

    #[test]
    fn a_gop_cache_replays_formats_and_all_since_the_last_key_picture() {
        let mut cache = GopCache::new(1_000);
        let units = [
            format(),
            packet(Kind::Audio, 0, true),
            packet(Kind::Video, 0, true),
            packet(Kind::Video, 33, false),
            packet(Kind::Video, 66, true),
            packet(Kind::Audio, 70, true),
        ];
        units.iter().for_each(|unit| cache.note(unit));
        assert_eq!(cache.replay().collect::<Vec<_>>(), [&units[0], &units[4], &units[5]].map(Clone::clone));
        assert_eq!(cache.pictures(), 1);
        (0..20).for_each(|i| cache.note(&packet(Kind::Video, 100 + i, false)));
        assert_eq!(cache.replay().collect::<Vec<_>>(), [format()], "a group over the limit is given up");
    }

    proptest! {
        #[test]
        fn bounds_hold_and_a_picture_never_follows_a_gap(
            steps in prop::collection::vec((any::<bool>(), 0_i64..200, prop::bool::weighted(0.2), any::<bool>()), 1..200)
        ) {
            let mut queue = Queue::new(Bound { span: Duration::from_millis(500), bytes: 2_000 });
            let (mut now, mut sent, mut decodable) = (0, 0_i64, None);
            for (picture, step, key, pop) in steps {
                now += step;
                let kind = if picture { Kind::Video } else { Kind::Audio };
                if picture { sent += 1; }
                // The number of the picture rides in its pts.
                let Unit::Packet(mut p) = packet(kind, now, key || !picture) else { unreachable!() };
                p.pts = MediaTime::from_millis(sent);
                queue.push(Unit::Packet(p));
                prop_assert!(!queue.over());
                if pop && let Some(Unit::Packet(p)) = queue.pop() && p.kind == Kind::Video {
                    let number = p.pts.millis();
                    prop_assert!(p.keyframe || decodable == Some(number - 1) || (decodable.is_none() && number == 1));
                    decodable = Some(number);
                }
            }
        }
    }
}
