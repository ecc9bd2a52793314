//! A real livekit-server of the test's own, its API, media to publish, and somebody who watches.
#![allow(unreachable_pub, clippy::unwrap_used, reason = "modules of a test have no outside")]

pub mod api;
pub mod clip;
pub mod cutter;
pub mod proxy;
pub mod server;
pub mod viewer;

use std::{future::Future, time::Duration};

/// Long enough for a machine with eight other jobs; whoever waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for `what`, or fails by name.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {PATIENCE:?}"),
    }
}
