//! A publisher's simulcast layers: which of them is which, and which is the best one.
//!
//! Names and order of the layers are the client's affair (browsers send `q`, `h`, `f` or `low`, `mid`, `high`, OBS numbers with the
//! largest first): what counts is the pictures' sizes.

use std::time::Duration;

mod best;
mod gate;
mod layers;

pub use best::Best;
pub use gate::{Gate, Verdict};
pub use layers::Layers;

/// Layers that are told apart.
pub const MOST: usize = 4;

/// Width and height of pictures, in pixels.
pub type Size = (u32, u32);

/// Requests for a layer's key picture are so far apart.
const ASK_AGAIN: Duration = Duration::from_millis(500);
