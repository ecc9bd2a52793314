//! One peer connection that receives what a WHIP publisher sends (RFC 9725).

mod bandwidth;
pub(crate) mod clock;
mod engine;
mod error;
mod fragment;
pub(crate) mod frames;
mod offer;
mod peer;
mod picture;
mod plain;
mod section;
pub(crate) mod start;
mod streams;
mod tracks;
mod types;
mod way;

pub use error::Error;
pub use fragment::{Fragment, FragmentError};
pub use offer::{Audio, Offer, OfferError, Video};
pub use peer::Peer;
pub use streams::RESENDABLE;
pub use types::{Config, Event, Local, Mode, Patched, Stats, Track};
