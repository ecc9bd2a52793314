//! Names to addresses.

use std::{
    io,
    net::{IpAddr, ToSocketAddrs},
    sync::Arc,
};

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

/// The C library's resolver blocks a thread, for half a minute where the DNS is silent. Past this many, names wait (and time
/// out as their connections do), and tokio's other blocking work does not.
const LOOKUPS: usize = 16;

/// What answers with a name's addresses; injectable, so that tests can have a DNS that lies.
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of `host`, best first. Each is checked before it is connected to.
    fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The system's resolver, `/etc/hosts` and all.
#[derive(Debug)]
pub struct System {
    lookups: Arc<Semaphore>,
}

impl Default for System {
    fn default() -> Self {
        Self { lookups: Arc::new(Semaphore::new(LOOKUPS)) }
    }
}

impl Resolve for System {
    fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let (host, lookups) = (host.to_owned(), self.lookups.clone());
        Box::pin(async move {
            let permit = lookups.acquire_owned().await.map_err(io::Error::other)?;
            let lookup = tokio::task::spawn_blocking(move || {
                // the thread's, not the caller's: a caller that has given up leaves the thread busy
                let _permit = permit;
                (host.as_str(), 0).to_socket_addrs().map(|found| found.map(|address| address.ip()).collect())
            });
            lookup.await.map_err(io::Error::other)?
        })
    }
}
