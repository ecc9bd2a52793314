//! Who asks, who is connected, who is allowed.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use srt_wire::{Asked, Begun, CallerId, End, Event, Refusal, Secret};

use crate::{
    link::Link,
    patience::Patience,
    poll::Poll,
    socket::{Hook, Socket},
};

/// Connections, those that ask included: more than any machine transcodes. Past it callers are told that we are full.
const CALLERS: usize = 256;

/// From the end of our part in a handshake to the connection: libsrt does the rest at once, on the same thread.
const HANDSHAKE: Duration = Duration::from_secs(2);

/// A connected caller without an answer is closed: past the server's own deadline.
const UNANSWERED: Duration = Duration::from_secs(15);

/// A caller that is refused repeats its question until the answer reaches it, with the same socket: within this time it gets the
/// same answer, and the server is not asked again.
const REPEATS: Duration = Duration::from_secs(3);

/// Refusals that are remembered; past it the oldest is forgotten.
const REFUSALS: usize = 64;

/// One connection.
#[derive(Debug)]
struct Caller {
    stage: Stage,
    since: Instant,
    /// libsrt has finished the handshake.
    connected: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The server has not answered.
    Asks,
    /// It may publish; if it is connected, it does.
    Allowed,
    /// It is refused, and told so by whoever has its handshake or its connection.
    Refused(Refusal),
}

#[derive(Debug)]
struct State {
    callers: HashMap<Socket, Caller>,
    patience: Patience,
    refused: VecDeque<(Instant, SocketAddr, Vec<u8>, u16)>,
}

/// Shared by libsrt's thread, which brings callers; the one that reads them; and the one that hears the server's answers.
#[derive(Debug, Clone)]
pub(crate) struct Callers {
    state: Arc<(Mutex<State>, Condvar)>,
    link: Link,
    poll: Arc<Poll>,
}

