use landlock::{
    ABI, Access as _, AccessFs, AccessNet, RestrictionStatus, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

use super::Allowed;

/// The newest that is asked for: files, TCP, signals and abstract sockets. Older kernels do what they can.
const WANTED: ABI = ABI::V6;

/// Leaves reading of what is named, and the devices that are allowed; nothing else of the file system, no network. Says how
/// much of it the kernel can do.
pub(super) fn apply(allowed: &Allowed) -> Result<RulesetStatus, String> {
    restrict(allowed).map(|status| status.ruleset).map_err(|error| error.to_string())
}

/// What is missing at that.
pub(super) fn incomplete(status: RulesetStatus) -> Result<(), String> {
    match status {
        RulesetStatus::FullyEnforced => Ok(()),
        RulesetStatus::PartiallyEnforced => Err("kernel older than 6.12: not all of it".to_owned()),
        RulesetStatus::NotEnforced => Err("not in this kernel".to_owned()),
    }
}

fn restrict(allowed: &Allowed) -> Result<RestrictionStatus, RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let drive = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
    Ruleset::default()
        .handle_access(AccessFs::from_all(WANTED))?
        .handle_access(AccessNet::from_all(WANTED))?
        .scope(Scope::from_all(WANTED))?
        .create()?
        .add_rules(path_beneath_rules(&allowed.read, read))?
        .add_rules(path_beneath_rules(&allowed.drive, drive))?
        .restrict_self()
}
