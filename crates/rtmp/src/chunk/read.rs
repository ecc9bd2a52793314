use std::collections::BTreeMap;

use bytes::{Buf, Bytes, BytesMut};

use super::{INITIAL_CHUNK_SIZE, header::Header};
use crate::{
    Error,
    limits::{CHUNK_SIZE, CHUNK_STREAMS, COMMAND_MESSAGE, MEDIA_MESSAGE, UNFINISHED},
    message::{Message, kind},
};

/// The largest time of a type 0 chunk, in milliseconds, that a following type 3 may mean as its delta. RTMP 5.3.1.2.4 says
/// so for any, and FFmpeg writes it for the first frames; librtmp's type 3 means "the same time again".
/// A frame lasts less than this, so a larger value is the second kind.
const FIRST_DELTA: u32 = 1000;

/// The least that a message's memory grows by, in bytes, unless less is to come.
const GROWTH: usize = 4096;

/// Bytes in, whole messages out, any number of chunk streams interleaved.
#[derive(Debug)]
pub(crate) struct Reader {
    input: BytesMut,
    /// Offset of the front of `input` in the connection's bytes.
    at: u64,
    chunk_size: usize,
    streams: BTreeMap<u32, ChunkStream>,
    /// Memory of all unfinished payloads.
    held: usize,
    /// The chunk whose payload is being read.
    chunk: Option<Chunk>,
    repeats: Repeats,
}

#[derive(Debug)]
struct Chunk {
    csid: u32,
    /// Payload bytes of it still to come.
    left: usize,
}

/// What a chunk stream remembers for headers that leave fields out, and its unfinished message.
#[derive(Debug, Default)]
struct ChunkStream {
    /// The last time field: after a type 0 the timestamp, else the delta.
    time: u32,
    /// The last time field was a timestamp.
    absolute: bool,
    /// The last time field was extended.
    extended: bool,
    timestamp: u32,
    length: usize,
    kind: u8,
    stream: u32,
    message: Option<Unfinished>,
}

#[derive(Debug)]
struct Unfinished {
    at: u64,
    payload: Vec<u8>,
}

/// Whether this peer repeats the extended timestamp in the type 3 chunks that go on with a message, as RTMP 5.3.1.3 says,
/// or leaves it out, as encoders before OBS's fix do. Learned from the first such chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeats {
    Unknown,
    Yes,
    No,
}

impl Reader {
    /// `at`: the offset in the connection's bytes where chunks begin.
    pub(crate) fn new(at: u64) -> Self {
        Self {
            input: BytesMut::new(),
            at,
            chunk_size: INITIAL_CHUNK_SIZE,
            streams: BTreeMap::new(),
            held: 0,
            chunk: None,
            repeats: Repeats::Unknown,
        }
    }

    /// Adds received bytes. Read all messages with [`Reader::next`] before the next call.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// The next whole message; `None` until more bytes come.
    pub(crate) fn next(&mut self) -> Result<Option<Message>, Error> {
        loop {
            if self.chunk.is_none() && !self.header()? {
                return Ok(None);
            }
            if let Some(message) = self.payload()? {
                return Ok(Some(message));
            }
            if self.chunk.is_some() {
                return Ok(None);
            }
        }
    }

    /// Applies a Set Chunk Size (RTMP 5.4.1).
    pub(crate) fn set_chunk_size(&mut self, message: &Message, declared: u32) -> Result<(), Error> {
        if declared == 0 || declared > CHUNK_SIZE {
            let (csid, at) = (message.csid, message.at);
            return Err(Error::ChunkSize { csid, at, declared, limit: CHUNK_SIZE });
        }
        self.chunk_size = declared as usize;
        Ok(())
    }

    /// Applies an Abort Message (RTMP 5.4.2).
    pub(crate) fn abort(&mut self, csid: u32) {
        if let Some(dropped) = self.streams.get_mut(&csid).and_then(|stream| stream.message.take()) {
            self.held -= dropped.payload.capacity();
        }
    }

