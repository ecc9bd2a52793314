//! Times: from a demuxer's running time to the one clock of all units.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

use media::{Codec, MediaTime, Packet};

use super::raw;

/// Where a section of one input lies on the units' clock, and on its stream's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Anchor {
    /// ns on the units' clock.
    pub(crate) at: i64,
    /// ns on the stream's own.
    pub(crate) raw: i64,
    pub(crate) wraps: bool,
}

/// How long an alternate sound waits to learn where the pictures of the same section lie. They are asked for at the same time.
const PATIENCE: Duration = Duration::from_secs(2);

/// Sections of two inputs that begin as near as this to each other are the same one: a segment or less.
const SAME: i64 = 5_000_000_000;

/// A section that begins as near as this to where its stream's own clock has it goes on with that clock: playlists round
/// the length of segments, and leave out what is before the first key picture.
const GOES_ON: i64 = 1_000_000_000;

/// What the streams' own clocks say about which instants are the same: one programme's renditions share a clock.
#[derive(Debug, Default)]
pub(crate) struct Anchors {
    newest: Mutex<Option<Anchor>>,
    changed: Condvar,
}

impl Anchors {
    /// Where the main input's section really begins that the server puts at `anchor.at`; ns.
    pub(crate) fn place(&self, anchor: Anchor) -> i64 {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let at = newest.map(|before| before.of(anchor)).filter(|at| (at - anchor.at).abs() < GOES_ON);
        let at = at.unwrap_or(anchor.at);
        *newest = Some(Anchor { at, ..anchor });
        self.changed.notify_all();
        at
    }

    /// The same for an alternate sound's section, by the main input's. May wait.
    pub(crate) fn follow(&self, anchor: Anchor) -> i64 {
        let elsewhere = |newest: &mut Option<Anchor>| {
            newest.is_none_or(|newest| (newest.of(anchor) - anchor.at).abs() > SAME)
        };
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let (newest, waited) = self
            .changed
            .wait_timeout_while(newest, PATIENCE, elsewhere)
            .unwrap_or_else(PoisonError::into_inner);
        newest.filter(|_| !waited.timed_out()).map_or(anchor.at, |newest| newest.of(anchor))
    }
}

impl Anchor {
    /// Where `other` lies by this one's clock.
    fn of(&self, other: Anchor) -> i64 {
        self.at.saturating_add(raw::difference(other.raw, self.raw, self.wraps && other.wraps))
    }
}

/// Most pictures that H.264 and HEVC keep back to bring them into order.
const REORDERED: usize = 16;

/// Gives the packets of one track decoding times that never go back, also where the container has none: then the first picture that
/// is shown gives the time at which the first is decoded, and so on, all moved back so that none is decoded after it is shown.
/// (Decoders take packets of the same decoding time for one, and lose the presentation times of the others.)
#[derive(Debug, Default)]
pub(crate) struct Order {
    held: VecDeque<Packet>,
    /// The times at which those are shown, that have not become a decoding time.
    shown: BinaryHeap<Reverse<MediaTime>>,
    /// How much earlier pictures are decoded.
    lead: Duration,
    last: Option<MediaTime>,
}

impl Order {
    /// Takes a packet with its presentation time, and its decoding time if the container has one; gives those that are
    /// ready, in the order in which they came.
    pub(crate) fn push(&mut self, packet: Packet, codec: Codec, has_dts: bool) -> Vec<Packet> {
        let reorders = matches!(codec, Codec::H264 | Codec::H265 | Codec::Mpeg2 | Codec::Mpeg4);
        if has_dts || !reorders {
            let mut ready = self.drain();
            ready.push(self.timed(packet));
            return ready;
        }
        self.shown.push(Reverse(packet.pts));
        self.held.push_back(packet);
        if self.held.len() > REORDERED { self.pop().into_iter().collect() } else { Vec::new() }
    }

    /// Nothing more comes.
    pub(crate) fn drain(&mut self) -> Vec<Packet> {
        std::iter::from_fn(|| self.pop()).collect()
    }

