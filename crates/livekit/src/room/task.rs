use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use livekit_protocol::signal_response::Message;
use livekit_signaling::SignalEvent;
use media::Output;
use tokio::time::{sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    Event, Options, Reason,
    backoff::Backoff,
    hold::Hold,
    link::{Failure, Link},
    loss::Loss,
    outbox::Outbox,
    resume::{self, Outcome},
    shared::{Desired, OUTPUTS, Shared},
    sockets::{Arrival, DATAGRAM_BYTES},
    verdict::{self, Verdict},
};

/// How long a participant tries to get back. A server that is being replaced needs seconds; a publisher whose media goes
/// nowhere for longer should know.
const RECOVERY_BUDGET: Duration = Duration::from_secs(60);

/// ICE finds a path again by itself after a short outage; past this it gets a restart,
const PATH_PATIENCE: Duration = Duration::from_secs(2);

/// and past this a new join.
const PATH_DEADLINE: Duration = Duration::from_secs(10);

/// The server's LeaveRequest and its DTLS goodbye race; only the former says whether we may come back.
const GOODBYE_GRACE: Duration = Duration::from_secs(1);

/// The SFU's first PLI may come before the subscriber can receive: that keyframe is lost, and the next PLI is due only after
/// a second. One more keyframe this long after the first subscription closes the gap.
const SUBSCRIBED_KEYFRAME: Duration = Duration::from_millis(300);

/// Nothing waits longer than this unseen (an event that found the channel full, say).
const HEARTBEAT: Duration = Duration::from_millis(500);

/// The last event must not keep the task from ending.
const LAST_EVENT_DEADLINE: Duration = Duration::from_secs(1);

/// How a link ended.
enum Exit {
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
    options: Options,
    shared: Arc<Shared>,
    leave: CancellationToken,
    events: Outbox,
    /// Since when media should flow and does not.
    ailing: Option<Instant>,
    backoff: Backoff,
    /// Frames that queue B has dropped, as logged.
    dropped: u64,
    hold: Hold,
    sound_loss: Loss,
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

    /// Moves frames from the queues to the network: sound first, then the lowest layer first, so that what starves under
    /// congestion is the top layer.
    fn feed(&mut self, link: &mut Link, now: Instant) -> Result<(), rtc::room::Error> {
        for output in OUTPUTS {
            if !link.peer.is_open(output) {
                self.shared.clear(output);
                self.hold.clear(output);
                continue;
            }
            self.hold.take_in(now, output, &self.shared);
            while !link.peer.is_congested()
                && let Some(frame) = self.hold.pop(now, output)
            {
                link.peer.write(now, &frame)?;
            }
            if let (Output::Video(quality), true) = (output, self.shared.take_starved(output)) {
                link.peer.request_keyframe(now, quality);
            }
        }
        Ok(())
    }

    /// What the peer connection has to tell.
    fn note(&mut self, link: &mut Link, now: Instant) {
        use rtc::room::Event as Peer;
        while let Some(event) = link.peer.poll_event(now) {
            match event {
                Peer::Connected => {
                    (link.clocks.tcp, link.clocks.connected) = (None, None);
                    self.ailing = None;
                    self.backoff = Backoff::default();
                    self.events.push(Event::Connected);
                }
                Peer::Path(true) => (link.clocks.restart, link.clocks.path) = (None, None),
                Peer::Path(false) => {
                    link.clocks.restart = Some(now + PATH_PATIENCE);
                    link.clocks.path = Some(now + PATH_DEADLINE);
                }
                Peer::Closed => link.clocks.goodbye = Some(now + GOODBYE_GRACE),
                Peer::KeyframeNeeded(quality) => self.events.push(Event::KeyframeNeeded(quality)),
                Peer::Stats(stats) => {
                    self.log_drops();
                    let sound = stats.loss.filter(|_| stats.output == Output::Audio);
                    if let Some(step) = sound.and_then(|loss| self.sound_loss.note(loss)) {
                        self.events.push(Event::SoundLoss(step));
                    }
                    self.events.push(Event::Stats(stats));
                }
            }
        }
    }

    /// One line for all frames lost since the last one.
    fn log_drops(&mut self) {
        let dropped = self.shared.dropped();
        if dropped > self.dropped {
            let frames = dropped - self.dropped;
            tracing::warn!(frames, "queue B from the encoders to the room dropped frames");
            self.dropped = dropped;
        }
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
            if over(clocks.tcp) {
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

    fn on_signal_lost(&mut self, link: &mut Link, now: Instant, why: &str) -> Option<Exit> {
        if link.resuming.is_some() {
            return None; // the old connection's end, which the resume brought about
        }
        if link.clocks.goodbye.is_some() {
            return Some(Exit::Rejoin("the server closed both connections".into()));
        }
        if link.peer.awaits_answer() {
            return Some(Exit::Rejoin(format!("signalling lost during a negotiation: {why}")));
        }
        tracing::info!(%why, "signalling lost, resuming");
        self.ailing.get_or_insert(now);
        self.events.push(Event::Reconnecting(format!("signalling: {why}")));
        link.resuming = Some(resume::start(link.client.clone()));
        None
    }

    async fn on_resume(
        &mut self,
        link: &mut Link,
        now: Instant,
        outcome: Outcome,
    ) -> Result<Option<Exit>, rtc::room::Error> {
        link.resuming = None;
        match outcome {
            Outcome::Open if link.resync(now)? => Ok(None),
            Outcome::Open => {
                self.on_resumed(link).await;
                Ok(None)
            }
            Outcome::Rejoin(why) => Ok(Some(Exit::Rejoin(why))),
            Outcome::End(reason) => Ok(Some(Exit::Ended(reason))),
        }
    }

    async fn on_resumed(&mut self, link: &mut Link) {
        link.release_signals().await;
        tracing::info!("resumed");
        self.ailing = None;
        self.events.push(Event::Resumed);
    }

    async fn on_signal(
        &mut self,
        link: &mut Link,
        now: Instant,
        message: Message,
    ) -> Result<Option<Exit>, rtc::room::Error> {
        match message {
            Message::Answer(answer) => {
                let ended_restart = link.on_answer(now, &answer)?;
                if ended_restart {
                    self.on_resumed(link).await;
                }
            }
            Message::Trickle(trickle) => link.on_trickle(now, &trickle)?,
            Message::TrackPublished(published) => link.on_published(published, &mut self.events),
            Message::SubscribedQualityUpdate(update) => {
                link.on_quality(now, &update, &self.options, &mut self.events);
            }
            Message::TrackSubscribed(_) => link.peer.request_keyframes(now + SUBSCRIBED_KEYFRAME),
            Message::Leave(leave) => match verdict::of(&leave) {
                Verdict::End(reason) => return Ok(Some(Exit::Ended(reason))),
                Verdict::Rejoin(why) => return Ok(Some(Exit::Rejoin(why))),
                Verdict::Resume(why) => return Ok(self.on_signal_lost(link, now, &why)),
            },
            Message::RequestResponse(response) if response.reason != 0 => {
                tracing::warn!(reason = response.reason, text = response.message, "server refused a request");
            }
            _ => {}
        }
        Ok(None)
    }
}
