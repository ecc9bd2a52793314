//! Finding the node to talk to, and one pair of connections to it.

use std::collections::VecDeque;
use std::time::Duration;

use redis::aio::{MultiplexedConnection, PubSub};
use redis::cmd;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::BusError;
use super::lock::Slots;
use super::node::{Address, Dialer};
use crate::{Config, Mode};

/// Makes [`Link`]s, and knows where a new one has to go.
pub(super) struct Connector {
    place: Place,
    dialer: Dialer,
}

enum Place {
    Single(Address),
    Sentinel {
        master: String,
        sentinels: Vec<Address>,
        dialer: Dialer,
    },
    /// The one in front is tried first, and goes to the back when it fails.
    Cluster {
        configured: Vec<Address>,
        nodes: VecDeque<Address>,
    },
}

/// One connection to Redis, until it is lost.
pub(super) struct Link {
    node: Address,
    commands: MultiplexedConnection,
    /// Only in a cluster, where the locks are spread over the nodes.
    slots: Option<Slots>,
    /// Set by whoever finds the connection dead.
    pub(super) broken: CancellationToken,
}

/// A queue lock outlives every copy of its request on the way, and is gone before the same bytes could be sent again.
const LOCK_SECONDS: u64 = 5;

impl Connector {
    pub(super) fn new(config: Config, tasks: TaskTracker) -> Result<Self, BusError> {
        let dialer = Dialer::new(&config, tasks)?;
        let place = match config.mode {
            Mode::Single { address } => Place::Single(Address::parse(&address)?),
            Mode::Sentinel { master, addresses, username, password } => Place::Sentinel {
                master,
                sentinels: Address::parse_all(&addresses)?,
                dialer: dialer.with_login(&username, &password),
            },
            Mode::Cluster { addresses } => {
                let configured = Address::parse_all(&addresses)?;
                Place::Cluster { nodes: configured.clone().into(), configured }
            }
        };
        Ok(Self { place, dialer })
    }

    /// One attempt at a new link, over all the addresses that there are.
    pub(super) async fn connect(&mut self) -> Result<(Link, PubSub), BusError> {
        match &mut self.place {
            Place::Single(node) => self.dialer.open(node, None).await,
            Place::Sentinel { .. } => {
                let node = self.master().await?.ok_or(BusError::NotConfigured)?;
                let (link, pubsub) = self.dialer.open(&node, None).await?;
                link.expect_master().await?;
                Ok((link, pubsub))
            }
            Place::Cluster { configured, nodes } => {
                let (link, pubsub) = self.dialer.open_any(nodes).await?;
                // The nodes of today, and those of the configuration should all of today's be replaced at once.
                nodes.truncate(1);
                nodes.extend(link.others().await);
                let missing: Vec<_> =
                    configured.iter().filter(|node| !nodes.contains(node)).cloned().collect();
                nodes.extend(missing);
                Ok((link, pubsub))
            }
        }
    }

    /// Whether the sentinels have moved the master away from where `link` is. Sentinels that do not answer change
    /// nothing: the link works.
    pub(super) async fn has_moved(&self, link: &Link) -> bool {
        matches!(self.master().await, Ok(Some(master)) if master != link.node)
    }

    pub(super) fn command_timeout(&self) -> Duration {
        self.dialer.command_timeout
    }

    /// Where the sentinels say the master is; `None` without sentinels.
    async fn master(&self) -> Result<Option<Address>, BusError> {
        let Place::Sentinel { master, sentinels, dialer } = &self.place else { return Ok(None) };
        let mut reason = String::new();
        for sentinel in sentinels {
            match ask_sentinel(dialer, sentinel, master).await {
                Ok(Some(node)) => return Ok(Some(node)),
                Ok(None) => reason = format!("{sentinel} does not watch that name"),
                Err(error) => reason = error.to_string(),
            }
        }
        Err(BusError::NoMaster { master: master.clone(), asked: sentinels.len(), reason })
    }
}

