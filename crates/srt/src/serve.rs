//! The process's loop: connections come, are read, and end.

use std::{
    collections::HashMap,
    net::{SocketAddr, UdpSocket},
    os::unix::net::UnixStream,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use srt_wire::{CallerId, Command, End, Event, Role, Secret, Start};

use crate::{
    callers::Callers,
    link::{Commands, Link},
    poll::Poll,
    socket::{self, Error, MESSAGE, Socket, quit},
};

/// Callers that libsrt has connected and that are not accepted yet: a burst of encoders that come back after an outage.
const BACKLOG: u16 = 128;

/// A peer that is not heard of for this long is gone: it says that it is there once a second. Of the 10 s that fault row 39
/// allows.
const SILENCE: Duration = Duration::from_secs(5);

/// How long a call is tried: as long as a file's server may take to answer.
const CALL: Duration = Duration::from_secs(5);

/// Messages of one caller in one turn, so that none keeps the others waiting.
const TURN: usize = 48;

/// What has come meanwhile is read together: a millisecond of a stream is one or two messages.
const GATHER: Duration = Duration::from_millis(4);

/// How often statistics are told, and what waits too long is ended.
const TICK: Duration = Duration::from_secs(1);

/// When a caller has gone, what is still held back becomes due within its latency, and is looked for this often.
const LOOK: Duration = Duration::from_millis(10);

/// Over the latency.
const MARGIN: Duration = Duration::from_millis(100);

/// The latency counts from when the handshake seemed to be: on a busy machine, or where our answer took long, that is late by as
/// much. What is held back still is waited for so much longer at most.
const LATE: Duration = Duration::from_secs(5);

/// Serves `port` as the server says over `link`, to the end of the process. `missing`: what of the sandbox could not be had.
pub fn run(link: UnixStream, port: UdpSocket, missing: Vec<String>) -> ! {
    let Ok(reader) = link.try_clone() else { quit(false) };
    let mut commands = Commands::new(reader);
    let (link, writer) = Link::new(link);
    if !missing.is_empty() {
        link.send(Event::Warning(format!("sandbox incomplete: {}", missing.join("; "))));
    }
    let Some(Command::Start(start)) = commands.next() else { quit(false) };
    let callers = match open(*start, port, link.clone()) {
        Ok(callers) => callers,
        Err(error) => {
            link.send(Event::Failed(error.to_string()));
            let _ = writer.join();
            quit(false)
        }
    };
    while let Some(command) = commands.next() {
        match command {
            Command::Answer { caller, verdict } => callers.answer(caller, verdict),
            Command::Close { caller } => callers.close(caller),
            Command::Start(_) => {}
        }
    }
    callers.close_all();
    quit(true)
}

fn open(start: Start, port: UdpSocket, link: Link) -> Result<Callers, Error> {
    socket::start()?;
    let poll = Arc::new(Poll::new()?);
    let callers = Callers::new(link.clone(), poll.clone());
    let socket = Socket::new()?;
    if let Some(passphrase) = &start.passphrase {
        socket.set_passphrase(passphrase.reveal())?;
    }
    socket.set_latency(Duration::from_millis(start.latency_ms.into()))?;
    socket.set_peer_idle_timeout(SILENCE)?;
    let call = match start.role {
        Role::Listen => {
            socket.set_nonblocking()?;
            socket.acquire(port)?;
            socket.listen(BACKLOG, callers.clone())?;
            poll.add(socket)?;
            None
        }
        Role::Call { peer, stream_id } => {
            socket.acquire(port)?;
            Some((peer, stream_id))
        }
    };
    link.send(Event::Ready { version: socket::version() });
    let reader = Reader { callers: callers.clone(), link, poll, streams: HashMap::new() };
    thread::spawn(move || match call {
        None => reader.run(Some(socket)),
        Some((peer, stream_id)) => {
            reader.call(socket, peer, &stream_id);
            reader.run(None);
        }
    });
    Ok(callers)
}

/// Reads every connection.
struct Reader {
    callers: Callers,
    link: Link,
    poll: Arc<Poll>,
    streams: HashMap<Socket, Stream>,
}

/// A connection that is read.
struct Stream {
    /// Something came.
    last: Instant,
    /// Packets that were sent again, up to the last tick.
    resent: u64,
    /// It is over; until then there may be more in the buffer.
    until: Option<Instant>,
}

impl Reader {
    /// Calls; the connection, if it comes about, is then like any other.
    fn call(&self, socket: Socket, peer: SocketAddr, stream_id: &Secret) {
        let connected = (|| {
            socket.set_stream_id(stream_id.reveal())?;
            socket.set_connect_timeout(CALL)?;
            socket.connect(peer)?;
            socket.set_nonblocking()
        })();
        match connected {
            Ok(()) => self.callers.adopt(socket),
            Err(_) => {
                let (code, text) = socket.rejection();
                socket.close();
                let end = End::NotTaken { code, text };
                self.link.send(Event::Ended { caller: CallerId(socket.number()), end });
            }
        }
    }

    fn run(mut self, listener: Option<Socket>) {
        let mut tick = Instant::now() + TICK;
        loop {
            let ready = self.poll.wait(self.patience(tick));
            for socket in ready {
                if Some(socket) == listener {
                    self.accept(socket);
                } else {
                    self.read(socket);
                }
            }
            let ending: Vec<Socket> =
                self.streams.iter().filter(|(_, stream)| stream.until.is_some()).map(|(s, _)| *s).collect();
            ending.into_iter().for_each(|socket| self.finish(socket));
            if Instant::now() >= tick {
                tick = Instant::now() + TICK;
                self.tick();
            }
            if !self.streams.is_empty() {
                thread::sleep(GATHER);
            }
        }
    }

    /// How long to wait for news.
    fn patience(&self, tick: Instant) -> Duration {
        if self.streams.values().any(|stream| stream.until.is_some()) {
            return LOOK;
        }
        tick.saturating_duration_since(Instant::now())
    }

    fn accept(&self, listener: Socket) {
        while let Ok(Some(socket)) = listener.accept() {
            self.callers.connected(socket);
        }
    }

    /// Takes what a connection has, up to a turn.
    fn read(&mut self, socket: Socket) {
        let (mut taken, mut buffer) = (BytesMut::new(), [0; MESSAGE]);
        let mut over = false;
        for _ in 0..TURN {
            match socket.receive(&mut buffer) {
                Ok(Some(length)) => taken.extend_from_slice(&buffer[..length]),
                Ok(None) => break,
                Err(_) => {
                    over = true;
                    break;
                }
            }
        }
        let now = Instant::now();
        let stream = self.streams.entry(socket).or_insert(Stream { last: now, resent: 0, until: None });
        if !taken.is_empty() {
            stream.last = now;
            self.link.send(Event::Data { caller: CallerId(socket.number()), bytes: Bytes::from(taken) });
        }
        if over && stream.until.is_none() {
            stream.until = Some(now + socket.latency() + MARGIN);
            // It would be ready at all times now.
            self.poll.remove(socket);
        }
    }

    /// Looks for what a connection that is over still holds back; at the end of its latency it is closed.
    fn finish(&mut self, socket: Socket) {
        self.read(socket);
        let Some(stream) = self.streams.get(&socket) else { return };
        let (now, last) = (Instant::now(), stream.last);
        let Some(until) = stream.until else { return };
        if until <= now && (socket.held_back() == 0 || until + LATE <= now) {
            let silent = now.saturating_duration_since(last) >= SILENCE;
            self.streams.remove(&socket);
            self.callers.ended(socket, if silent { End::Vanished } else { End::Closed });
        }
    }

    fn tick(&mut self) {
        self.callers.expire(Instant::now());
        let live = self.callers.live();
        self.streams.retain(|socket, _| live.contains(socket));
        for socket in live {
            match socket.stats() {
                Some(mut stats) => {
                    let now = Instant::now();
                    let stream =
                        self.streams.entry(socket).or_insert(Stream { last: now, resent: 0, until: None });
                    stream.resent += stats.resent;
                    stats.resent = stream.resent;
                    self.link.send(Event::Stats(stats));
                }
                // Over, and perhaps before it was polled.
                None => self.read(socket),
            }
        }
    }
}
