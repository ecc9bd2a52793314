//! A publisher's own pictures as a layer of the room: whether they may be, and where to cut over (docs/adr/0012).
//!
//! [`h264`] reads what is sent, [`Judge`] says whether it may stand in for a layer, [`Splice`] makes one decodable stream
//! of the two lanes. Nothing here does I/O, reads a clock, decodes a picture or panics on what it is fed.
#![forbid(unsafe_code)]

pub mod h264;
mod judge;
mod keys;
mod splice;
#[cfg(test)]
mod testing;

pub use judge::{Judge, Verdict, Why};
pub use splice::{Event, Lane, Passed, Splice};
