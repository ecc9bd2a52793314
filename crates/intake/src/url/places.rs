//! Random access to a server with ranges.

use bytes::Bytes;
use tracing::debug;
use url::Url;

use super::{Ask, Error, Fetcher, Opened, Range, flow::Flow, head};

/// A read this far ahead reads through what lies between: some 20 ms at 100 Mbit/s, where another request takes a round trip and,
/// over HTTP/1.1, a connection.
const THROUGH: u64 = 256 * 1024;
/// Answers that are held at a time. Tables lie at a file's end, and in some files sound lies far from the pictures: with one answer
/// for each of them none is asked for again and again. Those that are not read cost a connection and what the sockets hold.
const HELD: usize = 3;

/// A file, and the places in it that are being read.
pub(super) struct Places {
    fetcher: Fetcher,
    /// As the caller gave it.
    asked: Url,
    /// Where it was after redirects.
    found: Url,
    size: u64,
    /// The one that was read last at the end. Never empty.
    flows: Vec<Flow>,
}

impl Places {
    /// `flow` is an answer's body, of a resource of `size` bytes.
    pub(super) fn new(fetcher: Fetcher, (asked, found): (Url, Url), size: u64, flow: Flow) -> Self {
        Self { fetcher, asked, found, size, flows: vec![flow] }
    }

    pub(super) async fn read(&mut self, offset: u64, most: usize) -> Result<Option<Bytes>, Error> {
        if offset >= self.size {
            return Ok(None);
        }
        let near = |flow: &&Flow| (flow.at()..=flow.at().saturating_add(THROUGH)).contains(&offset);
        match self.flows.iter().filter(near).map(Flow::at).max() {
            Some(at) => {
                let index = self.flows.iter().position(|flow| flow.at() == at).unwrap_or_default();
                let flow = self.flows.remove(index);
                self.flows.push(flow);
            }
            None => self.go(offset).await?,
        }
        let Some(flow) = self.flows.last_mut() else { return Ok(None) };
        match flow.skip_to(offset).await? {
            true => flow.take(most).await,
            false => Ok(None),
        }
    }

    /// Another answer, from `offset` on.
    async fn go(&mut self, offset: u64) -> Result<(), Error> {
        debug!(origin = head::origin(&self.found), offset, "reading on elsewhere");
        let ask = Ask { range: Some(Range::from(offset)), ..Ask::default() };
        let mut opened = self.fetcher.open(&self.found, ask).await;
        // A signature in a redirect's target may be too old by now; the origin gives a new one.
        let stale = |error: &Error| matches!(error, Error::Status { status: 401 | 403 | 404 | 410, .. });
        if self.found != self.asked && opened.as_ref().is_err_and(stale) {
            opened = self.fetcher.open(&self.asked, ask).await;
        }
        let Opened { body, url, .. } = match opened {
            // It had ranges, and has that offset no more.
            Err(Error::PastEnd { origin } | Error::NoRanges { origin }) => {
                return Err(Error::Changed { origin });
            }
            opened => opened?,
        };
        if self.flows.last().is_some_and(|flow| !flow.body().is_of_the_same(&body)) {
            return Err(Error::Changed { origin: head::origin(&url) });
        }
        self.found = url;
        if self.flows.len() >= HELD {
            self.flows.remove(0);
        }
        self.flows.push(Flow::new(body));
        Ok(())
    }
}
