use std::time::Instant;

use crate::{Reason, RoomEnd};

/// The participant, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// Never asked for.
    Out,
    /// Asked for.
    Joining { by: Instant },
    /// Tracks can be published.
    In,
    /// Being repaired.
    Reconnecting { by: Instant },
    /// Asked to leave.
    Leaving,
    /// Nothing is left of it.
    Gone,
}

impl Room {
    pub(crate) fn deadline(self) -> Option<Instant> {
        match self {
            Room::Joining { by } | Room::Reconnecting { by } => Some(by),
            Room::Out | Room::In | Room::Leaving | Room::Gone => None,
        }
    }

    pub(crate) fn overdue(self, now: Instant) -> Option<Reason> {
        match self {
            Room::Joining { by } if by <= now => Some(Reason::RoomUnreachable),
            Room::Reconnecting { by } if by <= now => Some(Reason::RoomLost),
            _ => None,
        }
    }

    /// True when something has to be left.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Room::Joining { .. } | Room::In | Room::Reconnecting { .. })
    }
}

/// What users see when the room ends a session.
pub(crate) fn reason(end: RoomEnd) -> Reason {
    match end {
        RoomEnd::Removed | RoomEnd::Deleted | RoomEnd::Duplicate | RoomEnd::AskedToLeave => {
            Reason::RoomDisconnected
        }
        RoomEnd::JoinFailed => Reason::RoomUnreachable,
        RoomEnd::ConnectionLost | RoomEnd::Left => Reason::RoomLost,
    }
}
