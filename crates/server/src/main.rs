//! The `sluicegate` binary.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use server::check;
use server::cli::Cli;
use server::config::Env;

fn main() -> ExitCode {
    match check::check(&Cli::parse(), Env::of_process()) {
        Ok(report) => {
            println!("{}", report.text);
            if report.usable { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
