//! One Redis node: its address, and connections to it.
//!
//! The streams are made here and not by the `redis` crate, whose TLS takes the process-wide crypto provider (which panics
//! when two are compiled in), cannot verify another name than the host dialled, and has no limit for the whole dial.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, RedisConnectionInfo, RedisError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

use super::BusError;
use super::tls::Connector;
use crate::Config;
use crate::config::Secret;

/// Where a node listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Address {
    /// `host:port` or `[v6]:port`. Cluster nodes also say v6 addresses without brackets.
    pub(crate) fn parse(address: &str) -> Result<Self, BusError> {
        let bad = || BusError::Address { address: address.to_owned() };
        let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() {
            return Err(bad());
        }
        Ok(Self { host: host.to_owned(), port: port.parse().map_err(|_| bad())? })
    }

    pub(crate) fn parse_all(addresses: &[String]) -> Result<Vec<Self>, BusError> {
        if addresses.is_empty() {
            return Err(BusError::NotConfigured);
        }
        addresses.iter().map(|address| Self::parse(address)).collect()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Makes connections; the same settings for all nodes.
#[derive(Clone)]
pub(crate) struct Dialer {
    login: RedisConnectionInfo,
    tls: Option<Connector>,
    dial_timeout: Duration,
    pub(crate) command_timeout: Duration,
    /// The I/O tasks of the connections. Each ends when its connection is dropped.
    tasks: TaskTracker,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Dialer {
    /// For the data nodes.
    pub(crate) fn new(config: &Config, tasks: TaskTracker) -> Result<Self, BusError> {
        let db = if matches!(config.mode, crate::Mode::Cluster { .. }) { 0 } else { config.db };
        Ok(Self {
            login: login(&config.username, &config.password).set_db(i64::from(db)),
            tls: config.tls.as_ref().map(Connector::new).transpose()?,
            dial_timeout: config.dial_timeout,
            command_timeout: config.command_timeout,
            tasks,
        })
    }

    /// The same for nodes with another login and no databases.
    pub(crate) fn with_login(&self, username: &str, password: &Secret) -> Self {
        Self { login: login(username, password), ..self.clone() }
    }

    /// A connection for commands; clones of it share it. Commands end after `command_timeout`.
    pub(crate) async fn commands(&self, node: &Address) -> Result<MultiplexedConnection, BusError> {
        let dial = async {
            let stream = self.stream(node).await?;
            let config = AsyncConnectionConfig::new().set_response_timeout(Some(self.command_timeout));
            MultiplexedConnection::new_with_config(&self.login, stream, config)
                .await
                .map_err(login_failed(node))
        };
        let (connection, io) = self.limited(node, dial).await?;
        self.tasks.spawn(io);
        Ok(connection)
    }

    /// A connection for subscriptions. Its I/O task ends when its stream half is dropped.
    pub(crate) async fn pubsub(&self, node: &Address) -> Result<PubSub, BusError> {
        self.limited(node, async {
            let stream = self.stream(node).await?;
            PubSub::new(&self.login, stream).await.map_err(login_failed(node))
        })
        .await
    }

    async fn limited<T>(
        &self,
        node: &Address,
        dial: impl Future<Output = Result<T, BusError>>,
    ) -> Result<T, BusError> {
        let late = |_| BusError::DialTimeout { node: node.to_string(), limit: self.dial_timeout };
        tokio::time::timeout(self.dial_timeout, dial).await.map_err(late)?
    }

    async fn stream(&self, node: &Address) -> Result<Box<dyn Stream>, BusError> {
        let failed = |source| BusError::Connect { node: node.to_string(), source };
        let tcp = TcpStream::connect((node.host.as_str(), node.port)).await.map_err(failed)?;
        tcp.set_nodelay(true).map_err(failed)?;
        match &self.tls {
            None => Ok(Box::new(tcp)),
            Some(tls) => Ok(Box::new(tls.connect(&node.host, tcp).await.map_err(failed)?)),
        }
    }
}

fn login(username: &str, password: &Secret) -> RedisConnectionInfo {
    let mut login = RedisConnectionInfo::default().set_lib_name("psrpc", env!("CARGO_PKG_VERSION"));
    if !username.is_empty() {
        login = login.set_username(username);
    }
    if !password.expose().is_empty() {
        login = login.set_password(password.expose());
    }
    login
}

fn login_failed(node: &Address) -> impl FnOnce(RedisError) -> BusError {
    let node = node.to_string();
    move |source| BusError::Command { node, command: "login", source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for (text, host, port) in [("redis.example:6379", "redis.example", 6379), ("[::1]:7000", "::1", 7000)]
        {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.host.as_str(), address.port), (host, port));
            assert_eq!(address.to_string(), text);
        }
        assert_eq!(Address::parse("fe80::1:7000").unwrap().host, "fe80::1");
    }

    #[test]
    fn addresses_without_host_or_port_are_refused() {
        for text in ["", "redis", ":6379", "redis:", "redis:66000", "redis:x", "[]:1"] {
            let error = Address::parse(text).unwrap_err().to_string();
            assert!(error.contains("expected host:port"), "{error}");
        }
    }
}
