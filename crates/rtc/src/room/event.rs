use std::time::Duration;

use media::{Output, Quality};

/// What happened on the connection.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// ICE and DTLS are up for the first time: frames go out from now on.
    Connected,
    /// ICE lost its path (`false`), or found one again (`true`).
    Path(bool),
    /// The peer closed DTLS. This room is over.
    Closed,
    /// The encoder of this layer is to make a keyframe.
    KeyframeNeeded(Quality),
    /// How an output fared lately.
    Stats(OutputStats),
}

/// How an output fared, from the receiver's reports.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OutputStats {
    /// Which.
    pub output: Output,
    /// RTP payload and header bytes since the connection began, resends included.
    pub bytes: u64,
    /// Packets since the connection began, resends included.
    pub packets: u64,
    /// Packets that the SFU missed and did not get resent, since the connection began, as it says.
    pub lost: u64,
    /// The part of the packets that the receiver missed since the last such event, 0 to 1; `None` when it did not say.
    pub loss: Option<f32>,
    /// Round trip, when a report told.
    pub rtt: Option<Duration>,
}
