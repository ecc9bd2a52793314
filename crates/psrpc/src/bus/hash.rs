//! Hashes: what servers write down for each other, where publishing would be forgotten.

use redis::{Cmd, FromRedisValue, cmd};
use tokio::time::Instant;

use super::{Bus, BusError};

impl Bus {
    /// `HSET`: sets one field of the hash at `key`, by `deadline`.
    ///
    /// # Errors
    /// No connection by then, or Redis refuses; then it may have happened, or not.
    pub async fn set_field(
        &self,
        key: &str,
        field: &str,
        value: &[u8],
        deadline: Instant,
    ) -> Result<(), BusError> {
        self.hash("HSET", key, cmd("HSET").arg(key).arg(field).arg(value), deadline).await
    }

    /// `HDEL`: removes one field; one that is not there is none.
    ///
    /// # Errors
    /// As [`Bus::set_field`].
    pub async fn remove_field(&self, key: &str, field: &str, deadline: Instant) -> Result<(), BusError> {
        self.hash("HDEL", key, cmd("HDEL").arg(key).arg(field), deadline).await
    }

    /// `HGETALL`: all fields with their values, in no order; none if there is no such hash.
    ///
    /// # Errors
    /// As [`Bus::set_field`].
    pub async fn fields(&self, key: &str, deadline: Instant) -> Result<Vec<(String, Vec<u8>)>, BusError> {
        self.hash("HGETALL", key, cmd("HGETALL").arg(key), deadline).await
    }

    async fn hash<T: FromRedisValue>(
        &self,
        name: &'static str,
        key: &str,
        command: &Cmd,
        deadline: Instant,
    ) -> Result<T, BusError> {
        let link = self.link(deadline).await?;
        let done = tokio::time::timeout_at(deadline, link.keyed(name, key, command)).await;
        done.map_err(|_| BusError::NotConnected)?
    }
}
