use std::{io, sync::Arc};

use media::Unit;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

/// Media and metadata of one connection that wait for [`Publisher::recv`], by number: four seconds at 30 pictures and
/// 47 sounds per second. Past it the socket is not read.
const EVENTS: usize = 320;

/// The same by bytes: the largest message fits twice (fault row 2 allows 8 MiB per connection in all). Past it as above.
const BYTES: usize = 2 * ::rtmp::limits::MEDIA_MESSAGE;

/// What comes from a publisher.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A format or an access unit; [`::rtmp::VIDEO`] and [`::rtmp::AUDIO`] are the tracks, times are in milliseconds.
    Unit(Unit),
    /// What `onMetaData` claims.
    Metadata(::rtmp::Metadata),
    /// The last event.
    Ended(Why),
}

/// How a publisher ended. `Display` gives a reason for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// The encoder said that it is done.
    #[error("the encoder ended the stream")]
    Unpublished,
    /// No media for [`::rtmp::limits::SILENCE`].
    #[error("no media for {} s", ::rtmp::limits::SILENCE.as_secs())]
    Silent,
    /// The encoder closed the connection without a word: killed, or it lost its network.
    #[error("the encoder closed the connection")]
    Disconnected,
    /// The connection broke.
    #[error("the connection to the encoder broke: {0}")]
    Broken(io::ErrorKind),
    /// The encoder sent what cannot be read, or a codec that cannot be taken ([`::rtmp::Error::Unsupported`]).
    #[error("{0}")]
    Protocol(::rtmp::Error),
    /// The same of another protocol's source, in words.
    #[error("{0}")]
    Invalid(String),
    /// [`Closer::close`], or the listener was shut down.
    #[error("{0}")]
    Closed(String),
}

/// An accepted publisher. Dropping it closes the connection.
#[derive(Debug)]
pub struct Publisher {
    events: mpsc::Receiver<Charged>,
    /// Beside the events, so that the end needs no room among them.
    ended: Option<oneshot::Receiver<Why>>,
    closer: Closer,
}

impl Publisher {
    /// The next event; `None` after [`Event::Ended`]. While it is not called the encoder is held back by TCP.
    pub async fn recv(&mut self) -> Option<Event> {
        if let Some(charged) = self.events.recv().await {
            return Some(charged.event);
        }
        let why = self.ended.as_mut()?.await;
        self.ended = None;
        Some(Event::Ended(why.unwrap_or(Why::Broken(io::ErrorKind::Other))))
    }

    /// A handle that ends the publisher from elsewhere.
    pub fn closer(&self) -> Closer {
        self.closer.clone()
    }
}

/// Ends a publisher: it gets the reason, then the connection is closed, and [`Publisher::recv`] yields [`Why::Closed`].
#[derive(Debug, Clone)]
pub struct Closer(Arc<watch::Sender<Option<String>>>);

impl Closer {
    /// The first reason counts; the call does not wait.
    pub fn close(&self, reason: &str) {
        self.0.send_if_modified(|current| {
            let first = current.is_none();
            current.get_or_insert_with(|| reason.to_owned());
            first
        });
    }
}

/// An event with its share of [`BYTES`].
#[derive(Debug)]
struct Charged {
    event: Event,
    _share: OwnedSemaphorePermit,
}

/// The connection's end of a [`Publisher`].
#[derive(Debug)]
pub(crate) struct Feed {
    events: mpsc::Sender<Charged>,
    bytes: Arc<Semaphore>,
    close: watch::Receiver<Option<String>>,
    ended: oneshot::Sender<Why>,
}

/// Both ends.
pub(crate) fn channel() -> (Feed, Publisher) {
    let (sender, events) = mpsc::channel(EVENTS);
    let (closer, close) = watch::channel(None);
    let (why, ended) = oneshot::channel();
    let feed = Feed { events: sender, bytes: Arc::new(Semaphore::new(BYTES)), close, ended: why };
    (feed, Publisher { events, ended: Some(ended), closer: Closer(Arc::new(closer)) })
}

impl Feed {
    /// Waits for room. False when the publisher was dropped.
    pub(crate) async fn send(&self, event: Event) -> bool {
        let bytes = match &event {
            Event::Unit(Unit::Packet(packet)) => packet.data.len(),
            Event::Unit(Unit::Format(_, format)) => format.config.len(),
            _ => 0,
        };
        let share = u32::try_from(bytes.min(BYTES)).unwrap_or(u32::MAX);
        let Ok(share) = self.bytes.clone().acquire_many_owned(share).await else { return false };
        self.events.send(Charged { event, _share: share }).await.is_ok()
    }

    /// The last event.
    pub(crate) fn end(self, why: Why) {
        // A publisher that was dropped does not want to know.
        let _ = self.ended.send(why);
    }

    /// Resolves when the connection is to be closed, with the reason.
    pub(crate) async fn closed(&self) -> String {
        let mut close = self.close.clone();
        tokio::select! {
            reason = close.wait_for(Option::is_some) => {
                if let Ok(reason) = reason {
                    return reason.clone().unwrap_or_default();
                }
            }
            () = self.events.closed() => {}
        }
        "the server has ended the stream".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;
    use bytes::Bytes;
    use media::{Codec, Format};

    fn unit(len: usize) -> Event {
        Event::Unit(Unit::Format(::rtmp::AUDIO, Format::new(Codec::Aac, Bytes::from(vec![0; len]))))
    }

    fn is_ready<F: Future>(future: F) -> bool {
        pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[tokio::test]
    async fn a_publisher_that_is_not_read_holds_back_by_number_and_by_bytes() {
        let (feed, mut publisher) = channel();
        for _ in 0..EVENTS {
            assert!(feed.send(unit(1)).await);
        }
        assert!(!is_ready(feed.send(unit(1))));
        assert_eq!(publisher.recv().await, Some(unit(1)));
        assert!(is_ready(feed.send(unit(1))));

        let (feed, mut publisher) = channel();
        assert!(feed.send(unit(BYTES)).await);
        assert!(!is_ready(feed.send(unit(1))));
        publisher.recv().await;
        assert!(is_ready(feed.send(unit(1))));
    }

    #[tokio::test]
    async fn the_end_comes_behind_all_events_even_when_there_is_no_room() {
        let (feed, mut publisher) = channel();
        for _ in 0..EVENTS {
            assert!(feed.send(unit(1)).await);
        }
        feed.end(Why::Silent);
        for _ in 0..EVENTS {
            assert_eq!(publisher.recv().await, Some(unit(1)));
        }
        assert_eq!(publisher.recv().await, Some(Event::Ended(Why::Silent)));
        assert_eq!(publisher.recv().await, None);
    }

    #[tokio::test]
    async fn the_first_reason_closes() {
        let (feed, publisher) = channel();
        assert!(!is_ready(feed.closed()));
        publisher.closer().close("first");
        publisher.closer().close("second");
        assert_eq!(feed.closed().await, "first");
    }

    #[tokio::test]
    async fn dropping_the_publisher_closes() {
        let (feed, publisher) = channel();
        let closer = publisher.closer();
        drop(publisher);
        assert_eq!(feed.closed().await, "the server has ended the stream");
        assert!(!feed.send(unit(1)).await);
        closer.close("nobody hears this");
    }
}
