//! Every bound that a session keeps, and why it is that number.

use std::time::Duration;

/// The longest audio, video or aggregate message, in bytes: a keyframe of 4 MiB is a second of 32 Mbit/s.
/// Past it the connection ends with [`crate::Error::MessageTooLong`] before the payload is read.
pub const MEDIA_MESSAGE: usize = 4 << 20;

/// The longest command or data message, in bytes: the largest `connect` and `onMetaData` seen are under 2 KiB.
/// Past it as [`MEDIA_MESSAGE`].
pub const COMMAND_MESSAGE: usize = 64 << 10;

/// Unfinished messages of all chunk streams together, in bytes of memory held. Two keyframes of the greatest size
/// can be under way at once. Past it the connection ends with [`crate::Error::TooMuchUnfinished`].
pub const UNFINISHED: usize = 8 << 20;

/// Chunk streams of one connection: real encoders use at most six. Past it the connection ends with
/// [`crate::Error::TooManyChunkStreams`].
pub const CHUNK_STREAMS: usize = 64;

/// The largest chunk that a peer may announce, in bytes: a message is never longer than its 24-bit length field (RTMP 5.4.1).
/// Past it, and at 0, the connection ends with [`crate::Error::ChunkSize`].
pub const CHUNK_SIZE: u32 = 1 << 24;

/// All bytes of a connection up to `publish`: handshake 3 KiB, commands about 1 KiB.
/// Past it the connection ends with [`crate::Error::Unauthenticated`].
pub const BEFORE_PUBLISH: u64 = 64 << 10;

/// Bytes between `publish` and our answer. Encoders wait for the answer; the few that don't get this much kept.
/// At half of it [`crate::Session::wants_input`] turns false; past it the connection ends with
/// [`crate::Error::Unauthenticated`].
pub const BEFORE_ACCEPT: u64 = 512 << 10;

/// Nesting of AMF0 values: the deepest that encoders send is 3. Past it [`crate::amf0::Error::TooDeep`].
pub const AMF_DEPTH: usize = 16;

/// AMF0 values of one message: `onMetaData` has about 30. Past it [`crate::amf0::Error::TooMany`].
pub const AMF_VALUES: usize = 1024;

/// The longest AMF0 string, in bytes: a `tcUrl` with tokens is under 2 KiB. Past it [`crate::amf0::Error::StringTooLong`].
pub const AMF_STRING: usize = 16 << 10;

/// Text of a peer that is kept for people to read (encoder name, app), in characters; the rest is cut off.
pub const SHOWN_TEXT: usize = 256;

/// Message streams of one connection: a publisher makes one, some make a second after a failure. Past it
/// `createStream` is answered with an error.
pub const MESSAGE_STREAMS: u32 = 8;

/// From the connection's start to `publish`. A real encoder needs three round trips; fault row 9 wants idle ones
/// gone within 10 s. Past it [`crate::Error::NoPublish`].
pub const PUBLISH_DEADLINE: Duration = Duration::from_secs(8);

/// From the start of a connection that we made to the server's word that it plays, or to its first media: four round trips.
/// Past it [`crate::Error::NoPlay`].
pub const PLAY_DEADLINE: Duration = Duration::from_secs(10);

/// From there to the first media. Some servers say that they play and wait for a publisher. Past it [`crate::Error::NoMedia`].
pub const FIRST_MEDIA: Duration = Duration::from_secs(15);

/// A publisher without a media message for this long is gone: a stall of 30 s survives (fault row 21), more does not.
/// Past it the session ends as [`crate::Ended::Silent`].
pub const SILENCE: Duration = Duration::from_secs(31);

/// After so long without any byte from a publisher a ping is sent, so that a dead path shows in TCP.
pub const PING_AFTER: Duration = Duration::from_secs(5);

/// The window that we announce to publishers, in bytes (the number that Flash Media Server used).
pub const WINDOW: u32 = 2_500_000;

/// The smallest window that acknowledgements are sent for, in bytes, whatever a peer asks:
/// a window of 1 would make us answer each byte with 16.
pub const SMALLEST_WINDOW: u32 = 4096;

/// The chunk size of what we send, in bytes: every answer fits in one chunk.
pub const OUR_CHUNK_SIZE: usize = 4096;
