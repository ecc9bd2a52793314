use landlock::{
    ABI, Access as _, AccessFs, AccessNet, RestrictionStatus, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

use super::Allowed;

/// The newest that is asked for: files, TCP, signals and abstract sockets. Older kernels do what they can.
const WANTED: ABI = ABI::V6;

/// What GStreamer, its plugins and the libraries below them read; found by tracing. Those that don't exist are skipped.
const READ: [&str; 9] = [
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/sys/devices/system/cpu",
    "/proc/cpuinfo",
    "/proc/self",
];

/// Leaves reading of libraries, the registry and the process's own facts; nothing else of the file system, no network.
pub(super) fn apply(allowed: &Allowed) -> Result<(), String> {
    let status = restrict(allowed).map_err(|error| error.to_string())?;
    match status.ruleset {
        RulesetStatus::FullyEnforced => Ok(()),
        RulesetStatus::PartiallyEnforced => Err("kernel older than 6.12: not all of it".to_owned()),
        RulesetStatus::NotEnforced => Err("not in this kernel".to_owned()),
    }
}

fn restrict(allowed: &Allowed) -> Result<RestrictionStatus, RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let own = allowed.libraries.iter().chain([&allowed.registry]);
    Ruleset::default()
        .handle_access(AccessFs::from_all(WANTED))?
        .handle_access(AccessNet::from_all(WANTED))?
        .scope(Scope::from_all(WANTED))?
        .create()?
        .add_rules(path_beneath_rules(READ, read))?
        .add_rules(path_beneath_rules(own, read))?
        .restrict_self()
}
