//! Fragmented MP4 (ISO/IEC 14496-12): the first presentation time of each track.

use super::Firsts;

/// Most of a movie box or fragment that is looked at.
const LONGEST: usize = 4 << 20;

#[derive(Debug, Default)]
pub(super) struct Reader {
    buffer: Vec<u8>,
    /// Of a box that is not looked at.
    skip: u64,
    tracks: Vec<Track>,
}

#[derive(Debug, Default)]
struct Track {
    id: u32,
    rate: u32,
    video: bool,
    edit: Edit,
}

/// What a track's edit list does to its beginning (section 8.6.6).
#[derive(Debug, Default, Clone, Copy)]
struct Edit {
    /// Where what is shown first begins, in the track's ticks.
    from: i64,
    /// For how long nothing is shown before it, ns.
    after: i64,
}

/// Whether these bytes begin an MP4.
pub(super) fn is_mp4(start: &[u8]) -> bool {
    matches!(start.get(4..8), Some(b"ftyp" | b"styp" | b"moov" | b"moof" | b"sidx" | b"emsg" | b"prft"))
}

impl Reader {
    /// Something when all is known, or nothing more will be.
    pub(super) fn take(&mut self, data: &[u8]) -> Option<Firsts> {
        self.buffer.extend_from_slice(data);
        loop {
            let skipped = self.buffer.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
            self.buffer.drain(..skipped);
            self.skip -= skipped as u64;
            let (size, kind) = head(&self.buffer)?;
            match &kind {
                b"moov" | b"moof" => {
                    if size > LONGEST as u64 {
                        return Some(Firsts::default());
                    }
                    let whole = usize::try_from(size).ok().and_then(|size| self.buffer.get(8..size))?;
                    if &kind == b"moof" {
                        return Some(firsts(&self.tracks, whole));
                    }
                    let rate = find(whole, b"mvhd").and_then(after_times).unwrap_or(0);
                    let traks = boxes(whole).filter(|(kind, _)| kind == b"trak");
                    self.tracks = traks.map(|(_, body)| track(body, rate)).collect();
                }
                // Not fragmented, or not what it looks like.
                b"mdat" => return Some(Firsts::default()),
                _ => {}
            }
            self.skip = size;
        }
    }
}

/// Size and kind of the box that begins here. A size that is none ends the reading.
fn head(bytes: &[u8]) -> Option<(u64, [u8; 4])> {
    let size = number(bytes, 0)?;
    let kind = *bytes.get(4..)?.first_chunk::<4>()?;
    match size {
        0 | 2..8 => Some((u64::MAX, kind)),
        1 => Some((u64::from(number(bytes, 8)?) << 32 | u64::from(number(bytes, 12)?), kind))
            .map(|(size, kind)| (size.max(16), kind)),
        size => Some((u64::from(size), kind)),
    }
}

/// The boxes inside a box.
fn boxes(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (size, kind) = head(rest)?;
        let (whole, tail) = rest.split_at_checked(usize::try_from(size).ok()?)?;
        rest = tail;
        Some((kind, whole.get(8..)?))
    })
}

fn find<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(bytes).find(|(found, _)| found == kind).map(|(_, body)| body)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
}

fn long(bytes: &[u8], at: usize) -> Option<i64> {
    bytes.get(at..)?.first_chunk::<8>().map(|bytes| i64::from_be_bytes(*bytes))
}

fn is_long(bytes: &[u8]) -> bool {
    bytes.first() == Some(&1)
}

/// What follows a header's two times: the ticks a second of a movie or a medium, the number of a track.
fn after_times(header: &[u8]) -> Option<u32> {
    number(header, if is_long(header) { 20 } else { 12 })
}

/// `movie`: the ticks a second in which a movie counts.
fn track(body: &[u8], movie: u32) -> Track {
    let read = || {
        let media = find(body, b"mdia")?;
        Some(Track {
            id: after_times(find(body, b"tkhd")?)?,
            rate: after_times(find(media, b"mdhd")?)?,
            video: find(media, b"hdlr")?.get(8..12)? == b"vide",
            edit: find(body, b"edts")
                .and_then(|edits| find(edits, b"elst"))
                .and_then(|list| edit(list, movie))
                .unwrap_or_default(),
        })
    };
    read().unwrap_or_default()
}

/// The first edit that shows something, and those before it, which show nothing.
fn edit(list: &[u8], movie: u32) -> Option<Edit> {
    let step = if is_long(list) { 20 } else { 12 };
    let count = usize::try_from(number(list, 4)?).ok()?.min(16);
    let mut after: i64 = 0;
    for at in (0..count).map(|entry| 8 + entry * step) {
        let (lasts, from) = if is_long(list) {
            (long(list, at)?, long(list, at + 8)?)
        } else {
            (i64::from(number(list, at)?), i64::from(number(list, at + 4)?.cast_signed()))
        };
        if from >= 0 {
            return Some(Edit { from, after: nanos(after, movie)? });
        }
        after = after.saturating_add(lasts);
    }
    None
}

