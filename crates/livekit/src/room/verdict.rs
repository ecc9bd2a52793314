use livekit_protocol::{DisconnectReason, LeaveRequest, leave_request::Action};

use super::Reason;

/// What the server's LeaveRequest means to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Out for good.
    End(Reason),
    /// The signalling connection is to be opened again.
    Resume(String),
    /// A new join is due.
    Rejoin(String),
}

/// The reason decides first: whoever was removed or replaced must not come back, whatever the action says.
pub(super) fn of(leave: &LeaveRequest) -> Verdict {
    judge(leave.reason(), leave.action())
}

pub(super) fn judge(reason: DisconnectReason, action: Action) -> Verdict {
    use DisconnectReason as R;
    let text = format!("server said {}", reason.as_str_name());
    match (reason, action) {
        (R::DuplicateIdentity, _) => Verdict::End(Reason::DuplicateIdentity),
        (R::ParticipantRemoved, _) => Verdict::End(Reason::Removed),
        (R::RoomDeleted | R::RoomClosed, _) => Verdict::End(Reason::RoomDeleted),
        (_, Action::Resume) => Verdict::Resume(text),
        (_, Action::Reconnect) => Verdict::Rejoin(text),
        // These say that the server lost or closes the connection, not that it wants us gone.
        (
            R::UnknownReason
            | R::ServerShutdown
            | R::StateMismatch
            | R::JoinFailure
            | R::Migration
            | R::SignalClose
            | R::ConnectionTimeout
            | R::MediaFailure,
            Action::Disconnect,
        ) => Verdict::Rejoin(text),
        (reason, Action::Disconnect) => Verdict::End(Reason::ServerAsked(reason.as_str_name().into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(reason: DisconnectReason, action: Action) -> Verdict {
        of(&LeaveRequest { reason: reason.into(), action: action.into(), ..LeaveRequest::default() })
    }

    #[test]
    fn whoever_was_removed_or_replaced_stays_away_whatever_the_action() {
        for action in [Action::Disconnect, Action::Resume, Action::Reconnect] {
            let end = |reason| verdict(reason, action);
            assert_eq!(end(DisconnectReason::DuplicateIdentity), Verdict::End(Reason::DuplicateIdentity));
            assert_eq!(end(DisconnectReason::ParticipantRemoved), Verdict::End(Reason::Removed));
            assert_eq!(end(DisconnectReason::RoomDeleted), Verdict::End(Reason::RoomDeleted));
        }
    }

    #[test]
    fn a_server_that_goes_down_is_joined_again() {
        let shutdown = verdict(DisconnectReason::ServerShutdown, Action::Disconnect);
        assert_eq!(shutdown, Verdict::Rejoin("server said SERVER_SHUTDOWN".into()));
        let mismatch = verdict(DisconnectReason::StateMismatch, Action::Reconnect);
        assert_eq!(mismatch, Verdict::Rejoin("server said STATE_MISMATCH".into()));
        let unknown = verdict(DisconnectReason::UnknownReason, Action::Resume);
        assert_eq!(unknown, Verdict::Resume("server said UNKNOWN_REASON".into()));
    }

    #[test]
    fn numbers_of_a_newer_server_are_read_as_unknown() {
        let leave = LeaveRequest { reason: 99, action: 99, ..LeaveRequest::default() };
        assert_eq!(of(&leave), Verdict::Rejoin("server said UNKNOWN_REASON".into()));
    }
}
