//! Sockets that admit publishers. Each protocol's listener yields requests that say who wants to publish what; a request is
//! accepted, which gives the publisher's media, or rejected with a reason. What a stream key means is not known here.
#![forbid(unsafe_code)]

pub mod rtmp;
pub mod rtsp;
mod socket;
pub mod srt;
pub mod url;
mod waiting;
pub mod whip;
mod wrong_keys;
