//! RTMP, sans-IO: bytes and time in, events and bytes out.
//!
//! Source: Adobe's "Real-Time Messaging Protocol (RTMP) specification" 1.0 ("RTMP" below), the FLV file format
//! specification 10.1 ("FLV"), the AMF0 specification ("AMF0"), and what encoders really send.
//!
//! [`Session`] is one connection of a publisher, [`Player`] one to a server that plays a stream to us. Whoever owns the socket feeds
//! it with [`Session::handle_input`], sends what [`Session::poll_output`] gives, and acts on what [`Session::poll_event`] gives.
//! Nothing here reads a clock.
#![forbid(unsafe_code)]

pub mod amf0;
mod chunk;
mod error;
mod event;
mod flv;
mod handshake;
mod key;
pub mod limits;
mod message;
mod player;
mod session;
mod wire;

pub use error::Error;
pub use event::{CodecId, Ended, Event, Metadata, Publish, Reject};
pub use player::{NotATarget, Player, Target};
pub use session::Session;

/// The track of every picture of an RTMP stream.
pub const VIDEO: media::TrackId = media::TrackId(0);

/// The track of every sound of an RTMP stream.
pub const AUDIO: media::TrackId = media::TrackId(1);
