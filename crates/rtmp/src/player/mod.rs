//! One connection to a server that plays a stream to us.

mod call;
mod target;

use std::{collections::VecDeque, time::Instant};

use bytes::Bytes;

use crate::{
    Ended, Error, Event,
    limits::{BEFORE_PUBLISH, FIRST_MEDIA, PING_AFTER, PLAY_DEADLINE, SILENCE},
    message::{Message, kind, split_aggregate},
    wire::{self, Media, Wire, event},
};
pub use target::{NotATarget, Target};

/// The client's side of one RTMP connection that plays a stream. It says the first word: send what [`Player::poll_output`] has
/// at once. After an `Err` of any call close the connection.
#[derive(Debug)]
pub struct Player {
    target: Target,
    state: State,
    /// The time of the latest call that brought one.
    now: Instant,
    wire: Wire,
    media: Media,
    events: VecDeque<Event>,
}

/// How far we have got.
#[derive(Debug)]
enum State {
    /// Up to the stream's start.
    Asking { until: Instant, step: Step },
    /// The server has said that it plays, or has sent media.
    Playing { stream: u32, heard: bool, last_media: Instant, pinged: bool, last_input: Instant },
    /// Nothing counts any more.
    Over,
}

/// The question that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Handshake,
    Connect,
    CreateStream,
    Play { stream: u32 },
}

impl Player {
    /// A player for a connection that was made at `now`.
    pub fn new(now: Instant, target: Target) -> Player {
        Player {
            target,
            state: State::Asking { until: now + PLAY_DEADLINE, step: Step::Handshake },
            now,
            wire: Wire::client(),
            media: Media::default(),
            events: VecDeque::new(),
        }
    }

    /// Takes received bytes, however they were cut.
    ///
    /// # Errors
    /// Any error ends the session; see [`Player`].
    pub fn handle_input(&mut self, now: Instant, bytes: &[u8]) -> Result<(), Error> {
        self.now = now;
        if matches!(self.state, State::Over) {
            return Ok(());
        }
        self.read(bytes).inspect_err(|_| self.close())
    }

