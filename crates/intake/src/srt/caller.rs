//! One caller of the listener, from its question to its end.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use media::StreamKey;
use srt_wire::{Asked, Begun, CallerId, Command, Refusal};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    publisher::{Closer, Publisher, Why},
    queue::Queue,
    request::{Decision, Request},
    stream_id,
    table::{Line, Table},
};
use crate::wrong_keys::WrongKeys;

/// From our answer to the connection: the process itself gives up after two seconds.
const HANDSHAKE: Duration = Duration::from_secs(4);

/// What all callers of one process share.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) table: Table,
    pub(super) wrong_keys: Arc<Mutex<WrongKeys>>,
    /// For a request to be accepted or rejected.
    pub(super) decision: Duration,
    pub(super) end: CancellationToken,
}

/// Serves a caller to its end.
pub(super) async fn serve(asked: Asked, line: Line, context: Context) {
    let (caller, peer) = (asked.caller, asked.peer);
    let wish = match decide(&asked, &context).await {
        Ok(wish) => wish,
        Err(refusal) => {
            tracing::debug!(%peer, ?refusal, "an SRT caller is refused");
            context.table.forget(caller);
            return context.command(Command::Answer { caller, verdict: Err(refusal) }).await;
        }
    };
    context.command(Command::Answer { caller, verdict: Ok(()) }).await;
    let Line { queue, begun, over } = line;
    if let Ok(Ok(begun)) = timeout(HANDSHAKE, begun).await {
        publish(begun, queue, &over, wish, &context).await;
    } else {
        tracing::info!(
            %peer,
            "an SRT caller with a right key did not finish its handshake: it left, or its passphrase is not ours",
        );
    }
    if !over.is_cancelled() {
        context.command(Command::Close { caller }).await;
    }
}

/// Asks the owner of the listener, unless what the caller shows is no key, or its address has shown too many wrong ones.
async fn decide(asked: &Asked, context: &Context) -> Result<oneshot::Sender<Publisher>, Refusal> {
    let peer = asked.peer;
    let key = stream_id::key(asked.stream_id.reveal());
    let counted = key.clone().unwrap_or_else(|_| StreamKey::new(""));
    let may_ask = context.wrong_keys.lock().unwrap_or_else(PoisonError::into_inner).may_ask(
        Instant::now(),
        peer.ip(),
        &counted,
    );
    if !may_ask {
        return Err(Refusal::Overload);
    }
    let key = key.inspect_err(|refusal| {
        tracing::warn!(%peer, ?refusal, "SRT caller refused: its stream id is not that of a publisher");
    })?;
    let (decision, decided) = oneshot::channel();
    let request = Request { key, peer, decision, wrong_keys: context.wrong_keys.clone() };
    context.requests.send(request).await.map_err(|_| Refusal::Down)?;
    match timeout(context.decision, decided).await {
        Ok(Ok(Decision::Accept(wish))) => Ok(wish),
        Ok(Ok(Decision::Reject(refusal))) => Err(refusal),
        Ok(Err(_)) | Err(_) => Err(Refusal::Down),
    }
}

/// Hands the connection over, and waits until it is over or somebody has had enough of it.
async fn publish(
    begun: Begun,
    queue: Arc<Queue>,
    over: &CancellationToken,
    wish: oneshot::Sender<Publisher>,
    context: &Context,
) {
    let (closer, dropped) = (Closer::new(), CancellationToken::new());
    let publisher = Publisher {
        queue: queue.clone(),
        begun,
        closer: closer.clone(),
        _dropped: dropped.clone().drop_guard(),
    };
    // One that is not wanted any more is dropped here, and seen so below.
    let _ = wish.send(publisher);
    tokio::select! {
        () = over.cancelled() => {}
        () = dropped.cancelled() => {}
        reason = closer.closed() => queue.end(Why::Told(reason)),
        () = context.end.cancelled() => queue.end(Why::Told("the server is shutting down".to_owned())),
    }
}

impl Context {
    /// A process that is gone need not be told.
    async fn command(&self, command: Command) {
        let _ = self.commands.send(command).await;
    }

    /// One more caller than can be.
    pub(super) fn full(&self, caller: CallerId) {
        let _ = self.commands.try_send(Command::Answer { caller, verdict: Err(Refusal::Overload) });
    }
}
