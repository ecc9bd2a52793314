//! WebRTC on `str0m`, sans-IO: datagrams and time in, datagrams and events out.
//!
//! [`Room`] publishes pre-encoded simulcast layers and Opus to an SFU. It opens no socket, starts no task and reads no
//! clock: `livekit::room` gives it all three.
#![forbid(unsafe_code)]

pub mod room;

pub use room::Room;