    /// Reads a chunk's header; false until it is all there.
    fn header(&mut self) -> Result<bool, Error> {
        let Some(header) = Header::read(&self.input) else { return Ok(false) };
        let (at, Header { fmt, csid, .. }) = (self.at, header);
        if !self.streams.contains_key(&csid) {
            // GStreamer's rtmp2sink opens chunk stream 2 with a type 1: time and message stream start at 0.
            if header.message.is_none() {
                return Err(Error::UnknownChunkStream { csid, at, fmt });
            }
            if self.streams.len() == CHUNK_STREAMS {
                return Err(Error::TooManyChunkStreams { csid, at, limit: CHUNK_STREAMS });
            }
        }
        let repeated = match self.streams.get(&csid) {
            Some(stream) if fmt == 3 && stream.extended => {
                match repeated(&self.input[header.len..], stream, self.repeats) {
                    Some(repeated) => repeated,
                    None => return Ok(false),
                }
            }
            _ => false,
        };
        let stream = self.streams.entry(csid).or_default();
        if fmt == 3 && stream.extended && stream.message.is_some() {
            self.repeats = if repeated { Repeats::Yes } else { Repeats::No };
        }
        let len = header.len + if repeated { 4 } else { 0 };
        stream.open(&header, at)?;
        let message = stream.message.as_ref().expect("a header opens a message or goes on with one");
        let left = (stream.length - message.payload.len()).min(self.chunk_size);
        self.chunk = Some(Chunk { csid, left });
        self.advance(len);
        Ok(true)
    }

    /// Moves payload bytes to their message, and gives it when it is whole.
    fn payload(&mut self) -> Result<Option<Message>, Error> {
        let Some(chunk) = &mut self.chunk else { return Ok(None) };
        let csid = chunk.csid;
        let stream = self.streams.get_mut(&csid).expect("the open chunk's stream is known");
        let message = stream.message.as_mut().expect("the open chunk has a message");
        let count = chunk.left.min(self.input.len());
        chunk.left -= count;

        let before = message.payload.capacity();
        grow(&mut message.payload, count, stream.length);
        self.held += message.payload.capacity() - before;
        if self.held > UNFINISHED {
            return Err(Error::TooMuchUnfinished { csid, at: message.at, limit: UNFINISHED });
        }
        message.payload.extend_from_slice(&self.input[..count]);

        let whole = message.payload.len() == stream.length;
        if chunk.left == 0 {
            self.chunk = None;
        }
        let done = if whole { stream.finish(csid) } else { None };
        self.advance(count);
        Ok(done.map(|(message, freed)| {
            self.held -= freed;
            message
        }))
    }

    fn advance(&mut self, count: usize) {
        self.input.advance(count);
        self.at += count as u64;
    }
}

/// Whether a type 3 chunk repeats the extended timestamp; `None` when more bytes are needed to tell. A peer may repeat the
/// field or, as librtmp does, write the whole timestamp where the field was a delta.
fn repeated(rest: &[u8], stream: &ChunkStream, known: Repeats) -> Option<bool> {
    let expected = [stream.time.to_be_bytes(), stream.timestamp.to_be_bytes()];
    let there = &rest[..rest.len().min(4)];
    match known {
        Repeats::No if stream.message.is_some() => Some(false),
        Repeats::Yes if stream.message.is_some() => (there.len() == 4).then_some(true),
        _ if !expected.iter().any(|field| field.starts_with(there)) => Some(false),
        _ => (there.len() == 4).then_some(true),
    }
}

/// Makes room for `count` more bytes: twice what is there, but never more than the message needs. So memory follows
/// what has come, not what was announced.
fn grow(payload: &mut Vec<u8>, count: usize, length: usize) {
    if payload.capacity() - payload.len() < count {
        let room = count.max(payload.len()).max(GROWTH).min(length - payload.len());
        payload.reserve_exact(room);
    }
}

/// The longest message of a type.
fn limit(kind: u8) -> usize {
    match kind {
        kind::AUDIO | kind::VIDEO | kind::AGGREGATE => MEDIA_MESSAGE,
        _ => COMMAND_MESSAGE,
    }
}

