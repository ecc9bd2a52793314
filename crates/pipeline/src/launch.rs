use std::{
    collections::BTreeSet,
    fmt,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use thiserror::Error;
use tokio::process::{Child, Command};

use crate::{encoder::Nodes, trial::Trial};

/// Building the plugin registry scans every plugin: 3 s on an idle machine (measured), ten times that on a busy one.
const REGISTRY_DEADLINE: Duration = Duration::from_secs(60);

/// The worker's own deadlines, two seconds for hardware and, beside it, eight for software, add up to less.
const ENCODERS_DEADLINE: Duration = Duration::from_secs(30);

/// How worker processes are started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The `sluicegate-worker` binary.
    pub worker: PathBuf,
    /// GStreamer's plugin registry, as [`Launch::build_registry`] makes it.
    pub registry: PathBuf,
    /// Folders outside `/usr/lib`, `/lib`, `/lib64` and `/usr/local/lib` that hold libraries or plugins.
    pub libraries: Vec<PathBuf>,
    /// GLib's critical warnings end the worker: for tests.
    pub fatal_criticals: bool,
}

/// A worker that could not be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The socket pair could not be made.
    #[error("worker socket: {0}")]
    Socket(std::io::Error),
    /// The binary could not be run.
    #[error("start worker {path}: {source}")]
    Spawn {
        /// The binary.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The start message is too large.
    #[error(transparent)]
    Wire(#[from] crate::wire::Error),
    /// `encoders` failed.
    #[error("try the encoders: {reason}")]
    Encoders {
        /// Exit status, deadline, and what the worker said.
        reason: String,
    },
    /// `build-registry` failed.
    #[error("build plugin registry {path}: {reason}")]
    Registry {
        /// Where it was to be.
        path: PathBuf,
        /// Exit status, deadline, and what the worker said.
        reason: String,
    },
}

impl Launch {
    /// A worker with its defaults: nothing to read outside the system's library folders.
    pub fn new(worker: impl Into<PathBuf>, registry: impl Into<PathBuf>) -> Self {
        Self {
            worker: worker.into(),
            registry: registry.into(),
            libraries: Vec::new(),
            fatal_criticals: false,
        }
    }

    /// Lets the worker scan the plugins once, outside any sandbox, and write the registry that all later ones read.
    /// Takes seconds. The registry's folder must exist.
    ///
    /// # Errors
    /// The worker fails, or takes longer than a minute.
    pub async fn build_registry(&self) -> Result<(), Error> {
        let failed = |reason: String| Error::Registry { path: self.registry.clone(), reason };
        let mut command = self.command("build-registry", Stdio::null());
        let output = tokio::time::timeout(REGISTRY_DEADLINE, command.output())
            .await
            .map_err(|_| failed(format!("not done after {} s", REGISTRY_DEADLINE.as_secs())))?
            .map_err(|source| Error::Spawn { path: self.worker.clone(), source })?;
        if output.status.success() {
            return Ok(());
        }
        Err(failed(format!("{}: {}", output.status, last_line(&output.stderr))))
    }

    /// Lets the worker try all encoders, each in a process of its own that is restricted as a session's. Takes about a second,
    /// with a driver that hangs some more. The registry must be there.
    ///
    /// # Errors
    /// The worker fails, or takes longer than its own deadlines add up to.
    pub async fn try_encoders(&self) -> Result<Vec<Trial>, Error> {
        let failed = |reason: String| Error::Encoders { reason };
        let mut command = self.command("encoders", Stdio::null());
        command.stdout(Stdio::piped());
        let output = tokio::time::timeout(ENCODERS_DEADLINE, command.output())
            .await
            .map_err(|_| failed(format!("not done after {} s", ENCODERS_DEADLINE.as_secs())))?
            .map_err(|source| Error::Spawn { path: self.worker.clone(), source })?;
        if !output.status.success() {
            return Err(failed(format!("{}: {}", output.status, last_line(&output.stderr))));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| failed(format!("its answer: {error}")))
    }

    /// Starts `run` or `demux`, which may open these devices and whose only channel is `socket`, which becomes its standard
    /// input.
    pub(crate) fn spawn(
        &self,
        what: &str,
        socket: OwnedFd,
        devices: &BTreeSet<Nodes>,
    ) -> Result<Child, Error> {
        let mut command = self.command(what, Stdio::from(socket));
        for nodes in devices {
            command.arg("--device").arg(nodes.name());
        }
        if self.fatal_criticals {
            command.arg("--fatal-criticals");
        }
        command.spawn().map_err(|source| Error::Spawn { path: self.worker.clone(), source })
    }

    fn command(&self, what: &str, stdin: Stdio) -> Command {
        let mut command = Command::new(&self.worker);
        command.arg(what).arg("--registry").arg(&self.registry);
        for folder in &self.libraries {
            command.arg("--libraries").arg(folder);
        }
        // No environment: it may hold the server's secrets. A pipe for stderr: a regular file would meet RLIMIT_FSIZE.
        command.env_clear().current_dir("/").stdin(stdin).stdout(Stdio::null()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        command
    }
}

fn last_line(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    said.lines().next_back().unwrap_or("").chars().take(300).collect()
}

impl fmt::Display for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |path: &Path| path.display().to_string();
        write!(f, "{} with registry {}", shown(&self.worker), shown(&self.registry))
    }
}
