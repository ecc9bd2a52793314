//! Media made on the spot, a rig that drives a worker in lockstep, and decoders that look at what came out.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "test code, of which each test binary uses its own part"
)]

pub mod broken;
pub mod demux;
pub mod generate;
pub mod look;
pub mod rig;

/// GStreamer, with GLib's criticals fatal as `G_DEBUG=fatal-criticals` makes them.
pub fn init() {
    use gstreamer::glib::{LogLevels, log_set_always_fatal};
    gstreamer::init().expect("GStreamer starts");
    log_set_always_fatal(LogLevels::LEVEL_CRITICAL | LogLevels::LEVEL_ERROR);
}