/// `ticks` of which there are `rate` a second.
fn nanos(ticks: i64, rate: u32) -> Option<i64> {
    i64::try_from((i128::from(ticks) * 1_000_000_000).checked_div(i128::from(rate))?).ok()
}

fn firsts(tracks: &[Track], fragment: &[u8]) -> Firsts {
    let mut firsts = Firsts::default();
    for (kind, body) in boxes(fragment) {
        let read = || {
            let id = number(find(body, b"tfhd")?, 4)?;
            let track = tracks.iter().find(|track| track.id == id && track.rate > 0)?;
            let decode = find(body, b"tfdt")?;
            let start = if is_long(decode) { long(decode, 4)? } else { i64::from(number(decode, 4)?) };
            let shown = start
                .saturating_add(offset(find(body, b"trun")?).unwrap_or(0))
                .saturating_sub(track.edit.from);
            Some((track.video, nanos(shown, track.rate)?.saturating_add(track.edit.after)))
        };
        if kind == *b"traf"
            && let Some((video, time)) = read()
        {
            let first = if video { &mut firsts.video } else { &mut firsts.audio };
            first.get_or_insert(time);
        }
    }
    firsts
}

/// How long after its decoding the run's first sample is shown, in the track's ticks.
fn offset(run: &[u8]) -> Option<i64> {
    let flags = number(run, 0)?;
    if flags & 0x800 == 0 {
        return None;
    }
    let before = [0x1, 0x4, 0x100, 0x200, 0x400].iter().filter(|flag| flags & **flag != 0).count();
    let value = number(run, 8 + 4 * before)?;
    Some(if is_long(run) { i64::from(value.cast_signed()) } else { i64::from(value) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    fn atom(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(8 + body.len() as u32).to_be_bytes()[..], kind, body].concat()
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    /// `after`: nothing is shown for so many thousandths of a second.
    fn trak(id: u32, rate: u32, kind: &[u8; 4], after: u32, edit: u32) -> Vec<u8> {
        let tkhd = atom(b"tkhd", &words(&[0, 0, 0, id, 0]));
        let edits = words(&[0, 2, after, u32::MAX, 0x1_0000, 0, edit, 0x1_0000]);
        let elst = atom(b"edts", &atom(b"elst", &edits));
        let hdlr = atom(b"hdlr", &[&words(&[0, 0])[..], kind].concat());
        let mdia = atom(b"mdia", &[atom(b"mdhd", &words(&[0, 0, 0, rate, 0])), hdlr].concat());
        atom(b"trak", &[tkhd, elst, mdia].concat())
    }

    fn movie(traks: &[Vec<u8>]) -> Vec<u8> {
        let mvhd = atom(b"mvhd", &words(&[0, 0, 0, 1000, 0]));
        atom(b"moov", &[mvhd, traks.concat()].concat())
    }

    fn traf(id: u32, decode: u32, shown: u32) -> Vec<u8> {
        let tfhd = atom(b"tfhd", &words(&[0, id]));
        let tfdt = atom(b"tfdt", &words(&[0, decode]));
        let trun = atom(b"trun", &words(&[0xb01, 1, 0, 512, 99, shown]));
        atom(b"traf", &[tfhd, tfdt, trun].concat())
    }

    #[test]
    fn the_first_fragment_says_when_each_track_begins() {
        let moov = movie(&[trak(1, 12_800, b"vide", 60, 1024), trak(2, 48_000, b"soun", 40, 0)]);
        let moof = atom(b"moof", &[traf(1, 128_000, 1024), traf(2, 480_480, 0)].concat());
        let stream = [atom(b"ftyp", b"isom"), moov, atom(b"free", &[0; 50]), moof].concat();
        for step in [1, 13, 4096] {
            let mut reader = Reader::default();
            let found = stream.chunks(step).find_map(|piece| reader.take(piece)).unwrap();
            let expected = Firsts { video: Some(10_060_000_000), audio: Some(10_050_000_000), wraps: false };
            assert_eq!(found, expected, "in pieces of {step}");
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(stream in vec(any::<u8>(), 0..600), flips in vec((any::<usize>(), any::<u8>()), 0..8)) {
            let _ = Reader::default().take(&stream);
            let moov = movie(&[trak(1, 12_800, b"vide", 40, 1024)]);
            let mut stream = [atom(b"ftyp", b"isom"), moov, atom(b"moof", &traf(1, 1, 1))].concat();
            for (at, byte) in flips {
                let at = at % stream.len();
                stream[at] = byte;
            }
            let _ = Reader::default().take(&stream);
        }
    }
}
