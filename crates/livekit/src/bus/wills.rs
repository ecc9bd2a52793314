//! What becomes of the states of a server that dies: the others say that its sessions are over.
//!
//! Each server keeps a list of its sessions in Redis, with a number that it counts up. Whoever sees such a number stand still
//! reports the sessions of that list as failed, and removes it. Nothing else tells livekit-server, which keeps what it was told last.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use livekit_protocol::{IngressState, ingress_state};
use prost::Message as _;
use psrpc::{Bus, BusError};
use tokio::time;
use tokio_util::sync::CancellationToken;

use super::{
    error::Error,
    io_info::IoInfo,
    report::{Post, Reporters},
};

/// One field for each server, by its id.
const KEY: &str = "sluicegate:sessions";

/// How often a list is written, and those of others are read; a session that begins is written down at once.
const BEAT: Duration = Duration::from_secs(3);

/// A server whose list stays the same for this long is dead: longer than a failover of Redis keeps it from writing.
const DEAD: Duration = Duration::from_secs(15);

/// Of one command, and of one look-up.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the API says of such a session.
const GONE: &str = "the ingress server that ran this is gone";

/// What a server leaves in Redis.
#[derive(Clone, PartialEq, prost::Message)]
struct Will {
    /// Counts up.
    #[prost(uint64, tag = "1")]
    beat: u64,
    #[prost(message, repeated, tag = "2")]
    sessions: Vec<Session>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Session {
    #[prost(string, tag = "1")]
    ingress_id: String,
    #[prost(string, tag = "2")]
    resource_id: String,
}

/// This server's list, and a look at all others'.
pub struct Wills<P = IoInfo> {
    bus: Bus,
    io: IoInfo,
    reporters: Arc<Reporters<P>>,
    /// This server, unlike any before it.
    id: String,
    clock: fn() -> i64,
}

impl<P: Post> Wills<P> {
    /// For the server `id`, which another start of it does not have again. `clock`: unix ns.
    pub fn new(bus: Bus, io: IoInfo, reporters: Arc<Reporters<P>>, id: String, clock: fn() -> i64) -> Self {
        Self { bus, io, reporters, id, clock }
    }

    /// Runs until `stop`. The list stays behind: see [`Wills::withdraw`].
    pub async fn run(&self, stop: CancellationToken) {
        let mut tick = time::interval(BEAT);
        tick.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        let (mut watch, mut will, mut failed) = (Watch::default(), Will::default(), false);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = self.reporters.opened() => {}
                () = stop.cancelled() => return,
            }
            let outcome = self.look(&mut watch, &mut will).await;
            if let Err(error) = &outcome {
                // Who could not write to Redis looks as if it were dead; nobody is judged by what was before.
                watch = Watch::default();
                if !failed {
                    tracing::warn!(%error, "unable to tell other servers of our sessions in redis; tried again");
                }
            }
            failed = outcome.is_err();
        }
    }

    /// This server's sessions are over, and livekit-server knows: nobody has to report them.
    pub async fn withdraw(&self) {
        if let Err(error) = self.bus.remove_field(KEY, &self.id, deadline()).await {
            tracing::warn!(%error, "unable to remove our sessions from redis; they are reported as failed by others");
        }
    }

    async fn look(&self, watch: &mut Watch, will: &mut Will) -> Result<(), BusError> {
        let open = self.reporters.open_sessions();
        let listed = !will.sessions.is_empty();
        let sessions = open.into_iter().map(|(ingress_id, resource_id)| Session { ingress_id, resource_id });
        *will = Will { beat: will.beat + 1, sessions: sessions.collect() };
        if !will.sessions.is_empty() {
            self.bus.set_field(KEY, &self.id, &will.encode_to_vec(), deadline()).await?;
        } else if listed {
            self.bus.remove_field(KEY, &self.id, deadline()).await?;
        }
        let others = self.bus.fields(KEY, deadline()).await?.into_iter().filter(|(id, _)| *id != self.id);
        let others: HashMap<_, _> =
            others.map(|(id, bytes)| (id, Will::decode(&*bytes).unwrap_or_default())).collect();
        for id in watch.dead(Instant::now(), others.iter().map(|(id, will)| (id, will.beat))) {
            if self.execute(&id, &others[&id]).await {
                self.bus.remove_field(KEY, &id, deadline()).await?;
            }
        }
        Ok(())
    }

    /// Reports a dead server's sessions. Servers that do this at the same time report the same, which is one webhook. False: to be
    /// tried again.
    async fn execute(&self, server: &str, will: &Will) -> bool {
        for session in &will.sessions {
            if let Err(error) = self.bury(session).await {
                tracing::warn!(server, ingress_id = session.ingress_id, %error, "a dead server's session is not reported yet");
                return false;
            }
            tracing::info!(
                server,
                ingress_id = session.ingress_id,
                "that server is dead, and its session over"
            );
        }
        true
    }

    async fn bury(&self, session: &Session) -> Result<(), Error> {
        let stored = match self.io.state(&session.ingress_id, PATIENCE).await {
            Ok(stored) => stored,
            Err(Error::NoIngress) => return Ok(()),
            Err(error) => return Err(error),
        };
        let Some(state) = over(stored, &session.resource_id, (self.clock)()) else { return Ok(()) };
        match self.io.update_state(&session.ingress_id, state).await {
            Err(Error::NoIngress | Error::Superseded) => Ok(()),
            posted => posted,
        }
    }
}

