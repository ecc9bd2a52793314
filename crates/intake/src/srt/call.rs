//! A stream that is fetched: a call to somebody else's listener, in a process of its own.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    path::Path,
    time::Duration,
};

use srt_wire::{CallerId, Command, End, Event, Role, Secret, Start};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{
    process::{Process, end, log},
    publisher::{Closer, Publisher, Why},
    queue::Queue,
    table::{Line, Table},
};

/// The process itself tries for five seconds.
const DEADLINE: Duration = Duration::from_secs(8);

/// Whom to call.
#[derive(Debug, Clone)]
pub struct Call {
    /// Resolved, and checked: no other address is called.
    pub peer: SocketAddr,
    /// What the listener there is shown; may be empty.
    pub stream_id: Secret,
    /// 10 to 79 bytes.
    pub passphrase: Option<Secret>,
    /// How long media is held back, at least.
    pub latency: Duration,
}

/// Why there is no stream.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// No socket, or no process.
    #[error("the SRT process cannot be started: {0}")]
    Start(#[from] io::Error),
    /// Nobody answers there.
    #[error("nobody answers SRT at that address")]
    Silent,
    /// The passphrases differ, or only one side has one.
    #[error("the passphrase is wrong, or one side has none")]
    Passphrase,
    /// The other side says no: codes from 1000 are its own, `SRT_REJX_…`.
    #[error("the other side refused the call ({code}: {text})")]
    Refused {
        /// As `srt_getrejectreason` gives it.
        code: u32,
        /// libsrt's words for it.
        text: String,
    },
    /// The process ended.
    #[error("the SRT process ended: {0}")]
    Died(String),
}

/// Calls, and waits for the answer: at most eight seconds. Dropping what it gives ends the process.
///
/// # Errors
/// See [`CallError`].
pub async fn call(program: &Path, call: Call) -> Result<Publisher, CallError> {
    let any: IpAddr = match call.peer {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let port = UdpSocket::bind((any, 0))?;
    let start = Start {
        role: Role::Call { peer: call.peer, stream_id: call.stream_id },
        passphrase: call.passphrase,
        latency_ms: u32::try_from(call.latency.as_millis()).unwrap_or(u32::MAX),
    };
    let mut process = Process::spawn(program, &port, start).await?;
    let table = Table::default();
    let line = match timeout(DEADLINE, answer(&mut process, &table)).await {
        Ok(Ok(Some(answered))) => answered,
        Ok(Ok(None)) => {
            let Process { child, said, .. } = process;
            log(said).await;
            return Err(CallError::Died(end(child).await));
        }
        Ok(Err(error)) => return Err(error),
        Err(_) => return Err(CallError::Silent),
    };
    let (begun, Line { queue, over, .. }) = line;
    let (closer, dropped) = (Closer::new(), CancellationToken::new());
    let relay = relay(process, table, begun.caller, closer.clone(), queue.clone(), (over, dropped.clone()));
    // Nobody joins it: it ends by itself within two seconds of the publisher's end, and the process with it.
    drop(tokio::spawn(relay));
    Ok(Publisher { queue, begun, closer, _dropped: dropped.drop_guard() })
}

/// The first news of the call; `None`: the process ended without any.
async fn answer(process: &mut Process, table: &Table) -> Result<Option<(srt_wire::Begun, Line)>, CallError> {
    loop {
        match process.events.next().await {
            Ok(Some(Event::Begun(begun))) => {
                return Ok(table.add(begun.caller).map(|line| (begun, line)));
            }
            Ok(Some(Event::Ended { end, .. })) => return Err(refused(end)),
            Ok(Some(Event::Failed(text))) => return Err(CallError::Died(text)),
            Ok(Some(Event::Warning(text))) => tracing::warn!("SRT process: {text}"),
            Ok(Some(_)) => {}
            Ok(None) => return Ok(None),
            Err(error) => return Err(CallError::Died(error.to_string())),
        }
    }
}

/// libsrt's own codes (`SRT_REJECT_REASON`): 10 and 11 are about passphrases, 16 is a timeout, 0 that there was no answer at all.
fn refused(end: End) -> CallError {
    match end {
        End::NotTaken { code: 0 | 16, .. } => CallError::Silent,
        End::NotTaken { code: 10 | 11, .. } => CallError::Passphrase,
        End::NotTaken { code, text } => CallError::Refused { code, text },
        _ => CallError::Silent,
    }
}

/// The process's events into the queue, until the call is over.
async fn relay(
    process: Process,
    table: Table,
    caller: CallerId,
    closer: Closer,
    queue: std::sync::Arc<Queue>,
    (over, dropped): (CancellationToken, CancellationToken),
) {
    let Process { child, mut events, mut commands, said } = process;
    let mut said = std::pin::pin!(log(said));
    let mut quiet = false;
    while !over.is_cancelled() {
        tokio::select! {
            event = events.next() => match event {
                Ok(Some(Event::Data { caller, bytes })) => table.data(caller, bytes),
                Ok(Some(Event::Stats(stats))) => table.stats(stats),
                Ok(Some(Event::Ended { caller, end })) => table.ended(caller, &end),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            },
            () = &mut said, if !quiet => quiet = true,
            reason = closer.closed() => {
                queue.end(Why::Told(reason));
                break;
            }
            () = dropped.cancelled() => break,
        }
    }
    table.end(&Why::Died);
    // The other side is told as the process ends.
    let _ = commands.send(&Command::Close { caller }).await;
    drop((events, commands));
    end(child).await;
}
