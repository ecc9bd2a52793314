use std::{collections::VecDeque, time::Duration};

use crate::{Kind, MediaTime, TrackId, Unit};

/// Between two units of a track that may be told apart: a source that says more is believed no more.
const LONGEST_GAP: Duration = Duration::from_secs(2);

/// The units of one track that wait, on the source's clock.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) id: TrackId,
    pub(super) kind: Option<Kind>,
    units: VecDeque<Unit>,
    bytes: usize,
    /// The newest decoding time that was pushed.
    pub(super) newest: MediaTime,
    /// The longest of the last gaps between two of them.
    pub(super) gap: Duration,
    any: bool,
    /// It had nothing when no more could be read: nobody waits for it before it has something again.
    pub(super) absent: bool,
    /// When the last one that is shown is shown no more.
    end: MediaTime,
    /// The last decoding time that was given, on the session's clock.
    given: Option<MediaTime>,
}

impl Lane {
    pub(super) fn new(id: TrackId) -> Self {
        let zero = MediaTime::ZERO;
        let (units, bytes, gap) = (VecDeque::new(), 0, Duration::ZERO);
        Self {
            id,
            kind: None,
            units,
            bytes,
            newest: zero,
            gap,
            any: false,
            absent: false,
            end: zero,
            given: None,
        }
    }

    pub(super) fn push(&mut self, mut unit: Unit) {
        self.absent = false;
        match &mut unit {
            Unit::Format(_, format) => self.kind = Some(format.codec.kind()),
            Unit::Packet(packet) => {
                self.kind = Some(packet.kind);
                self.bytes += packet.data.len();
                if self.any {
                    packet.dts = packet.dts.max(self.newest);
                    let gap = packet.dts.duration_since(self.newest).min(LONGEST_GAP);
                    self.gap = gap.max(self.gap.mul_f64(0.9));
                }
                packet.pts = packet.pts.max(packet.dts);
                (self.newest, self.any) = (packet.dts, true);
                self.end = self.end.max(packet.pts + MediaTime::from_duration(self.gap));
            }
        }
        self.units.push_back(unit);
    }

    /// Puts back what was the last one to be taken.
    pub(super) fn push_back_again(&mut self, unit: Unit) {
        if let Unit::Packet(packet) = &unit {
            self.bytes += packet.data.len();
        }
        self.units.push_front(unit);
    }

    /// The next one: as it was pushed, and with its times on the session's clock, which is `offset` ahead.
    pub(super) fn pop(&mut self, offset: MediaTime) -> Option<(Unit, Unit)> {
        let raw = self.units.pop_front()?;
        let mut unit = raw.clone();
        if let Unit::Packet(packet) = &mut unit {
            self.bytes -= packet.data.len();
            let lead = packet.pts.since(packet.dts);
            packet.dts = packet.dts + offset;
            if let Some(given) = self.given {
                packet.dts = packet.dts.max(given);
            }
            packet.pts = packet.dts + lead;
            self.given = Some(packet.dts);
        }
        Some((raw, unit))
    }

    /// The decoding time of the first one that waits.
    pub(super) fn head(&self) -> Option<MediaTime> {
        self.units.iter().find_map(dts)
    }

    pub(super) fn has_format(&self) -> bool {
        matches!(self.units.front(), Some(Unit::Format(..)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// From the first that waits to the newest.
    pub(super) fn span(&self) -> Duration {
        self.head().map_or(Duration::ZERO, |head| self.newest.duration_since(head))
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn end(&self) -> MediaTime {
        self.end
    }

    /// The last key picture that is decoded until then.
    pub(super) fn last_key_until(&self, until: MediaTime) -> Option<MediaTime> {
        let keys = self.units.iter().filter_map(|unit| match unit {
            Unit::Packet(packet) if packet.keyframe => Some(packet.dts),
            _ => None,
        });
        keys.take_while(|dts| *dts <= until).last()
    }

    /// Drops packets from before then; gives their number. Formats stay.
    pub(super) fn drop_until(&mut self, to: MediaTime) -> u64 {
        let before = self.units.len();
        self.units.retain(|unit| dts(unit).is_none_or(|dts| dts >= to));
        self.bytes = self.units.iter().map(crate::queue::Item::bytes).sum();
        (before - self.units.len()) as u64
    }
}

fn dts(unit: &Unit) -> Option<MediaTime> {
    match unit {
        Unit::Packet(packet) => Some(packet.dts),
        Unit::Format(..) => None,
    }
}
