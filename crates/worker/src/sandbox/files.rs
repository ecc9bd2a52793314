use std::{collections::BTreeSet, fs, path::PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, RestrictionStatus, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

use pipeline::encoder::Nodes;

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

/// What drivers read besides, by libdrm's, Mesa's, libva's and NVIDIA's documentation and sources; not traced, for want of a
/// device. Those that don't exist are skipped.
fn driver_files(nodes: Nodes) -> &'static [&'static str] {
    match nodes {
        Nodes::Render => &[
            "/dev/dri",
            "/sys/dev/char",
            "/sys/devices",
            "/sys/class/drm",
            "/sys/bus/pci/devices",
            "/run/udev/data",
            "/usr/share/drirc.d",
            "/usr/share/libdrm",
            "/etc/drirc",
        ],
        Nodes::Nvidia => &["/proc/driver/nvidia", "/proc/devices", "/proc/modules", "/sys/devices"],
        Nodes::Video => {
            &["/sys/dev/char", "/sys/devices", "/sys/class/video4linux", "/sys/bus/media", "/run/udev/data"]
        }
    }
}

/// The device nodes of a class, as they are now.
fn device_files(nodes: Nodes) -> Vec<PathBuf> {
    let (folder, start) = match nodes {
        Nodes::Render => ("/dev/dri", "renderD"),
        Nodes::Nvidia => ("/dev", "nvidia"),
        Nodes::Video => ("/dev", "video"),
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(start));
    ours.map(|entry| entry.path()).collect()
}

/// Leaves reading of libraries, the registry and the process's own facts, and the devices that are allowed; nothing else of
/// the file system, no network. Says how much of it the kernel can do.
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
    let own = allowed.libraries.iter().chain([&allowed.registry]);
    let each = |nodes: &BTreeSet<Nodes>| nodes.clone().into_iter();
    let driver_files = each(&allowed.devices).flat_map(driver_files);
    let device_files: Vec<PathBuf> = each(&allowed.devices).flat_map(device_files).collect();
    Ruleset::default()
        .handle_access(AccessFs::from_all(WANTED))?
        .handle_access(AccessNet::from_all(WANTED))?
        .scope(Scope::from_all(WANTED))?
        .create()?
        .add_rules(path_beneath_rules(READ, read))?
        .add_rules(path_beneath_rules(own, read))?
        .add_rules(path_beneath_rules(driver_files, read))?
        .add_rules(path_beneath_rules(device_files, drive))?
        .restrict_self()
}
