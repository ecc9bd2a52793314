//! Publishers whose media another server takes: of those only the resource is here.

use axum::http::HeaderValue;
use rtc::whip::Fragment;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    Error,
    publisher::{self, Closed, Closer, Why},
    request::{Decision, Request},
    resources::{Claim, Patch, PatchDone, PatchError},
    task::names,
};

/// The other server's answer to an offer.
#[derive(Clone, PartialEq, Eq)]
pub struct RelayAnswer {
    /// The SDP. It holds an ice-pwd.
    pub sdp: String,
    /// The ICE session's entity tag, without quotes.
    pub ice_session: String,
    /// Values of `Link` headers; what is no header is left out.
    pub links: Vec<String>,
}

impl std::fmt::Debug for RelayAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RelayAnswer({} bytes)", self.sdp.len())
    }
}

/// An accepted publisher that sends its media elsewhere. Dropping it, or both its parts, ends the resource.
#[derive(Debug)]
pub struct Relay {
    closer: Closer,
    end: RelayEnd,
    patches: Patches,
}

/// Waits for the end of a [`Relay`].
#[derive(Debug)]
pub struct RelayEnd {
    closed: Closed,
    shutdown: CancellationToken,
    _claim: Claim,
}

/// What the publisher asks of the other server; whether it may is judged here (RFC 9725 section 4.3).
#[derive(Debug)]
pub struct Patches {
    asked: mpsc::Receiver<Patch>,
    /// Without quotes.
    ice_session: String,
    /// The publisher's present ICE credentials.
    ufrag: String,
}

/// A PATCH on its way to the other server. Dropping it unanswered is told as 404.
#[derive(Debug)]
pub struct Passed {
    /// It asks for another ICE session; else it brings candidates for the present one.
    pub restart: bool,
    /// The ICE session that it is for, as in [`RelayAnswer::ice_session`].
    pub ice_session: String,
    /// The body. It may hold an ice-pwd.
    pub fragment: super::Fragment,
    ufrag: Option<String>,
    answer: oneshot::Sender<Result<PatchDone, PatchError>>,
}

impl Request {
    /// Answers the offer with 201 in the words of another server, which has taken it; `resource` is as in [`Request::accept`].
    ///
    /// # Errors
    /// [`Error::Gone`].
    pub fn relay(self, resource: String, answer: RelayAnswer) -> Result<Relay, Error> {
        let context = self.context.clone();
        context.wrong_keys().right(self.account, &self.key);
        let (closer, closed) = publisher::closer();
        let ufrag = self.offer.ufrag;
        let (claim, asked) = context.resources.claim(&resource, self.key, closer.clone());
        let RelayAnswer { sdp, ice_session, links } = answer;
        let etag = quoted(&ice_session);
        let links = links.iter().filter_map(|link| HeaderValue::try_from(link).ok()).collect();
        if self.decision.send(Decision::Accept { resource, etag, sdp, links }).is_err() {
            return Err(Error::Gone { peer: self.peer });
        }
        let end = RelayEnd { closed, shutdown: context.end.clone(), _claim: claim };
        Ok(Relay { closer, end, patches: Patches { asked, ice_session, ufrag } })
    }
}

impl Relay {
    /// A handle that ends it from elsewhere.
    pub fn closer(&self) -> Closer {
        self.closer.clone()
    }

    /// Its two sides, to be waited for at the same time.
    pub fn split(self) -> (RelayEnd, Patches) {
        (self.end, self.patches)
    }
}

impl RelayEnd {
    /// Resolves when it is to end: the publisher's DELETE, [`Closer::close`] or the listener's end. May be cancelled without loss.
    pub async fn wait(&mut self) -> Why {
        tokio::select! {
            why = self.closed.wait() => why,
            () = self.shutdown.cancelled() => Why::Closed("the server is shutting down".to_owned()),
        }
    }
}

impl Patches {
    /// The next PATCH that the other server has to answer; those that need no asking are answered here. Pends for ever once
    /// the resource has ended. May be cancelled without loss.
    pub async fn next(&mut self) -> Passed {
        loop {
            let Some(patch) = self.asked.recv().await else { return std::future::pending().await };
            match self.judge(&patch) {
                Ok((restart, ufrag)) => {
                    let (ice_session, fragment) = (self.ice_session.clone(), super::Fragment(patch.fragment));
                    return Passed { restart, ice_session, fragment, ufrag, answer: patch.answer };
                }
                // Who has left needs no answer.
                Err(error) => drop(patch.answer.send(Err(error))),
            }
        }
    }

    fn judge(&self, patch: &Patch) -> Result<(bool, Option<String>), PatchError> {
        let fragment =
            Fragment::read(&patch.fragment).map_err(|error| PatchError::Invalid(error.to_string()))?;
        let restart = fragment.ufrag.as_ref().is_some_and(|ufrag| *ufrag != self.ufrag);
        match patch.if_match.as_deref() {
            None if restart => Err(PatchError::Unconditional),
            Some(tags) if !names(tags, &quoted(&self.ice_session)) => Err(PatchError::Stale),
            _ => Ok((restart, fragment.ufrag)),
        }
    }

    /// The other server has done it. A restart has its fragment and the new ICE session; trickling has neither.
    pub fn done(&mut self, passed: Passed, fragment: Option<String>, ice_session: Option<String>) {
        if passed.restart {
            self.ufrag = passed.ufrag.unwrap_or_default();
            self.ice_session = ice_session.unwrap_or(passed.ice_session);
        }
        let done = PatchDone { fragment, etag: quoted(&self.ice_session) };
        // Who has left needs no answer.
        let _ = passed.answer.send(Ok(done));
    }

    /// The other server has not.
    pub fn refused(&self, passed: Passed, why: PatchError) {
        let _ = passed.answer.send(Err(why));
    }
}

fn quoted(tag: &str) -> String {
    format!("\"{}\"", tag.trim_matches('"'))
}
