//! The ingress record as a session needs it: read from LiveKit's, defaults filled in, checked.

mod audio;
mod video;

use livekit_protocol::{IngressInfo, IngressInput, ingress_state::Status as Endpoint};

pub use audio::AudioOptions;
pub use livekit_protocol::TrackSource;
pub use video::{Encoding, VideoOptions};

/// How media comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Input {
    /// Pushed over RTMP.
    Rtmp,
    /// Pushed over WHIP.
    Whip,
    /// Pulled from a URL.
    Url,
    /// A kind that LiveKit added later.
    Unknown,
}

/// One ingress, as livekit-server stored it. Holds no stream key, so it may be logged.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// `IN_…`.
    pub ingress_id: String,
    /// A label for people.
    pub name: String,
    /// How media comes in.
    pub input: Input,
    /// The room to publish into; empty = not set, no session possible.
    pub room: String,
    /// The participant's identity.
    pub identity: String,
    /// The participant's display name.
    pub participant_name: String,
    /// The participant's metadata, opaque.
    pub participant_metadata: String,
    /// May be used again after a session (RTMP, WHIP); else it ends for good.
    pub reusable: bool,
    /// `Some(false)`: its owner switched it off. livekit-server enforces nothing, we do.
    pub enabled: Option<bool>,
    /// False: media is passed on as it comes (WHIP only).
    pub transcode: bool,
    /// `started_at` of the stored state, unix ns: the next session must start later or livekit-server refuses its states.
    /// `None`: the record has no stored state, and posting one kills livekit-server up to 1.13.10 (bus.md §0.10).
    pub last_started_at: Option<i64>,
    /// The stored state is BUFFERING or PUBLISHING: a session runs, here or on another worker, or its worker died.
    pub live: bool,
    audio: livekit_protocol::IngressAudioOptions,
    video: livekit_protocol::IngressVideoOptions,
}

/// What a record asks to be published.
#[derive(Debug, Clone, PartialEq)]
pub struct Media {
    /// The audio track.
    pub audio: AudioOptions,
    /// The video track.
    pub video: VideoOptions,
}

/// Why a publisher is turned away. The texts are those that users of LiveKit's API know from the Go worker; all of them
/// are the user's to mend (`4xx` in the metric `livekit_ingress_publish_status`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// `enabled` is false.
    #[error("session is disabled")]
    Disabled,
    /// An RTMP publisher with the key of a WHIP ingress, and the like.
    #[error("invalid ingress type")]
    WrongType,
    /// livekit-server accepts records without a room; a session needs one.
    #[error("invalid ingress: no room name")]
    NoRoom,
    /// A participant needs an identity.
    #[error("invalid ingress: no participant identity")]
    NoIdentity,
    /// `enable_transcoding` is false on something other than WHIP.
    #[error(
        "invalid transcoding bypass configuration: bypassing transcoding impossible with selected input type"
    )]
    NoBypass,
    /// Audio options that cannot be met.
    #[error("invalid audio parameters: {0}")]
    Audio(#[source] Invalid),
    /// Video options that cannot be met.
    #[error("invalid video parameters: {0}")]
    Video(#[source] Invalid),
}

/// What is wrong with encoding options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// A microphone for a picture, and the like.
    #[error("invalid track source")]
    Source,
    /// A preset that LiveKit added later.
    #[error("invalid preset")]
    Preset,
    /// Audio other than Opus.
    #[error("audio codec unsupported")]
    AudioCodec,
    /// Video other than H.264 baseline and VP8.
    #[error("video codec unsupported")]
    VideoCodec,
    /// More than two.
    #[error("invalid audio channel count")]
    Channels,
    /// Not a number, or endless.
    #[error("invalid framerate")]
    FrameRate,
    /// A layer without width or height.
    #[error("invalid output media dimensions")]
    Dimensions,
    /// 4:2:0 needs even sizes.
    #[error("layer width must be even")]
    OddWidth,
    /// 4:2:0 needs even sizes.
    #[error("layer height must be even")]
    OddHeight,
    /// A quality other than LOW, MEDIUM and HIGH.
    #[error("invalid layer quality")]
    Quality,
    /// Two layers of one quality.
    #[error("more than one layer with the same quality level")]
    DuplicateQuality,
    /// A higher quality narrower than a lower one.
    #[error("video layers do not have increasing width with increasing quality")]
    FallingWidth,
    /// A higher quality lower than a lower one.
    #[error("video layers do not have increasing height with increasing quality")]
    FallingHeight,
}

