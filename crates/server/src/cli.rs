//! The command line: the Go worker's flags and variables, and what is ours.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

/// Media ingress server for LiveKit.
#[derive(Debug, Clone, Parser)]
#[command(name = "sluicegate", version, about)]
pub struct Cli {
    /// YAML configuration file.
    #[arg(long, value_name = "FILE", env = "INGRESS_CONFIG_FILE", global = true)]
    pub config: Option<PathBuf>,

    /// YAML configuration itself; wins over the file.
    // Its text holds secrets: `--help` must not show the variable's value.
    #[arg(long, value_name = "YAML", env = "INGRESS_CONFIG_BODY", hide_env_values = true, global = true)]
    pub config_body: Option<String>,

    /// The worker's executable [default: sluicegate-worker beside this one].
    #[arg(long, value_name = "PATH", global = true)]
    pub worker: Option<PathBuf>,

    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the binary does other than serve.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Read the configuration, print all its problems, and exit: 0 if it can be used, 1 if not.
    CheckConfig,
    /// Try the encoders of this machine, and print which were found, how fast they are, and which of them sessions use. Needs
    /// no configuration; with one, its `encoders` counts.
    Encoders {
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
}

/// Why there is no configuration text to read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Neither a file nor a body was given.
    #[error(
        "missing config: give --config FILE (or INGRESS_CONFIG_FILE), or --config-body YAML (or INGRESS_CONFIG_BODY); \
         config/sluicegate.example.yaml explains every key"
    )]
    Missing,
    /// The file cannot be read.
    #[error("config file {path}: {source}")]
    Read {
        /// The file as it was given.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The path of our own executable is unknown, so the worker beside it is, too.
    #[error("cannot tell where this executable is, give --worker PATH: {0}")]
    OwnPath(std::io::Error),
}

impl Cli {
    /// The command line of this process. Prints and exits on `--help`, `--version` and what it does not know.
    pub fn of_process() -> Self {
        Self::parse_from(std::env::args_os().map(two_dashes))
    }

    /// The YAML text: the body, else the file's content. An empty body counts as none (deployments set
    /// `INGRESS_CONFIG_BODY` empty to switch it off).
    pub fn config_text(&self) -> Result<String, Error> {
        if let Some(body) = self.config_body.as_deref().filter(|body| !body.trim().is_empty()) {
            return Ok(body.to_owned());
        }
        let path = self.config.as_ref().filter(|path| !path.as_os_str().is_empty()).ok_or(Error::Missing)?;
        std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.clone(), source })
    }

    /// True when the command line or its variables name a configuration.
    pub fn has_config(&self) -> bool {
        let file = self.config.as_ref().is_some_and(|path| !path.as_os_str().is_empty());
        file || self.config_body.as_deref().is_some_and(|body| !body.trim().is_empty())
    }

    /// The worker's executable: as given, else `sluicegate-worker` in the folder of our own. Not checked to exist.
    pub fn worker(&self) -> Result<PathBuf, Error> {
        match &self.worker {
            Some(path) => Ok(path.clone()),
            None => Ok(beside(&std::env::current_exe().map_err(Error::OwnPath)?)),
        }
    }
}

/// The Go worker takes its long flags with one dash as well, and `-v` for the version.
fn two_dashes(arg: OsString) -> OsString {
    let name = arg.to_str().and_then(|arg| arg.split('=').next());
    match name {
        Some("-v") => "--version".into(),
        Some("-config" | "-config-body" | "-version" | "-help") => {
            let mut long = OsString::from("-");
            long.push(arg);
            long
        }
        _ => arg,
    }
}

fn beside(own: &Path) -> PathBuf {
    own.with_file_name("sluicegate-worker")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(args: &[&str]) -> Cli {
        // Without the process's own environment, which other tests and the machine may set.
        let command = Cli::command().mut_args(|arg| arg.env(None::<&str>));
        let matches = command.get_matches_from([&["sluicegate"], args].concat());
        clap::FromArgMatches::from_arg_matches(&matches).unwrap()
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_go_workers_flags_are_taken_in_both_spellings() {
        assert_eq!(parse(&["--config", "a.yaml"]).config, Some("a.yaml".into()));
        assert_eq!(parse(&["--config=a.yaml"]).config, Some("a.yaml".into()));
        assert_eq!(parse(&["--config-body", "a: 1"]).config_body.as_deref(), Some("a: 1"));
    }

    #[test]
    fn one_dash_counts_as_two_for_the_go_workers_flags_only() {
        let taken = |arg: &str| two_dashes(arg.into()).into_string().unwrap();
        assert_eq!(taken("-config=a.yaml"), "--config=a.yaml");
        assert_eq!(taken("-config-body"), "--config-body");
        assert_eq!(taken("-v"), "--version");
        for other in ["--config", "-V", "-", "a.yaml", "-configuration"] {
            assert_eq!(taken(other), other);
        }
    }

    #[test]
    fn flags_have_the_go_workers_variables() {
        let variable = |name: &str| {
            let command = Cli::command();
            let arg = command.get_arguments().find(|arg| arg.get_id() == name).unwrap();
            (arg.get_env().unwrap().to_str().unwrap().to_owned(), arg.is_hide_env_values_set())
        };
        assert_eq!(variable("config"), ("INGRESS_CONFIG_FILE".to_owned(), false));
        assert_eq!(variable("config_body"), ("INGRESS_CONFIG_BODY".to_owned(), true));
    }

    #[test]
    fn the_body_wins_over_the_file_unless_it_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.yaml");
        std::fs::write(&path, "from: file").unwrap();
        let path = path.to_str().unwrap();
        assert_eq!(parse(&["--config", path]).config_text().unwrap(), "from: file");
        assert_eq!(parse(&["--config", path, "--config-body", "b: 1"]).config_text().unwrap(), "b: 1");
        assert_eq!(parse(&["--config", path, "--config-body", " "]).config_text().unwrap(), "from: file");
    }

    #[test]
    fn neither_body_nor_file_says_how_to_give_one() {
        let error = parse(&[]).config_text().unwrap_err().to_string();
        assert!(error.starts_with("missing config") && error.contains("INGRESS_CONFIG_BODY"), "{error}");
        let error = parse(&["--config", "/nonexistent/c.yaml"]).config_text().unwrap_err().to_string();
        assert!(error.contains("/nonexistent/c.yaml"), "{error}");
    }

    #[test]
    fn check_config_takes_the_same_flags_after_it() {
        let cli = parse(&["check-config", "--config", "a.yaml"]);
        assert!(matches!(cli.command, Some(Command::CheckConfig)));
        assert_eq!(cli.config, Some("a.yaml".into()));
    }

    #[test]
    fn encoders_need_no_configuration() {
        let cli = parse(&["encoders", "--json"]);
        assert!(matches!(cli.command, Some(Command::Encoders { json: true })));
        assert!(!cli.has_config());
        assert!(parse(&["encoders", "--config", "a.yaml"]).has_config());
        assert!(!parse(&["encoders", "--config-body", " "]).has_config());
        assert_eq!(parse(&["encoders", "--worker", "/w"]).worker().unwrap(), Path::new("/w"));
    }

    #[test]
    fn the_worker_is_beside_the_own_executable() {
        assert_eq!(beside(Path::new("/opt/s/sluicegate")), Path::new("/opt/s/sluicegate-worker"));
        assert_eq!(parse(&["--worker", "/w"]).worker().unwrap(), Path::new("/w"));
    }
}
