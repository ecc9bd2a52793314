//! What a worker gives up before it touches a publisher's byte: nearly everything.
//!
//! Landlock (files: read libraries only; no TCP; no signals to others), seccomp (a deny-list: GStreamer's own needs are
//! not known well enough for an allow-list), resource limits, `no_new_privs`. Each costs less than a millisecond.

mod descriptors;
mod files;
mod limits;
mod syscalls;

use std::{collections::BTreeSet, path::PathBuf};

use landlock::RulesetStatus;
use pipeline::encoder::Nodes;

/// What stays open.
#[derive(Debug, Clone)]
pub struct Allowed {
    /// GStreamer's plugin registry.
    pub registry: PathBuf,
    /// Folders with libraries or plugins besides the system's own.
    pub libraries: Vec<PathBuf>,
    /// Devices that may be opened for reading and writing, with what their drivers read. None: nothing at all may be opened
    /// for writing.
    pub devices: BTreeSet<Nodes>,
}

/// Restricts this process and all threads that it will have, for good; call first in `main`, before there
/// are any, and before it opens any descriptor. Returns what the
/// kernel could not do, one phrase each: the rest holds.
pub fn restrict(allowed: &Allowed) -> Vec<String> {
    let mut missing = Vec::new();
    let mut note = |what: &str, result: Result<(), String>| {
        if let Err(why) = result {
            missing.push(format!("{what}: {why}"));
        }
    };
    note("inherited descriptors", descriptors::close_inherited());
    note("no_new_privs", rustix::thread::set_no_new_privs(true).map_err(|error| error.to_string()));
    note("limits", limits::apply(&allowed.devices));
    let files = files::apply(allowed);
    let guarded = matches!(files, Ok(RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced));
    note("landlock", files.and_then(files::incomplete));
    // System calls cannot be told apart by path: only where files are guarded may one be opened for writing.
    let devices = guarded && !allowed.devices.is_empty();
    if !guarded && !allowed.devices.is_empty() {
        note("devices", Err("stay shut where landlock does not guard the other files".to_owned()));
    }
    note("seccomp", syscalls::apply(devices));
    missing
}
