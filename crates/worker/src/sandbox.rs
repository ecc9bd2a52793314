//! What a worker may still read, open and take once it is restricted.

use std::{collections::BTreeSet, fs, path::PathBuf};

use pipeline::encoder::Nodes;
use sandbox::Limits;

/// Descriptors: a pipeline of three layers has 15 (measured).
const FILES: u64 = 64;

/// The same with a device: each surface that is shared, and each of NVIDIA's channels, is one. An estimate.
const FILES_WITH_DEVICES: u64 = 512;

/// Address space: three layers of 720p reserve 1.3 GB (measured), and use a tenth.
const ADDRESS_SPACE: u64 = 4 << 30;

/// What GStreamer, its plugins and the libraries below them read; found by tracing.
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

/// See [`sandbox::restrict`].
pub fn restrict(allowed: &Allowed) -> Vec<String> {
    let each = || allowed.devices.iter().copied();
    let system = READ.into_iter().chain(each().flat_map(driver_files).copied()).map(PathBuf::from);
    let own = allowed.libraries.iter().chain([&allowed.registry]).cloned();
    sandbox::restrict(&sandbox::Allowed {
        read: system.chain(own).collect(),
        drive: each().flat_map(device_files).collect(),
        devices: !allowed.devices.is_empty(),
        limits: limits(&allowed.devices),
    })
}

/// CUDA reserves address space for all of the machine's memory and does not start within a limit: with it there is none.
fn limits(devices: &BTreeSet<Nodes>) -> Limits {
    Limits {
        descriptors: if devices.is_empty() { FILES } else { FILES_WITH_DEVICES },
        address_space: (!devices.contains(&Nodes::Nvidia)).then_some(ADDRESS_SPACE),
    }
}

/// What drivers read besides, by libdrm's, Mesa's, libva's and NVIDIA's documentation and sources; not traced, for want of a
/// device.
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
