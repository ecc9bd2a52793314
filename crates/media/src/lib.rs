//! The words that all of Sluicegate shares: packets, time, layers, and the bounded queues between stages.
//!
//! Nothing here does I/O, reads a clock, is async or links a codec library: a stage that wants to know the time is told it.
#![forbid(unsafe_code)]

mod codec;
mod key;
mod layer;
mod opus;
pub mod pacer;
mod packet;
pub mod queue;
mod rtp;
mod time;
mod timeline;

pub use codec::{Codec, Kind};
pub use key::StreamKey;
pub use layer::{Ladder, Layer, Quality};
pub use opus::{Mapping, OpusHead};
pub use packet::{Encoded, Format, Output, Packet, Shape, TrackId, Turn, Unit};
pub use queue::{Bound, GopCache, Queue};
pub use rtp::{RtpPacket, SoundLevel};
pub use time::MediaTime;
pub use timeline::Timeline;
