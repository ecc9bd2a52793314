use media::{Codec, Kind, Layer, MediaTime, Quality};

use crate::{AudioState, Qualities, SourceId, Token, VideoState, WorkerId};

/// What happens to a session. Whatever names a source or a worker that is no longer the session's own is ignored.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The answer of [`Admission`](crate::Admission), the first input of every session.
    Admission(Admitted),

    /// `AcceptSource` is done: the publisher was told to go on, and its media flows.
    SourceAccepted(SourceId),
    /// Another connection with the same key. It will feed the same participant and tracks.
    TookOver(SourceId),
    /// A description of a track of this kind was seen, or the metadata promises one: it is worth waiting for.
    SourceFormat {
        /// The connection it came on.
        source: SourceId,
        /// What is to be expected.
        kind: Kind,
    },
    /// Media arrived from the publisher (whether or not the worker could take it). Sum it up: one input each 200 ms or so;
    /// more than half a second apart looks like a pause of the source.
    SourceMedia {
        /// The connection it came on.
        source: SourceId,
        /// Bytes of coded pictures since the last such input.
        video_bytes: u64,
        /// Bytes of coded sound since the last such input.
        audio_bytes: u64,
        /// The worker waits for pictures and gets none of these: they are refused up to the next key picture, because some
        /// before them were dropped.
        refused: bool,
    },
    /// Who makes the sound of a connection from now on: the worker, before the first of these. Again when it changes.
    SoundWay {
        /// The connection that it comes on.
        source: SourceId,
        /// Who.
        way: SoundWay,
    },
    /// What the pictures of a publisher are that go to the room as they are ([`Settings::forward`](crate::Settings::forward)):
    /// when they are known, and when they change.
    Forwarded {
        /// The connection that they come on.
        source: SourceId,
        /// The largest.
        info: SourceInfo,
        /// Real sizes, lowest first, at least one.
        layers: Vec<Layer>,
    },
    /// What the SFU says of a publisher that it has itself ([`Settings::proxied`](crate::Settings::proxied)), each 10 s or so.
    Proxied {
        /// The connection.
        source: SourceId,
        /// The pictures that it receives, if any.
        video: Option<VideoState>,
        /// The sound that it receives, if any.
        audio: Option<AudioState>,
    },
    /// The publisher's own pictures go out as the top layer from here on, beginning with a key picture.
    Passing(SourceId),
    /// Another of its own key pictures went out.
    PassedKey(SourceId),
    /// They cannot be the top layer any more, from the picture of this time on: the worker has to make it.
    NotPassing {
        /// The connection they came on.
        source: SourceId,
        /// The first that is missing.
        from: MediaTime,
    },
    /// The connection is gone, or could not be accepted. Nothing more comes from it, and it needs no `CloseSource`.
    SourceEnded {
        /// Which one.
        source: SourceId,
        /// Why.
        end: SourceEnd,
    },

    /// The participant is in the room; tracks may be published.
    RoomJoined {
        /// The room's `RM_…` id, for the state.
        sid: String,
    },
    /// The media connection to the SFU stands (the first time or again): what was written before was lost.
    RoomConnected,
    /// The connection to the room is being repaired; the participant and its tracks are still there.
    RoomReconnecting,
    /// The repair is done.
    RoomResumed {
        /// The participant joined anew and published its tracks again: the SFU has forgotten which layers are wanted.
        rejoined: bool,
    },
    /// The participant is out of the room, or never got in. Last word of the room.
    RoomEnded(RoomEnd),
    /// The SFU took the track.
    Published(Kind),
    /// The layers that somebody watches, as a whole set. Qualities that the track lacks don't matter.
    Wanted(Qualities),
    /// The machine has no CPU for the top layer, or has it again: it is not encoded although somebody watches it. Without meaning for a track of one layer.
    Withhold(bool),
    /// The SFU asks for a keyframe (PLI or FIR).
    KeyframeNeeded(Quality),

    /// The worker has its pipeline and takes media.
    WorkerReady(WorkerId),
    /// What the worker found in the source.
    SourceInfo {
        /// Who found it.
        worker: WorkerId,
        /// What it is.
        info: SourceInfo,
    },
    /// The layers as they will really be, lowest first, at least one; also when they change.
    LayersReady {
        /// Who encodes them.
        worker: WorkerId,
        /// Real sizes and bitrates.
        layers: Vec<Layer>,
    },
    /// Sound can be published.
    AudioReady {
        /// Who encodes it.
        worker: WorkerId,
        /// 1 or 2.
        channels: u8,
    },
    /// Encoded media came out of the worker. Sum it up like [`Input::SourceMedia`].
    FrameOut(WorkerId),
    /// The worker has given out all that it had after `FinishWorker`.
    WorkerFinished(WorkerId),
    /// The worker cannot go on and says why. It is still there.
    WorkerFailed {
        /// Which one.
        worker: WorkerId,
        /// One line for a person.
        text: String,
    },
    /// The worker is gone: crashed, killed, or never started.
    WorkerDied {
        /// Which one.
        worker: WorkerId,
        /// Exit status or signal, one line for a person.
        text: String,
    },

    /// `UpdateIngress`: a running session cannot take new settings, it ends and the encoder connects again.
    Update {
        /// To be answered when the final state is posted.
        token: Token,
        /// False when the update turns the ingress off.
        enabled: bool,
    },
    /// `DeleteIngress`.
    Delete {
        /// To be answered when the final state is posted.
        token: Token,
    },
    /// The final state of `Report` is stored by the control plane, or never will be.
    Reported,
    /// The control plane refused a state: this session has no ingress any more.
    StateRefused(StateRefusal),
    /// The server is going down.
    Shutdown(Shutdown),
    /// Time has passed: [`next_deadline`](crate::Ingress::next_deadline) was reached.
    Tick,
}

