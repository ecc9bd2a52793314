use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use media::RtpPacket;
use rtc::whip::{Offer, Stats, Track};
use tokio::sync::{Notify, watch};

use super::net::Mailbox;

/// Events of one publisher that wait for [`Publisher::recv`]: two seconds at 500 packets a second. Past it datagrams are left
/// in the mailbox, and lost when that is full; what is missed is asked for again.
const EVENTS: usize = 1024;

/// The same by bytes of media.
const BYTES: usize = 4 << 20;

/// What comes from a publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// ICE and DTLS are up.
    Connected,
    /// [`Mode::Packets`](rtc::whip::Mode::Packets): an RTP packet.
    Packet(Track, RtpPacket),
    /// [`Mode::Frames`](rtc::whip::Mode::Frames): a picture or a sound frame.
    Frame(Track, media::Packet),
    /// How well a track is received.
    Stats(Stats),
    /// The last event.
    Ended(Why),
}

/// How a publisher ended. `Display` gives a reason for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// It said that it is done, by DELETE.
    #[error("the publisher ended the stream")]
    Deleted,
    /// It closed the connection (DTLS), or nothing has come from it for [`Limits::silence`](super::Limits::silence).
    #[error("the publisher vanished")]
    Vanished,
    /// ICE and DTLS were not up within [`Limits::connect`](super::Limits::connect).
    #[error(
        "the publisher did not connect for media: is UDP blocked, or a wrong address of this server advertised?"
    )]
    NotConnected,
    /// The engine gave up.
    #[error("the connection to the publisher broke: {0}")]
    Broken(String),
    /// [`Closer::close`], or the listener was shut down.
    #[error("{0}")]
    Closed(String),
}

/// An accepted publisher. Dropping it closes the connection.
#[derive(Debug)]
pub struct Publisher {
    offer: Offer,
    queue: Arc<Queue>,
    closer: Closer,
    control: Control,
}

impl Publisher {
    /// What it offered.
    pub fn offer(&self) -> &Offer {
        &self.offer
    }

    /// The next event; `None` after [`Event::Ended`]. May be cancelled without loss.
    pub async fn recv(&mut self) -> Option<Event> {
        loop {
            if let Some(next) = self.queue.pop() {
                return next;
            }
            self.queue.filled.notified().await;
        }
    }

    /// A handle that ends the publisher from elsewhere.
    pub fn closer(&self) -> Closer {
        self.closer.clone()
    }

    /// A handle that asks for keyframes.
    pub fn control(&self) -> Control {
        self.control.clone()
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.closer.close("the server has ended the stream");
        self.queue.leave();
    }
}

/// Ends a publisher; [`Publisher::recv`] yields [`Why::Closed`]. WHIP has no way to tell the client why.
#[derive(Debug, Clone)]
pub struct Closer(Arc<watch::Sender<Option<Why>>>);

impl Closer {
    /// The first reason counts; the call does not wait.
    pub fn close(&self, reason: &str) {
        self.end(|| Why::Closed(reason.to_owned()));
    }

    pub(super) fn delete(&self) {
        self.end(|| Why::Deleted);
    }

    fn end(&self, why: impl FnOnce() -> Why) {
        self.0.send_if_modified(|current| {
            let first = current.is_none();
            current.get_or_insert_with(why);
            first
        });
    }
}

/// Asks a publisher for keyframes.
#[derive(Clone)]
pub struct Control(Arc<Mailbox>);

impl Control {
    /// Of a layer, as in [`Track::Video`]. The call does not wait.
    pub fn keyframe(&self, layer: usize) {
        self.0.want_keyframe(layer);
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Control")
    }
}

/// The connection's end of a [`Publisher`]. Dropping it ends the publisher, too.
#[derive(Debug)]
pub(super) struct Feed {
    queue: Arc<Queue>,
    close: watch::Receiver<Option<Why>>,
}

/// Waits until a connection is to be closed.
#[derive(Debug)]
pub(super) struct Closed(watch::Receiver<Option<Why>>);

/// A [`Closer`] by itself.
pub(super) fn closer() -> (Closer, Closed) {
    let (closer, close) = watch::channel(None);
    (Closer(Arc::new(closer)), Closed(close))
}

/// Both ends.
pub(super) fn channel(offer: Offer, mailbox: Arc<Mailbox>) -> (Feed, Publisher) {
    let queue = Arc::new(Queue::default());
    let (closer, close) = watch::channel(None);
    let (closer, control) = (Closer(Arc::new(closer)), Control(mailbox));
    (Feed { queue: queue.clone(), close }, Publisher { offer, queue, closer, control })
}

impl Feed {
    /// Hands over what `next` yields, and wakes the reader once.
    pub(super) fn send(&self, next: impl Iterator<Item = Event>) {
        let mut next = next.peekable();
        if next.peek().is_none() {
            return;
        }
        let mut state = self.queue.lock();
        for event in next {
            if !state.left {
                state.bytes += bytes(&event);
                state.events.push_back(event);
            }
        }
        drop(state);
        self.queue.filled.notify_one();
    }

    /// Whether more should be sent now. A little more than the bounds is taken all the same.
    pub(super) fn has_room(&self) -> bool {
        !self.queue.lock().is_full()
    }

    /// Resolves when [`Feed::has_room`] may have become true.
    pub(super) async fn emptied(&self) {
        self.queue.emptied.notified().await;
    }

    /// The last event. The first one counts.
    pub(super) fn end(&self, why: Why) {
        let mut state = self.queue.lock();
        if matches!(state.ended, Ended::No) {
            state.ended = Ended::Yes(why);
        }
        drop(state);
        self.queue.filled.notify_one();
    }

    pub(super) fn closed(&self) -> Closed {
        Closed(self.close.clone())
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.end(Why::Broken("its task ended badly".to_owned()));
    }
}

impl Closed {
    /// Resolves with the reason.
    pub(super) async fn wait(&mut self) -> Why {
        match self.0.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or(Why::Vanished),
            Err(_) => Why::Closed("the server has ended the stream".to_owned()),
        }
    }
}

/// Filled and emptied many events at a time: cheaper than a channel that wakes for each.
#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    filled: Notify,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<Event>,
    bytes: usize,
    ended: Ended,
    /// Nobody reads.
    left: bool,
}

#[derive(Debug, Default)]
enum Ended {
    #[default]
    No,
    Yes(Why),
    Told,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None`: nothing yet. `Some(None)`: nothing any more.
    fn pop(&self) -> Option<Option<Event>> {
        let mut state = self.lock();
        let was_full = state.is_full();
        if let Some(event) = state.events.pop_front() {
            state.bytes -= bytes(&event);
            if was_full && !state.is_full() {
                self.emptied.notify_one();
            }
            return Some(Some(event));
        }
        match std::mem::replace(&mut state.ended, Ended::Told) {
            Ended::Yes(why) => Some(Some(Event::Ended(why))),
            Ended::Told => Some(None),
            Ended::No => {
                state.ended = Ended::No;
                None
            }
        }
    }

    fn leave(&self) {
        let mut state = self.lock();
        state.left = true;
        state.events = VecDeque::new();
        state.bytes = 0;
    }
}

impl State {
    fn is_full(&self) -> bool {
        self.events.len() >= EVENTS || self.bytes >= BYTES
    }
}

fn bytes(event: &Event) -> usize {
    match event {
        Event::Packet(_, packet) => packet.payload.len(),
        Event::Frame(_, frame) => frame.data.len(),
        _ => 0,
    }
}

#[cfg(test)]
#[path = "publisher_tests.rs"]
mod tests;