impl Record {
    /// Reads LiveKit's record. Nothing is refused here: also a record that cannot be served must be told so by an ERROR state.
    pub fn new(info: IngressInfo) -> Self {
        #[allow(deprecated, reason = "records written by old servers have nothing else")]
        let bypass = info.bypass_transcoding;
        Self {
            input: match IngressInput::try_from(info.input_type) {
                Ok(IngressInput::RtmpInput) => Input::Rtmp,
                Ok(IngressInput::WhipInput) => Input::Whip,
                Ok(IngressInput::UrlInput) => Input::Url,
                Err(_) => Input::Unknown,
            },
            ingress_id: info.ingress_id,
            name: info.name,
            room: info.room_name,
            identity: info.participant_identity,
            participant_name: info.participant_name,
            participant_metadata: info.participant_metadata,
            reusable: info.reusable,
            enabled: info.enabled,
            transcode: info.enable_transcoding.unwrap_or(!bypass),
            live: info.state.as_ref().is_some_and(|state| {
                matches!(state.status(), Endpoint::EndpointBuffering | Endpoint::EndpointPublishing)
            }),
            last_started_at: info.state.map(|state| state.started_at),
            audio: info.audio.unwrap_or_default(),
            video: info.video.unwrap_or_default(),
        }
    }

    /// Decides whether a publisher that came by `input` may begin, and with what to publish.
    ///
    /// # Errors
    /// The first reason against it, in the Go worker's order: switched off, no room or identity, type, options.
    pub fn admit(&self, input: Input) -> Result<Media, Refusal> {
        if self.enabled == Some(false) {
            return Err(Refusal::Disabled);
        }
        if self.room.is_empty() {
            return Err(Refusal::NoRoom);
        }
        if self.identity.is_empty() {
            return Err(Refusal::NoIdentity);
        }
        if self.input != input {
            return Err(Refusal::WrongType);
        }
        if !self.transcode && self.input != Input::Whip {
            return Err(Refusal::NoBypass);
        }
        Ok(Media {
            audio: AudioOptions::read(&self.audio).map_err(Refusal::Audio)?,
            video: VideoOptions::read(&self.video).map_err(Refusal::Video)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livekit_protocol::{IngressState, IngressVideoOptions};

    fn info() -> IngressInfo {
        IngressInfo {
            ingress_id: "IN_1".into(),
            stream_key: "f6ppLh4KZxPG".into(),
            room_name: "room".into(),
            participant_identity: "cam".into(),
            reusable: true,
            enable_transcoding: Some(true),
            state: Some(IngressState { started_at: 7, ..IngressState::default() }),
            ..IngressInfo::default()
        }
    }

    fn refusal(info: IngressInfo) -> String {
        Record::new(info).admit(Input::Rtmp).unwrap_err().to_string()
    }

    #[test]
    fn a_plain_rtmp_record_is_admitted_with_the_default_options() {
        let record = Record::new(info());
        let media = record.admit(Input::Rtmp).unwrap();
        assert_eq!(media.video.encoding, Encoding::Preset("H264_720P_30FPS_3_LAYERS"));
        assert_eq!((media.audio.channels, media.audio.bitrate_bps, media.audio.dtx), (2, 96_000, true));
        assert_eq!(record.last_started_at, Some(7));
    }

    #[test]
    fn each_refusal_has_the_text_that_users_know() {
        assert_eq!(refusal(IngressInfo { enabled: Some(false), ..info() }), "session is disabled");
        assert_eq!(
            refusal(IngressInfo { room_name: String::new(), ..info() }),
            "invalid ingress: no room name"
        );
        assert_eq!(
            refusal(IngressInfo { participant_identity: String::new(), ..info() }),
            "invalid ingress: no participant identity"
        );
        for input_type in [1, 2, 77] {
            assert_eq!(refusal(IngressInfo { input_type, ..info() }), "invalid ingress type");
        }
        assert!(
            refusal(IngressInfo { enable_transcoding: Some(false), ..info() })
                .starts_with("invalid transcoding")
        );
        let microphone = IngressVideoOptions { source: 2, ..IngressVideoOptions::default() };
        assert_eq!(
            refusal(IngressInfo { video: Some(microphone), ..info() }),
            "invalid video parameters: invalid track source"
        );
    }

    #[test]
    fn a_disabled_record_says_so_whatever_else_is_wrong() {
        let info = IngressInfo { enabled: Some(false), room_name: String::new(), input_type: 1, ..info() };
        assert_eq!(Record::new(info).admit(Input::Rtmp), Err(Refusal::Disabled));
    }

    #[test]
    fn the_old_bypass_flag_counts_only_where_the_new_one_is_absent() {
        #[allow(deprecated, reason = "the field under test")]
        let old = |enable_transcoding| IngressInfo { bypass_transcoding: true, enable_transcoding, ..info() };
        assert!(!Record::new(old(None)).transcode);
        assert!(Record::new(old(Some(true))).transcode);
        assert!(Record::new(IngressInfo { enable_transcoding: None, ..info() }).transcode);
    }

    #[test]
    fn debug_shows_no_stream_key() {
        assert!(!format!("{:?}", Record::new(info())).contains("f6pp"));
    }
}