    /// Does what is due at `now`.
    ///
    /// # Errors
    /// [`Error::NoPlay`], [`Error::NoMedia`].
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        self.now = now;
        if self.poll_timeout().is_none_or(|due| now < due) {
            return Ok(());
        }
        match &mut self.state {
            State::Asking { .. } => {
                let (at, stage) = (self.received(), self.stage());
                self.state = State::Over;
                return Err(Error::NoPlay { at, stage, seconds: PLAY_DEADLINE.as_secs() });
            }
            State::Playing { heard: false, last_media, .. } if now >= *last_media + FIRST_MEDIA => {
                self.close();
                return Err(Error::NoMedia { at: self.received(), seconds: FIRST_MEDIA.as_secs() });
            }
            State::Playing { last_media, .. } if now >= *last_media + SILENCE => {
                self.end(Ended::Silent);
            }
            State::Playing { pinged, .. } => {
                *pinged = true;
                self.wire.ping();
            }
            State::Over => {}
        }
        Ok(())
    }

    /// When [`Player::handle_timeout`] is wanted next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Asking { until, .. } => Some(*until),
            State::Playing { heard, last_media, pinged, last_input, .. } => {
                let silence = *last_media + if *heard { SILENCE } else { FIRST_MEDIA };
                Some(if *pinged { silence } else { silence.min(*last_input + PING_AFTER) })
            }
            State::Over => None,
        }
    }

    /// Bytes to send, in order.
    pub fn poll_output(&mut self) -> Option<Bytes> {
        self.wire.poll_output()
    }

    /// What has happened, in order: [`Event::Started`] once, then metadata and media, then [`Event::Ended`].
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Media bodies that were left out because they could not be read or had no format before them.
    pub fn skipped(&self) -> u64 {
        self.media.skipped()
    }

    /// Bytes received.
    pub fn received(&self) -> u64 {
        self.wire.received()
    }

    /// Ends the stream from our side; the connection is to be closed. No event follows.
    pub fn close(&mut self) {
        if let State::Playing { stream, .. } | State::Asking { step: Step::Play { stream }, .. } = self.state
        {
            self.say_delete_stream(stream);
        }
        self.state = State::Over;
    }

    fn end(&mut self, why: Ended) {
        self.close();
        self.events.push_back(Event::Ended(why));
    }

    fn stage(&self) -> &'static str {
        match self.state {
            State::Asking { step: Step::Handshake, .. } => "waiting for the handshake",
            State::Asking { step: Step::Connect, .. } => "waiting for the answer to connect",
            State::Asking { step: Step::CreateStream, .. } => "waiting for the answer to createStream",
            State::Asking { step: Step::Play { .. }, .. } => "waiting for the answer to play",
            State::Playing { .. } => "playing",
            State::Over => "over",
        }
    }

    fn read(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.wire.count(bytes);
        let received = self.received();
        match &mut self.state {
            State::Playing { last_input, pinged, .. } => (*last_input, *pinged) = (self.now, false),
            // A server that plays sends as much as the stream has; before that a few hundred bytes.
            State::Asking { step: Step::Play { .. }, .. } => {}
            _ if received > BEFORE_PUBLISH => {
                let (at, stage) = (received, self.stage());
                return Err(Error::Unauthenticated { at, limit: BEFORE_PUBLISH, stage });
            }
            _ => {}
        }
        self.wire.push(bytes)?;
        if let State::Asking { step: step @ Step::Handshake, .. } = &mut self.state
            && self.wire.is_greeted()
        {
            *step = Step::Connect;
            self.say_connect();
        }
        while let Some(message) = self.wire.next()? {
            self.message(message)?;
            if matches!(self.state, State::Over) {
                return Ok(());
            }
        }
        self.wire.acknowledge();
        Ok(())
    }

    fn message(&mut self, message: Message) -> Result<(), Error> {
        match message.kind {
            kind::SET_CHUNK_SIZE..=kind::PEER_BANDWIDTH => {
                if let Some((event::STREAM_EOF, number)) = self.wire.control(&message)?
                    && matches!(self.state, State::Playing { stream, .. } if stream == number)
                {
                    self.end(Ended::Stopped);
                }
                Ok(())
            }
            _ if message.payload.is_empty() => Ok(()),
            kind::AUDIO | kind::VIDEO => self.media(message),
            kind::AGGREGATE => split_aggregate(&message).into_iter().try_for_each(|part| match part.kind {
                kind::AUDIO | kind::VIDEO => self.media(part),
                _ => Ok(()),
            }),
            kind::DATA_AMF0 | kind::DATA_AMF3 => self.data(&message),
            kind::COMMAND_AMF0 | kind::COMMAND_AMF3 => self.command(&message),
            _ => Ok(()),
        }
    }

    /// The server plays: it has said so, or sends what it plays.
    fn start(&mut self) {
        if let State::Asking { step: Step::Play { stream }, .. } = self.state {
            let now = self.now;
            self.state =
                State::Playing { stream, heard: false, last_media: now, pinged: false, last_input: now };
            self.events.push_back(Event::Started);
        }
    }

    fn media(&mut self, message: Message) -> Result<(), Error> {
        self.start();
        let State::Playing { heard, last_media, .. } = &mut self.state else { return Ok(()) };
        (*heard, *last_media) = (true, self.now);
        self.media.media(message, &mut self.events)
    }

    fn data(&mut self, message: &Message) -> Result<(), Error> {
        if call::is_complete(&wire::decode(message)?) {
            if matches!(self.state, State::Playing { .. }) {
                self.end(Ended::Stopped);
            }
            return Ok(());
        }
        match self.state {
            State::Playing { .. } => self.media.data(message, &mut self.events),
            // Some servers send it before they say that they play.
            State::Asking { step: Step::Play { .. }, .. } => {
                self.start();
                self.media.data(message, &mut self.events)
            }
            _ => Ok(()),
        }
    }
}
