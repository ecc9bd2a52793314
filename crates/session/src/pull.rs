use std::time::Instant;

use crate::sources::Left;
use crate::{Ingress, Input, Reason, Shutdown, Why};

/// A session whose source is a URL that this server plays. It has no connection to take over, and it can be seen and deleted
/// while its URL is being opened: neither room nor worker is there yet, so a URL that is no good costs neither.
impl Ingress {
    /// Admitted; the URL is being opened.
    pub(crate) fn opening(&mut self, now: Instant, input: Input) {
        match input {
            Input::SourceEnded { source, end } => match self.sources.ended(source, end.clone().into()) {
                Left::Nobody(_) => self.end(now, end.into()),
                Left::Unknown | Left::Another => self.ignore(&Input::SourceEnded { source, end }),
            },
            Input::Update { token, enabled } => {
                self.wait(token);
                self.end(now, if enabled { Why::Updated } else { Why::Disabled });
            }
            Input::Delete { token } => {
                self.wait(token);
                self.end(now, Why::Deleted);
            }
            Input::StateRefused(refusal) => {
                self.reports.forbid();
                self.end(now, refusal.into());
            }
            Input::Shutdown(Shutdown::Now) => self.end(now, Why::Shutdown),
            // What has begun may go on to its end.
            Input::Shutdown(Shutdown::Drain) | Input::Tick => {}
            input => self.ignore(&input),
        }
    }

    /// The URL did not open in time.
    pub(crate) fn open_overdue(&mut self, now: Instant) {
        let text =
            format!("the URL gave nothing that can be played within {} s", self.budget.pull_open.as_secs());
        self.end(now, Why::Failed(Reason::Pull { label: "timeout", text }));
    }

    /// Why a pull ends: a source that was lost has no way to come back, and what is no media is the URL's fault.
    pub(crate) fn as_pull(&self, why: Why) -> Why {
        if !self.settings.pull {
            return why;
        }
        let failed = |label, text: String| Why::Failed(Reason::Pull { label, text });
        match why {
            Why::Lost => failed("lost", "the URL's stream broke off".to_owned()),
            Why::Failed(Reason::NoMedia) => {
                failed("no_media", "nothing that can be shown or heard came from the URL".to_owned())
            }
            Why::Failed(Reason::Silent) => {
                let seconds = self.budget.pull_silence.as_secs();
                failed("silent", format!("nothing came from the URL for {seconds} s"))
            }
            why => why,
        }
    }
}
