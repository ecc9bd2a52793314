use livekit_protocol::{IngressState, InputAudioState, InputVideoState, ingress_state};

/// What one session has to say about itself: always the whole, never a difference, because livekit-server replaces the
/// stored state and merges nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// Where the session stands.
    pub phase: Phase,
    /// The room's SID (`RM_…`) once joined, else empty.
    pub room_sid: String,
    /// The publisher's picture, once known.
    pub video: Option<Video>,
    /// The publisher's sound, once known.
    pub audio: Option<Audio>,
}

/// The stages that a user of LiveKit's API sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Accepted, nothing in the room yet.
    Buffering,
    /// Seen or heard in the room.
    Publishing,
    /// Over. Exactly one of these ends a session; what is said after it is ignored.
    Ended(Outcome),
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The normal end: INACTIVE for an ingress that can be used again, COMPLETE for one that cannot.
    Stopped,
    /// ERROR with this text, which users of LiveKit's API read (bus.md §7 lists the known ones).
    Failed(String),
}

/// The publisher's picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Video {
    /// As in `video/H264`.
    pub mime_type: String,
    /// Average bit/s; 0 = not measured yet.
    pub bitrate_bps: u32,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Frames per second; 0 = unknown.
    pub fps: f64,
}

/// The publisher's sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audio {
    /// As in `audio/AAC`.
    pub mime_type: String,
    /// Average bit/s; 0 = not measured yet.
    pub bitrate_bps: u32,
    /// 1 or 2, mostly.
    pub channels: u32,
    /// Hertz.
    pub sample_rate: u32,
}

impl Status {
    /// A status with nothing known but the phase.
    pub fn new(phase: Phase) -> Self {
        Self { phase, room_sid: String::new(), video: None, audio: None }
    }

    /// Nothing comes after this one.
    pub fn is_terminal(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }
}

/// What stays the same in all states of one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Constant {
    pub(crate) resource_id: String,
    /// Unix ns.
    pub(crate) started_at: i64,
    /// COMPLETE on a reusable ingress would make UpdateIngress a silent no-op for ever (bus.md §5).
    pub(crate) reusable: bool,
}

/// The only place that makes an `IngressState`. Times are unix ns; `ended_at` is 0 while the session lives.
pub(crate) fn state(session: &Constant, status: &Status, ended_at: i64, updated_at: i64) -> IngressState {
    use ingress_state::Status as Endpoint;
    let (endpoint, error) = match &status.phase {
        Phase::Buffering => (Endpoint::EndpointBuffering, String::new()),
        Phase::Publishing => (Endpoint::EndpointPublishing, String::new()),
        Phase::Ended(Outcome::Stopped) if session.reusable => (Endpoint::EndpointInactive, String::new()),
        Phase::Ended(Outcome::Stopped) => (Endpoint::EndpointComplete, String::new()),
        Phase::Ended(Outcome::Failed(text)) => (Endpoint::EndpointError, text.clone()),
    };
    IngressState {
        status: endpoint.into(),
        error,
        video: status.video.as_ref().map(video),
        audio: status.audio.as_ref().map(audio),
        room_id: status.room_sid.clone(),
        started_at: session.started_at,
        ended_at,
        updated_at,
        resource_id: session.resource_id.clone(),
        tracks: Vec::new(), // the Go worker never fills it
    }
}

fn video(video: &Video) -> InputVideoState {
    InputVideoState {
        mime_type: video.mime_type.clone(),
        average_bitrate: video.bitrate_bps,
        width: video.width,
        height: video.height,
        framerate: video.fps,
    }
}

fn audio(audio: &Audio) -> InputAudioState {
    InputAudioState {
        mime_type: audio.mime_type.clone(),
        average_bitrate: audio.bitrate_bps,
        channels: audio.channels,
        sample_rate: audio.sample_rate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ingress_state::Status as Endpoint;

    fn session(reusable: bool) -> Constant {
        Constant { resource_id: "RT_1".into(), started_at: 10, reusable }
    }

    fn endpoint(reusable: bool, phase: Phase) -> (Endpoint, String) {
        let state = state(&session(reusable), &Status::new(phase), 0, 20);
        (state.status(), state.error)
    }

    #[test]
    fn each_phase_has_its_endpoint_status() {
        let none = String::new;
        assert_eq!(endpoint(true, Phase::Buffering), (Endpoint::EndpointBuffering, none()));
        assert_eq!(endpoint(true, Phase::Publishing), (Endpoint::EndpointPublishing, none()));
        let failed = Phase::Ended(Outcome::Failed("room disconnected".into()));
        assert_eq!(endpoint(true, failed), (Endpoint::EndpointError, "room disconnected".into()));
    }

    #[test]
    fn a_reusable_ingress_ends_inactive_and_never_complete() {
        assert_eq!(endpoint(true, Phase::Ended(Outcome::Stopped)).0, Endpoint::EndpointInactive);
        assert_eq!(endpoint(false, Phase::Ended(Outcome::Stopped)).0, Endpoint::EndpointComplete);
    }

    #[test]
    fn a_state_says_all_that_is_known() {
        let status = Status {
            phase: Phase::Publishing,
            room_sid: "RM_1".into(),
            video: Some(Video {
                mime_type: "video/H264".into(),
                bitrate_bps: 2_500_000,
                width: 1280,
                height: 720,
                fps: 29.97,
            }),
            audio: Some(Audio {
                mime_type: "audio/AAC".into(),
                bitrate_bps: 128_000,
                channels: 2,
                sample_rate: 44_100,
            }),
        };
        let state = state(&session(true), &status, 0, 20);
        assert_eq!((state.started_at, state.updated_at, state.ended_at), (10, 20, 0));
        assert_eq!((state.room_id.as_str(), state.resource_id.as_str()), ("RM_1", "RT_1"));
        let (video, audio) = (state.video.unwrap(), state.audio.unwrap());
        assert_eq!((video.width, video.height, video.framerate), (1280, 720, 29.97));
        assert_eq!((video.mime_type.as_str(), video.average_bitrate), ("video/H264", 2_500_000));
        assert_eq!((audio.channels, audio.sample_rate, audio.average_bitrate), (2, 44_100, 128_000));
        assert_eq!(audio.mime_type, "audio/AAC");
    }
}
