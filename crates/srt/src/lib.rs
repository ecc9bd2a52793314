//! The SRT process: callers of one UDP port, or one call, behind one socket pair (`srt_wire`). It knows no keys and no rooms.
//!
//! * `ffi`, [`socket`], `poll`: libsrt, and the only unsafe code.
//! * [`patience`]: how long a handshake may wait for the server.
//! * `callers`: who asks, who is connected, who is allowed; shared by libsrt's thread and ours.
//! * `link`: the bounded way to the server. `serve`: the process's loop, which reads every connection.
#![deny(unsafe_op_in_unsafe_fn)]

mod callers;
mod ffi;
mod link;
pub mod patience;
mod poll;
mod serve;
pub mod socket;

pub use poll::Poll;
pub use serve::run;
