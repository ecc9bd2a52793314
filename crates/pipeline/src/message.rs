//! What the server and a worker say to each other; [`crate::wire`] puts it into bytes.

use media::{Codec, Encoded, Layer, MediaTime, Quality, Unit};
use serde::{Deserialize, Serialize};

use crate::Plan;

/// The first command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// What to make.
    pub plan: Plan,
    /// Pictures and sound before it are decoded, not sent: a worker that takes over from a dead one is fed from the
    /// last keyframe and goes on where that one stopped.
    pub output_from: Option<MediaTime>,
}

/// From the server to a worker.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Comes first, and once.
    Start(Box<Start>),
    /// A track's format or one of its access units.
    Unit(Unit),
    /// Make this layer's next frame a keyframe.
    Keyframe(Quality),
    /// Stop scaling and encoding this layer. Idempotent.
    Pause(Quality),
    /// Go on, with a keyframe. Idempotent.
    Resume(Quality),
    /// The same, with the first picture at or after this time: another source of this layer shows those before it.
    ResumeAt(Quality, MediaTime),
    /// Pictures before this time are decoded only, as with [`Start::output_from`]: what follows starts at a keyframe that
    /// has gone by while nobody watched.
    SkipTo(MediaTime),
    /// How much the worker may spend from now on.
    Effort(Effort),
    /// The receiver misses this part of the sound's packets, in percent: how much redundancy the encoder adds.
    SoundLoss(u8),
    /// Nothing more comes: finish what is under way, then say [`Event::Ended`].
    EndOfStream,
}

/// From a worker to the server.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The worker has started its machinery; units may have been sent before.
    Ready,
    /// What a track turned out to be; again when it changes.
    Source(Source),
    /// The layers that will come, with their real sizes, smallest first; again when they change.
    Layers(Vec<Layer>),
    /// Sound will come, with so many channels.
    Audio {
        /// 1 or 2.
        channels: u8,
    },
    /// One frame for the room.
    Encoded(Encoded),
    /// How far behind the worker is; once a second while it has pictures to encode.
    Load(Load),
    /// Something an operator should know; the session goes on.
    Warning(String),
    /// The session cannot go on in this worker.
    Failed(String),
    /// The answer to [`Command::EndOfStream`]: every frame has been sent.
    Ended,
}

/// A track as decoded: what LiveKit is told of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A picture, upright.
    Video {
        /// As sent by the publisher.
        codec: Codec,
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Frames per 1 000 s.
        fps_milli: u32,
    },
    /// Sound.
    Audio {
        /// As sent by the publisher.
        codec: Codec,
        /// As sent by the publisher.
        channels: u32,
        /// Hz.
        sample_rate: u32,
    },
}

/// What a machine that is short of CPU lets a worker spend. The default is all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Effort {
    /// Steps down from the encoder's own speed setting; 0 = none. Each step is cheaper and looks worse.
    pub speed: u8,
    /// Of the top layer only every second picture is encoded.
    pub half_rate: bool,
}

/// How far behind a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Load {
    /// The longest that a picture had waited, since the last such event, when its encoding began; ms.
    pub behind_ms: u32,
    /// Pictures dropped in the worker since the last such event, because there was no room for them.
    pub dropped: u32,
}
