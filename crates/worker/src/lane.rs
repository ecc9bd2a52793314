use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use media::{Kind, MediaTime, Packet, Unit};

/// Past it a unit is late.
const PATIENCE: Duration = Duration::from_millis(500);

/// When the oldest unit has been late for so long, what is late is given up, up to the next point where decoding can
/// start: after 750 ms in all, as much as the server's own queue allows. A decoder that has only stumbled has caught up
/// before that; one that is further behind does not catch up by itself.
const GRACE: Duration = Duration::from_millis(250);

/// Past it the reader takes nothing more from the socket: the server's kept pictures (32 MiB) and its queue (8 MiB) fit.
const MAX_BYTES: usize = 40 << 20;

/// The same for units that are small: ten seconds at 400 a second.
const MAX_UNITS: usize = 4096;

/// Units of one kind, on their way to one decoder.
///
/// The socket is one stream: if a full lane stopped its reader, sound would wait behind pictures. So a lane takes all
/// that the server can have kept, and is bounded by time instead: it drops what has waited too long. Pictures that are
/// decoded only (the server's kept ones, after [`pipeline::Command::SkipTo`] or before
/// [`pipeline::Start::output_from`]) came as one burst and show nothing: they may take as long as they need, and what
/// came behind them waits only since they were through. So does what comes while a decoder starts.
#[derive(Debug)]
pub(crate) struct Lane {
    units: VecDeque<Waiting>,
    bytes: usize,
    /// Pictures before it are decoded only.
    shown_from: Option<MediaTime>,
    /// A format has been taken, and nothing has come out of its decoder.
    starting: bool,
    /// When the last picture that is decoded only was taken, or the decoder began to give out pictures.
    caught_up: Option<Instant>,
    late_since: Option<Instant>,
    awaits_key: bool,
    dropped: u64,
}

#[derive(Debug)]
struct Waiting {
    unit: Unit,
    came: Instant,
}

impl Lane {
    pub(crate) fn new() -> Self {
        Self {
            units: VecDeque::new(),
            bytes: 0,
            shown_from: None,
            starting: false,
            caught_up: None,
            late_since: None,
            awaits_key: false,
            dropped: 0,
        }
    }

    /// Pictures before this time are decoded only.
    pub(crate) fn show_from(&mut self, time: MediaTime) {
        self.shown_from = Some(time);
    }

