//! The `sluicegate` binary.

#![forbid(unsafe_code)]

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use server::{
    check,
    cli::{Cli, Command},
    config::{self, Config, Env},
    logs, serve,
};

fn main() -> ExitCode {
    let cli = Cli::of_process();
    let ended = match cli.command {
        Some(Command::CheckConfig) => check_config(&cli),
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
