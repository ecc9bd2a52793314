//! What URL inputs reach the network by.

use anyhow::{Context, Result};
use intake::url::{Aliases, Fetcher, Options, Proxy, Spooling, address::Policy};

use crate::config;

/// The one client of all URL inputs.
///
/// # Errors
/// What of the configuration cannot be used, or no certificates.
pub(crate) fn fetcher(config: &config::Url) -> Result<Fetcher> {
    let policy = Policy::new(&config.allow, &config.deny).context("url.allow, url.deny")?;
    let proxy = match &config.proxy {
        config::Proxy::Environment => Proxy::from_environment(),
        config::Proxy::Off => Proxy::none(),
        config::Proxy::All(proxy) => Proxy::all(proxy.reveal(), ""),
    };
    let spooling = Spooling { most: config.max_spool, ..Spooling::default() };
    let options = Options { policy, proxy, spooling, ..Options::default() };
    Fetcher::new(options).context("prepare the client for URL inputs")
}

/// URLs that stand for others.
///
/// # Errors
/// A pair that is none.
pub(crate) fn aliases(config: &config::Url) -> Result<Aliases> {
    let pairs = config.alias.iter().map(|alias| (alias.from.as_str(), alias.to.reveal()));
    Aliases::new(pairs).context("url.alias")
}