    /// Something has come out of the decoder.
    pub(crate) fn flows(&mut self, now: Instant) {
        if std::mem::take(&mut self.starting) {
            self.caught_up = Some(now);
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= MAX_BYTES || self.units.len() >= MAX_UNITS
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// Takes a unit that came at `now`.
    pub(crate) fn push(&mut self, unit: Unit, now: Instant) {
        if let Unit::Packet(packet) = &unit {
            if self.awaits_key && !starts(packet) {
                self.dropped += 1;
                return;
            }
            self.awaits_key = false;
        }
        self.bytes += size(&unit);
        self.units.push_back(Waiting { unit, came: now });
        while self.has_been_late(now) {
            self.shed();
        }
    }

    /// The oldest unit, and since when it waited: since it came, or since what had to be decoded before it was through.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<(Unit, Instant)> {
        let Waiting { unit, came } = self.units.pop_front()?;
        self.bytes -= size(&unit);
        let since = self.since(came);
        if self.is_for_later(&unit) {
            self.caught_up = Some(now);
        }
        self.starting |= matches!(&unit, Unit::Format(_, format) if format.codec.kind() == Kind::Video);
        self.has_been_late(now);
        Some((unit, since))
    }

    /// Packets dropped since the last call.
    pub(crate) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    fn since(&self, came: Instant) -> Instant {
        self.caught_up.map_or(came, |caught_up| caught_up.max(came))
    }

    fn is_for_later(&self, unit: &Unit) -> bool {
        matches!(unit, Unit::Packet(packet) if self.shown_from.is_some_and(|from| packet.pts < from))
    }

    /// For longer than [`GRACE`].
    fn has_been_late(&mut self, now: Instant) -> bool {
        if !self.is_late(now) {
            self.late_since = None;
            return false;
        }
        let late_since = *self.late_since.get_or_insert(now);
        now.saturating_duration_since(late_since) >= GRACE
    }

    fn is_late(&self, now: Instant) -> bool {
        let oldest = self.units.iter().find(|waiting| matches!(waiting.unit, Unit::Packet(_)));
        oldest.is_some_and(|oldest| {
            !self.starting
                && !self.is_for_later(&oldest.unit)
                && now.saturating_duration_since(self.since(oldest.came)) > PATIENCE
        })
    }

    /// Drops the oldest packets up to the next one that decoding can start from; all, and what comes before that one,
    /// when it is not here yet. Formats stay.
    fn shed(&mut self) {
        let packet = |waiting: &Waiting| matches!(waiting.unit, Unit::Packet(_));
        let start = |waiting: &Waiting| matches!(&waiting.unit, Unit::Packet(packet) if starts(packet));
        let first = self.units.iter().position(packet).unwrap_or(0);
        let next = self.units.iter().skip(first + 1).position(start);
        self.awaits_key = next.is_none();
        let until = next.map_or(self.units.len(), |next| first + 1 + next);
        let before = self.units.len();
        let mut index = 0;
        self.units.retain(|waiting| {
            index += 1;
            index > until || !packet(waiting)
        });
        self.bytes = self.units.iter().map(|waiting| size(&waiting.unit)).sum();
        self.dropped += (before - self.units.len()) as u64;
    }
}

fn starts(packet: &Packet) -> bool {
    packet.keyframe || packet.kind == Kind::Audio
}

fn size(unit: &Unit) -> usize {
    match unit {
        Unit::Format(_, format) => format.config.len(),
        Unit::Packet(packet) => packet.data.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use media::{Codec, Format, TrackId};

    const MS: Duration = Duration::from_millis(1);

    fn unit(kind: Kind, ms: i64, keyframe: bool) -> Unit {
        let time = MediaTime::from_millis(ms);
        let data = Bytes::from_static(&[0; 100]);
        Unit::Packet(Packet { track: TrackId(kind as u8), kind, pts: time, dts: time, keyframe, data })
    }

    fn picture(ms: i64) -> Unit {
        unit(Kind::Video, ms, ms % 1000 == 0)
    }

    fn times(lane: &mut Lane, now: Instant) -> Vec<i64> {
        let units = std::iter::from_fn(|| lane.pop(now));
        units
            .filter_map(|(unit, _)| if let Unit::Packet(p) = unit { Some(p.pts.millis()) } else { None })
            .collect()
    }

    fn push(lane: &mut Lane, start: Instant, units: impl IntoIterator<Item = (i64, u32)>) {
        units.into_iter().for_each(|(ms, came)| lane.push(picture(ms), start + came * MS));
    }

    #[test]
    fn what_waits_too_long_goes_up_to_the_next_key_picture_and_formats_stay() {
        let (mut lane, now) = (Lane::new(), Instant::now());
        lane.push(Unit::Format(TrackId(0), Format::new(Codec::H264, Bytes::new())), now);
        push(&mut lane, now, [(900, 0), (933, 33), (1000, 400), (1033, 433), (1066, 510), (1100, 750)]);
        assert_eq!(lane.take_dropped(), 0);
        push(&mut lane, now, [(1133, 760)]);
        assert_eq!(lane.take_dropped(), 2);
        assert!(matches!(lane.pop(now), Some((Unit::Format(..), _))));
        assert_eq!(times(&mut lane, now), [1000, 1033, 1066, 1100, 1133]);
    }

    #[test]
    fn a_decoder_that_stumbled_and_catches_up_costs_nothing() {
        let (mut lane, now) = (Lane::new(), Instant::now());
        push(&mut lane, now, [(1000, 0), (1033, 33), (1066, 900)]);
        assert_eq!(times(&mut lane, now + 950 * MS).len(), 3);
        push(&mut lane, now, [(1100, 1200)]);
        assert_eq!((lane.take_dropped(), times(&mut lane, now + 1200 * MS).len()), (0, 1));
    }

    #[test]
    fn what_comes_while_a_decoder_starts_waits_for_it() {
        let (mut lane, now) = (Lane::new(), Instant::now());
        lane.push(Unit::Format(TrackId(0), Format::new(Codec::H264, Bytes::new())), now);
        assert!(lane.pop(now).is_some());
        push(&mut lane, now, (0..100).map(|n| (i64::from(n) * 33 + 1, n * 33)));
        assert_eq!(lane.take_dropped(), 0);
        let started = now + 3400 * MS;
        lane.flows(started);
        assert_eq!(lane.pop(started), Some((picture(1), started)));
        push(&mut lane, started, [(3400, 501), (3433, 752)]);
        assert!(lane.take_dropped() > 90, "from then on it has to keep up");
    }

    #[test]
    fn without_a_key_picture_all_goes_until_one_comes() {
        let (mut lane, now) = (Lane::new(), Instant::now());
        push(&mut lane, now, [(900, 0), (933, 501), (960, 751), (966, 752), (1000, 800), (1033, 833)]);
        assert_eq!((lane.take_dropped(), lane.take_dropped()), (4, 0));
        assert_eq!(times(&mut lane, now), [1000, 1033]);
    }

    #[test]
    fn of_sound_only_what_is_late_goes() {
        let (mut lane, now) = (Lane::new(), Instant::now());
        for n in 0..40 {
            lane.push(unit(Kind::Audio, i64::from(n) * 20, true), now + n * 20 * MS);
        }
        // At 780 ms: what came before 280 ms is late.
        assert_eq!((lane.take_dropped(), lane.pop(now).unwrap().0), (14, unit(Kind::Audio, 280, true)));
    }

    #[test]
    fn kept_pictures_are_decoded_however_long_it_takes_and_hold_nothing_against_those_behind() {
        let (mut lane, now) = (Lane::new(), Instant::now());
        lane.show_from(MediaTime::from_millis(1200));
        push(&mut lane, now, [(1000, 0), (1100, 0), (1200, 0), (1300, 2000)]);
        assert_eq!(lane.take_dropped(), 0);
        let later = now + 3000 * MS;
        assert_eq!(lane.pop(later), Some((picture(1000), now)));
        assert_eq!(lane.pop(later), Some((picture(1100), later)));
        push(&mut lane, later, [(1400, 400)]);
        assert_eq!(lane.pop(later + 400 * MS), Some((picture(1200), later)));
        push(&mut lane, later, [(1433, 501), (1466, 751)]);
        assert_eq!(lane.take_dropped(), 4, "those behind them have their own patience");
    }

    #[test]
    fn it_is_full_by_bytes_and_by_number() {
        let (mut lane, now) = (Lane::new(), Instant::now());
        let Unit::Packet(mut large) = picture(0) else { unreachable!() };
        large.data = vec![0; MAX_BYTES].into();
        lane.push(Unit::Packet(large), now);
        assert!(lane.is_full());
        assert!(lane.pop(now).is_some() && !lane.is_full() && lane.is_empty());
        (0..MAX_UNITS).for_each(|_| lane.push(picture(0), now));
        assert!(lane.is_full());
    }
}
