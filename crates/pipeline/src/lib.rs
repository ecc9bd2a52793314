//! What the server tells a worker and what it hears back: the plan, the wire, and the handle of the process.
//!
//! * [`ladder`]: LiveKit's presets as [`media::Ladder`]s (data).
//! * [`plan`]: which elements with which properties decode a source and encode its layers (pure, golden-tested).
//! * [`encoder`]: how each encoder is driven (data).
//! * [`opus`]: sound that comes as Opus, and what its encoder is told of losses.
//! * [`trial`]: which encoders work here, and which are used.
//! * [`demux`]: the same for the process that takes containers apart.
//! * [`wire`]: the framed messages of the one socket pair.
//! * [`Handle`]: a worker process, or a pipeline on a thread behind the same socket pair.
//!
//! No GStreamer here: the server links this crate. The crate `worker` carries plans out.
#![forbid(unsafe_code)]

mod decode;
pub mod demux;
mod element;
pub mod encoder;
pub mod handle;
pub mod ladder;
mod launch;
mod log;
mod message;
pub mod opus;
pub mod plan;
pub mod trial;
pub mod wire;

pub use element::{Element, Property};
pub use handle::{Exit, Handle, Incoming, Receiver, Sender};
pub use launch::{Error, Launch};
pub use message::{Command, Effort, Event, Load, Source, Start};
pub use plan::{Audio, Branch, Picture, Plan};
