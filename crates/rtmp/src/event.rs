use media::{StreamKey, Unit};

/// What a session tells its owner.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The peer asks to publish; answer with [`crate::Session::accept`] or [`crate::Session::reject`]. Comes once.
    Publish(Publish),
    /// The server plays what was asked for; only of a [`crate::Player`], once.
    Started,
    /// `onMetaData`, each time that it says something new (GStreamer's sinks repeat it several times a second).
    Metadata(Metadata),
    /// A format or an access unit of [`crate::VIDEO`] or [`crate::AUDIO`]; times are in milliseconds, unwrapped from 32 bits.
    Unit(Unit),
    /// The stream is over; no event follows.
    Ended(Ended),
}

/// Who asks to publish what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// The `app` of `connect`, without its query. The peer's text: bounded, free of control characters.
    pub app: String,
    /// The `tcUrl` of `connect`, without its query, bounded likewise.
    pub tc_url: String,
    /// The last path element of the stream name, or of the app when there is no name.
    pub key: StreamKey,
    /// `flashVer` of `connect`, bounded likewise; empty when there is none.
    pub encoder: String,
}

/// How a stream ended, as far as RTMP knows; a connection that breaks is its owner's news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// `FCUnpublish` or `closeStream`.
    Unpublished,
    /// `deleteStream`.
    DeletedStream,
    /// The server says that there is no more: `NetStream.Play.Stop`, `.UnpublishNotify` or `.Complete`, or StreamEOF.
    Stopped,
    /// No media for [`crate::limits::SILENCE`].
    Silent,
}

/// What `onMetaData` says (FLV E.5). The encoder's claims, for people to read: never trusted for decoding.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Metadata {
    /// Pixels.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
    /// Frames per second.
    pub fps: Option<f64>,
    /// `videocodecid`.
    pub video_codec: Option<CodecId>,
    /// `videodatarate`, in kbit/s.
    pub video_kbps: Option<f64>,
    /// `audiocodecid`.
    pub audio_codec: Option<CodecId>,
    /// `audiodatarate`, in kbit/s.
    pub audio_kbps: Option<f64>,
    /// `encoder`, bounded, free of control characters.
    pub encoder: Option<String>,
}

/// How `onMetaData` names a codec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodecId {
    /// The number of FLV E.4.2.1 and E.4.3.1: 7 is H.264, 10 is AAC.
    Flv(u8),
    /// A name: `avc1`, `mp4a`; also a FourCC that came as a number (enhanced RTMP).
    Name(String),
}

/// Why a `publish` is refused; the text is for the person at the encoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reject {
    /// The name is not welcome: unknown key, disabled ingress (`NetStream.Publish.BadName`).
    BadName(String),
    /// The server cannot take it now (`NetStream.Failed`).
    Failed(String),
}

/// A peer's text for logs and pages: cut to [`crate::limits::SHOWN_TEXT`], control characters replaced.
pub(crate) fn printable(text: &str) -> String {
    text.chars().take(crate::limits::SHOWN_TEXT).map(|c| if c.is_control() { '?' } else { c }).collect()
}