/// What admission said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    /// There is room; hold the [`Claim`](crate::Claim) until `Over`.
    Yes,
    /// The machine is full.
    Full,
    /// The server takes no new sessions any more.
    ShuttingDown,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceEnd {
    /// The publisher said so: unpublish, end of file.
    Finished,
    /// The connection broke without a word.
    Lost,
    /// Nothing came for too long.
    Silent,
    /// A codec that cannot be taken; its name, as the source spells it.
    Unsupported(String),
    /// The publisher broke the protocol; one line that says where.
    Invalid(String),
    /// The URL cannot be played, or not any further.
    Pull {
        /// A word for metrics, the same for ever, without what a user typed.
        label: &'static str,
        /// One line for the user, without credentials.
        text: String,
    },
}

/// Why a participant is out of its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoomEnd {
    /// We left, as asked by `Leave`.
    Left,
    /// Somebody removed the participant.
    Removed,
    /// The room was deleted.
    Deleted,
    /// Another participant came with our identity.
    Duplicate,
    /// The server asked us to leave and not to come back.
    AskedToLeave,
    /// The connection broke and could not be repaired.
    ConnectionLost,
    /// The room could not be joined at all.
    JoinFailed,
}

/// What a source turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceInfo {
    /// Pictures.
    Video {
        /// Coded as.
        codec: Codec,
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Frames per 1 000 s; 0 = not known.
        fps_milli: u32,
    },
    /// Sound.
    Audio {
        /// Coded as.
        codec: Codec,
        /// Number of them.
        channels: u32,
        /// Hz.
        sample_rate: u32,
    },
}

/// Who makes the packets of sound that the room gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SoundWay {
    /// The publisher itself: its packets go to the room as they come, with or without a worker. Sound can be published.
    Untouched {
        /// What it is.
        info: SourceInfo,
        /// As the track is published, 1 or 2.
        channels: u8,
    },
    /// The worker, which gets it like any other.
    Encoded,
}

/// Why the control plane refuses states of this session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateRefusal {
    /// `not_found`: the ingress was deleted.
    Deleted,
    /// `failed_precondition`: a newer session of this ingress has posted.
    Superseded,
}

/// How the server goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// SIGTERM: what has not begun is refused, what runs may go on to its end.
    Drain,
    /// SIGINT, or SIGTERM again: end at once.
    Now,
}

impl Input {
    /// For logs.
    pub fn name(&self) -> &'static str {
        match self {
            Input::Admission(_) => "admission",
            Input::SourceAccepted(_) => "source accepted",
            Input::TookOver(_) => "took over",
            Input::SourceFormat { .. } => "source format",
            Input::SourceMedia { .. } => "source media",
            Input::SoundWay { .. } => "sound way",
            Input::Passing(_) => "passing",
            Input::PassedKey(_) => "passed key",
            Input::NotPassing { .. } => "not passing",
            Input::SourceEnded { .. } => "source ended",
            Input::RoomJoined { .. } => "room joined",
            Input::RoomConnected => "room connected",
            Input::RoomReconnecting => "room reconnecting",
            Input::RoomResumed { .. } => "room resumed",
            Input::RoomEnded(_) => "room ended",
            Input::Published(_) => "published",
            Input::Forwarded { .. } => "forwarded",
            Input::Proxied { .. } => "proxied",
            Input::Wanted(_) => "wanted",
            Input::Withhold(_) => "withhold",
            Input::KeyframeNeeded(_) => "keyframe needed",
            Input::WorkerReady(_) => "worker ready",
            Input::SourceInfo { .. } => "source info",
            Input::LayersReady { .. } => "layers ready",
            Input::AudioReady { .. } => "audio ready",
            Input::FrameOut(_) => "frame out",
            Input::WorkerFinished(_) => "worker finished",
            Input::WorkerFailed { .. } => "worker failed",
            Input::WorkerDied { .. } => "worker died",
            Input::Update { .. } => "update",
            Input::Delete { .. } => "delete",
            Input::Reported => "reported",
            Input::StateRefused(_) => "state refused",
            Input::Shutdown(_) => "shutdown",
            Input::Tick => "tick",
        }
    }
}