impl ChunkStream {
    /// Applies a header: begins a message, or goes on with the one that is unfinished.
    fn open(&mut self, header: &Header, at: u64) -> Result<(), Error> {
        let &Header { fmt, csid, .. } = header;
        if let Some(message) = &self.message {
            let missing = self.length - message.payload.len();
            return if fmt == 3 { Ok(()) } else { Err(Error::Interrupted { csid, at, fmt, missing }) };
        }
        if let Some((declared, kind)) = header.message {
            let limit = limit(kind);
            if declared > limit {
                return Err(Error::MessageTooLong { csid, at, kind, declared, limit });
            }
            (self.length, self.kind) = (declared, kind);
        }
        if let Some(stream) = header.stream {
            self.stream = stream;
        }
        if fmt != 3 {
            (self.time, self.absolute, self.extended) = (header.time, fmt == 0, header.extended);
        }
        self.timestamp = match fmt {
            0 => self.time,
            3 if self.absolute && self.time > FIRST_DELTA => self.timestamp,
            _ => self.timestamp.wrapping_add(self.time),
        };
        self.message = Some(Unfinished { at, payload: Vec::new() });
        Ok(())
    }

    /// The finished message and the memory that it no longer holds here.
    fn finish(&mut self, csid: u32) -> Option<(Message, usize)> {
        let Unfinished { at, payload } = self.message.take()?;
        let freed = payload.capacity();
        let (kind, stream, timestamp) = (self.kind, self.stream, self.timestamp);
        Some((Message { csid, at, kind, stream, timestamp, payload: Bytes::from(payload) }, freed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A type 0 header of a video message.
    fn header(csid: u8, length: usize) -> Vec<u8> {
        let length = u32::try_from(length).unwrap().to_be_bytes();
        vec![csid, 0, 0, 0, length[1], length[2], length[3], kind::VIDEO, 1, 0, 0, 0]
    }

    #[test]
    fn an_announced_length_takes_no_memory() {
        let mut reader = Reader::new(0);
        reader.push(&header(4, MEDIA_MESSAGE));
        reader.push(&[0; 10]);
        assert_eq!(reader.next(), Ok(None));
        assert!((10..=GROWTH).contains(&reader.held), "{} bytes", reader.held);
    }

    #[test]
    fn memory_is_at_most_twice_what_has_come_and_free_at_the_end() {
        let mut reader = Reader::new(0);
        reader.chunk_size = MEDIA_MESSAGE;
        reader.push(&header(4, 1_000_000));
        for come in (1000..1_000_000).step_by(1000) {
            reader.push(&[7; 1000]);
            assert_eq!(reader.next(), Ok(None));
            assert!(reader.held <= (2 * come).max(come + GROWTH), "{} held for {come}", reader.held);
        }
        reader.push(&[7; 1000]);
        let message = reader.next().unwrap().unwrap();
        assert_eq!((message.payload.len(), reader.held), (1_000_000, 0));
    }

    #[test]
    fn an_abort_frees_memory() {
        let mut reader = Reader::new(0);
        reader.push(&header(4, 1000));
        reader.push(&[7; 128]);
        assert_eq!(reader.next(), Ok(None));
        reader.abort(4);
        reader.abort(99);
        assert_eq!(reader.held, 0);
    }

    #[test]
    fn offsets_count_from_the_start_of_the_connection() {
        let mut reader = Reader::new(3073);
        reader.push(&[header(4, 5), vec![0; 5], header(5, 1), vec![0; 1]].concat());
        assert_eq!(reader.next().unwrap().unwrap().at, 3073);
        assert_eq!(reader.next().unwrap().unwrap().at, 3073 + 17);
    }

    #[test]
    fn a_payload_that_looks_like_the_extended_timestamp_is_kept_once_the_peer_is_known() {
        let mut reader = Reader::new(0);
        let time = [1, 2, 3, 4];
        let open = |first: u8| {
            [&[4, 0xff, 0xff, 0xff, 0, 1, 4, kind::VIDEO, 1, 0, 0, 0][..], &time, &[first; 128], &[0xc4]]
                .concat()
        };
        // Left out, seen at the first type 3; then the payload itself begins like the field.
        reader.push(&[open(7), vec![7; 128], vec![0xc4], time.to_vec()].concat());
        reader.push(&open(8));
        reader.push(&[&time[..], &[8; 124], &[0xc4], &time].concat());
        let bodies: Vec<_> =
            std::iter::from_fn(|| reader.next().unwrap()).map(|m| (m.timestamp, m.payload)).collect();
        let expected = [7, 8].map(|n| {
            let middle = if n == 7 { vec![7; 128] } else { [&time[..], &[8; 124]].concat() };
            (0x0102_0304, Bytes::from([vec![n; 128], middle, time.to_vec()].concat()))
        });
        assert_eq!(bodies, expected);
    }
}
