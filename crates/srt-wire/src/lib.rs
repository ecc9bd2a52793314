//! What the server and its SRT process say to each other, over the socket pair that is the process's standard input.
//!
//! The process's standard output is the UDP socket that it serves: it is given its port and can open no other.
//! Each message is a frame of `length: u32 | tag: u8 | body`, big-endian; media is binary, what comes once is JSON.
#![forbid(unsafe_code)]

mod frame;
mod message;
mod refusal;
mod secret;

pub use frame::{Error, MAX_FRAME, Message, next};
pub use message::{Asked, Begun, CallerId, Command, End, Event, Role, Start, Stats};
pub use refusal::Refusal;
pub use secret::Secret;
