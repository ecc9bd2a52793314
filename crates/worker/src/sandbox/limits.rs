use rustix::process::{Resource, Rlimit, setrlimit};

/// Descriptors: a pipeline of three layers has 15 (measured).
const FILES: u64 = 64;

/// Address space: three layers of 720p reserve 1.3 GB (measured), and use a tenth. Past it allocation fails and the worker
/// dies alone.
const ADDRESS_SPACE: u64 = 4 << 30;

/// Bounds what a worker can take from its machine: no core dumps (they hold a stream's pictures), no file growth.
pub(super) fn apply() -> Result<(), String> {
    let limits =
        [(Resource::Core, 0), (Resource::Nofile, FILES), (Resource::Fsize, 0), (Resource::As, ADDRESS_SPACE)];
    for (resource, most) in limits {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        setrlimit(resource, limit).map_err(|error| format!("{resource:?}: {error}"))?;
    }
    Ok(())
}
