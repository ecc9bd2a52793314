//! `sluicegate-worker`: one session's media in a process of its own, which ends with it.

use std::{os::fd::AsFd as _, os::unix::net::UnixStream, path::PathBuf, process::ExitCode};

use clap::{Args, Parser};
use gstreamer::glib;
use pipeline::encoder::{self, Nodes};
use rustix::process::{Resource, Rlimit, Signal, setrlimit};
use sluicegate_worker::{
    plugins::{self, Place},
    probe,
    sandbox::{Allowed, restrict},
    trial,
};

/// Decodes and encodes one session for the server that started it.
#[derive(Debug, Parser)]
#[command(version)]
enum Cli {
    /// Serve the socket that standard input is, restricted, until it closes.
    Run {
        #[command(flatten)]
        place: Paths,
        #[command(flatten)]
        devices: Devices,
        /// End at once when GLib reports a critical error: for tests.
        #[arg(long)]
        fatal_criticals: bool,
    },
    /// Take containers apart for the socket that standard input is, restricted as `run` is, until it closes.
    Demux {
        #[command(flatten)]
        place: Paths,
        /// End at once when GLib reports a critical error: for tests.
        #[arg(long)]
        fatal_criticals: bool,
    },
    /// Scan GStreamer's plugins and write the registry that `run` reads.
    BuildRegistry {
        #[command(flatten)]
        place: Paths,
    },
    /// Restrict this process as `run` does, try what that must prevent, and print the outcome as JSON.
    Probe {
        #[command(flatten)]
        place: Paths,
        #[command(flatten)]
        devices: Devices,
    },
    /// Try all encoders, each in a process of its own restricted as `run` is, and print what came of it as JSON.
    Encoders {
        #[command(flatten)]
        place: Paths,
    },
    /// Restrict this process as `run` does, try this encoder, and print what came of it as JSON.
    TryEncoder {
        #[command(flatten)]
        place: Paths,
        /// The recipe.
        name: String,
    },
}

#[derive(Debug, Args)]
struct Devices {
    /// Devices that may be opened: render, nvidia or video; may be repeated.
    #[arg(long = "device")]
    devices: Vec<Nodes>,
}

#[derive(Debug, Args)]
struct Paths {
    /// GStreamer's plugin registry.
    #[arg(long)]
    registry: PathBuf,
    /// A folder with libraries or plugins outside the system's own; may be repeated.
    #[arg(long)]
    libraries: Vec<PathBuf>,
}

impl Paths {
    fn place(&self) -> Place<'_> {
        Place { registry: &self.registry, libraries: &self.libraries }
    }

    fn restrict(&self, devices: impl IntoIterator<Item = Nodes>) -> Vec<String> {
        restrict(&Allowed {
            registry: self.registry.clone(),
            libraries: self.libraries.clone(),
            devices: devices.into_iter().collect(),
        })
    }
}

fn main() -> ExitCode {
    let result = match Cli::parse() {
        Cli::Run { place, devices, fatal_criticals } => run(&place, devices, fatal_criticals),
        Cli::Demux { place, fatal_criticals } => demux(&place, fatal_criticals),
        Cli::BuildRegistry { place } => plugins::build(place.place()).map_err(|error| error.to_string()),
        Cli::Probe { place, devices } => {
            print(&probe::probe(place.restrict(devices.devices), &place.registry))
        }
        Cli::Encoders { place } => encoders(&place),
        Cli::TryEncoder { place, name } => try_encoder(&place, &name),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(place: &Paths, devices: Devices, fatal_criticals: bool) -> Result<(), String> {
    let socket = prepare(place, devices.devices, fatal_criticals)?;
    sluicegate_worker::run(socket).map_err(|error| error.to_string())
}

/// Most memory of a demuxer, bytes: it holds an index and a few packets; past it allocation fails and it dies alone.
const DEMUX_MEMORY: u64 = 512 << 20;

fn demux(place: &Paths, fatal_criticals: bool) -> Result<(), String> {
    let limit = Rlimit { current: Some(DEMUX_MEMORY), maximum: Some(DEMUX_MEMORY) };
    setrlimit(Resource::Data, limit).map_err(|error| format!("memory limit: {error}"))?;
    let socket = prepare(place, Vec::new(), fatal_criticals)?;
    sluicegate_worker::demux::run(socket).map_err(|error| error.to_string())
}

/// Restricts this process and starts GStreamer. Gives the socket that standard input is.
fn prepare(place: &Paths, devices: Vec<Nodes>, fatal_criticals: bool) -> Result<UnixStream, String> {
    let missing = place.restrict(devices);
    if !missing.is_empty() {
        eprintln!("sandbox incomplete: {}", missing.join("; "));
    }
    without_huge_pages();
    plugins::load(place.place()).map_err(|error| error.to_string())?;
    if fatal_criticals {
        glib::log_set_always_fatal(glib::LogLevels::LEVEL_CRITICAL | glib::LogLevels::LEVEL_ERROR);
    }
    let stdin =
        std::io::stdin().as_fd().try_clone_to_owned().map_err(|error| format!("standard input: {error}"))?;
    Ok(UnixStream::from(stdin))
}

/// `x264` asks for pages of 2 MiB for its larger buffers, most of which it never touches: 8 MiB of 103 with three layers of
/// 720p. What the pages save in CPU time is lost in the noise there. A kernel that knows nothing of it has no such pages.
fn without_huge_pages() {
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

fn encoders(place: &Paths) -> Result<(), String> {
    plugins::load(place.place()).map_err(|error| error.to_string())?;
    print(&trial::all(place.place()).map_err(|error| format!("this executable: {error}"))?)
}

fn try_encoder(place: &Paths, name: &str) -> Result<(), String> {
    let recipe = encoder::recipe(name).ok_or_else(|| format!("no encoder is called {name}"))?;
    // The process that asked kills this one when it hangs; if it is gone itself, nobody would.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| error.to_string())?;
    place.restrict(recipe.device.as_ref().map(|device| device.nodes));
    without_huge_pages();
    plugins::load(place.place()).map_err(|error| error.to_string())?;
    print(&trial::one(recipe))
}

fn print(report: &impl serde::Serialize) -> Result<(), String> {
    let json = serde_json::to_string(report).map_err(|error| error.to_string())?;
    println!("{json}");
    Ok(())
}
