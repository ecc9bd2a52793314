//! A body that is read in the pieces that its reader wants, some of it before it is known what it is.

use std::fmt;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use tokio::sync::mpsc::{self, error::TrySendError};

use super::{Body, Error, icy::Icy};

/// Titles that wait for their reader; what comes after them waits here, the newest only.
const TITLES: usize = 4;

/// A body, and what has been read of it and not been given.
pub(super) struct Flow {
    body: Body,
    ahead: BytesMut,
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flow")
            .field("body", &self.body)
            .field("ahead", &self.ahead.len())
            .finish_non_exhaustive()
    }
}

impl Flow {
    pub(super) fn new(body: Body) -> Self {
        Self { body, ahead: BytesMut::new() }
    }

    /// Offset of the next byte that is given.
    pub(super) fn at(&self) -> u64 {
        self.body.position() - self.ahead.len() as u64
    }

    pub(super) fn body(&self) -> &Body {
        &self.body
    }

    /// What has been read ahead.
    pub(super) fn ahead(&self) -> &[u8] {
        &self.ahead
    }

    /// The body, and what was read of it.
    pub(super) fn into_parts(self) -> (Bytes, Body) {
        (self.ahead.freeze(), self.body)
    }

    /// Reads ahead until there are `least` bytes or the end; whether there are so many. May be dropped and called again.
    pub(super) async fn peek(&mut self, least: usize) -> Result<bool, Error> {
        while self.ahead.len() < least {
            match self.body.chunk().await? {
                Some(more) => self.ahead.extend_from_slice(&more),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Up to `most` bytes: waits for the first of them, and takes what else is there. `None` at the end.
    pub(super) async fn take(&mut self, most: usize) -> Result<Option<Bytes>, Error> {
        if !self.peek(1).await? {
            return Ok(None);
        }
        // an error comes again with the next read
        while self.ahead.len() < most
            && let Some(Ok(Some(more))) = self.body.chunk().now_or_never()
        {
            self.ahead.extend_from_slice(&more);
        }
        Ok(Some(self.ahead.split_to(most.min(self.ahead.len())).freeze()))
    }

    /// Goes to `offset`, which is not before [`Flow::at`]; whether the body goes so far.
    pub(super) async fn skip_to(&mut self, offset: u64) -> Result<bool, Error> {
        while self.at() < offset {
            if !self.peek(1).await? {
                return Ok(false);
            }
            let step = usize::try_from(offset - self.at()).unwrap_or(usize::MAX).min(self.ahead.len());
            let _skipped = self.ahead.split_to(step);
        }
        Ok(true)
    }
}

/// A body that is read from the front and only once: a radio, or a file without length that needs no seek.
pub(super) struct Once {
    flow: Flow,
    titles: Option<Titles>,
}

/// An Icecast stream's titles on the way to their reader.
struct Titles {
    icy: Icy,
    newest: Option<String>,
    sender: mpsc::Sender<String>,
}

impl Once {
    pub(super) fn new(flow: Flow) -> Self {
        Self { flow, titles: None }
    }

    /// A stream with titles each `interval` bytes, and where they come out.
    pub(super) fn with_titles(flow: Flow, interval: u32) -> (Self, mpsc::Receiver<String>) {
        let (sender, receiver) = mpsc::channel(TITLES);
        let titles = Titles { icy: Icy::new(interval), newest: None, sender };
        (Self { flow, titles: Some(titles) }, receiver)
    }

    pub(super) async fn read(&mut self, most: usize) -> Result<Option<Bytes>, Error> {
        loop {
            let Some(bytes) = self.flow.take(most).await? else { return Ok(None) };
            let Some(titles) = &mut self.titles else { return Ok(Some(bytes)) };
            let media = titles.strip(bytes);
            // a piece may be all title
            if !media.is_empty() {
                return Ok(Some(media));
            }
        }
    }
}

impl Titles {
    fn strip(&mut self, bytes: Bytes) -> Bytes {
        let (media, title) = self.icy.strip(bytes);
        self.newest = title.or(self.newest.take());
        if let Some(title) = self.newest.take() {
            match self.sender.try_send(title) {
                Err(TrySendError::Full(title)) => self.newest = Some(title),
                // nobody reads titles
                Ok(()) | Err(TrySendError::Closed(_)) => {}
            }
        }
        media
    }
}
