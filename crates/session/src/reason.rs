use std::borrow::Cow;

use crate::{SourceEnd, StateRefusal};

/// What went wrong. `Display` is the text of the ingress state's `error`, as users of the Go worker know it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// No key was given at all.
    #[error("missing stream key")]
    MissingKey,
    /// Nobody knows the key.
    #[error("ingress does not exist")]
    UnknownKey,
    /// The control plane could not be asked about the key.
    #[error("control plane unavailable")]
    ControlUnavailable,
    /// `enabled` is false.
    #[error("session is disabled")]
    Disabled,
    /// The key belongs to an ingress of another type (a WHIP key given to an RTMP port).
    #[error("invalid ingress type")]
    WrongType,
    /// The ingress has no room name.
    #[error("invalid ingress: no room name")]
    NoRoom,
    /// The ingress asks for what cannot be done; the text that users of the Go worker know.
    #[error("{0}")]
    Invalid(String),
    /// Admission said no.
    #[error("server capacity exceeded")]
    Full,
    /// No new sessions any more.
    #[error("server shutting down")]
    ShuttingDown,
    /// The publisher was accepted, and nothing playable came.
    #[error("source encoder not ready")]
    NoMedia,
    /// A live publisher sent nothing for too long.
    #[error("source encoder not ready")]
    Silent,
    /// A codec that cannot be taken.
    #[error("unsupported mime type ({0}) for the source media")]
    Unsupported(String),
    /// The publisher broke its protocol.
    #[error("invalid source stream: {0}")]
    InvalidSource(String),
    /// The URL cannot be played, or not any further.
    #[error("{text}")]
    Pull {
        /// What went wrong in a word: one of the fetcher's, the demuxer's or the session's own.
        label: &'static str,
        /// The same for a person.
        text: String,
    },
    /// Workers failed again and again; what the last one said.
    #[error("media pipeline failed: {0}")]
    Worker(String),
    /// The room cannot be joined.
    #[error("could not connect to the room")]
    RoomUnreachable,
    /// The SFU did not take a track.
    #[error("could not publish to the room")]
    NotPublished,
    /// Removed, deleted, duplicate, asked to leave.
    #[error("room disconnected")]
    RoomDisconnected,
    /// The connection to the room broke for good.
    #[error("room disconnected unexpectedly")]
    RoomLost,
}

impl Reason {
    /// A word for metrics and logs: the same for ever, without what a user typed.
    pub fn label(&self) -> &'static str {
        match self {
            Reason::MissingKey => "missing_key",
            Reason::UnknownKey => "unknown_key",
            Reason::ControlUnavailable => "control_unavailable",
            Reason::Disabled => "disabled",
            Reason::WrongType => "wrong_type",
            Reason::NoRoom => "no_room",
            Reason::Invalid(_) => "invalid_ingress",
            Reason::Full => "full",
            Reason::ShuttingDown => "shutting_down",
            Reason::NoMedia => "no_media",
            Reason::Silent => "silent",
            Reason::Unsupported(_) => "unsupported",
            Reason::InvalidSource(_) => "invalid_source",
            Reason::Pull { label, .. } => label,
            Reason::Worker(_) => "worker",
            Reason::RoomUnreachable => "room_unreachable",
            Reason::NotPublished => "not_published",
            Reason::RoomDisconnected => "room_disconnected",
            Reason::RoomLost => "room_lost",
        }
    }

    /// What the person at the encoder is told, who can act on it.
    pub fn broadcaster(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Reason::MissingKey => "No stream key: enter the key that belongs to this server.",
            Reason::UnknownKey => "Unknown stream key: check that it was copied whole, or create a new one.",
            Reason::ControlUnavailable => {
                "The stream key cannot be checked right now: try again in a few seconds."
            }
            Reason::Disabled => "This stream key is disabled: have it enabled, then connect again.",
            Reason::WrongType => {
                "This stream key is for another protocol: use the server address that came with it."
            }
            Reason::NoRoom => "This stream key has no room: have a room set for it, then connect again.",
            Reason::Invalid(_) => {
                "This stream key asks for what the server cannot do: have its settings changed."
            }
            Reason::Full => "The server is full: try again in a minute.",
            Reason::ShuttingDown => "The server is shutting down: connect again to reach another one.",
            Reason::NoMedia => "No playable video or audio came: check the encoder's sources and codecs.",
            Reason::Silent => {
                "Nothing came for too long: check the encoder and the network, then connect again."
            }
            Reason::Unsupported(codec) => {
                return format!("The codec {codec} is not supported: use H.264 video and AAC audio.").into();
            }
            Reason::InvalidSource(what) => {
                return format!("The stream is broken ({what}): connect again.").into();
            }
            Reason::Pull { text, .. } => return text.clone().into(),
            Reason::Worker(_) => {
                "The media could not be processed: check the encoder's settings, then connect again."
            }
            Reason::RoomUnreachable => "The room cannot be reached: try again in a few seconds.",
            Reason::NotPublished => "The room did not take the stream: try again in a few seconds.",
            Reason::RoomDisconnected => "The stream was removed from its room, or the room was closed.",
            Reason::RoomLost => "The connection to the room was lost: connect again.",
        })
    }
}

/// Why a session, or one connection of it, ends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Why {
    /// The publisher stopped.
    Finished,
    /// The publisher's connection broke.
    Lost,
    /// A newer connection with the same key is there; the session goes on with it.
    TakenOver,
    /// The ingress was changed.
    Updated,
    /// The ingress was turned off.
    Disabled,
    /// The ingress was deleted.
    Deleted,
    /// Another server has a newer session of this ingress.
    Superseded,
    /// The server is going down.
    Shutdown,
    /// Something went wrong.
    Failed(Reason),
}

impl Why {
    /// A word for metrics and logs; of [`Why::Failed`] that of its reason.
    pub fn label(&self) -> &'static str {
        match self {
            Why::Finished => "finished",
            Why::Lost => "lost",
            Why::TakenOver => "taken_over",
            Why::Updated => "updated",
            Why::Disabled => "disabled",
            Why::Deleted => "deleted",
            Why::Superseded => "superseded",
            Why::Shutdown => "shutting_down",
            Why::Failed(reason) => reason.label(),
        }
    }

    /// What the person at the encoder is told.
    pub fn broadcaster(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Why::Finished | Why::Lost => "The stream has ended.",
            Why::TakenOver => "Another encoder connected with the same stream key.",
            Why::Updated => "The settings of this stream key have changed: connect again.",
            Why::Disabled => return Reason::Disabled.broadcaster(),
            Why::Deleted => "This stream key was deleted.",
            Why::Superseded => "Another encoder connected with the same stream key to another server.",
            Why::Shutdown => return Reason::ShuttingDown.broadcaster(),
            Why::Failed(reason) => return reason.broadcaster(),
        })
    }
}

impl From<SourceEnd> for Why {
    fn from(end: SourceEnd) -> Self {
        match end {
            SourceEnd::Finished => Why::Finished,
            SourceEnd::Lost => Why::Lost,
            SourceEnd::Silent => Why::Failed(Reason::Silent),
            SourceEnd::Unsupported(codec) => Why::Failed(Reason::Unsupported(codec)),
            SourceEnd::Invalid(what) => Why::Failed(Reason::InvalidSource(what)),
            SourceEnd::Pull { label, text } => Why::Failed(Reason::Pull { label, text }),
        }
    }
}

impl From<StateRefusal> for Why {
    fn from(refusal: StateRefusal) -> Self {
        match refusal {
            StateRefusal::Deleted => Why::Deleted,
            StateRefusal::Superseded => Why::Superseded,
        }
    }
}
