//! SRT streams of other servers: their listener is called, and paces what it sends.

use std::{path::PathBuf, time::Duration};

use intake::{
    srt::{self, Call, CallError, Meter, Publisher, Target, Why},
    url::Fetcher,
};
use url::Url;

use super::Failure;

/// What all calls have in common.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The `sluicegate-srt` binary.
    pub program: PathBuf,
    /// How long media is held back, unless the URL says so.
    pub latency: Duration,
}

/// Calls what the URL names, at an address that may be reached.
pub(super) async fn open(caller: &Caller, fetcher: &Fetcher, url: &Url) -> Result<Publisher, Failure> {
    let target = Target::of(url, caller.latency)
        .map_err(|error| Failure { label: "invalid_url", text: error.to_string() })?;
    let addresses = fetcher.resolve(&target.host, target.port).await?;
    let Some(peer) = addresses.first() else {
        return Err(Failure { label: "dns", text: "there is no address of that name".to_owned() });
    };
    let Target { stream_id, passphrase, latency, .. } = target;
    Ok(srt::call(&caller.program, Call { peer: *peer, stream_id, passphrase, latency }).await?)
}

/// A stream that breaks off is no film that is over.
pub(super) fn ended(meter: &Meter) -> Result<(), Failure> {
    match meter.why() {
        Some(why @ (Why::Vanished | Why::Died)) => Err(Failure { label: "timeout", text: why.to_string() }),
        _ => Ok(()),
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let label = match &error {
            CallError::Silent => "unreachable",
            CallError::Passphrase | CallError::Refused { .. } => "refused",
            _ => return Self::internal(&error),
        };
        Self { label, text: error.to_string() }
    }
}
