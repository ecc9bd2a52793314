use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Where Redis is and how to talk to it. `Config::single("127.0.0.1:6379")` is the shortest one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// One node, a master behind sentinels, or a cluster.
    pub mode: Mode,
    /// ACL user of the data nodes; empty = the default user.
    pub username: String,
    /// Password of the data nodes; empty = none.
    pub password: Secret,
    /// Database of the queue locks. Pub/sub does not know databases: peers with another number hear every message and
    /// yet do not see our locks, so all peers need the same one. A cluster has only 0, and this field is not used.
    pub db: u32,
    /// TLS for data nodes and sentinels alike; `None` = plain TCP.
    pub tls: Option<Tls>,
    /// Limit for TCP connect, TLS handshake and login together.
    pub dial_timeout: Duration,
    /// Limit for each command, from sending it to its answer.
    pub command_timeout: Duration,
}

/// As go-redis waits, whose peers share the bus with us.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// As go-redis waits for an answer.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(3);

impl Config {
    /// Plain TCP, no login, database 0, one node at `host:port`.
    pub fn single(address: impl Into<String>) -> Self {
        Self::new(Mode::Single { address: address.into() })
    }

    /// Plain TCP, no login, database 0, usual timeouts.
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            username: String::new(),
            password: Secret::default(),
            db: 0,
            tls: None,
            dial_timeout: DIAL_TIMEOUT,
            command_timeout: COMMAND_TIMEOUT,
        }
    }
}

/// How the Redis installation is laid out. Addresses are `host:port`, IPv6 as `[::1]:6379`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One node.
    Single {
        /// `host:port`.
        address: String,
    },
    /// A master that sentinels name. It is asked for again on every reconnect and every few seconds.
    Sentinel {
        /// The name under which the sentinels watch it.
        master: String,
        /// The sentinels; tried in this order, the first that knows the master wins.
        addresses: Vec<String>,
        /// ACL user of the sentinels themselves; empty = the default user.
        username: String,
        /// Password of the sentinels themselves; empty = none.
        password: Secret,
    },
    /// A cluster: pub/sub goes through any node that answers, queue locks to the node that owns the slot.
    Cluster {
        /// Some of the nodes; the others are learned.
        addresses: Vec<String>,
    },
}

/// TLS ≥ 1.2. The default verifies the node's certificate against the system's roots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Accept any certificate. The traffic is then safe from listeners, not from impostors.
    pub insecure: bool,
    /// Name to verify (and to send as SNI) instead of the host that is dialled.
    pub server_name: Option<String>,
    /// PEM file with the only roots to trust, instead of the system's.
    pub ca_cert_file: Option<PathBuf>,
    /// PEM file with our certificate chain; needs `client_key_file`.
    pub client_cert_file: Option<PathBuf>,
    /// PEM file with the key of `client_cert_file`.
    pub client_key_file: Option<PathBuf>,
}

/// A password. Its `Debug` does not show it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for the login command.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for Secret {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "(none)" } else { "(set)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_hides_passwords() {
        let mut config = Config::new(Mode::Sentinel {
            master: "main".into(),
            addresses: vec!["a:1".into()],
            username: String::new(),
            password: "hunter2".into(),
        });
        config.password = "hunter3".into();
        assert!(!format!("{config:?}").contains("hunter"));
    }
}
