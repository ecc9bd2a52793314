//! What a restricted worker can still do, tried out: each attempt gives `"done"` or the name of the error.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::Path,
    process::Command,
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketType, socket},
    process::{Signal, getppid, kill_process},
};
use serde::Serialize;

/// The outcome of all attempts.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What the kernel could not restrict.
    pub missing: Vec<String>,
    /// Attempt and outcome.
    pub attempts: BTreeMap<&'static str, String>,
    /// The environment's names.
    pub environment: Vec<String>,
    /// Open descriptors, and what they are.
    pub descriptors: BTreeMap<String, String>,
}

/// Tries what a worker must not be able to do. Call after [`restrict`](crate::sandbox::restrict), whose result it shows; the
/// registry is a file that there is.
pub fn probe(missing: Vec<String>, registry: &Path) -> Report {
    let open = |family| socket(family, SocketType::DGRAM, None).map(drop).map_err(io::Error::from);
    let parent = || getppid().ok_or(Errno::SRCH).and_then(|pid| kill_process(pid, Signal::CONT));
    let attempts = [
        ("socket_inet", outcome(open(AddressFamily::INET))),
        ("socket_inet6", outcome(open(AddressFamily::INET6))),
        ("socket_unix", outcome(open(AddressFamily::UNIX))),
        ("socket_netlink", outcome(open(AddressFamily::NETLINK))),
        ("read_passwd", outcome(fs::read("/etc/passwd"))),
        ("create_in_tmp", outcome(create_in_tmp())),
        ("write_to_registry", outcome(fs::OpenOptions::new().write(true).open(registry))),
        ("fork_and_exec", outcome(Command::new("/bin/true").status())),
        ("signal_parent", outcome(parent().map_err(io::Error::from))),
        ("read_libraries", outcome(fs::read_dir("/usr/lib"))),
        (
            "start_thread",
            outcome(std::thread::Builder::new().spawn(|| ()).map(|thread| thread.join().is_ok())),
        ),
    ];
    let names = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.ok()?;
        // The descriptor that lists the others is gone by the time it is asked for.
        let target = fs::read_link(entry.path()).ok()?;
        Some((entry.file_name().to_string_lossy().into_owned(), target.to_string_lossy().into_owned()))
    };
    let entries = fs::read_dir("/proc/self/fd").map(|dir| dir.collect::<Vec<_>>()).unwrap_or_default();
    Report {
        missing,
        attempts: attempts.into_iter().collect(),
        environment: std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect(),
        descriptors: entries.into_iter().filter_map(names).collect(),
    }
}

fn create_in_tmp() -> io::Result<()> {
    let path = format!("/tmp/sluicegate-probe-{}", std::process::id());
    File::create(&path)?;
    fs::remove_file(path)
}

fn outcome<T>(result: io::Result<T>) -> String {
    match result {
        Ok(_) => "done".to_owned(),
        Err(error) => match error.raw_os_error() {
            Some(libc::EPERM) => "EPERM".to_owned(),
            Some(libc::EACCES) => "EACCES".to_owned(),
            _ => error.to_string(),
        },
    }
}
