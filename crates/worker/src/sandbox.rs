//! What a worker gives up before it touches a publisher's byte: nearly everything.
//!
//! Landlock (files: read libraries only; no TCP; no signals to others), seccomp (a deny-list: GStreamer's own needs are
//! not known well enough for an allow-list), resource limits, `no_new_privs`. Each costs less than a millisecond.

mod descriptors;
mod files;
mod limits;
mod syscalls;

use std::path::PathBuf;

/// What stays readable.
#[derive(Debug, Clone)]
pub struct Allowed {
    /// GStreamer's plugin registry.
    pub registry: PathBuf,
    /// Folders with libraries or plugins besides the system's own.
    pub libraries: Vec<PathBuf>,
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
    note("limits", limits::apply());
    note("landlock", files::apply(allowed));
    note("seccomp", syscalls::apply());
    missing
}
