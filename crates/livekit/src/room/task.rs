use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use livekit_signaling::SignalEvent;
use tokio::time::{sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    Event, Options, Reason,
    backoff::Backoff,
    hold::Hold,
    link::{Failure, Link},
    loss::Loss,
    outbox::Outbox,
    resume::Outcome,
    shared::{Desired, Shared},
    sockets::{Arrival, DATAGRAM_BYTES},
};

/// How long a participant tries to get back. A server that is being replaced needs seconds; a publisher whose media goes
/// nowhere for longer should know.
const RECOVERY_BUDGET: Duration = Duration::from_secs(60);

/// Nothing waits longer than this unseen (an event that found the channel full, say).
const HEARTBEAT: Duration = Duration::from_millis(500);

/// The last event must not keep the task from ending.
const LAST_EVENT_DEADLINE: Duration = Duration::from_secs(1);

/// How a link ended.
pub(super) enum Exit {
    Left,
    Ended(Reason),
    Rejoin(String),
}

/// What woke the task.
enum Wake {
    Leave,
    Signal(Option<SignalEvent>),
    Arrival(Arrival),
    Resume(Outcome),
    Shared,
    Timer,
}

/// A participant's life, over one or more links.
pub(super) struct Task {
    pub(super) options: Options,
    pub(super) shared: Arc<Shared>,
    leave: CancellationToken,
    pub(super) events: Outbox,
    /// Since when media should flow and does not.
    pub(super) ailing: Option<Instant>,
    pub(super) backoff: Backoff,
    /// Frames that queue B has dropped, as logged.
    pub(super) dropped: u64,
    pub(super) hold: Hold,
    pub(super) sound_loss: Loss,
}

impl Task {
    pub(super) fn new(
        options: Options,
        shared: Arc<Shared>,
        leave: CancellationToken,
        events: Outbox,
    ) -> Self {
        Self {
            options,
            shared,
            leave,
            events,
            ailing: None,
            backoff: Backoff::default(),
            dropped: 0,
            hold: Hold::default(),
            sound_loss: Loss::default(),
        }
    }

    pub(super) async fn run(mut self, mut link: Link) {
        tracing::info!(room = link.joined.room_sid, participant = link.joined.participant_sid, "joined");
        self.events.push(Event::Joined(link.joined.clone()));
        let reason = loop {
            let exit = self.drive(&mut link).await;
            let epoch = link.peer.epoch();
            match exit {
                Exit::Left => {
                    link.close(true).await;
                    break Reason::Left;
                }
                Exit::Ended(reason) => {
                    link.close(false).await;
                    break reason;
                }
                Exit::Rejoin(why) => {
                    tracing::warn!(%why, "connection lost, joining again");
                    self.events.push(Event::Reconnecting(why.clone()));
                    link.close(false).await;
                    match self.rejoin(why, epoch).await {
                        Ok(new) => link = new,
                        Err(reason) => break reason,
                    }
                    tracing::info!(participant = link.joined.participant_sid, "joined again");
                    self.events.push(Event::Rejoined(link.joined.clone()));
                }
            }
        };
        tracing::info!(?reason, dropped = self.shared.dropped(), "left the room");
        if timeout(LAST_EVENT_DEADLINE, self.events.finish(Event::Ended(reason))).await.is_err() {
            tracing::debug!("nobody took the participant's last events");
        }
    }

    async fn rejoin(&mut self, mut why: String, epoch: rtc::room::Epoch) -> Result<Link, Reason> {
        let since = *self.ailing.get_or_insert_with(Instant::now);
        loop {
            if since.elapsed() > RECOVERY_BUDGET {
                return Err(Reason::ConnectionLost(why));
            }
            let attempt = async {
                sleep(self.backoff.next()).await;
                Link::connect(&self.options, epoch).await
            };
            let joined = tokio::select! {
                () = self.leave.cancelled() => return Err(Reason::Left),
                joined = attempt => joined,
            };
            match joined {
                Ok(link) => {
                    // With nothing to publish there is no media that could fail to flow.
                    self.ailing = self.shared.wants_tracks().then_some(since);
                    return Ok(link);
                }
                Err(Failure::Refused(text)) => return Err(Reason::Refused(text)),
                Err(Failure::Unreachable(text)) => why = text,
            }
        }
    }

