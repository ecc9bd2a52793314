//! One peer connection that sends what an ingress has encoded: a picture track with one to three layers, and a sound track.

mod cadence;
mod epoch;
mod error;
mod keyframes;
mod pacer;
mod peer;
mod track;

pub use cadence::Cadence;
pub use epoch::Epoch;
pub use error::Error;
pub use keyframes::Keyframes;
pub use pacer::Pacer;
pub use peer::{Config, Event, OutputStats, Room};
pub use str0m::net::{Protocol, Transmit};
pub use track::{check_layers, rid};
