use std::{fmt, sync::Arc};

use crate::MediaTime;

/// An RTP packet (RFC 3550) of a WebRTC publisher on its way to the room, as the publisher cut it. What the room's connection
/// numbers anew (SSRC, payload type, header extensions) is not here. Where it goes is said beside it.
#[derive(Clone, PartialEq, Eq)]
pub struct RtpPacket {
    /// Packets of one stream share a run of sequence numbers and a clock; another number is another run (a publisher that
    /// took over, a new SSRC).
    pub stream: u32,
    /// Extended: it does not wrap.
    pub sequence: u64,
    /// In ticks of the track's clock: 90 kHz for pictures, 48 kHz for sound. Wraps.
    pub timestamp: u32,
    /// When it was captured, on the session's one clock for sound and picture.
    pub captured: MediaTime,
    /// The last packet of a picture; of sound, the first after a silence.
    pub marker: bool,
    /// The first packet of a picture that a receiver can start with. Sound: always true.
    pub keyframe: bool,
    /// How loud it is, where the publisher says so.
    pub level: Option<SoundLevel>,
    /// Without the header.
    pub payload: Arc<[u8]>,
}

/// How loud a packet of sound is, as its sender measured it (RFC 6464).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoundLevel {
    /// Decibels below the loudest that can be sent, 0 to 127; 127 is silence.
    pub below_peak_db: u8,
    /// The sender takes it for speech.
    pub voice: bool,
}

impl fmt::Debug for RtpPacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, sequence, timestamp, captured, marker, keyframe, level, payload } = self;
        f.debug_struct("RtpPacket")
            .field("stream", stream)
            .field("sequence", sequence)
            .field("timestamp", timestamp)
            .field("captured", captured)
            .field("marker", marker)
            .field("keyframe", keyframe)
            .field("level", level)
            .field("bytes", &payload.len())
            .finish()
    }
}
