//! MPEG-TS (ISO/IEC 13818-1): first presentation times, SCTE 35 cues, and ID3 tags (which GStreamer 1.22 leaves out).

use std::time::Duration;

use super::Firsts;

const PACKET: usize = 188;

/// Longest section of a table.
const SECTION: usize = 4096;

/// ISO/IEC 13818-1 has no type for it: SCTE 35 §8.1.
const SCTE_35: u8 = 0x86;

/// Metadata in PES packets (ISO/IEC 13818-1 table 2-34): ID3 tags among them, as HLS has them (RFC 8216 has none of it; Apple's "Timed
/// Metadata for HTTP Live Streaming" does).
const METADATA: u8 = 0x15;

/// What a stream carries beside pictures and sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mark {
    Cue(Cue),
    /// A whole tag, and ns on the stream's own clock.
    Id3 {
        at: i64,
        tag: Vec<u8>,
    },
}

/// A `splice_insert` (SCTE 35 §9.7.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cue {
    /// ns on the stream's own clock; of one that holds at once, of the newest picture or sound before it.
    pub(crate) at: Option<i64>,
    pub(crate) event_id: u32,
    pub(crate) out_of_network: bool,
    pub(crate) cancelled: bool,
    pub(crate) duration: Option<Duration>,
}

#[derive(Debug, Default)]
pub(super) struct Reader {
    rest: Vec<u8>,
    firsts: Firsts,
    newest: Option<i64>,
    table: Option<u16>,
    program: Section,
    cue_pid: Option<u16>,
    cue: Section,
    tag_pid: Option<u16>,
    tag: Pes,
}

/// Whether these bytes begin a transport stream.
pub(super) fn is_ts(start: &[u8]) -> bool {
    start.first() == Some(&0x47) && start.get(PACKET).is_some_and(|sync| *sync == 0x47)
}

/// ns of 90 kHz ticks.
fn nanos(ticks: u64) -> i64 {
    i64::try_from(u128::from(ticks) * 1_000_000_000 / 90_000).unwrap_or(i64::MAX)
}

impl Reader {
    pub(super) fn firsts(&self) -> Firsts {
        Firsts { wraps: true, ..self.firsts }
    }

    pub(super) fn take(&mut self, data: &[u8], marks: &mut Vec<Mark>) {
        let mut data = data;
        if !self.rest.is_empty() {
            let (head, tail) = data.split_at(data.len().min(PACKET - self.rest.len()));
            self.rest.extend_from_slice(head);
            if self.rest.len() < PACKET {
                return;
            }
            let whole = std::mem::take(&mut self.rest);
            self.packet(&whole, marks);
            data = tail;
        }
        while let Some(start) = data.iter().position(|byte| *byte == 0x47) {
            data = &data[start..];
            let Some((packet, tail)) = data.split_at_checked(PACKET) else { break };
            self.packet(packet, marks);
            data = tail;
        }
        if data.first() == Some(&0x47) {
            self.rest = data.to_vec();
        }
    }

    fn packet(&mut self, packet: &[u8], marks: &mut Vec<Mark>) {
        let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        let start = packet[1] & 0x40 != 0;
        let payload = match packet[3] >> 4 & 3 {
            1 => &packet[4..],
            3 => packet.get(5 + usize::from(packet[4])..).unwrap_or_default(),
            _ => return,
        };
        if pid == 0 {
            self.programs(payload);
        } else if Some(pid) == self.table {
            if let Some(section) = self.program.take(start, payload) {
                let of = |wanted| streams(&section).find(|(kind, _)| *kind == wanted).map(|(_, pid)| pid);
                (self.cue_pid, self.tag_pid) = (of(SCTE_35), of(METADATA));
            }
        } else if Some(pid) == self.cue_pid {
            if let Some(cue) = self.cue.take(start, payload).and_then(|section| splice(&section)) {
                marks.push(Mark::Cue(Cue { at: cue.at.or(self.newest), ..cue }));
            }
        } else if Some(pid) == self.tag_pid {
            let taken = self.tag.take(start, payload);
            marks.extend(taken.map(|(at, tag)| Mark::Id3 { at, tag }));
        } else if start {
            self.pes(payload);
        }
    }

    /// The table of programmes: the first one's.
    fn programs(&mut self, payload: &[u8]) {
        let first = payload.first().and_then(|skip| payload.get(9 + usize::from(*skip)..));
        let Some([number @ .., high, low]) = first.and_then(|rest| rest.first_chunk::<4>()) else { return };
        if *number != [0, 0] {
            self.table = Some(u16::from_be_bytes([high & 0x1f, *low]));
        }
    }

    fn pes(&mut self, payload: &[u8]) {
        let Some(pts) = pts(payload) else { return };
        self.newest = Some(pts);
        let first = match payload[3] {
            0xe0..=0xef => &mut self.firsts.video,
            0xc0..=0xdf | 0xbd => &mut self.firsts.audio,
            _ => return,
        };
        first.get_or_insert(pts);
    }
}

