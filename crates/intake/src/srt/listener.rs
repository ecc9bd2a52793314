use std::{
    fmt, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use socket2::{Domain, Protocol, Socket, Type};
use srt_wire::{Command, Event, Role, Secret, Start};
use tokio::{
    sync::mpsc,
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    caller::{self, Context},
    process::{self, Commands, Process, log},
    publisher::Why,
    request::Request,
    table::Table,
};
use crate::wrong_keys::{WrongKeyLimits, WrongKeys};

/// Requests that wait for [`Listener::accept`]. Past it callers wait, and are refused at their deadline.
const REQUESTS: usize = 64;

/// Commands on their way to the process, which reads all the time.
const COMMANDS: usize = 64;

/// Between the end of a process and the start of the next: at first this, then twice as much each time.
const RESTART: Duration = Duration::from_millis(250);

/// At most this.
const RESTART_MOST: Duration = Duration::from_secs(8);

/// A process that has lived for so long is no longer counted as failing.
const SOUND: Duration = Duration::from_secs(30);

/// What a [`Listener`] needs.
#[derive(Debug, Clone)]
pub struct Options {
    /// The `sluicegate-srt` binary.
    pub program: PathBuf,
    /// The UDP port; an IPv6 wildcard address takes IPv4 too, or IPv4 alone where IPv6 is switched off.
    pub address: SocketAddr,
    /// What every caller must have; none: what comes is not encrypted. 10 to 79 bytes.
    pub passphrase: Option<Secret>,
    /// How long media is held back for what was lost to be sent again; a caller may ask for more.
    pub latency: Duration,
    /// For a request to be accepted or rejected. Callers are connected by then, if it takes long.
    pub decision: Duration,
    /// Against guessed keys.
    pub wrong_keys: WrongKeyLimits,
}

impl Options {
    /// The defaults: no passphrase, 200 ms.
    pub fn new(program: impl Into<PathBuf>, address: SocketAddr) -> Self {
        Self {
            program: program.into(),
            address,
            passphrase: None,
            latency: Duration::from_millis(200),
            decision: Duration::from_secs(10),
            wrong_keys: WrongKeyLimits::default(),
        }
    }
}

/// A UDP port and the process that serves it. Dropping it ends the process without waiting; [`Listener::shutdown`] waits.
pub struct Listener {
    address: SocketAddr,
    requests: mpsc::Receiver<Request>,
    pid: Arc<AtomicU32>,
    end: DropGuard,
    task: JoinHandle<()>,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "srt::Listener({})", self.address)
    }
}

impl Listener {
    /// Opens the port and starts the process, which is started again when it ends. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// What the system says about the address; there is no such program.
    pub fn bind(options: Options) -> io::Result<Listener> {
        let program = options.program.canonicalize().map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", options.program.display()))
        })?;
        let port = open(options.address)?;
        let address = port.local_addr()?;
        let (sender, requests) = mpsc::channel(REQUESTS);
        let (end, pid) = (CancellationToken::new(), Arc::<AtomicU32>::default());
        let keeper = Keeper {
            options: Options { program, ..options.clone() },
            port,
            requests: sender,
            wrong_keys: Arc::new(Mutex::new(WrongKeys::new(options.wrong_keys))),
            callers: JoinSet::new(),
            pid: pid.clone(),
            end: end.clone(),
        };
        Ok(Listener { address, requests, pid, end: end.drop_guard(), task: tokio::spawn(keeper.run()) })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The process, while there is one.
    pub fn pid(&self) -> Option<u32> {
        Some(self.pid.load(Ordering::Relaxed)).filter(|pid| *pid != 0)
    }

    /// The next caller that asks to publish; `None` never comes while the listener is there.
    pub async fn accept(&mut self) -> Option<Request> {
        self.requests.recv().await
    }

    /// Ends all connections and the process, and waits for it.
    pub async fn shutdown(self) {
        drop(self.requests);
        drop(self.end);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the SRT listener's task ended badly");
        }
    }
}