/// The state that follows what a dead session said last; none if it had ended, or another one has begun.
fn over(stored: IngressState, resource_id: &str, now: i64) -> Option<IngressState> {
    use ingress_state::Status::{EndpointBuffering, EndpointError, EndpointPublishing};
    let lives = matches!(stored.status(), EndpointBuffering | EndpointPublishing);
    (lives && stored.resource_id == resource_id).then(|| {
        let now = now.max(stored.updated_at.saturating_add(1));
        IngressState {
            status: EndpointError.into(),
            error: GONE.to_owned(),
            ended_at: now,
            updated_at: now,
            ..stored
        }
    })
}

fn deadline() -> time::Instant {
    time::Instant::now() + PATIENCE
}

/// Since when each of the others counts no more.
#[derive(Debug, Default)]
struct Watch(HashMap<String, (u64, Instant)>);

impl Watch {
    fn dead<'a>(&mut self, now: Instant, others: impl Iterator<Item = (&'a String, u64)>) -> Vec<String> {
        let before = std::mem::take(&mut self.0);
        let since = |(id, beat): (&String, u64)| {
            let since = before.get(id).filter(|(last, _)| *last == beat).map_or(now, |(_, since)| *since);
            (id.clone(), (beat, since))
        };
        self.0 = others.map(since).collect();
        let dead = |(id, (_, since)): (&String, &(u64, Instant))| (now - *since >= DEAD).then(|| id.clone());
        self.0.iter().filter_map(dead).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_dead_when_its_number_stands_still() {
        let begin = Instant::now();
        let (a, b) = ("a".to_owned(), "b".to_owned());
        let mut watch = Watch::default();
        let mut dead = Vec::new();
        for second in (0..=30_u64).step_by(3) {
            let now = begin + Duration::from_secs(second);
            // The second one stops after 9 s; it was first seen with that number then.
            let others = [(&a, second), (&b, second.min(9))];
            dead.push((second, watch.dead(now, others.into_iter())));
        }
        dead.retain(|(_, dead)| !dead.is_empty());
        assert_eq!(dead.first(), Some(&(24, vec![b.clone()])));
        assert!(dead.iter().all(|(_, dead)| *dead == [b.clone()]), "{dead:?}");
        let now = begin + Duration::from_secs(33);
        assert!(watch.dead(now, [(&b, 10)].into_iter()).is_empty(), "it is back");
    }

    #[test]
    fn only_what_lives_is_ended_and_keeps_what_was_known() {
        use ingress_state::Status;
        let stored = |status: Status| IngressState {
            status: status.into(),
            room_id: "RM_1".into(),
            resource_id: "UR_1".into(),
            started_at: 5,
            updated_at: 90,
            ..IngressState::default()
        };
        let ended = over(stored(Status::EndpointPublishing), "UR_1", 50).unwrap();
        assert_eq!((ended.status(), ended.error.as_str()), (Status::EndpointError, GONE));
        assert_eq!((ended.started_at, ended.updated_at, ended.ended_at), (5, 91, 91), "clocks differ");
        assert_eq!(ended.room_id, "RM_1");
        assert!(over(stored(Status::EndpointBuffering), "UR_1", 100).is_some());
        assert_eq!(over(stored(Status::EndpointComplete), "UR_1", 100), None, "it had ended");
        assert_eq!(over(stored(Status::EndpointPublishing), "UR_2", 100), None, "another session has begun");
    }
}
