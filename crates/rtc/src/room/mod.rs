//! One peer connection that sends what an ingress has encoded, or a publisher's packets as they are: a picture track with one
//! to three layers, and a sound track.

mod cadence;
mod config;
mod data;
mod epoch;
mod error;
mod event;
mod ice;
mod keyframes;
mod numbers;
mod pacer;
mod peer;
mod send;
mod track;

pub use cadence::Cadence;
pub use config::Config;
pub use epoch::Epoch;
pub use error::Error;
pub use event::{Event, OutputStats};
pub use keyframes::Keyframes;
pub use pacer::Pacer;
pub use peer::Room;
pub use str0m::net::{Protocol, Transmit};
pub use track::{check_layers, rid};
