use std::time::Instant;

use media::Codec;

use crate::{Reason, Why};

/// LiveKit's `IngressState.Status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// `ENDPOINT_BUFFERING`: a publisher is there, no track yet.
    Buffering,
    /// `ENDPOINT_PUBLISHING`: at least one track is in the room.
    Publishing,
    /// `ENDPOINT_INACTIVE`: over; the key may be used again.
    Inactive,
    /// `ENDPOINT_ERROR`: over, not as anybody wished.
    Error,
    /// `ENDPOINT_COMPLETE`: over; an ingress that cannot be used again.
    Complete,
}

impl Phase {
    /// True of the last state of a session.
    pub fn is_final(self) -> bool {
        matches!(self, Phase::Inactive | Phase::Error | Phase::Complete)
    }
}

/// The whole state of a session as the control plane is to see it; each replaces the one before.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// Where it stands.
    pub phase: Phase,
    /// Set in [`Phase::Error`] only.
    pub error: Option<Reason>,
    /// The pictures as they come from the publisher.
    pub video: Option<VideoState>,
    /// The sound as it comes from the publisher.
    pub audio: Option<AudioState>,
    /// The room's `RM_…` id, once joined.
    pub room_sid: Option<String>,
    /// When the publisher was accepted (or refused). The same for the whole session: map it to the wall clock once.
    pub started: Instant,
    /// When it ended; set in final phases only.
    pub ended: Option<Instant>,
}

/// LiveKit's `InputVideoState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoState {
    /// Coded as; see [`Codec::mime_type`].
    pub codec: Codec,
    /// Average of the last seconds, bit/s; 0 = not known yet.
    pub bitrate_bps: u32,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Frames per 1 000 s; 0 = not known.
    pub fps_milli: u32,
}

/// LiveKit's `InputAudioState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioState {
    /// Coded as; see [`Codec::mime_type`].
    pub codec: Codec,
    /// Average of the last seconds, bit/s; 0 = not known yet.
    pub bitrate_bps: u32,
    /// Number of channels.
    pub channels: u32,
    /// Hz.
    pub sample_rate: u32,
}

/// The final phase of a session that ended for `why`, with the error that users see.
///
/// A server that goes down is no failure of an ingress that can be used again (its encoder connects to the next server), but
/// it is one of an ingress that can be played only once.
pub(crate) fn final_phase(why: &Why, reusable: bool) -> (Phase, Option<Reason>) {
    match why {
        Why::Failed(reason) => (Phase::Error, Some(reason.clone())),
        Why::Shutdown if !reusable => (Phase::Error, Some(Reason::ShuttingDown)),
        _ if reusable => (Phase::Inactive, None),
        _ => (Phase::Complete, None),
    }
}