    /// The oldest.
    fn pop(&mut self) -> Option<Packet> {
        let behind = self.held.iter().zip(self.shown.clone().into_sorted_vec().into_iter().rev());
        // Of the newest, pictures that are shown before them are still to come.
        let late =
            behind.take(REORDERED / 2).map(|(packet, Reverse(due))| due.duration_since(packet.pts)).max()?;
        self.lead = self.lead.max(late);
        let mut packet = self.held.pop_front()?;
        let Reverse(due) = self.shown.pop()?;
        packet.dts = due.since(MediaTime::from_duration(self.lead));
        Some(self.timed(packet))
    }

    fn timed(&mut self, mut packet: Packet) -> Packet {
        packet.dts = self.last.map_or(packet.dts, |last| packet.dts.max(last));
        self.last = Some(packet.dts);
        packet
    }
}

/// More pictures than this in a second of the stream are no picture that anybody can look at.
const MAX_PICTURES: u32 = 300;

/// Counts pictures in each second of the stream.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    since: Option<MediaTime>,
    pictures: u32,
}

impl Rate {
    /// False when there were too many.
    pub(crate) fn note(&mut self, dts: MediaTime) -> bool {
        let since = *self.since.get_or_insert(dts);
        if dts.duration_since(since) >= Duration::from_secs(1) {
            (self.since, self.pictures) = (Some(dts), 0);
        }
        self.pictures += 1;
        self.pictures <= MAX_PICTURES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use media::{Kind, TrackId};

    fn packet(pts: i64, dts: i64) -> Packet {
        let [pts, dts] = [pts, dts].map(MediaTime::from_millis);
        Packet { track: TrackId(0), kind: Kind::Video, pts, dts, keyframe: false, data: Bytes::new() }
    }

    #[test]
    fn decoding_times_that_the_container_does_not_have_never_go_back_nor_after_their_pictures() {
        let mut order = Order::default();
        let shown: Vec<i64> =
            (0..30).flat_map(|group| [160, 80, 40, 120].map(|at| group * 160 + at)).collect();
        let mut out: Vec<Packet> =
            shown.iter().flat_map(|pts| order.push(packet(*pts, *pts), Codec::H264, false)).collect();
        assert_eq!(out.len(), shown.len() - REORDERED);
        out.extend(order.drain());
        assert_eq!(out.iter().map(|packet| packet.pts.millis()).collect::<Vec<_>>(), shown);
        assert!(out.windows(2).all(|pair| pair[0].dts < pair[1].dts));
        assert!(out.iter().all(|packet| packet.dts <= packet.pts));
        let lead = out.iter().map(|packet| packet.pts.duration_since(packet.dts)).min();
        assert_eq!(lead, Some(Duration::ZERO), "no earlier than needed");
    }

    #[test]
    fn codecs_that_keep_their_order_are_not_held_back() {
        let mut order = Order::default();
        assert_eq!(order.push(packet(40, 40), Codec::Vp8, false).len(), 1);
        assert_eq!(order.push(packet(80, 60), Codec::H264, true)[0].dts.millis(), 60);
        assert_eq!(order.push(packet(80, 50), Codec::H264, true)[0].dts.millis(), 60, "never back");
    }

    #[test]
    fn a_rendition_lies_where_the_shared_clock_has_it() {
        let anchors = Anchors::default();
        let at = |at, raw| Anchor { at, raw, wraps: false };
        assert_eq!(anchors.place(at(0, 600_000_000_000)), 0);
        assert_eq!(anchors.follow(at(0, 600_020_000_000)), 20_000_000);
        // Another variant of the same clock; the playlist rounds.
        assert_eq!(anchors.place(at(4_100_000_000, 604_000_000_000)), 4_000_000_000);
        // A discontinuity: another clock.
        assert_eq!(anchors.place(at(8_000_000_000, 5_000_000_000)), 8_000_000_000);
        assert_eq!(anchors.follow(at(8_000_000_000, 5_030_000_000)), 8_030_000_000);
    }

    #[test]
    fn a_hundred_thousand_pictures_a_second_are_too_many() {
        let mut rate = Rate::default();
        assert!((0..60_000).all(|n| rate.note(MediaTime::from_millis(n * 4))));
        assert!(!(0..1000).all(|n| rate.note(MediaTime::from_nanos(n * 10_000))));
    }
}
