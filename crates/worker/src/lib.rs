//! The worker: carries out a [`pipeline::Plan`] with GStreamer, for one session, behind one socket.
//!
//! * `sandbox`: what the process gives up before it touches a publisher's byte.
//! * `inbox` with its `lane`s, `outbox`: the bounded ways in and out; callbacks of GStreamer only copy and send.
//! * `trial`: whether an encoder works on this machine.
//! * `build`: elements of a plan into a GStreamer pipeline.
//! * `track`: a source's track, from packets to raw frames or to Opus; `branch`: a layer, from raw frames to bytes;
//!   `input`: the bounded way into its chains; `scaler`: its frames from larger ones, `halve`: by two, in our own code;
//!   `encoder`: their bytes, by one of the `recipes`.
//! * `video`: which frame goes to which layer; `watch`: which layers are wanted; `rate`: how many frames a second.
//! * `load`: how far behind the worker is.
//! * `demux`: another process of the same binary: containers into packets.
//! * `drain`: the orderly end. `run`: the one thread that acts on commands.
#![deny(unsafe_op_in_unsafe_fn)]

mod branch;
mod build;
mod clock;
pub mod demux;
mod drain;
mod encoder;
mod halve;
mod inbox;
mod input;
mod lane;
mod load;
mod outbox;
pub mod plugins;
pub mod probe;
mod rate;
mod recipes;
mod run;
pub mod sandbox;
mod scaler;
mod threads;
mod track;
pub mod trial;
mod video;
mod watch;

pub use run::{Error, run};
