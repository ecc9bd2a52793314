use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use livekit_protocol::ReconnectReason;
use livekit_signaling::{SignalClient, SignalError};
use tokio::time::{Instant, sleep};

use super::{
    Reason,
    backoff::Backoff,
    verdict::{Verdict, judge},
};

/// The server forgets a participant without signalling after some 20 s; past this a resume is no use, a new join is due.
const BUDGET: Duration = Duration::from_secs(15);

/// How an attempt to reopen the signalling connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Open again; the server knows us.
    Open,
    /// The server has forgotten us, or cannot be reached.
    Rejoin(String),
    /// The server does not want us.
    End(Reason),
}

/// An attempt under way, polled beside the media, which flows on meanwhile.
pub(super) type Resuming = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// Starts to reopen the signalling connection.
pub(super) fn start(client: Arc<SignalClient>) -> Resuming {
    Box::pin(async move {
        let give_up = Instant::now() + BUDGET;
        let mut backoff = Backoff::default();
        loop {
            sleep(backoff.next()).await;
            match client.restart(ReconnectReason::RrSignalDisconnected).await {
                Ok(_) => return Outcome::Open,
                Err(error) => match verdict(&error) {
                    Some(outcome) => return outcome,
                    None if Instant::now() >= give_up => return Outcome::Rejoin(error.to_string()),
                    None => tracing::debug!(%error, "signalling is still away"),
                },
            }
        }
    })
}

/// What an error settles; `None`: worth another attempt.
fn verdict(error: &SignalError) -> Option<Outcome> {
    match error {
        SignalError::LeaveRequest { reason, action } => Some(match judge(*reason, *action) {
            Verdict::End(reason) => Outcome::End(reason),
            Verdict::Resume(text) | Verdict::Rejoin(text) => Outcome::Rejoin(text),
        }),
        // The server answered, and not with a connection: the token has run out, or it knows no such participant.
        SignalError::Handshake { status } if status.is_client_error() => {
            Some(Outcome::Rejoin(error.to_string()))
        }
        SignalError::Client(..) | SignalError::TokenFormat | SignalError::InvalidState(_) => {
            Some(Outcome::Rejoin(error.to_string()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livekit_protocol::{DisconnectReason, leave_request::Action};

    #[test]
    fn a_server_that_is_away_is_tried_again() {
        assert_eq!(verdict(&SignalError::Connection("refused".into())), None);
        assert_eq!(verdict(&SignalError::Timeout("no answer".into())), None);
        assert_eq!(verdict(&SignalError::Closed), None);
    }

    #[test]
    fn a_server_that_has_forgotten_us_is_joined_anew() {
        let leave =
            SignalError::LeaveRequest { reason: DisconnectReason::StateMismatch, action: Action::Reconnect };
        assert_eq!(verdict(&leave), Some(Outcome::Rejoin("server said STATE_MISMATCH".into())));
        assert!(matches!(verdict(&SignalError::InvalidState("x".into())), Some(Outcome::Rejoin(_))));
    }

    #[test]
    fn a_server_that_does_not_want_us_is_left_alone() {
        let leave =
            SignalError::LeaveRequest { reason: DisconnectReason::RoomDeleted, action: Action::Reconnect };
        assert_eq!(verdict(&leave), Some(Outcome::End(Reason::RoomDeleted)));
    }
}
