use std::path::PathBuf;
use std::time::Duration;

/// Why Redis could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BusError {
    /// The configuration names no address.
    #[error("redis is not configured: the list of addresses is empty")]
    NotConfigured,
    /// An address that cannot be read.
    #[error("redis address {address:?}: expected host:port")]
    Address {
        /// As configured, or as a sentinel or a node said it.
        address: String,
    },
    /// A certificate or key file that cannot be used.
    #[error("redis TLS, {what} {}: {reason}", path.display())]
    TlsFile {
        /// Which of the files.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The TLS settings do not fit together.
    #[error("redis TLS: {reason}")]
    Tls {
        /// What is wrong.
        reason: String,
    },
    /// TCP or the TLS handshake failed.
    #[error("unable to connect to redis {node}: {source}")]
    Connect {
        /// `host:port`.
        node: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// TCP, TLS and login together took too long.
    #[error("unable to connect to redis {node} within {limit:?}")]
    DialTimeout {
        /// `host:port`.
        node: String,
        /// `Config::dial_timeout`.
        limit: Duration,
    },
    /// A command failed, or its answer did not come in time.
    #[error("redis {node}, {command}: {source}")]
    Command {
        /// `host:port`.
        node: String,
        /// Which command.
        command: &'static str,
        /// What the client library said.
        source: redis::RedisError,
    },
    /// No sentinel could name a usable master.
    #[error("no sentinel of {asked} named a master for {master:?}; the last one: {reason}")]
    NoMaster {
        /// The watched name.
        master: String,
        /// How many sentinels were asked.
        asked: usize,
        /// What the last one said.
        reason: String,
    },
    /// The node that was named as master says it is none: a failover is under way.
    #[error("redis {node} is a {role}, expected a master")]
    NotMaster {
        /// `host:port`.
        node: String,
        /// What it says it is.
        role: String,
    },
    /// There was no connection during the whole wait.
    #[error("not connected to redis")]
    NotConnected,
    /// Redis did not confirm a subscription in time.
    #[error("redis did not confirm the subscription to {channel} within {waited:?}")]
    NotSubscribed {
        /// The channel.
        channel: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// This server already handles this method and topic.
    #[error("{channel} already has a handler in this server")]
    AlreadyRegistered {
        /// The request channel.
        channel: String,
    },
    /// A call or a registration whose method belongs to another service, or whose topics do not fit its definition.
    #[error("{method}: {reason}")]
    Misuse {
        /// `Service.Method`.
        method: String,
        /// What does not fit.
        reason: &'static str,
    },
    /// The bus was closed.
    #[error("the bus is closed")]
    Closed,
}
