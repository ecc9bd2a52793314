//! One connection of a publisher.

mod answer;
mod command;

use std::{collections::VecDeque, time::Instant};

use bytes::Bytes;

use crate::{
    Ended, Error, Event, Reject,
    handshake::Handshake,
    limits::{BEFORE_ACCEPT, BEFORE_PUBLISH, PING_AFTER, PUBLISH_DEADLINE, SILENCE},
    message::{Message, kind, split_aggregate},
    wire::{self, Media, Wire},
};
use command::Client;

/// The server's side of one RTMP connection. After an `Err` of any call, send what [`Session::poll_output`] still has
/// (it tells the encoder why) and close the connection.
#[derive(Debug)]
pub struct Session {
    state: State,
    /// The time of the latest call that brought one.
    now: Instant,
    wire: Wire,
    media: Media,
    events: VecDeque<Event>,
    streams: u32,
}

/// How far the peer has got.
#[derive(Debug)]
enum State {
    /// Up to `publish`.
    Greeting { until: Instant, client: Option<Client> },
    /// `publish` has come, with `received` bytes so far; the owner decides.
    Asked { stream: u32, received: u64 },
    /// Accepted.
    Publishing { stream: u32, last_media: Instant, pinged: bool, last_input: Instant },
    /// Nothing counts any more.
    Over,
}

impl Session {
    /// A session for a connection that was accepted at `now`.
    pub fn new(now: Instant) -> Session {
        Session {
            state: State::Greeting { until: now + PUBLISH_DEADLINE, client: None },
            now,
            wire: Wire::server(),
            media: Media::default(),
            events: VecDeque::new(),
            streams: 0,
        }
    }

    /// Takes received bytes, however they were cut.
    ///
    /// # Errors
    /// Any error ends the session; see [`Session`].
    pub fn handle_input(&mut self, now: Instant, bytes: &[u8]) -> Result<(), Error> {
        self.now = now;
        if matches!(self.state, State::Over) {
            return Ok(());
        }
        self.read(bytes).inspect_err(|error| self.fail(error))
    }

