//! What a section's own bytes say of its times, which GStreamer's demuxers move: two renditions of one programme are laid side
//! by side with them. And the marks among them.

mod id3;
mod mp4;
mod ts;

pub(crate) use ts::{Cue, Mark};

/// A stream is known by its first bytes, or not at all.
const ENOUGH: usize = 4 * 1024;

/// MPEG-TS counts 33 bits of 90 kHz, and begins anew.
const WRAP: i64 = (1 << 33) * 1_000_000_000 / 90_000;

/// Reads along with a section's demuxer.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    next: u64,
    stream: Stream,
    firsts: Firsts,
    pub(crate) marks: Vec<Mark>,
}

#[derive(Debug)]
enum Stream {
    Unknown(Vec<u8>),
    Ts(Box<ts::Reader>),
    Mp4(Box<mp4::Reader>),
    /// Nothing more is to be learnt.
    Done,
}

impl Default for Stream {
    fn default() -> Self {
        Self::Unknown(Vec::new())
    }
}

/// The first presentation times in a section, ns on the stream's own clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Firsts {
    pub(crate) video: Option<i64>,
    pub(crate) audio: Option<i64>,
    /// The clock is one that begins anew every 26 h.
    pub(crate) wraps: bool,
}

impl Firsts {
    pub(crate) fn of(&self, kind: media::Kind) -> Option<i64> {
        match kind {
            media::Kind::Video => self.video,
            media::Kind::Audio => self.audio,
        }
    }
}

/// `a - b` on the streams' own clock, the short way round where it begins anew.
pub(crate) fn difference(a: i64, b: i64, wraps: bool) -> i64 {
    let plain = a.saturating_sub(b);
    if !wraps {
        return plain;
    }
    let turned = plain.rem_euclid(WRAP);
    if turned >= WRAP / 2 { turned - WRAP } else { turned }
}

impl Reader {
    /// Takes bytes as the demuxer gets them; when it seeks, there is nothing more to read along with.
    pub(crate) fn take(&mut self, offset: u64, data: &[u8]) {
        if offset != self.next {
            self.stream = Stream::Done;
        }
        self.next = offset.saturating_add(data.len() as u64);
        match &mut self.stream {
            Stream::Unknown(start) => {
                start.extend_from_slice(data);
                let start = std::mem::take(start);
                self.begin(start);
            }
            _ => self.go_on(data),
        }
    }

    /// The first presentation times seen so far.
    pub(crate) fn firsts(&self) -> Firsts {
        self.firsts
    }

    fn begin(&mut self, start: Vec<u8>) {
        let stream = if ts::is_ts(&start) {
            Stream::Ts(Box::default())
        } else if mp4::is_mp4(&start) {
            Stream::Mp4(Box::default())
        } else if let Some(time) = id3::time(&start) {
            self.firsts = Firsts { audio: Some(time), video: None, wraps: true };
            Stream::Done
        } else if start.len() >= ENOUGH {
            Stream::Done
        } else {
            self.stream = Stream::Unknown(start);
            return;
        };
        self.stream = stream;
        self.go_on(&start);
    }

    fn go_on(&mut self, data: &[u8]) {
        match &mut self.stream {
            Stream::Ts(reader) => {
                reader.take(data, &mut self.marks);
                self.firsts = reader.firsts();
            }
            Stream::Mp4(reader) => {
                if let Some(firsts) = reader.take(data) {
                    self.firsts = firsts;
                    self.stream = Stream::Done;
                }
            }
            Stream::Unknown(_) | Stream::Done => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_begins_anew_is_followed() {
        assert_eq!(difference(5, WRAP - 5, true), 10);
        assert_eq!(difference(WRAP - 5, 5, true), -10);
        assert_eq!(difference(7, 5, true), 2);
        assert_eq!(difference(5, 7, false), -2);
    }

    #[test]
    fn what_is_neither_is_forgotten() {
        let mut reader = Reader::default();
        reader.take(0, &[0x55; ENOUGH]);
        assert!(matches!(reader.stream, Stream::Done));
        assert_eq!(reader.firsts(), Firsts::default());
    }
}