impl Callers {
    pub(crate) fn new(link: Link, poll: Arc<Poll>) -> Self {
        let state = State {
            callers: HashMap::new(),
            patience: Patience::new(Instant::now()),
            refused: VecDeque::new(),
        };
        Self { state: Arc::new((Mutex::new(state), Condvar::new())), link, poll }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server has decided.
    pub(crate) fn answer(&self, caller: CallerId, verdict: Result<(), Refusal>) {
        let socket = Socket::from_number(caller.0);
        let mut state = self.lock();
        let Some(found) = state.callers.get_mut(&socket).filter(|caller| caller.stage == Stage::Asks) else {
            return;
        };
        found.stage = verdict.map_or_else(Stage::Refused, |()| Stage::Allowed);
        // Else libsrt's thread has it, or will.
        if found.connected {
            self.settle(&mut state, socket);
        }
        self.state.1.notify_all();
    }

    /// The server has had enough of a caller.
    pub(crate) fn close(&self, caller: CallerId) {
        let socket = Socket::from_number(caller.0);
        let mut state = self.lock();
        let Some(found) = state.callers.get_mut(&socket) else { return };
        if found.connected {
            self.forget(&mut state, socket, End::Told);
        } else {
            found.stage = Stage::Refused(Refusal::Down);
            self.state.1.notify_all();
        }
    }

    /// libsrt has connected a caller.
    pub(crate) fn connected(&self, socket: Socket) {
        let mut state = self.lock();
        let Some(caller) = state.callers.get_mut(&socket) else { return socket.close() };
        (caller.connected, caller.since) = (true, Instant::now());
        self.settle(&mut state, socket);
    }

    /// We have called somebody, and are connected.
    pub(crate) fn adopt(&self, socket: Socket) {
        let caller = Caller { stage: Stage::Allowed, since: Instant::now(), connected: true };
        self.lock().callers.insert(socket, caller);
        self.begin(socket);
    }

    /// Carries out the answer to a connected caller, if there is one.
    fn settle(&self, state: &mut State, socket: Socket) {
        match state.callers.get(&socket).map(|caller| caller.stage) {
            Some(Stage::Allowed) => self.begin(socket),
            Some(Stage::Refused(_)) => self.forget(state, socket, End::Told),
            Some(Stage::Asks) | None => {}
        }
    }

    fn begin(&self, socket: Socket) {
        self.link.send(Event::Begun(begun(socket)));
        // One that is over already is found out when its statistics are asked for.
        let _ = self.poll.add(socket);
    }

    /// A connection is over.
    pub(crate) fn ended(&self, socket: Socket, end: End) {
        self.forget(&mut self.lock(), socket, end);
    }

    fn forget(&self, state: &mut State, socket: Socket, end: End) {
        if state.callers.remove(&socket).is_some() {
            self.poll.remove(socket);
            socket.close();
            self.link.send(Event::Ended { caller: CallerId(socket.number()), end });
        }
    }

    /// Ends what has waited too long.
    pub(crate) fn expire(&self, now: Instant) {
        let mut state = self.lock();
        let late = |(socket, caller): (&Socket, &Caller)| {
            let waited = now.saturating_duration_since(caller.since);
            let end = match (caller.connected, caller.stage) {
                (false, _) if waited > HANDSHAKE => End::Handshake,
                (true, Stage::Asks) if waited > UNANSWERED => End::Told,
                _ => return None,
            };
            Some((*socket, end))
        };
        let late: Vec<_> = state.callers.iter().filter_map(late).collect();
        late.into_iter().for_each(|(socket, end)| self.forget(&mut state, socket, end));
    }

    /// The connections that publish.
    pub(crate) fn live(&self) -> Vec<Socket> {
        let live = |(socket, caller): (&Socket, &Caller)| {
            (caller.connected && caller.stage == Stage::Allowed).then_some(*socket)
        };
        self.lock().callers.iter().filter_map(live).collect()
    }

    /// The server is gone: everybody is told.
    pub(crate) fn close_all(&self) {
        let all: Vec<_> = self.lock().callers.drain().collect();
        all.into_iter().for_each(|(socket, _)| socket.close());
    }
}

impl Hook for Callers {
    fn call(&self, socket: Socket, peer: SocketAddr, stream_id: &[u8]) -> Result<(), u16> {
        let start = Instant::now();
        let mut state = self.lock();
        if let Some(code) = state.repeated(start, peer, stream_id) {
            return Err(code);
        }
        let Ok(text) = std::str::from_utf8(stream_id) else { return Err(Refusal::BadRequest.code()) };
        let asked =
            Asked { caller: CallerId(socket.number()), peer, stream_id: Secret::new(text.to_owned()) };
        if state.callers.len() >= CALLERS || !self.link.try_send(Event::Asked(asked)) {
            return Err(Refusal::Overload.code());
        }
        state.callers.insert(socket, Caller { stage: Stage::Asks, since: start, connected: false });
        let alone = !state.callers.values().any(|caller| caller.connected);
        let patience = state.patience.allows(start, alone);
        let asks =
            |state: &mut State| state.callers.get(&socket).is_some_and(|caller| caller.stage == Stage::Asks);
        let waited = self.state.1.wait_timeout_while(state, patience, asks);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.patience.spend(start.elapsed());
        match state.callers.get_mut(&socket) {
            Some(Caller { stage: Stage::Refused(refusal), .. }) => {
                let code = refusal.code();
                state.refuse(start, peer, stream_id, code);
                state.callers.remove(&socket);
                Err(code)
            }
            // Allowed, or connected until there is an answer.
            Some(caller) => {
                caller.since = Instant::now();
                Ok(())
            }
            None => Err(Refusal::Down.code()),
        }
    }
}

impl State {
    fn repeated(&mut self, now: Instant, peer: SocketAddr, stream_id: &[u8]) -> Option<u16> {
        self.refused.retain(|(at, ..)| now.saturating_duration_since(*at) < REPEATS);
        let same = |(_, of, id, _): &&(Instant, SocketAddr, Vec<u8>, u16)| *of == peer && id == stream_id;
        self.refused.iter().find(same).map(|(.., code)| *code)
    }

    fn refuse(&mut self, now: Instant, peer: SocketAddr, stream_id: &[u8], code: u16) {
        if self.refused.len() >= REFUSALS {
            self.refused.pop_front();
        }
        self.refused.push_back((now, peer, stream_id.to_vec(), code));
    }
}

/// What is known of a connection when it begins.
fn begun(socket: Socket) -> Begun {
    Begun {
        caller: CallerId(socket.number()),
        version: socket.peer_version(),
        latency_ms: u32::try_from(socket.latency().as_millis()).unwrap_or(u32::MAX),
        encrypted: socket.is_encrypted(),
    }
}