    async fn drive(&mut self, link: &mut Link) -> Exit {
        let mut buffer = [0; DATAGRAM_BYTES];
        let mut desired = Desired::default();
        loop {
            self.shared.read_desired(&mut desired);
            match self.turn(link, &desired).await {
                Ok(None) => {}
                Ok(Some(exit)) => return exit,
                Err(error) => return Exit::Rejoin(error.to_string()),
            }
            let wake = self.wait(link, &mut buffer).await;
            let now = Instant::now();
            let handled = match wake {
                Wake::Leave => return Exit::Left,
                Wake::Shared => Ok(None),
                Wake::Timer => link.peer.handle_timeout(now).map(|()| None),
                Wake::Arrival(Arrival::Datagram { proto, from, to, len }) => {
                    link.peer.handle_datagram(now, proto, from, to, &buffer[..len]).map(|()| None)
                }
                Wake::Arrival(Arrival::TcpOpen(local)) => link.peer.add_local_tcp(now, local).map(|()| None),
                Wake::Resume(outcome) => self.on_resume(link, now, outcome).await,
                Wake::Signal(Some(SignalEvent::Message(message))) => {
                    self.on_signal(link, now, *message).await
                }
                Wake::Signal(Some(SignalEvent::Close(why))) => Ok(self.on_signal_lost(link, now, &why)),
                Wake::Signal(None) => Ok(Some(Exit::Rejoin("signalling client ended".into()))),
            };
            match handled {
                Ok(None) => {}
                Ok(Some(exit)) => return exit,
                Err(error) => return Exit::Rejoin(error.to_string()),
            }
        }
    }

    async fn wait(&self, link: &mut Link, buffer: &mut [u8; DATAGRAM_BYTES]) -> Wake {
        let latest = Instant::now() + HEARTBEAT;
        let frame = self.hold.next_due();
        let due =
            link.clocks.next().into_iter().chain(frame).fold(link.peer.timeout().min(latest), Instant::min);
        let resuming = async {
            match &mut link.resuming {
                Some(resuming) => resuming.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // Signals before the resume: what the old connection said last must not be taken for the new one's.
            biased;
            () = self.leave.cancelled() => Wake::Leave,
            signal = link.signals.recv() => Wake::Signal(signal),
            outcome = resuming => Wake::Resume(outcome),
            () = self.shared.changed.notified() => Wake::Shared,
            arrival = link.sockets.recv(buffer) => Wake::Arrival(arrival),
            () = sleep_until(due.into()) => Wake::Timer,
        }
    }

    /// All that can be done without waiting for something new.
    async fn turn(&mut self, link: &mut Link, desired: &Desired) -> Result<Option<Exit>, rtc::room::Error> {
        let now = Instant::now();
        link.publish(now, desired, &self.options)?;
        link.flush_signals().await;
        self.feed(link, now)?;
        self.note(link, now);
        let exit = self.check_clocks(link, now)?;
        link.flush_datagrams(now);
        self.events.flush();
        Ok(exit)
    }

    fn check_clocks(&mut self, link: &mut Link, now: Instant) -> Result<Option<Exit>, rtc::room::Error> {
        let clocks = &mut link.clocks;
        let over = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let why = if over(clocks.goodbye) {
            "the server closed the media connection"
        } else if over(clocks.path) {
            "no media path to the server"
        } else if over(clocks.connected) {
            "media connection not up in time"
        } else if over(clocks.answer) && link.resuming.is_none() {
            "no answer to an offer"
        } else {
            if over(clocks.retell) {
                clocks.retell = None;
                link.retell(&self.options);
            } else if over(clocks.tcp) {
                clocks.tcp = None;
                link.try_tcp();
            } else if over(clocks.restart) {
                clocks.restart = None;
                // A resume ends with an ICE restart anyway.
                if link.resuming.is_none() {
                    self.events.push(Event::Reconnecting("no media path to the server".into()));
                    link.restart_ice(now)?;
                }
            }
            return Ok(None);
        };
        Ok(Some(Exit::Rejoin(why.into())))
    }
}
