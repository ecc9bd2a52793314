//! A publisher's own pictures as a layer of the room: whether they may be, and where to cut over (docs/adr/0012).
//!
//! [`h264`] reads what is sent, [`Judge`] says whether it may stand in for a layer, [`Splice`] makes one decodable stream
//! of the two lanes. [`opus`] judges sound, [`simulcast`] tells a publisher's layers apart by what [`picture_size`]
//! reads. Nothing here does I/O, reads a clock, decodes a picture or panics on what it is fed.
//!
//! For each unit of a source, on the session's clock: [`Judge::take`]; on `Fits` [`Splice::aim`] at the source; on `Unfit`
//! aim at the worker, then [`Splice::cut_at`] with that picture's time, and leave the picture out. Else [`Judge::frame`] and
//! [`Splice::from_source`]. Each frame of the worker for this layer goes through [`Splice::from_worker`].
#![forbid(unsafe_code)]

pub mod h264;
mod judge;
mod keys;
pub mod opus;
pub mod simulcast;
pub mod size;
mod splice;
#[cfg(test)]
mod testing;

pub use judge::{Judge, Verdict, Why};
pub use size::picture_size;
pub use splice::{Event, Lane, Passed, Splice};