/// The presentation time in a PES header.
fn pts(payload: &[u8]) -> Option<i64> {
    let rest = payload.strip_prefix(&[0, 0, 1])?;
    if rest.get(4)? & 0x80 == 0 {
        return None;
    }
    rest.get(6..11)?.first_chunk::<5>().map(|field| nanos(stamp(*field)))
}

/// 33 bits, with a marker after 3, 15 and 15 of them.
fn stamp([a, b, c, d, e]: [u8; 5]) -> u64 {
    let [a, b, c, d, e] = [a, b, c, d, e].map(u64::from);
    (a >> 1 & 7) << 30 | b << 22 | (c >> 1) << 15 | d << 7 | e >> 1
}

/// Puts a table's section together.
#[derive(Debug, Default)]
struct Section(Vec<u8>);

impl Section {
    fn take(&mut self, start: bool, payload: &[u8]) -> Option<Vec<u8>> {
        if start {
            self.0.clear();
            let skip = usize::from(*payload.first()?);
            self.0.extend_from_slice(payload.get(1 + skip..)?);
        } else if !self.0.is_empty() {
            self.0.extend_from_slice(payload);
        }
        let length = 3 + usize::from(u16::from_be_bytes([self.0.get(1)? & 0x0f, *self.0.get(2)?]));
        if length > SECTION || self.0.len() > 2 * SECTION {
            self.0.clear();
            return None;
        }
        let whole = self.0.get(..length)?.to_vec();
        self.0.clear();
        (crc(&whole) == 0).then_some(whole)
    }
}

/// Puts a tag's PES packet together, whose length has 16 bits.
#[derive(Debug, Default)]
struct Pes(Vec<u8>);

impl Pes {
    /// The tag in it and its time, when it is whole.
    fn take(&mut self, start: bool, payload: &[u8]) -> Option<(i64, Vec<u8>)> {
        if start {
            self.0.clear();
        } else if self.0.is_empty() {
            return None;
        }
        self.0.extend_from_slice(payload);
        let length = 6 + usize::from(u16::from_be_bytes([*self.0.get(4)?, *self.0.get(5)?]));
        if self.0.len() < length {
            return None;
        }
        let mut whole = std::mem::take(&mut self.0);
        whole.truncate(length);
        let data = whole.get(9 + usize::from(*whole.get(8)?)..)?;
        // Some put the header of a metadata access unit before it.
        let tag = [0, 5].into_iter().filter_map(|skip| data.get(skip..)).find(|tag| tag.starts_with(b"ID3"));
        pts(&whole).zip(tag.map(<[u8]>::to_vec))
    }
}

/// CRC of ISO/IEC 13818-1 annex A: 0 over a section with its own.
fn crc(section: &[u8]) -> u32 {
    section.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            if crc >> 31 == 1 { crc << 1 ^ 0x04c1_1db7 } else { crc << 1 }
        })
    })
}

/// Types and PIDs of a programme's streams.
fn streams(section: &[u8]) -> impl Iterator<Item = (u8, u16)> + '_ {
    let length = |at: usize| {
        let field = section.get(at..at + 2)?;
        Some(usize::from(u16::from_be_bytes([field[0] & 0x0f, field[1]])))
    };
    let end = section.len().saturating_sub(4);
    let mut at = length(10).map_or(end, |information| 12 + information);
    std::iter::from_fn(move || {
        let stream = section.get(at..at + 5).filter(|_| at + 5 <= end)?;
        at += 5 + length(at + 3)?;
        Some((stream[0], u16::from_be_bytes([stream[1] & 0x1f, stream[2]])))
    })
}