/// Keeps a process running.
struct Keeper {
    options: Options,
    port: UdpSocket,
    requests: mpsc::Sender<Request>,
    wrong_keys: Arc<Mutex<WrongKeys>>,
    callers: JoinSet<()>,
    pid: Arc<AtomicU32>,
    end: CancellationToken,
}

impl Keeper {
    async fn run(mut self) {
        let mut pause = RESTART;
        loop {
            let began = Instant::now();
            let why = self.serve().await;
            if self.end.is_cancelled() {
                break;
            }
            if began.elapsed() >= SOUND {
                pause = RESTART;
            }
            tracing::error!(%why, again_in = ?pause, "the SRT process ended; it is started again");
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.end.cancelled() => break,
            }
            pause = (pause * 2).min(RESTART_MOST);
        }
        while self.callers.join_next().await.is_some() {}
    }

    /// One process, from its start to its end.
    async fn serve(&mut self) -> String {
        let start = Start {
            role: Role::Listen,
            passphrase: self.options.passphrase.clone(),
            latency_ms: u32::try_from(self.options.latency.as_millis()).unwrap_or(u32::MAX),
        };
        let process = match Process::spawn(&self.options.program, &self.port, start).await {
            Ok(process) => process,
            Err(error) => return format!("it cannot be started: {error}"),
        };
        let (commands, told) = mpsc::channel(COMMANDS);
        let context = Context {
            requests: self.requests.clone(),
            commands,
            table: Table::default(),
            wrong_keys: self.wrong_keys.clone(),
            decision: self.options.decision,
            end: self.end.clone(),
        };
        let Process { child, mut events, commands, said } = process;
        self.pid.store(child.id().unwrap_or(0), Ordering::Relaxed);
        let mut said = std::pin::pin!(log(said));
        let mut telling = Box::pin(tell(commands, told));
        let mut quiet = false;
        let why = loop {
            tokio::select! {
                event = events.next() => match event {
                    Ok(Some(event)) => if let Some(why) = self.take(event, &context) { break Some(why) },
                    Ok(None) => break None,
                    Err(error) => break Some(error.to_string()),
                },
                () = &mut telling => break None,
                () = &mut said, if !quiet => quiet = true,
                Some(_) = self.callers.join_next() => {}
                () = self.end.cancelled() => break None,
            }
        };
        self.pid.store(0, Ordering::Relaxed);
        context.table.end(&match self.end.is_cancelled() {
            true => Why::Told("the server is shutting down".to_owned()),
            false => Why::Died,
        });
        drop((context, telling, events));
        let status = process::end(child).await;
        if !quiet {
            // The pipe of its last words ends with it.
            said.await;
        }
        why.map_or(status.clone(), |why| format!("{why} ({status})"))
    }

    /// Something that the process said; `Some` if it is to end.
    fn take(&mut self, event: Event, context: &Context) -> Option<String> {
        let table = &context.table;
        match event {
            Event::Ready { version } => {
                tracing::debug!(version = format_args!("{version:#x}"), "the SRT process listens");
            }
            Event::Asked(asked) => match table.add(asked.caller) {
                Some(line) => {
                    self.callers.spawn(caller::serve(asked, line, context.clone()));
                }
                None => context.full(asked.caller),
            },
            Event::Begun(begun) => table.begun(begun),
            Event::Data { caller, bytes } => table.data(caller, bytes),
            Event::Stats(stats) => table.stats(stats),
            Event::Ended { caller, end } => table.ended(caller, &end),
            Event::Warning(text) => tracing::warn!("SRT process: {text}"),
            Event::Failed(text) => return Some(text),
        }
        None
    }
}

/// Commands to the process, until it is gone or nobody has any more.
async fn tell(mut process: Commands, mut commands: mpsc::Receiver<Command>) {
    while let Some(command) = commands.recv().await {
        if process.send(&command).await.is_err() {
            return;
        }
    }
}

fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    match bind(address) {
        Err(error)
            if address.ip() == Ipv6Addr::UNSPECIFIED
                && !matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied) =>
        {
            bind((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        opened => opened,
    }
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}
