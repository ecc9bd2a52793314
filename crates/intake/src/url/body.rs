//! The data of an answer, and of the answers that continue it after a cut.

use std::{fmt, time::Duration};

use futures_util::future::BoxFuture;
use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::debug;
use url::Url;

use super::{
    Ask, Error, Fetcher, Phase, Range,
    fetcher::{Answer, Failed},
    head::{self, Head, Wanted},
    retry::Retry,
};

/// The data of a resource, read as the caller asks for it: nothing is fetched ahead but what the sockets hold. Where the server
/// has ranges, a cut is bridged by asking for the rest, if it still is the same resource.
pub struct Body {
    fetcher: Fetcher,
    ask: Ask,
    /// As the caller gave it.
    asked: Url,
    /// Where the last answer came from.
    found: Url,
    head: Head,
    /// Offset in the resource of the next byte.
    at: u64,
    state: State,
    retry: Retry,
    deadline: Option<(Instant, Duration)>,
}

enum State {
    Flowing(Incoming),
    /// Cut, and the rest is being asked for. Kept here, so that a read that is dropped loses neither the request nor its count.
    Resuming(BoxFuture<'static, Result<Answer, Failed>>),
    Ended,
    Failed(Error),
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("origin", &head::origin(&self.found))
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl Body {
    pub(super) fn new(
        fetcher: Fetcher,
        asked: &Url,
        ask: Ask,
        answer: Answer,
        deadline: Option<(Instant, Duration)>,
    ) -> Self {
        let retry = Retry::new(ask.attempts, fetcher.limits());
        let (at, state) = (answer.head.first, State::Flowing(answer.body));
        Self {
            fetcher,
            ask,
            asked: asked.clone(),
            found: answer.url,
            head: answer.head,
            at,
            state,
            retry,
            deadline,
        }
    }

    /// Offset in the resource of the next byte.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// Bytes of the whole resource, where it is known.
    pub fn size(&self) -> Option<u64> {
        self.head.size
    }

    /// Whether both are of one resource, as far as the servers tell.
    pub(super) fn is_of_the_same(&self, other: &Self) -> bool {
        self.head.continues_in(&other.head)
    }

    /// The next bytes, as many as came at once; `None` at the end, which is the announced one where a length was announced.
    /// After an error there is the same error again. May be dropped and called again.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            match &self.state {
                State::Ended => return Ok(None),
                State::Failed(error) => return Err(error.clone()),
                State::Resuming(_) => self.resume().await?,
                State::Flowing(_) if self.head.end.is_some_and(|end| self.at >= end) => {
                    self.state = State::Ended
                }
                State::Flowing(_) => {
                    if let Some(bytes) = self.next().await? {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }

    /// Some data, or a change of state.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let State::Flowing(incoming) = &mut self.state else { return Ok(None) };
        let idle = self.fetcher.limits().idle;
        let quiet = Instant::now() + idle;
        let by = self.deadline.map_or(quiet, |(deadline, _)| deadline.min(quiet));
        let data = async {
            // frames without data (trailers, empty ones) don't count as signs of life
            loop {
                match incoming.frame().await {
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(data) if !data.is_empty() => return Ok(Some(data)),
                        _ => {}
                    },
                    Some(Err(error)) => return Err(error),
                    None => return Ok(None),
                }
            }
        };
        match timeout_at(by, data).await {
            Ok(Ok(Some(data))) => return self.take(data).map(Some),
            Ok(Ok(None)) if self.head.end.is_none() => self.state = State::Ended,
            Ok(Ok(None)) => {
                self.interrupted(Error::Cut { origin: head::origin(&self.found), at: self.at }.into())?
            }
            Ok(Err(error)) => {
                self.interrupted(Error::exchanging(&head::origin(&self.found), self.at, &error).into())?;
            }
            Err(_) => {
                let origin = head::origin(&self.found);
                let (phase, after) = match self.deadline {
                    Some((deadline, within)) if deadline <= quiet => (Phase::Total, within),
                    _ => (Phase::Idle, idle),
                };
                self.interrupted(Error::TimedOut { origin, phase, after }.into())?;
            }
        }
        Ok(None)
    }

    fn take(&mut self, mut data: Bytes) -> Result<Bytes, Error> {
        if let Some(end) = self.head.end {
            data.truncate(usize::try_from(end - self.at).unwrap_or(usize::MAX));
        }
        let first = self.ask.range.map_or(0, |range| range.first);
        let at = self.at.saturating_add(data.len() as u64);
        if let Some(limit) = self.ask.limit
            && at - first > limit
        {
            return Err(self.failed(Error::TooLarge { limit }));
        }
        self.at = at;
        self.retry.received(data.len());
        self.fetcher.counts().received(data.len());
        Ok(data)
    }

    fn failed(&mut self, error: Error) -> Error {
        self.fetcher.counts().failed(&error);
        self.state = State::Failed(error.clone());
        error
    }

    /// Whether the rest can be asked for, and when, is known here; whether it comes, in `resume`.
    fn interrupted(&mut self, failed: Failed) -> Result<(), Error> {
        let Failed { error, retry_after } = failed;
        let possible = error.is_transient() && (self.head.ranges || self.at == 0);
        match possible.then(|| self.retry.next(retry_after, rand::random())).flatten() {
            Some(wait) => {
                debug!(origin = head::origin(&self.found), at = self.at, why = %error, "fetch will be continued");
                let (at, rest) = (Instant::now() + wait, self.rest());
                self.state = State::Resuming(Box::pin(async move {
                    sleep_until(at).await;
                    rest.await
                }));
                Ok(())
            }
            None => Err(self.failed(error)),
        }
    }

    /// The outcome of the attempt at the rest.
    async fn resume(&mut self) -> Result<(), Error> {
        let State::Resuming(attempt) = &mut self.state else { return Ok(()) };
        let answer = match self.deadline {
            None => attempt.await,
            Some((deadline, after)) => timeout_at(deadline, attempt).await.unwrap_or_else(|_| {
                let origin = head::origin(&self.found);
                Err(Error::TimedOut { origin, phase: Phase::Total, after }.into())
            }),
        };
        match answer {
            Ok(answer) => {
                self.found = answer.url;
                self.state = State::Flowing(answer.body);
                Ok(())
            }
            Err(failed) => self.interrupted(failed),
        }
    }

    /// An attempt at the rest, apart from the body.
    fn rest(&self) -> impl Future<Output = Result<Answer, Failed>> + Send + use<> {
        let last = self.ask.range.and_then(|range| range.last);
        let whole = self.at == 0 && self.ask.range.is_none();
        let range = (!whole).then_some(Range { first: self.at, last });
        let unchanged = range.and_then(|_| self.head.validator());
        let wanted = Wanted { range, unchanged, icy: self.ask.icy };
        let (fetcher, head) = (self.fetcher.clone(), self.head.clone());
        let (found, asked) = (self.found.clone(), self.asked.clone());
        async move {
            let changed = || Error::Changed { origin: head::origin(&found) };
            let mut answer = fetcher.once(&found, &wanted).await;
            // A signature in a redirect's target may be too old by now; the origin gives a new one.
            let stale =
                |failed: &Failed| matches!(failed.error, Error::Status { status: 401 | 403 | 404 | 410, .. });
            if found != asked && answer.as_ref().is_err_and(stale) {
                answer = fetcher.once(&asked, &wanted).await;
            }
            match answer {
                // `If-Range` gives the whole of what is there now
                Err(Failed { error: Error::NoRanges { .. }, .. }) if wanted.unchanged.is_some() => {
                    Err(changed().into())
                }
                Ok(answer) if !head.continues_in(&answer.head) => Err(changed().into()),
                other => other,
            }
        }
    }
}