/// The `splice_insert` of a `splice_info_section` (SCTE 35 §9.6), if it is one.
fn splice(section: &[u8]) -> Option<Cue> {
    let encrypted = section.get(4)? & 0x80 != 0;
    if section.first() != Some(&0xfc) || encrypted || section.get(13) != Some(&5) {
        return None;
    }
    let adjustment = u64::from(section[4] & 1) << 32 | u64::from(number(section.get(5..)?)?);
    let event_id = number(section.get(14..)?)?;
    let cancelled = section.get(18)? & 0x80 != 0;
    let mut cue = Cue { at: None, event_id, out_of_network: false, cancelled, duration: None };
    if cancelled {
        return Some(cue);
    }
    let flags = section.get(19)?;
    let [program, timed, immediate] = [0x40, 0x20, 0x10].map(|bit| flags & bit != 0);
    cue.out_of_network = flags & 0x80 != 0;
    let mut rest = section.get(20..)?;
    let mut time = |rest: &mut &[u8]| {
        let specified = rest.first()? & 0x80 != 0;
        if specified {
            let ticks = u64::from(rest[0] & 1) << 32 | u64::from(number(rest.get(1..)?)?);
            cue.at.get_or_insert(nanos((ticks + adjustment) & ((1 << 33) - 1)));
        }
        *rest = rest.get(if specified { 5 } else { 1 }..)?;
        Some(())
    };
    if program && !immediate {
        time(&mut rest)?;
    } else if !program {
        let components = *rest.first()?;
        rest = rest.get(1..)?;
        for _ in 0..components {
            rest = rest.get(1..)?;
            if !immediate {
                time(&mut rest)?;
            }
        }
    }
    if timed {
        let ticks = u64::from(rest.first()? & 1) << 32 | u64::from(number(rest.get(1..)?)?);
        cue.duration = Some(Duration::from_nanos(nanos(ticks).unsigned_abs()));
    }
    Some(cue)
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    /// The first example of SCTE 35 §14: a splice_insert out of the network.
    const SPLICE: [u8; 50] = [
        0xfc, 0x30, 0x2f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xf0, 0x14, 0x05, 0x48, 0x00, 0x00,
        0x8f, 0x7f, 0xef, 0xfe, 0x73, 0x69, 0xc0, 0x2e, 0xfe, 0x00, 0x52, 0xcc, 0xf5, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x0a, 0x00, 0x08, 0x43, 0x55, 0x45, 0x49, 0x00, 0x00, 0x01, 0x35, 0x62, 0xdb, 0xa3, 0x0a,
    ];

    fn packet(pid: u16, start: bool, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x47, (pid >> 8) as u8 | u8::from(start) << 6, pid as u8, 0x30];
        packet.push((PACKET - 5 - payload.len()) as u8);
        packet.resize(PACKET - payload.len(), 0xff);
        packet.extend_from_slice(payload);
        packet
    }

    fn table(mut section: Vec<u8>) -> Vec<u8> {
        let crc = crc(&section).to_be_bytes();
        section.extend_from_slice(&crc);
        section.insert(0, 0);
        section
    }

    #[test]
    fn times_and_cues_of_a_stream_cut_anywhere() {
        let pat = table(vec![0, 0xb0, 13, 0, 1, 0xc1, 0, 0, 0, 1, 0xe1, 0x00]);
        let pmt = [&[2, 0xb0, 23, 0, 1, 0xc1, 0, 0, 0xe1, 0x01, 0xf0, 0][..], &[0x1b, 0xe1, 1, 0xf0, 0]];
        let pmt = table([&pmt.concat()[..], &[SCTE_35, 0xe1, 2, 0xf0, 0]].concat());
        let pes = [0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 5, 0x21, 0, 1, 0xbf, 0x21];
        let cue = [&[0][..], &SPLICE].concat();
        let parts = [(0, &pat[..]), (0x100, &pmt), (0x101, &pes), (0x102, &cue)];
        let stream: Vec<u8> =
            parts.into_iter().flat_map(|(pid, payload)| packet(pid, true, payload)).collect();
        assert!(is_ts(&stream));
        for step in [1, 7, 188, 1000] {
            let (mut reader, mut marks) = (Reader::default(), Vec::new());
            stream.chunks(step).for_each(|piece| reader.take(piece, &mut marks));
            assert_eq!(reader.firsts().video, Some(nanos(0xbf << 7 | 0x10)), "in pieces of {step}");
            let [Mark::Cue(cue)] = marks[..] else { panic!("{marks:?}") };
            assert_eq!((cue.event_id, cue.out_of_network, cue.cancelled), (0x4800_008f, true, false));
            assert_eq!(cue.at, Some(nanos(0x0_7369_c02e)));
            assert_eq!(cue.duration.unwrap().as_millis(), 60_293);
        }
    }

    #[test]
    fn a_broken_section_is_no_cue() {
        let mut broken = SPLICE;
        broken[20] ^= 1;
        assert_eq!(Section::default().take(true, &[&[0][..], &broken].concat()), None);
    }

    #[test]
    fn a_tag_over_several_packets_is_put_together() {
        let tag = [&b"ID3"[..], &[7; 250]].concat();
        let header = [0, 0, 1, 0xbd, 0, 0, 0x84, 0x80, 5, 0x21, 0, 1, 0xbf, 0x21];
        for wrapper in [&[][..], &[1, 2, 3, 4, 5]] {
            let mut pes = [&header[..], wrapper, &tag].concat();
            let length = u16::try_from(pes.len() - 6).unwrap().to_be_bytes();
            pes[4..6].copy_from_slice(&length);
            let mut pieces = pes.chunks(150);
            let mut reader = Reader { tag_pid: Some(9), ..Reader::default() };
            let mut marks = Vec::new();
            reader.take(&packet(9, true, pieces.next().unwrap()), &mut marks);
            assert_eq!(marks, [], "not whole");
            reader.take(&packet(9, false, pieces.next().unwrap()), &mut marks);
            assert_eq!(marks, [Mark::Id3 { at: nanos(0xbf << 7 | 0x10), tag: tag.clone() }]);
            assert_eq!(reader.firsts().audio, None, "it is no sound");
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(stream in vec(any::<u8>(), 0..2000), step in 1_usize..400) {
            let (table, cue_pid, tag_pid) = (Some(5), Some(6), Some(7));
            let (mut reader, mut marks) = (Reader { table, cue_pid, tag_pid, ..Reader::default() }, Vec::new());
            stream.chunks(step).for_each(|piece| reader.take(piece, &mut marks));
            let _ = splice(&stream);
            let _ = streams(&stream).count();
        }
    }
}
