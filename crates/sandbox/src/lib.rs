//! What a process gives up before it touches a stranger's byte: nearly everything.
//!
//! Landlock (files: read what is named only; no TCP; no signals to others), seccomp (a deny-list: the needs of GStreamer and
//! of others' C are not known well enough for an allow-list), resource limits, `no_new_privs`. Each costs less than a
//! millisecond. Sockets that the process was given stay open; it gets no others.
#![deny(unsafe_op_in_unsafe_fn)]

mod descriptors;
mod files;
mod limits;
mod syscalls;

use std::path::PathBuf;

use landlock::RulesetStatus;

pub use limits::Limits;

/// What stays open.
#[derive(Debug, Clone)]
pub struct Allowed {
    /// Files and folders that may be read. Those that don't exist are skipped.
    pub read: Vec<PathBuf>,
    /// Device nodes that may be opened for reading and writing. None: nothing at all may be opened for writing.
    pub drive: Vec<PathBuf>,
    /// True with a process that has devices of its own, even where no node of them was found: files may then be opened for
    /// writing as far as Landlock lets them.
    pub devices: bool,
    /// What it may take from its machine.
    pub limits: Limits,
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
    note("limits", limits::apply(&allowed.limits));
    let files = files::apply(allowed);
    let guarded = matches!(files, Ok(RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced));
    note("landlock", files.and_then(files::incomplete));
    // System calls cannot be told apart by path: only where files are guarded may one be opened for writing.
    let devices = guarded && allowed.devices;
    if !guarded && allowed.devices {
        note("devices", Err("stay shut where landlock does not guard the other files".to_owned()));
    }
    note("seccomp", syscalls::apply(devices));
    missing
}
