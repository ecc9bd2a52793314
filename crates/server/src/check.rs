//! `sluicegate check-config`: what the configuration would do, without doing it.

use crate::cli::{self, Cli};
use crate::config::{self, Env};

/// The outcome of a check: what to print, and whether the configuration can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Lines for the person who asked; without a line break at the end.
    pub text: String,
    /// False when there are problems: exit with 1.
    pub usable: bool,
}

/// Reads and checks the configuration that the command line names. All problems are in the report, and no secret.
pub fn check(cli: &Cli, env: Env) -> Result<Report, cli::Error> {
    let text = cli.config_text()?;
    Ok(match config::load(&text, env) {
        Ok(loaded) => {
            let warnings = loaded.warnings.iter().map(|warning| format!("warning: {warning}\n"));
            Report { text: warnings.chain(["the configuration is good".to_owned()]).collect(), usable: true }
        }
        Err(invalid) => Report { text: invalid.to_string(), usable: false },
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn report(body: &str) -> Report {
        let cli = Cli::parse_from(["sluicegate", "check-config", "--config-body", body]);
        check(&cli, Env::default()).unwrap()
    }

    #[test]
    fn a_good_configuration_is_called_good_after_its_warnings() {
        let body = "redis: {address: r:6379}\napi_key: k\napi_secret: s\nws_url: ws://l:7880\n";
        assert_eq!(report(body), Report { text: "the configuration is good".to_owned(), usable: true });
        let report = report(&format!("{body}http_relay_port: 9090\n"));
        assert!(
            report.usable
                && report.text.starts_with("warning: ")
                && report.text.ends_with("\nthe configuration is good")
        );
    }

    #[test]
    fn every_problem_is_in_the_report() {
        let report = report("redis: {address: r:6379}\nrtmp_port: x\nhealt_port: 1\n");
        assert!(!report.usable);
        for key in ["rtmp_port (line 2)", "healt_port (line 3)", "api_key:", "api_secret:", "ws_url:"] {
            assert!(report.text.contains(key), "{key} is not in: {}", report.text);
        }
    }
}
