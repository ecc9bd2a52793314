use std::collections::BTreeSet;

use media::{Kind, Quality};
use rtc::room::OutputStats;
use tokio::sync::mpsc;

/// The server's names for this stay. They change with a full rejoin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// `RM_…`
    pub room_sid: String,
    /// `PA_…`
    pub participant_sid: String,
}

/// What a participant tells.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// In the room, for the first time. Always the first event.
    Joined(Joined),
    /// Media can flow. Comes again after [`Event::Rejoined`].
    Connected,
    /// The server has announced a track. Comes again, with a new sid, after [`Event::Rejoined`].
    Published {
        /// Which one.
        kind: Kind,
        /// `TR_…`
        track_sid: String,
    },
    /// The layer's encoder is to make a keyframe: the room asked (PLI, FIR), or frames were dropped on the way. At most one
    /// per layer in 250 ms.
    KeyframeNeeded(Quality),
    /// The published layers that somebody watches, from now on; all are wanted until the first of these. Never the same twice
    /// in a row.
    Wanted(BTreeSet<Quality>),
    /// The connection is broken and being mended, for this reason. Media may still flow.
    Reconnecting(String),
    /// Mended: same room, same participant, same tracks.
    Resumed,
    /// Joined anew: frames were lost, other participants see a new participant and new tracks. All layers are wanted again.
    Rejoined(Joined),
    /// The receiver misses so many percent of the sound's packets from now on: 0, 5, 10 or 20; 0 until the first of these.
    /// Never the same twice in a row.
    SoundLoss(u8),
    /// How the outputs fared, every other second.
    Stats(OutputStats),
    /// The participant is out of the room, for good. Always the last event.
    Ended(Reason),
}

/// Why a participant is out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// [`Participant::leave`](super::Participant::leave), or all handles dropped.
    Left,
    /// RemoveParticipant.
    Removed,
    /// DeleteRoom, or the room was closed.
    RoomDeleted,
    /// Somebody joined with the same identity.
    DuplicateIdentity,
    /// The server wants this participant gone for another reason, in LiveKit's word for it.
    ServerAsked(String),
    /// The server takes no participant like this any more (bad token, no such room).
    Refused(String),
    /// The server could not be reached again in time.
    ConnectionLost(String),
}

/// The receiving end of a participant's events; never holds more than a few dozen. Whoever takes none for a while finds
/// repeated ones folded into one.
#[derive(Debug)]
pub struct Events {
    pub(super) receiver: mpsc::Receiver<Event>,
}

impl Events {
    /// The next event; `None` after [`Event::Ended`].
    pub async fn recv(&mut self) -> Option<Event> {
        self.receiver.recv().await
    }
}
