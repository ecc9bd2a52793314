use std::time::{Duration, Instant};

use media::Output;

use super::{Event, backoff::Backoff, lanes::OUTPUTS, link::Link, negotiation::RETELL_AFTER, task::Task};

/// ICE finds a path again by itself after a short outage; past this it gets a restart,
const PATH_PATIENCE: Duration = Duration::from_secs(2);

/// and past this a new join.
const PATH_DEADLINE: Duration = Duration::from_secs(10);

/// The server's LeaveRequest and its DTLS goodbye race; only the former says whether we may come back.
const GOODBYE_GRACE: Duration = Duration::from_secs(1);

/// What goes into the peer connection, and what it has to tell.
impl Task {
    /// Moves frames or packets from the queues to the network: sound first, then the lowest layer first, so that what
    /// starves under congestion is the top layer.
    pub(super) fn feed(&mut self, link: &mut Link, now: Instant) -> Result<(), rtc::room::Error> {
        for output in OUTPUTS {
            if !link.peer.is_open(output) {
                self.shared.clear(output);
                self.hold.clear(output);
                continue;
            }
            if self.shared.forward {
                self.feed_packets(link, now, output)?;
            } else {
                self.feed_frames(link, now, output)?;
            }
            if let (Output::Video(quality), true) = (output, self.shared.take_starved(output)) {
                link.peer.request_keyframe(now, quality);
            }
        }
        if link.peer.is_data_open() {
            self.shared.take_messages(|message| link.peer.send_data(now, message))?;
        }
        Ok(())
    }

    fn feed_frames(&mut self, link: &mut Link, now: Instant, output: Output) -> Result<(), rtc::room::Error> {
        self.hold.take_in(now, output, &self.shared.frames);
        while !link.peer.is_congested()
            && let Some(frame) = self.hold.pop(now, output)
        {
            link.peer.write(now, &frame)?;
        }
        Ok(())
    }

    /// Packets are not held: the publisher has given them their rhythm.
    fn feed_packets(&self, link: &mut Link, now: Instant, output: Output) -> Result<(), rtc::room::Error> {
        while !link.peer.is_congested()
            && let Some((packet, cut)) = self.shared.packets.pop(output)
        {
            if cut {
                link.peer.pause(output);
            }
            link.peer.forward(now, output, &packet.rtp)?;
        }
        Ok(())
    }

    /// What the peer connection has to tell.
    pub(super) fn note(&mut self, link: &mut Link, now: Instant) {
        use rtc::room::Event as Peer;
        while let Some(event) = link.peer.poll_event(now) {
            match event {
                Peer::Connected => {
                    (link.clocks.tcp, link.clocks.connected) = (None, None);
                    link.clocks.retell = Some(now + RETELL_AFTER);
                    self.ailing = None;
                    self.backoff = Backoff::default();
                    self.events.push(Event::Connected);
                }
                Peer::Path(true) => (link.clocks.restart, link.clocks.path) = (None, None),
                Peer::Path(false) => {
                    link.clocks.restart = Some(now + PATH_PATIENCE);
                    link.clocks.path = Some(now + PATH_DEADLINE);
                }
                Peer::Closed => link.clocks.goodbye = Some(now + GOODBYE_GRACE),
                Peer::KeyframeNeeded(quality) => self.events.push(Event::KeyframeNeeded(quality)),
                Peer::Stats(stats) => {
                    self.log_drops();
                    let sound = stats.loss.filter(|_| stats.output == Output::Audio);
                    if let Some(step) = sound.and_then(|loss| self.sound_loss.note(loss)) {
                        self.events.push(Event::SoundLoss(step));
                    }
                    self.events.push(Event::Stats(stats));
                }
            }
        }
    }

    /// One line for all frames or packets lost since the last one.
    fn log_drops(&mut self) {
        let dropped = self.shared.dropped();
        if dropped > self.dropped {
            let frames = dropped - self.dropped;
            tracing::warn!(frames, "queue B on the way to the room dropped frames, or packets");
            self.dropped = dropped;
        }
    }
}
