//! Keys in a cluster: each lives on the node that owns its slot.
//!
//! <https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/>, "Keys distribution model", "Redirection".

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard};

use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind, Value, cmd};

use super::BusError;
use super::node::{Address, Dialer};

/// Which node owns which slots, and a connection to each that was needed.
pub(super) struct Slots {
    /// Where the link is; nodes that do not know their own address mean this host.
    home: Address,
    dialer: Dialer,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    owners: Vec<(RangeInclusive<u16>, Address)>,
    connections: HashMap<Address, MultiplexedConnection>,
}

const SLOT_COUNT: u16 = 16384;
/// Attempts for one key: as found in the table, after a redirect, and after a redirect that had just changed.
const MAX_ATTEMPTS: usize = 3;

/// Where the next attempt goes.
enum Target {
    Owner,
    /// The node that a MOVED named.
    At(Address),
    /// The node that an ASK named; it must be told that it is asked for a slot that it does not own yet.
    Asking(Address),
}

impl Slots {
    pub(super) fn new(home: Address, dialer: Dialer) -> Self {
        Self { home, dialer, state: Mutex::default() }
    }

    /// Runs `command`, which is about `key`, on the node that owns the key. `any` is a connection to any node.
    pub(super) async fn query<T: FromRedisValue>(
        &self,
        name: &'static str,
        key: &str,
        command: &Cmd,
        any: &MultiplexedConnection,
    ) -> Result<T, BusError> {
        let mut target = Target::Owner;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let (node, mut connection) = self.reach(&target, slot(key), any).await?;
            let answer = match target {
                Target::Asking(_) => ask(command, &mut connection).await,
                Target::Owner | Target::At(_) => command.query_async(&mut connection).await,
            };
            let error = match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            match self.after(&node, &error) {
                Some(next) if attempt < MAX_ATTEMPTS => target = next,
                _ => {
                    return Err(BusError::Command { node: node.to_string(), command: name, source: error });
                }
            }
        }
    }

    /// All nodes that own slots.
    pub(super) async fn masters(&self, any: &MultiplexedConnection) -> Result<Vec<Address>, BusError> {
        let mut masters: Vec<Address> = Vec::new();
        for (_, node) in self.learn(any).await? {
            if !masters.contains(&node) {
                masters.push(node);
            }
        }
        Ok(masters)
    }

    /// Where to go after an error, if it says so. A retry after a broken connection is safe: should the lost `SET` have
    /// been executed, the second one finds the key and the request is left to others.
    fn after(&self, node: &Address, error: &RedisError) -> Option<Target> {
        let redirect = error.redirect_node().and_then(|(address, _)| self.redirected(address));
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::Moved) => {
                self.lock().owners.clear();
                redirect.map(Target::At)
            }
            ErrorKind::Server(ServerErrorKind::Ask) => redirect.map(Target::Asking),
            _ if error.is_unrecoverable_error() => {
                let mut state = self.lock();
                state.owners.clear();
                state.connections.remove(node);
                Some(Target::Owner)
            }
            _ => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it holds the table")
    }

    /// A node that does not know its own address says `:7001`: the host that we already use.
    fn redirected(&self, address: &str) -> Option<Address> {
        match address.strip_prefix(':') {
            Some(port) => Some(Address { host: self.home.host.clone(), port: port.parse().ok()? }),
            None => Address::parse(address).ok(),
        }
    }

    /// The node of `target` and a connection to it.
    async fn reach(
        &self,
        target: &Target,
        slot: u16,
        any: &MultiplexedConnection,
    ) -> Result<(Address, MultiplexedConnection), BusError> {
        let node = match target {
            Target::At(node) | Target::Asking(node) => node.clone(),
            Target::Owner => self.owner(slot, any).await?,
        };
        let known = self.lock().connections.get(&node).cloned();
        let connection = match known {
            Some(connection) => connection,
            None => self.dialer.commands(&node).await.inspect_err(|_| self.lock().owners.clear())?,
        };
        self.lock().connections.insert(node.clone(), connection.clone());
        Ok((node, connection))
    }

    async fn owner(&self, slot: u16, any: &MultiplexedConnection) -> Result<Address, BusError> {
        let unknown = self.lock().owners.is_empty();
        if unknown {
            let learned = self.learn(any).await?;
            self.lock().owners = learned;
        }
        let state = self.lock();
        let owner = state.owners.iter().find(|(slots, _)| slots.contains(&slot));
        Ok(owner.map_or_else(|| self.home.clone(), |(_, node)| node.clone()))
    }

    async fn learn(
        &self,
        any: &MultiplexedConnection,
    ) -> Result<Vec<(RangeInclusive<u16>, Address)>, BusError> {
        let answer: Result<Vec<Vec<Value>>, _> =
            cmd("CLUSTER").arg("SLOTS").query_async(&mut any.clone()).await;
        let answer = answer.map_err(|source| BusError::Command {
            node: self.home.to_string(),
            command: "CLUSTER SLOTS",
            source,
        })?;
        Ok(answer.iter().filter_map(|range| self.range(range)).collect())
    }

    /// One row of `CLUSTER SLOTS`: first slot, last slot, `[host, port, …]` of the master, replicas.
    fn range(&self, row: &[Value]) -> Option<(RangeInclusive<u16>, Address)> {
        let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = row else { return None };
        let [host, Value::Int(port), ..] = master.as_slice() else { return None };
        let host = match host {
            Value::BulkString(host) if !host.is_empty() => String::from_utf8(host.clone()).ok()?,
            _ => self.home.host.clone(),
        };
        let slots = u16::try_from(*first).ok()?..=u16::try_from(*last).ok()?;
        Some((slots, Address { host, port: u16::try_from(*port).ok()? }))
    }
}

async fn ask<T: FromRedisValue>(
    command: &Cmd,
    connection: &mut MultiplexedConnection,
) -> Result<T, RedisError> {
    let (answer,) =
        redis::pipe().cmd("ASKING").ignore().add_command(command.clone()).query_async(connection).await?;
    Ok(answer)
}

/// The slot of a key. Ours have no hash tag: those of locks are base64, the others have no braces.
fn slot(key: &str) -> u16 {
    key.bytes().fold(0, crc16) % SLOT_COUNT
}

/// One step of CRC-16/XMODEM, which Redis Cluster hashes with.
fn crc16(crc: u16, byte: u8) -> u16 {
    (0..8).fold(
        crc ^ (u16::from(byte) << 8),
        |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_cluster_specification() {
        assert_eq!("123456789".bytes().fold(0, crc16), 0x31c3, "the check value of the specification");
        assert_eq!(slot("foo"), 12182, "as CLUSTER KEYSLOT says");
    }
}
