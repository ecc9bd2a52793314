use rustix::process::{Resource, Rlimit, setrlimit};

/// What a process may take from its machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Open descriptors.
    pub descriptors: u64,
    /// Bytes of address space; past it allocation fails and the process dies alone. `None`: no limit.
    pub address_space: Option<u64>,
}

/// No core dumps (they hold a stream's pictures), no file growth, and what `limits` says.
pub(super) fn apply(limits: &Limits) -> Result<(), String> {
    let mut all = vec![(Resource::Core, 0), (Resource::Nofile, limits.descriptors), (Resource::Fsize, 0)];
    all.extend(limits.address_space.map(|bytes| (Resource::As, bytes)));
    for (resource, most) in all {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        setrlimit(resource, limit).map_err(|error| format!("{resource:?}: {error}"))?;
    }
    Ok(())
}
