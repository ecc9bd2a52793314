use crate::amf0;

/// Why a connection must end. Every variant says where in the received bytes (`at`, counted from the first byte of
/// the connection) and what was expected there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The peer speaks another protocol: a probe, a browser, a TLS client.
    #[error("byte 0: RTMP version {first:#04x}, expected 3{}", guess(*first))]
    NotRtmp {
        /// The first byte received.
        first: u8,
    },
    /// No `publish` within [`crate::limits::PUBLISH_DEADLINE`].
    #[error("byte {at}: no publish after {seconds} s, still {stage}")]
    NoPublish {
        /// How much had come.
        at: u64,
        /// How far the session had got.
        stage: &'static str,
        /// The deadline.
        seconds: u64,
    },
    /// A server did not get to the stream's start within [`crate::limits::PLAY_DEADLINE`].
    #[error("byte {at}: the stream did not start within {seconds} s, still {stage}")]
    NoPlay {
        /// How much had come.
        at: u64,
        /// How far the session had got.
        stage: &'static str,
        /// The deadline.
        seconds: u64,
    },
    /// A server said that it plays, and then nothing came for [`crate::limits::FIRST_MEDIA`].
    #[error("byte {at}: the server sent nothing of the stream for {seconds} s: does anybody publish it?")]
    NoMedia {
        /// How much had come.
        at: u64,
        /// The deadline.
        seconds: u64,
    },
    /// A server said no, or ended the stream with an error.
    #[error("the server refused {call}: {code}{}{text}", if text.is_empty() { "" } else { ": " })]
    Refused {
        /// What was asked for: `connect`, `createStream`, `play`, or the running stream.
        call: &'static str,
        /// The server's `code`: `NetStream.Play.StreamNotFound`. Bounded, free of control characters and of the stream's name.
        code: String,
        /// The server's `description`, likewise.
        text: String,
    },
    /// More bytes before our answer to `publish` than any encoder sends.
    #[error("byte {at}: over {limit} bytes while {stage}")]
    Unauthenticated {
        /// How much had come.
        at: u64,
        /// The bound of this stage.
        limit: u64,
        /// How far the session had got.
        stage: &'static str,
    },
    /// A chunk without the header fields that the chunk stream never had (RTMP 5.3.1.2).
    #[error("chunk stream {csid} at byte {at}: chunk type {fmt} opens it, expected type 0 or 1")]
    UnknownChunkStream {
        /// Chunk stream.
        csid: u32,
        /// Byte offset of the chunk.
        at: u64,
        /// Chunk type.
        fmt: u8,
    },
    /// More chunk streams than [`crate::limits::CHUNK_STREAMS`].
    #[error("chunk stream {csid} at byte {at}: over {limit} chunk streams")]
    TooManyChunkStreams {
        /// Chunk stream.
        csid: u32,
        /// Byte offset of the chunk.
        at: u64,
        /// The bound.
        limit: usize,
    },
    /// A message header inside an unfinished message of the same chunk stream.
    #[error(
        "chunk stream {csid} at byte {at}: chunk type {fmt} with {missing} bytes of a message to come, expected type 3"
    )]
    Interrupted {
        /// Chunk stream.
        csid: u32,
        /// Byte offset of the chunk.
        at: u64,
        /// Chunk type.
        fmt: u8,
        /// What the unfinished message lacks.
        missing: usize,
    },
    /// A message longer than its type may be.
    #[error("chunk stream {csid} at byte {at}: message type {kind} of {declared} bytes, limit {limit}")]
    MessageTooLong {
        /// Chunk stream.
        csid: u32,
        /// Byte offset of the chunk.
        at: u64,
        /// Message type.
        kind: u8,
        /// The length that was announced.
        declared: usize,
        /// The bound for this type.
        limit: usize,
    },
    /// Unfinished messages hold more than [`crate::limits::UNFINISHED`].
    #[error("chunk stream {csid} at byte {at}: over {limit} bytes of unfinished messages")]
    TooMuchUnfinished {
        /// Chunk stream.
        csid: u32,
        /// Byte offset of the chunk.
        at: u64,
        /// The bound.
        limit: usize,
    },
    /// A Set Chunk Size that no stream can follow (RTMP 5.4.1).
    #[error("chunk stream {csid} at byte {at}: chunk size {declared}, expected 1 to {limit}")]
    ChunkSize {
        /// Chunk stream.
        csid: u32,
        /// Byte offset of the message.
        at: u64,
        /// The size that was announced.
        declared: u32,
        /// The bound.
        limit: u32,
    },
    /// A message body shorter than its type needs.
    #[error("chunk stream {csid} at byte {at}: {what} of {got} bytes, expected {expected}")]
    Short {
        /// Chunk stream.
        csid: u32,
        /// Byte offset of the message.
        at: u64,
        /// What was being read.
        what: &'static str,
        /// Its length.
        got: usize,
        /// The least that it needs.
        expected: usize,
    },
    /// A command or data message that is no AMF0.
    #[error("chunk stream {csid} at byte {at}: message type {kind}: {source}")]
    Amf {
        /// Chunk stream.
        csid: u32,
        /// Byte offset of the message.
        at: u64,
        /// Message type.
        kind: u8,
        /// What is wrong with it.
        source: amf0::Error,
    },
    /// A command in the wrong place or of the wrong shape.
    #[error("chunk stream {csid} at byte {at}: command {name:?} while {stage}, expected {expected}")]
    Command {
        /// Chunk stream.
        csid: u32,
        /// Byte offset of the message.
        at: u64,
        /// The command, cut to a readable length.
        name: String,
        /// How far the session had got.
        stage: &'static str,
        /// What would have been right.
        expected: &'static str,
    },
    /// A codec that cannot be taken: the stream is refused as a whole, never published with one half missing.
    #[error("byte {at}: {codec} is not supported, expected {expected}")]
    Unsupported {
        /// Byte offset of the message.
        at: u64,
        /// What the encoder sends, in words: "video codec HEVC (hvc1)".
        codec: String,
        /// What would have been right.
        expected: &'static str,
    },
}

/// What a first byte that is not 3 most likely is.
fn guess(first: u8) -> &'static str {
    match first {
        b'H' => " (HTTP?)",
        b'G' | b'P' | b'O' | b'D' => " (an HTTP request?)",
        0x16 => " (TLS: an rtmps:// URL?)",
        6 | 8 | 9 => " (RTMPE is not supported)",
        _ => "",
    }
}

impl Error {
    /// True for peers that never were encoders: health probes, scanners, browsers. Not worth more than a debug line.
    pub fn is_probe(&self) -> bool {
        matches!(self, Error::NotRtmp { .. })
    }

    /// True where the server has no such stream.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Error::Refused { code, .. } if code == "NetStream.Play.StreamNotFound")
    }
}
