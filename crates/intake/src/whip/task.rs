use std::{pin::pin, sync::Arc, time::Instant};

use rtc::{
    room::Protocol,
    whip::{self, Fragment, Patched, Peer},
};
use tokio::{sync::mpsc, time::sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    net::{Batch, Mailbox, Route, Sockets},
    options::Limits,
    publisher::{Event, Feed, Why},
    resources::{Claim, Patch, PatchDone, PatchError},
};

/// Datagrams that are read before what they made is handed over: bounds how late the first of a burst gets on.
const TURN: usize = 16;

/// One publisher's connection: the clock, the sockets and the queue around a [`Peer`].
pub(super) struct Task {
    peer: Peer,
    sockets: Sockets,
    route: Route,
    mailbox: Arc<Mailbox>,
    feed: Feed,
    claim: Claim,
    patches: mpsc::Receiver<Patch>,
    limits: Limits,
    batch: Batch,
    /// What has been read of the batch.
    read: usize,
    lost: u64,
    born: Instant,
    connected: bool,
    /// The last sign of life.
    alive: Instant,
}

impl Task {
    pub(super) fn new(
        (now, peer): (Instant, Peer),
        (route, sockets): (Route, Sockets),
        feed: Feed,
        (claim, patches): (Claim, mpsc::Receiver<Patch>),
        limits: Limits,
    ) -> Self {
        let mailbox = route.mailbox().clone();
        let (batch, read, lost) = (Batch::default(), 0, 0);
        let (born, connected, alive) = (now, false, now);
        Self {
            peer,
            sockets,
            route,
            mailbox,
            feed,
            claim,
            patches,
            limits,
            batch,
            read,
            lost,
            born,
            connected,
            alive,
        }
    }

    /// Serves the connection to its end, and says how it came.
    pub(super) async fn run(mut self, end: CancellationToken) {
        let why = self.drive(&end).await;
        tracing::debug!(%why, lost = self.lost, "a WHIP publisher ended");
        self.peer.close();
        self.transmit(Instant::now());
        let Self { feed, claim, .. } = self;
        // Whoever hears of the end finds the resource gone.
        drop(claim);
        feed.end(why);
    }

    async fn drive(&mut self, end: &CancellationToken) -> Why {
        let mut closed = self.feed.closed();
        let mut clock = pin!(sleep_until(self.born.into()));
        loop {
            if let Err(why) = self.turn(Instant::now()) {
                return why;
            }
            let due = self.due().into();
            if clock.deadline() != due {
                clock.as_mut().reset(due);
            }
            let (more, room) = (self.read < self.batch.len(), self.feed.has_room());
            tokio::select! {
                biased;
                () = end.cancelled() => return Why::Closed("the server is shutting down".to_owned()),
                why = closed.wait() => return why,
                Some(patch) = self.patches.recv() => self.patch(Instant::now(), patch),
                () = tokio::task::yield_now(), if more && room => {}
                () = self.mailbox.news(), if room => {}
                () = self.feed.emptied(), if !room => {}
                () = &mut clock => {}
            }
        }
    }

    /// Does what there is to do now; an error ends the publisher.
    fn turn(&mut self, now: Instant) -> Result<(), Why> {
        let broken = |error: whip::Error| Why::Broken(error.to_string());
        if self.feed.has_room() {
            self.read(now).map_err(broken)?;
        }
        for layer in self.mailbox.wanted_keyframes() {
            self.peer.request_keyframe(now, layer).map_err(broken)?;
        }
        if now >= self.peer.timeout() {
            self.peer.handle_timeout(now).map_err(broken)?;
        }
        self.transmit(now);
        if self.hand_over(now) {
            return Err(Why::Vanished);
        }
        match self.connected {
            false if now >= self.born + self.limits.connect => Err(Why::NotConnected),
            true if now >= self.alive + self.limits.silence => Err(Why::Vanished),
            _ => Ok(()),
        }
    }

    fn due(&self) -> Instant {
        let limit =
            if self.connected { self.alive + self.limits.silence } else { self.born + self.limits.connect };
        limit.min(self.peer.timeout())
    }

