use std::collections::BTreeSet;

use pipeline::encoder::Nodes;
use rustix::process::{Resource, Rlimit, setrlimit};

/// Descriptors: a pipeline of three layers has 15 (measured).
const FILES: u64 = 64;

/// The same with a device: each surface that is shared, and each of NVIDIA's channels, is one. An estimate.
const FILES_WITH_DEVICES: u64 = 512;

/// Address space: three layers of 720p reserve 1.3 GB (measured), and use a tenth. Past it allocation fails and the worker
/// dies alone.
const ADDRESS_SPACE: u64 = 4 << 30;

/// Bounds what a worker can take from its machine: no core dumps (they hold a stream's pictures), no file growth. CUDA
/// reserves address space for all of the machine's memory and does not start within a limit: with it there is none.
pub(super) fn apply(devices: &BTreeSet<Nodes>) -> Result<(), String> {
    let files = if devices.is_empty() { FILES } else { FILES_WITH_DEVICES };
    let mut limits = vec![(Resource::Core, 0), (Resource::Nofile, files), (Resource::Fsize, 0)];
    if !devices.contains(&Nodes::Nvidia) {
        limits.push((Resource::As, ADDRESS_SPACE));
    }
    for (resource, most) in limits {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        setrlimit(resource, limit).map_err(|error| format!("{resource:?}: {error}"))?;
    }
    Ok(())
}
