//! GStreamer's start in a process of its own: from a registry that somebody else has built.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use thiserror::Error;

/// GStreamer that does not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// `gst_init` failed.
    #[error("GStreamer does not start: {0}")]
    Init(#[from] gstreamer::glib::Error),
    /// The registry was not written, or cannot be made readable.
    #[error("plugin registry {path}: {source}")]
    Registry {
        /// Where it was to be.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Where GStreamer finds its plugins.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The registry.
    pub registry: &'a Path,
    /// Folders besides the system's own.
    pub libraries: &'a [PathBuf],
}

/// Starts GStreamer with the registry as it is: no scan, no plugin scanner, no file outside of what the sandbox allows.
/// For `main`, before it starts any thread.
///
/// # Errors
/// Whatever `gst_init` says.
pub fn load(place: Place<'_>) -> Result<(), Error> {
    name_registry(place, "no");
    gstreamer::init()?;
    // Errors only: a broken stream makes warnings by the thousand.
    gstreamer::log::set_default_threshold(gstreamer::DebugLevel::Error);
    Ok(())
}

/// Scans all plugins and writes the registry, readable by any user (GStreamer writes it for its owner only, and a worker
/// that cannot read it scans anew at each start). Takes seconds. For `main`, before it starts any thread.
///
/// # Errors
/// GStreamer does not start, or has not written the file.
pub fn build(place: Place<'_>) -> Result<(), Error> {
    name_registry(place, "yes");
    gstreamer::init()?;
    let failed = |source| Error::Registry { path: place.registry.to_owned(), source };
    fs::set_permissions(place.registry, fs::Permissions::from_mode(0o644)).map_err(failed)
}

/// The only way to tell `gst_init` a registry is by its environment.
fn name_registry(place: Place<'_>, update: &str) {
    let plugins = std::env::join_paths(place.libraries).unwrap_or_default();
    // SAFETY: called from `main` before any thread exists, so nobody reads the environment at the same time.
    unsafe {
        std::env::set_var("GST_REGISTRY", place.registry);
        std::env::set_var("GST_REGISTRY_UPDATE", update);
        if !plugins.is_empty() {
            std::env::set_var("GST_PLUGIN_PATH", plugins);
        }
    }
}
