//! The end of a session, after its state machine has come to it.

use std::time::Duration;

use session::{Outcome, Why};

use super::{Shared, actor::Actor, mail::Message, source::Stage};
use crate::metrics;

/// How long a session's tasks may take to end once it is over: each has been told to. Past it they are aborted.
const LAST_TASKS: Duration = Duration::from_secs(6);

impl Actor {
    /// Lets go of everything.
    pub(super) async fn end(mut self) {
        self.mailbox.close();
        drop(self.seat.take());
        while let Ok(message) = self.mailbox.try_recv() {
            match message {
                Message::TakeOver(request) => self.deferred.push(request),
                Message::Accepted(_, closer) => closer.close(&Why::Finished),
                _ => {}
            }
        }
        if let Some(worker) = &self.worker {
            worker.stop();
        }
        for (_, source) in self.sources.drain() {
            match source.stage {
                Stage::Asks(request) => self.deferred.push(request),
                Stage::Flows(closer) => closer.close(&Why::Finished),
                Stage::Entering { .. } => {}
            }
        }
        drop(self.replies);
        // From here on a connection with the same key gets a session of its own; those that came too late for this one, too.
        drop(self.hold);
        for request in self.deferred {
            self.supervisor.admit(request);
        }
        let joined = async { while self.tasks.join_next().await.map(ended_well).is_some() {} };
        if tokio::time::timeout(LAST_TASKS, joined).await.is_err() {
            tracing::error!(left = self.tasks.len(), "a session's tasks did not end in time and are aborted");
            self.tasks.shutdown().await;
        }
        let outcome = self.over.expect("a session ends when it is over");
        log_end(&self.shared, self.input, &outcome, self.epoch.elapsed());
        drop(self.claim);
    }
}

fn log_end(shared: &Shared, input: metrics::Input, outcome: &Outcome, lasted: Duration) {
    let seconds = lasted.as_secs();
    match outcome {
        Outcome::Refused(reason) => {
            shared.refused(input, reason);
            tracing::warn!(reason = reason.label(), "publisher refused: {reason}");
        }
        Outcome::Ended(Why::Failed(reason)) => {
            if input == metrics::Input::Url {
                shared.metrics.url_failed(reason.label());
            }
            tracing::error!(reason = reason.label(), seconds, "session failed: {reason}");
        }
        Outcome::Ended(why) => tracing::info!(reason = why.label(), seconds, "session over"),
    }
}

pub(super) fn ended_well(joined: Result<(), tokio::task::JoinError>) {
    if let Err(error) = joined
        && !error.is_cancelled()
    {
        tracing::error!(%error, "a task of the session ended badly");
    }
}
