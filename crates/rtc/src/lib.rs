//! WebRTC on `str0m`, sans-IO: datagrams and time in, datagrams and events out.
//!
//! [`Room`] publishes pre-encoded simulcast layers and Opus to an SFU; [`whip::Peer`] receives what a publisher sends, and
//! [`rtp::Receiver`] puts together what comes as RTP without WebRTC (RTSP). They
//! open no socket, start no task and read no clock: `livekit::room` and `intake::whip` give them all three.
#![forbid(unsafe_code)]

pub mod dtls;
pub mod room;
pub mod rtp;
pub mod whip;

pub use room::Room;