    /// Some datagrams into the peer.
    fn read(&mut self, now: Instant) -> Result<(), whip::Error> {
        if self.read >= self.batch.len() && self.mailbox.take(&mut self.batch) {
            self.read = 0;
            self.lost += self.batch.lost();
        }
        for _ in 0..TURN {
            let Some((datagram, bytes)) = self.batch.get(self.read) else { break };
            self.read += 1;
            self.peer.handle_datagram(now, datagram.proto, datagram.from, datagram.to, bytes)?;
        }
        Ok(())
    }

    /// What the peer says, into the sockets.
    fn transmit(&mut self, now: Instant) {
        while let Some(datagram) = self.peer.poll_transmit() {
            if self.route.sent(&datagram) {
                self.alive = now;
            }
            match datagram.proto {
                Protocol::Udp => self.sockets.send_udp(&datagram),
                _ => self.mailbox.send_tcp(datagram.destination, datagram.contents.to_vec()),
            }
        }
    }

    /// What came of it, into the feed. True if the publisher said goodbye.
    fn hand_over(&mut self, now: Instant) -> bool {
        let Self { peer, feed, connected, alive, .. } = self;
        let mut closed = false;
        let events = std::iter::from_fn(|| peer.poll_event()).filter_map(|event| {
            Some(match event {
                whip::Event::Packet(track, packet) => {
                    *alive = now;
                    Event::Packet(track, packet)
                }
                whip::Event::Frame(track, frame) => {
                    *alive = now;
                    Event::Frame(track, frame)
                }
                whip::Event::Stats(stats) => Event::Stats(stats),
                whip::Event::Connected => {
                    (*connected, *alive) = (true, now);
                    Event::Connected
                }
                whip::Event::Closed => {
                    closed = true;
                    return None;
                }
                whip::Event::Path(_) => return None,
            })
        });
        feed.send(events);
        closed
    }

    fn patch(&mut self, now: Instant, patch: Patch) {
        let done = self.patched(now, patch.if_match.as_deref(), &patch.fragment);
        if done.is_ok() {
            self.alive = now;
        }
        // Who has left needs no answer.
        let _ = patch.answer.send(done);
    }

    fn patched(&mut self, now: Instant, if_match: Option<&str>, text: &str) -> Result<PatchDone, PatchError> {
        let fragment = Fragment::read(text).map_err(|error| PatchError::Invalid(error.to_string()))?;
        let restarts = fragment.ufrag.is_some_and(|ufrag| ufrag != self.peer.offer().ufrag);
        match if_match {
            None if restarts => return Err(PatchError::Unconditional),
            Some(tags) if !names(tags, &etag(&mut self.peer)) => return Err(PatchError::Stale),
            _ => {}
        }
        let patched = self.peer.patch(now, text).map_err(|error| PatchError::Invalid(error.to_string()))?;
        let fragment = match patched {
            Patched::Trickled => None,
            Patched::Restarted(fragment) => {
                self.route.rename(self.peer.ufrag());
                Some(fragment)
            }
        };
        Ok(PatchDone { fragment, etag: etag(&mut self.peer) })
    }
}

/// An ICE session's entity tag (RFC 9725 section 4.3.1): each generation of credentials has another.
pub(super) fn etag(peer: &mut Peer) -> String {
    format!("\"{}\"", peer.ufrag())
}

/// Whether `If-Match` (RFC 9110 section 13.1.1) names this tag. Some clients leave the quotes away.
pub(super) fn names(tags: &str, etag: &str) -> bool {
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").trim_matches('"').to_owned();
    tags.trim() == "*" || tags.split(',').any(|tag| bare(tag) == bare(etag))
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn if_match_names_the_tag_in_a_list_or_all() {
        for tags in ["*", "\"a\"", "\"b\", \"a\"", "a", "W/\"a\""] {
            assert!(names(tags, "\"a\""), "{tags}");
        }
        for tags in ["", "\"b\"", "\"aa\"", "\"a b\""] {
            assert!(!names(tags, "\"a\""), "{tags}");
        }
    }
}
