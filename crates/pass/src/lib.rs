//! A publisher's own pictures as a layer of the room: whether they may be, and where to cut over (docs/adr/0012).
//!
//! [`Splice`] makes one decodable stream of the encoded and the passed pictures. Nothing here does I/O, reads a clock, decodes a picture or panics on what it is fed.
#![forbid(unsafe_code)]

mod keys;
mod splice;

pub use splice::{Event, Lane, Passed, Splice};