    /// Does what is due at `now`.
    ///
    /// # Errors
    /// [`Error::NoPublish`].
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        self.now = now;
        if self.poll_timeout().is_none_or(|due| now < due) {
            return Ok(());
        }
        match &mut self.state {
            State::Greeting { .. } => {
                let seconds = PUBLISH_DEADLINE.as_secs();
                let error = Error::NoPublish { at: self.received(), stage: self.stage(), seconds };
                self.fail(&error);
                return Err(error);
            }
            State::Publishing { last_media, .. } if now >= *last_media + SILENCE => {
                self.close(&format!("no media for {} s", SILENCE.as_secs()));
                self.events.push_back(Event::Ended(Ended::Silent));
            }
            State::Publishing { pinged, .. } => {
                *pinged = true;
                self.wire.ping();
            }
            State::Asked { .. } | State::Over => {}
        }
        Ok(())
    }

    /// When [`Session::handle_timeout`] is wanted next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Greeting { until, .. } => Some(*until),
            State::Publishing { last_media, pinged, last_input, .. } => {
                let silence = *last_media + SILENCE;
                Some(if *pinged { silence } else { silence.min(*last_input + PING_AFTER) })
            }
            State::Asked { .. } | State::Over => None,
        }
    }

    /// Bytes to send, in order.
    pub fn poll_output(&mut self) -> Option<Bytes> {
        self.wire.poll_output()
    }

    /// What has happened, in order. Units that come between [`Event::Publish`] and [`Session::accept`] wait here, within
    /// [`crate::limits::BEFORE_ACCEPT`].
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// False while an undecided publisher has sent so much that reading on would break a limit: leave the rest in the socket.
    pub fn wants_input(&self) -> bool {
        match self.state {
            State::Asked { received, .. } => self.received() - received < BEFORE_ACCEPT / 2,
            _ => true,
        }
    }

    /// True once the handshake is over: the peer really speaks RTMP.
    pub fn is_greeted(&self) -> bool {
        self.wire.is_greeted()
    }

    /// Media bodies that were left out because they could not be read or had no format before them.
    pub fn skipped(&self) -> u64 {
        self.media.skipped()
    }

    /// Bytes received.
    pub fn received(&self) -> u64 {
        self.wire.received()
    }

    /// Lets the publisher begin. Without an undecided `publish` nothing happens.
    pub fn accept(&mut self, now: Instant) {
        if let State::Asked { stream, .. } = self.state {
            self.now = now;
            self.say_accepted(stream);
            self.state = State::Publishing { stream, last_media: now, pinged: false, last_input: now };
        }
    }

    /// Refuses the `publish` with a reason; the connection is to be closed. Without an undecided `publish` nothing happens.
    pub fn reject(&mut self, reason: &Reject) {
        if let State::Asked { stream, .. } = self.state {
            let (code, text) = match reason {
                Reject::BadName(text) => ("NetStream.Publish.BadName", text),
                Reject::Failed(text) => ("NetStream.Failed", text),
            };
            self.say_status(stream, "error", code, text);
            self.say_closed(text);
            self.state = State::Over;
        }
    }

    /// Ends the session from our side and tells the encoder why; the connection is to be closed. No event follows.
    pub fn close(&mut self, reason: &str) {
        if let State::Publishing { stream, .. } | State::Asked { stream, .. } = self.state {
            self.say_status(stream, "error", "NetStream.Failed", reason);
        }
        if self.is_greeted() && !matches!(self.state, State::Over) {
            self.say_closed(reason);
        }
        self.state = State::Over;
    }

    fn fail(&mut self, error: &Error) {
        self.close(&error.to_string());
    }

    fn stage(&self) -> &'static str {
        match (&self.state, self.wire.handshake()) {
            (State::Greeting { .. }, Handshake::Hello) => "waiting for the handshake",
            (State::Greeting { .. }, Handshake::Echo) => "waiting for the handshake's end",
            (State::Greeting { client: None, .. }, _) => "waiting for connect",
            (State::Greeting { .. }, _) => "waiting for publish",
            (State::Asked { .. }, _) => "waiting for the answer to publish",
            (State::Publishing { .. }, _) => "publishing",
            (State::Over, _) => "over",
        }
    }

    fn read(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.wire.count(bytes);
        if let State::Publishing { last_input, pinged, .. } = &mut self.state {
            (*last_input, *pinged) = (self.now, false);
        }
        self.bound_the_undecided()?;
        self.wire.push(bytes)?;
        while let Some(message) = self.wire.next()? {
            self.message(message)?;
            if matches!(self.state, State::Over) {
                return Ok(());
            }
        }
        self.wire.acknowledge();
        Ok(())
    }

    fn bound_the_undecided(&self) -> Result<(), Error> {
        let (used, limit) = match self.state {
            State::Greeting { .. } => (self.received(), BEFORE_PUBLISH),
            State::Asked { received, .. } => (self.received() - received, BEFORE_ACCEPT),
            _ => return Ok(()),
        };
        if used > limit {
            return Err(Error::Unauthenticated { at: self.received(), limit, stage: self.stage() });
        }
        Ok(())
    }

    fn message(&mut self, message: Message) -> Result<(), Error> {
        match message.kind {
            kind::SET_CHUNK_SIZE..=kind::PEER_BANDWIDTH => self.wire.control(&message).map(|_| ()),
            // Encoders send empty messages of any type, and mean nothing by them.
            _ if message.payload.is_empty() => Ok(()),
            kind::AUDIO | kind::VIDEO => self.media(message),
            kind::AGGREGATE => split_aggregate(&message).into_iter().try_for_each(|part| match part.kind {
                kind::AUDIO | kind::VIDEO => self.media(part),
                _ => Ok(()),
            }),
            kind::DATA_AMF0 | kind::DATA_AMF3 => self.data(&message),
            kind::COMMAND_AMF0 | kind::COMMAND_AMF3 => self.command(&message),
            // Shared objects and types that no document has: not ours.
            _ => Ok(()),
        }
    }

    fn media(&mut self, message: Message) -> Result<(), Error> {
        match &mut self.state {
            State::Publishing { last_media, .. } => *last_media = self.now,
            State::Asked { .. } => {}
            // Left over from a stream that was never published.
            State::Greeting { .. } | State::Over => return Ok(()),
        }
        self.media.media(message, &mut self.events)
    }

    fn data(&mut self, message: &Message) -> Result<(), Error> {
        match self.state {
            State::Publishing { .. } | State::Asked { .. } => self.media.data(message, &mut self.events),
            State::Greeting { .. } | State::Over => wire::decode(message).map(|_| ()),
        }
    }
}
