//! The chunk stream (RTMP 5.3).

mod header;
mod read;
mod write;

pub(crate) use read::Reader;
pub(crate) use write::Writer;

/// What both sides begin with (RTMP 5.4.1).
const INITIAL_CHUNK_SIZE: usize = 128;

/// A timestamp field with this value says that 32 more bits follow (RTMP 5.3.1.3).
const EXTENDED: u32 = 0xff_ffff;
