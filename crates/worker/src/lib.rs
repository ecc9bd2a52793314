//! The worker: carries out a [`pipeline::Plan`] with GStreamer, for one session, behind one socket.
//!
//! * `sandbox`: what the process gives up before it touches a publisher's byte.
//! * `inbox`, `outbox`: the bounded ways in and out; callbacks of GStreamer only copy and send.
//! * `build`: elements of a plan into a GStreamer pipeline.
//! * `track`: a source's track, from packets to raw frames or to Opus; `branch`: a layer, from raw frames to bytes;
//!   `input`: the bounded way into its chains; `scaler`: its frames from larger ones; `halve`: by two, in our own code.
//! * `video`: which frame goes to which layer; `rate`: how many a second.
//! * `drain`: the orderly end. `run`: the one thread that acts on commands.
#![deny(unsafe_op_in_unsafe_fn)]

mod branch;
mod build;
mod clock;
mod drain;
mod halve;
mod inbox;
mod input;
mod outbox;
pub mod plugins;
pub mod probe;
mod rate;
mod run;
pub mod sandbox;
mod scaler;
mod track;
mod video;

pub use run::{Error, run};
