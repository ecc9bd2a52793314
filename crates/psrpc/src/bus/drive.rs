//! The connection task: from one link to the next, for as long as the bus is open.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use redis::aio::{PubSub, PubSubSink};
use redis::{ErrorKind, Msg, RedisError};
use tokio::time::Instant;

use super::connect::{Connector, HEALTH_INTERVAL, Link};
use super::registry::Registry;
use super::{Shared, Status};
use crate::envelope::MAX_PAYLOAD;

/// The first pause before a reconnect; doubled for each that fails. As the Go peers do.
const RETRY_MIN: Duration = Duration::from_millis(100);
/// The longest pause: Redis is used again at most this long after it is back.
const RETRY_MAX: Duration = Duration::from_secs(1);

pub(super) async fn run(shared: Arc<Shared>, mut connector: Connector, first: (Link, PubSub)) {
    let closed = shared.closed.clone();
    closed.run_until_cancelled(stay_connected(&shared, &mut connector, first)).await;
    shared.link.send_replace(None);
    shared.status.send_replace(Status::Closed);
}

async fn stay_connected(shared: &Shared, connector: &mut Connector, first: (Link, PubSub)) {
    let mut next = Some(first);
    let mut pause = RETRY_MIN;
    loop {
        if let Some((link, pubsub)) = next.take() {
            let since = Instant::now();
            let node = link.node().to_string();
            let lost = serve(shared, connector, Arc::new(link), pubsub).await;
            shared.link.send_replace(None);
            shared.registry.confirm(&HashSet::new());
            shared.status.send_replace(Status::Lost);
            tracing::warn!(node, reason = %lost, "connection to redis lost");
            // A link that breaks at once counts as a failed attempt.
            pause = if since.elapsed() > RETRY_MAX { RETRY_MIN } else { pause };
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_MAX);
        match connector.connect().await {
            Ok(link) => next = Some(link),
            Err(error) => tracing::debug!(%error, "reconnecting to redis failed"),
        }
    }
}

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("the pub/sub connection was closed")]
    Closed,
    #[error("{what}: {source}")]
    PubSub { what: &'static str, source: RedisError },
    #[error("{what}: no answer within {limit:?}")]
    Silent { what: &'static str, limit: Duration },
    #[error("{0}")]
    Commands(super::BusError),
    #[error("a command found the connection dead")]
    Broken,
    #[error("the sentinels moved the master")]
    Moved,
}

/// Uses a link until it is lost.
async fn serve(shared: &Shared, connector: &Connector, link: Arc<Link>, pubsub: PubSub) -> Lost {
    let (sink, stream) = pubsub.split();
    let limit = connector.command_timeout();
    tokio::select! {
        lost = deliver(&shared.registry, stream) => lost,
        lost = reconcile(shared, &link, sink.clone(), limit) => lost,
        lost = check(connector, &link, sink, limit) => lost,
        () = link.broken.cancelled() => Lost::Broken,
    }
}

/// Reads on, whatever the listeners do: the `redis` crate buffers without a bound what is not read here.
async fn deliver(registry: &Registry, stream: impl Stream<Item = Msg>) -> Lost {
    tokio::pin!(stream);
    while let Some(message) = stream.next().await {
        let payload = message.get_payload_bytes();
        let channel = message.get_channel_name();
        if payload.len() > MAX_PAYLOAD {
            tracing::warn!(channel, len = payload.len(), limit = MAX_PAYLOAD, "message is too long, dropped");
            continue;
        }
        registry.deliver(channel, &Bytes::copy_from_slice(payload));
    }
    Lost::Closed
}

/// Makes Redis's subscriptions agree with the registry; the link is up when they first do.
async fn reconcile(shared: &Shared, link: &Arc<Link>, mut sink: PubSubSink, limit: Duration) -> Lost {
    let registry = &shared.registry;
    let mut have = HashSet::new();
    let mut up = false;
    loop {
        let (missing, surplus) = registry.difference(&have);
        let complete = match apply(&mut sink, &mut have, missing, surplus, limit).await {
            Ok(complete) => complete,
            Err(lost) => return lost,
        };
        registry.confirm(&have);
        if !up {
            up = true;
            shared.link.send_replace(Some(link.clone()));
            shared.status.send_replace(Status::Connected);
            tracing::info!(node = %link.node(), channels = have.len(), "connected to redis");
        }
        tokio::select! {
            () = registry.changed() => {}
            () = tokio::time::sleep(RETRY_MAX), if !complete => {}
        }
    }
}

/// `true` when Redis refused none of it.
async fn apply(
    sink: &mut PubSubSink,
    have: &mut HashSet<String>,
    missing: Vec<String>,
    surplus: Vec<String>,
    limit: Duration,
) -> Result<bool, Lost> {
    let mut complete = true;
    if !missing.is_empty() {
        // One refused channel (an ACL) makes Redis refuse the whole command: then each is asked for alone.
        let batches: Vec<&[String]> = match answered("SUBSCRIBE", limit, sink.subscribe(&missing)).await? {
            Answer::Done => {
                have.extend(missing.iter().cloned());
                Vec::new()
            }
            Answer::Refused(_) => missing.chunks(1).collect(),
        };
        for batch in batches {
            match answered("SUBSCRIBE", limit, sink.subscribe(batch)).await? {
                Answer::Done => have.extend(batch.iter().cloned()),
                Answer::Refused(error) => {
                    tracing::warn!(channel = ?batch, %error, "redis refuses the subscription");
                    complete = false;
                }
            }
        }
    }
    if !surplus.is_empty() {
        answered("UNSUBSCRIBE", limit, sink.unsubscribe(&surplus)).await?;
        surplus.iter().for_each(|channel| {
            have.remove(channel);
        });
    }
    Ok(complete)
}

/// Finds a node that is gone without a word, and a master that is one no more.
async fn check(connector: &Connector, link: &Link, mut sink: PubSubSink, limit: Duration) -> Lost {
    let mut ticks = tokio::time::interval_at(Instant::now() + HEALTH_INTERVAL, HEALTH_INTERVAL);
    loop {
        ticks.tick().await;
        if let Err(lost) = answered("PING", limit, sink.ping::<redis::Value>()).await {
            return lost;
        }
        if let Err(error) = link.ping().await {
            return Lost::Commands(error);
        }
        if connector.has_moved(link).await {
            return Lost::Moved;
        }
    }
}

/// What Redis says to a command on the pub/sub connection.
enum Answer {
    Done,
    Refused(RedisError),
}

async fn answered<T>(
    what: &'static str,
    limit: Duration,
    answer: impl Future<Output = Result<T, RedisError>>,
) -> Result<Answer, Lost> {
    match tokio::time::timeout(limit, answer).await {
        Ok(Ok(_)) => Ok(Answer::Done),
        Ok(Err(error)) if matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension) => {
            Ok(Answer::Refused(error))
        }
        Ok(Err(source)) => Err(Lost::PubSub { what, source }),
        Err(_) => Err(Lost::Silent { what, limit }),
    }
}
