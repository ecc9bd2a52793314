//! The `sluicegate` binary.

#![forbid(unsafe_code)]

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use pipeline::Launch;
use server::{
    check,
    cli::{Cli, Command},
    config::{self, Config, Env, Wish},
    encoders, logs, serve,
};

fn main() -> ExitCode {
    let cli = Cli::of_process();
    let ended = match cli.command {
        Some(Command::CheckConfig) => check_config(&cli),
        Some(Command::Encoders { json }) => show_encoders(&cli, json),
        None => run(&cli),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("sluicegate: {error:#}");
        ExitCode::FAILURE
    })
}

fn check_config(cli: &Cli) -> Result<ExitCode> {
    let report = check::check(cli, Env::of_process())?;
    println!("{}", report.text);
    Ok(if report.usable { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show_encoders(cli: &Cli, json: bool) -> Result<ExitCode> {
    let wish = match cli.has_config() {
        true => config::load(&cli.config_text()?, Env::of_process())?.config.encoders,
        false => Wish::default(),
    };
    let folder = tempfile::tempdir().context("make a folder for the plugin registry")?;
    let launch = Launch::new(cli.worker()?, folder.path().join("registry.bin"));
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    println!("{}", runtime.block_on(encoders::report(&launch, &wish, json))?.trim_end());
    Ok(ExitCode::SUCCESS)
}

fn run(cli: &Cli) -> Result<ExitCode> {
    let loaded = config::load(&cli.config_text()?, Env::of_process())?;
    let worker = cli.worker()?;
    let _flushed_at_the_end = logs::start(&loaded.config.logging)?;
    for warning in &loaded.warnings {
        tracing::warn!("config: {warning}");
    }
    // Two libraries bring a provider each; the one that str0m uses serves all.
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    Ok(match serve(loaded.config, worker) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    })
}

fn serve(config: Config, worker: PathBuf) -> Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    runtime.block_on(serve::serve(config, worker))
}