async fn ask_sentinel(
    dialer: &Dialer,
    sentinel: &Address,
    master: &str,
) -> Result<Option<Address>, BusError> {
    const COMMAND: &str = "SENTINEL get-master-addr-by-name";
    let mut connection = dialer.commands(sentinel).await?;
    let answer: Result<Option<(String, u16)>, _> =
        cmd("SENTINEL").arg("get-master-addr-by-name").arg(master).query_async(&mut connection).await;
    let answer = answer.map_err(|source| BusError::Command {
        node: sentinel.to_string(),
        command: COMMAND,
        source,
    })?;
    Ok(answer.map(|(host, port)| Address { host, port }))
}

impl Dialer {
    /// Leaves the node that it opened in front.
    async fn open_any(&self, nodes: &mut VecDeque<Address>) -> Result<(Link, PubSub), BusError> {
        let mut last = BusError::NotConfigured;
        for _ in 0..nodes.len() {
            let Some(node) = nodes.front().cloned() else { break };
            match self.open(&node, Some(Slots::new(node.clone(), self.clone()))).await {
                Ok(link) => return Ok(link),
                Err(error) => last = error,
            }
            nodes.rotate_left(1);
        }
        Err(last)
    }

    async fn open(&self, node: &Address, slots: Option<Slots>) -> Result<(Link, PubSub), BusError> {
        let commands = self.commands(node).await?;
        let link = Link { node: node.clone(), commands, slots, broken: CancellationToken::new() };
        link.ping().await?;
        Ok((link, self.pubsub(node).await?))
    }
}

impl Link {
    pub(super) fn node(&self) -> &Address {
        &self.node
    }

    pub(super) async fn ping(&self) -> Result<(), BusError> {
        self.query::<()>("PING", &cmd("PING")).await
    }

    pub(super) async fn publish(&self, channel: &str, payload: &[u8]) -> Result<(), BusError> {
        self.query::<()>("PUBLISH", cmd("PUBLISH").arg(channel).arg(payload)).await
    }

    /// `SET key <random> NX EX 5`: whether we are the first.
    pub(super) async fn acquire(&self, key: &str) -> Result<bool, BusError> {
        let mut set = cmd("SET");
        set.arg(key).arg(rand::random::<u64>()).arg("EX").arg(LOCK_SECONDS).arg("NX");
        let answer: Option<String> = self.keyed("SET NX", key, &set).await?;
        Ok(answer.is_some())
    }

    /// Runs a command that is about `key`, where that key is.
    pub(super) async fn keyed<T: redis::FromRedisValue>(
        &self,
        name: &'static str,
        key: &str,
        command: &redis::Cmd,
    ) -> Result<T, BusError> {
        match &self.slots {
            None => self.query(name, command).await,
            Some(slots) => slots.query(name, key, command, &self.commands).await,
        }
    }

    /// The other masters of the cluster. None when it does not say: the link works without.
    async fn others(&self) -> Vec<Address> {
        let Some(slots) = &self.slots else { return Vec::new() };
        let mut nodes = slots.masters(&self.commands).await.unwrap_or_default();
        nodes.retain(|node| *node != self.node);
        nodes
    }

    /// A sentinel may still name the old master for a moment after a failover.
    async fn expect_master(&self) -> Result<(), BusError> {
        let role: redis::RedisResult<Vec<redis::Value>> =
            cmd("ROLE").query_async(&mut self.commands.clone()).await;
        // Logins that may not ask for the role are trusted to be at the right node.
        let Ok(Some(redis::Value::BulkString(role))) = role.map(|role| role.into_iter().next()) else {
            return Ok(());
        };
        if role == b"master" {
            return Ok(());
        }
        Err(BusError::NotMaster {
            node: self.node.to_string(),
            role: String::from_utf8_lossy(&role).into_owned(),
        })
    }

    async fn query<T: redis::FromRedisValue>(
        &self,
        name: &'static str,
        cmd: &redis::Cmd,
    ) -> Result<T, BusError> {
        // Clones share the connection: commands go out in the order of these calls.
        cmd.query_async(&mut self.commands.clone()).await.map_err(|source| {
            if source.is_unrecoverable_error() || source.is_timeout() {
                self.broken.cancel();
            }
            BusError::Command { node: self.node.to_string(), command: name, source }
        })
    }
}

/// How often an idle link is checked, so that a node that vanished without a word is noticed soon after.
pub(super) const HEALTH_INTERVAL: Duration = Duration::from_secs(5);
