use media::{Layer, MediaTime, Quality};

use crate::{Qualities, Reason, SourceId, Status, Token, Why, WorkerId};

/// What the caller has to do now, in the order given. None of it may fail in silence: a result that matters comes back as an
/// [`Input`](crate::Input).
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Tell the publisher to go on; then `SourceAccepted`, or `SourceEnded`. Media may be kept from now on, but belongs to the
    /// session only after `SourceAccepted`.
    AcceptSource(SourceId),
    /// Tell the publisher no ([`Why::broadcaster`]) and close. It was not accepted before.
    RejectSource {
        /// Which one.
        source: SourceId,
        /// To be said to it.
        why: Why,
    },
    /// Tell the publisher why, and close. Its `SourceEnded` is not needed any more.
    CloseSource {
        /// Which one; perhaps still being accepted.
        source: SourceId,
        /// To be said to it.
        why: Why,
    },
    /// This session is ending: let the connection wait for `Over`, then ask anew for a session of its own.
    DeferSource(SourceId),

    /// Connect to the room: `RoomJoined`, or `RoomEnded`.
    Join,
    /// Leave the room; `RoomEnded(Left)` when it is done.
    Leave,
    /// Publish what is given, both in one negotiation; `Published` for each. Each kind comes once in a session's life:
    /// whoever repairs the room connection publishes again by itself.
    Publish {
        /// The layers, lowest first.
        video: Option<Vec<Layer>>,
        /// Number of channels of the sound.
        audio: Option<u8>,
    },
    /// The published track's layers are these now (a new source, another size).
    UpdateLayers(Vec<Layer>),

    /// Start what turns this source into layers and sound: a worker process.
    StartWorker {
        /// Its name in all that it says.
        worker: WorkerId,
        /// What it is fed from.
        source: SourceId,
        /// Feed it the formats and the packets since the last keyframe first: it replaces one that died.
        replay: bool,
        /// Layers that it need not encode, to be sent as `Pause` before any media.
        paused: Qualities,
    },
    /// No media comes any more: let the worker give out what it has; then `WorkerFinished`.
    FinishWorker(WorkerId),
    /// Kill and reap the worker. Its `WorkerDied` is not needed any more.
    StopWorker(WorkerId),
    /// Nobody watches this layer: stop encoding it.
    Pause(Quality),
    /// Somebody watches this layer: encode it again.
    Resume(Quality),
    /// The same, but with the first picture at or after this time: those before it come from the publisher untouched.
    ResumeAt(Quality, MediaTime),
    /// Make a keyframe of this layer.
    Keyframe(Quality),
    /// A keyframe is needed of this layer, which is passed: go over from the publisher's own pictures to the worker's, which
    /// resumes it, until the publisher's next key picture; then `Passing`.
    Bridge(Quality),
    /// False: nobody watches the top layer, nothing of it goes out, whoever makes it. True: somebody does again; it starts with
    /// a keyframe.
    ShowTop(bool),

    /// Post this state, whole; it replaces one not yet posted. When [`Phase::is_final`](crate::Phase::is_final), say `Reported`
    /// once it is stored.
    Report(Status),
    /// Answer a request.
    Reply {
        /// Which one.
        token: Token,
        /// With what.
        answer: Answer,
    },
    /// The last output: let go of everything, also of what did not answer in time. A final state that is not stored yet may be
    /// tried further, but not after a `DeleteIngress` was answered. Whatever comes later is ignored: a connection that was to
    /// take over gets a session of its own.
    Over(Outcome),
}

/// The answer to a request of the control plane.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Done; the state as it is now.
    State(Status),
    /// Too many requests wait already: `unavailable`, try again.
    Busy,
}

/// How a session came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It never began.
    Refused(Reason),
    /// It had begun.
    Ended(Why),
}
