//! A demuxer seen from the server: bytes of a file or stream in, formats and packets out.
//!
//! The same binary as the worker takes containers apart, in a process of its own without network (`sluicegate-worker demux`). It
//! asks for bytes with [`Event::Read`]; the server answers when it wants more: what it does not answer holds the demuxer.
//!
//! Times of units start near zero, are one clock for sound and pictures, and never jump, not even where a
//! [`Command::Section`] begins. Tracks: 0 is the picture, 1 the sound; a [`media::Unit::Format`] comes before a track's packets and
//! again when it changes. A track's decoding times never go back.

mod wire;

use std::{collections::BTreeSet, os::unix::net::UnixStream, time::Duration};

use bytes::Bytes;
use media::{MediaTime, TrackId, Unit};
use serde::{Deserialize, Serialize};

use crate::{
    handle,
    launch::{Error, Launch},
};

/// The picture's track.
pub const VIDEO: TrackId = TrackId(0);

/// The sound's track.
pub const AUDIO: TrackId = TrackId(1);

/// Most bytes that an [`Event::Read`] asks for.
pub const MAX_READ: u32 = 256 * 1024;

/// Most inputs of a [`Start`]: the main one, and an alternate rendition of the sound.
pub const MAX_INPUTS: usize = 2;

/// The way to a demuxer. Dropping it ends the process.
pub type Sender = handle::Sender<Command>;

/// What a demuxer says, until its end. Dropping it kills the process.
pub type Receiver = handle::Receiver<Event>;

/// One thing from a demuxer.
pub type Incoming = handle::Incoming<Event>;

/// Where containers are taken apart: in a process of its own, or on threads behind the same kind of socket.
#[derive(Debug)]
pub struct Demux;

impl Demux {
    /// Starts a demuxer process with its first command. Call within a tokio runtime.
    ///
    /// # Errors
    /// No socket pair, or no such binary.
    pub fn spawn(launch: &Launch, start: Start) -> Result<(Sender, Receiver), Error> {
        handle::spawn(Command::Start(start), |theirs| launch.spawn("demux", theirs, &BTreeSet::new()))
    }

    /// The same over any connected socket, with the demuxer at its other end. Call within a tokio runtime.
    ///
    /// # Errors
    /// The socket cannot be used.
    pub fn over(stream: UnixStream, start: Start) -> Result<(Sender, Receiver), Error> {
        handle::over(stream, Command::Start(start))
    }
}

/// The first command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// 1 or 2: the main one (all tracks, or the pictures), and an alternate rendition of its sound. With two, the sound of the
    /// first is not used.
    pub inputs: Vec<InputInfo>,
    /// The bytes come as they are made: nothing is asked for twice.
    pub live: bool,
    /// Pictures are wanted.
    pub video: bool,
    /// Sound is wanted.
    pub audio: bool,
    /// Begin here: at the last key picture before it where the (one) input can be read anywhere and has an index (MP4, Matroska),
    /// else at the first key picture after it, when what is before has been read.
    /// Times of units start near zero all the same.
    pub start_at: Option<Duration>,
}

/// What is known of an input before its first byte.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct InputInfo {
    /// Bytes.
    pub size: Option<u64>,
    /// Any offset can be read, in any order. Else every read goes on where the last one ended.
    pub seekable: bool,
    /// As the origin says, if it does: of use where the bytes alone are not clear.
    pub media_type: Option<String>,
}

/// From the server to a demuxer.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Comes first, and once.
    Start(Start),
    /// Answers an [`Event::Read`].
    Data {
        /// Of the read.
        input: u8,
        /// From the read's offset on, at most as many as asked for; empty: there is no more.
        data: Bytes,
    },
    /// Answers an [`Event::Read`]: the stream ends here, and another one follows (a discontinuity, another variant). What is
    /// read next has offset 0 again.
    Section {
        /// Of the read.
        input: u8,
        /// When the first byte that follows is due, on the clock of the units.
        at: MediaTime,
    },
}

/// From a demuxer to the server.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Bytes are wanted; at most one is open per input. The answer is [`Command::Data`] or [`Command::Section`].
    Read {
        /// Counted from zero, as in [`Start::inputs`].
        input: u8,
        /// Of the first byte, from the start of the input or its section.
        offset: u64,
        /// At most so many bytes, at most [`MAX_READ`]; fewer will do.
        length: u32,
    },
    /// A track's format or one of its access units.
    Unit(Unit),
    /// What will come; again when more turns up.
    Tracks {
        /// Pictures.
        video: bool,
        /// Sound.
        audio: bool,
        /// Of the whole input, where that is known.
        duration: Option<Duration>,
    },
    /// Something in the stream that is neither picture nor sound.
    Mark(Mark),
    /// Something an operator should know; it goes on.
    Warning(String),
    /// It cannot go on.
    Failed {
        /// What is to blame.
        kind: Kind,
        /// In words.
        text: String,
    },
    /// The last unit of all inputs has been sent.
    Ended,
}

/// What is wrong with an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Nothing that is known here as a container of pictures or sound.
    NotMedia,
    /// Nothing in it can be played, or it is larger than allowed; the name of the codec or the reason.
    Unsupported(String),
    /// It does not hold what it promises.
    Broken,
}

/// Something in the stream at an instant of the units' clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// When it is due.
    pub at: MediaTime,
    /// What it is.
    pub what: What,
}

/// What a [`Mark`] says.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// A whole ID3v2 tag.
    Id3(Bytes),
    /// The title of what is playing.
    Title(String),
    /// A cue of SCTE 35 (`splice_insert`).
    Splice {
        /// `splice_event_id`.
        event_id: u32,
        /// Out of the network (an advertisement begins), or back.
        out_of_network: bool,
        /// The event is taken back.
        cancelled: bool,
        /// How long it takes, where that is said.
        duration: Option<Duration>,
    },
}
