//! The SRT listener, as the configuration wants it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use intake::srt::{Listener, Options, Secret};
use tokio_util::sync::CancellationToken;

use crate::{config::Config, supervise::Supervisor};

/// The SRT process's executable: beside the worker's.
pub(crate) fn program(worker: &Path) -> PathBuf {
    worker.with_file_name("sluicegate-srt")
}

/// Opens the port; `None`: SRT is off.
///
/// # Errors
/// The port is another's, or there is no such program.
pub(crate) fn listen(config: &Config, program: &Path) -> Result<Option<Listener>> {
    let Some(port) = config.srt_port else { return Ok(None) };
    let address = SocketAddr::new(config.bind_address, port);
    let passphrase = config.srt.passphrase.as_ref().map(|passphrase| Secret::new(passphrase.reveal()));
    let options = Options { passphrase, latency: config.srt.latency, ..Options::new(program, address) };
    let listener = Listener::bind(options)
        .with_context(|| format!("listen for SRT at {address}: is another server there (srt_port)?"))?;
    tracing::info!(%address, encrypted = config.srt.passphrase.is_some(), "listening for SRT");
    Ok(Some(listener))
}

/// Hands publishers to the supervisor; closes the listener and its connections once told to stop.
pub(crate) async fn admit(mut listener: Listener, supervisor: Supervisor, stop: CancellationToken) {
    loop {
        tokio::select! {
            request = listener.accept() => match request {
                Some(request) => supervisor.admit(request.into()),
                None => break,
            },
            () = stop.cancelled() => break,
        }
    }
    listener.shutdown().await;
}
