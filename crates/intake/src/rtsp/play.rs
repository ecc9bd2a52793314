//! A session that plays: packets to units, signs of life, the end.

use std::time::{Duration, Instant};

use media::{Kind, TrackId, Unit};
use rtc::rtp::{Receiver, receiver_report};
use tokio::time::{sleep_until, timeout};

use super::{
    formats::Taken,
    link::{Link, Lost},
    message::Item,
    transport::{self, Pair},
};
use crate::rtmp::{Event, Feed, Why};

/// From PLAY to the first packet. Past it the publisher ends: behind a firewall UDP never comes.
const FIRST_MEDIA: Duration = ::rtmp::limits::FIRST_MEDIA;

/// Receiver reports are this far apart (RFC 3550 section 6.2).
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// For the last word and its answer.
const GOODBYE: Duration = Duration::from_secs(1);

/// The number that we report under. It is compared with nothing.
const OUR_SSRC: u32 = 0x51_1ce6;

pub(super) struct Play {
    pub(super) link: Link,
    pub(super) receiver: Receiver,
    pub(super) taken: Vec<Taken>,
    /// By TCP: each track's, for RTP and RTCP.
    pub(super) channels: Vec<(u8, u8)>,
    /// By UDP: each track's.
    pub(super) pairs: Vec<Pair>,
    /// The URL of the whole.
    pub(super) uri: String,
    /// The request that shows that we are there.
    pub(super) alive: &'static str,
    pub(super) alive_every: Duration,
}

/// What is due when.
struct Due {
    alive: Instant,
    report: Instant,
    silence: Instant,
}

impl Play {
    pub(super) async fn run(mut self, feed: Feed) {
        let why = tokio::select! {
            biased;
            reason = feed.closed() => Why::Closed(reason),
            why = self.play(&feed) => why,
        };
        let lost: u64 = (0..self.taken.len()).map(|track| self.receiver.counts(track).lost).sum();
        let packets: u64 = (0..self.taken.len()).map(|track| self.receiver.counts(track).packets).sum();
        tracing::debug!(origin = %self.link.origin(), %why, packets, lost, "an RTSP pull ended");
        feed.end(why);
        // The session is over in any case, whether the server still listens or not.
        let _ = timeout(GOODBYE, self.tear_down()).await;
    }

    async fn tear_down(&mut self) {
        if let Ok(number) = self.link.send("TEARDOWN", &self.uri, &[]).await {
            while let Ok(item) = self.link.next().await {
                if matches!(item, Item::Response(response) if response.cseq() == Some(number)) {
                    return;
                }
            }
        }
    }

    async fn play(&mut self, feed: &Feed) -> Why {
        for taken in &self.taken {
            let format = Unit::Format(id(taken.track.codec.kind()), taken.format.clone());
            feed.send(Event::Unit(format)).await;
        }
        let now = Instant::now();
        let mut due =
            Due { alive: now + self.alive_every, report: now + REPORT_EVERY, silence: now + FIRST_MEDIA };
        for pair in &self.pairs {
            pair.punch(&receiver_report(OUR_SSRC)).await;
        }
        for (channel, packet) in std::mem::take(&mut self.link.early) {
            self.packet(channel, &packet, &mut due);
        }
        let mut buffer = Vec::new();
        loop {
            self.hand_on(feed).await;
            if self.receiver.is_over() {
                return Why::Unpublished;
            }
            if let Some(why) = self.timers(&mut due).await {
                return why;
            }
            let next = due.alive.min(due.report).min(due.silence);
            let next = self.receiver.deadline().map_or(next, |deadline| deadline.min(next));
            let came = tokio::select! {
                item = self.link.next() => Came::Item(item),
                (track, is_rtcp) = transport::receive(&self.pairs, &mut buffer), if !self.pairs.is_empty() => {
                    Came::Datagram(track, is_rtcp)
                }
                () = sleep_until(next.into()) => Came::Nothing,
            };
            match came {
                Came::Item(Ok(item)) => {
                    if let Some(why) = self.item(item, &mut due).await {
                        return why;
                    }
                }
                Came::Item(Err(Lost::Closed)) => return Why::Disconnected,
                Came::Item(Err(Lost::Io(kind))) => return Why::Broken(kind),
                Came::Item(Err(Lost::Invalid(invalid))) => return Why::Invalid(invalid.to_string()),
                Came::Datagram(track, is_rtcp) => self.datagram(track, is_rtcp, &buffer, &mut due),
                Came::Nothing => {}
            }
        }
    }

    /// What is whole goes on. A feed without a reader resolves `Feed::closed` beside this.
    async fn hand_on(&mut self, feed: &Feed) {
        while let Some((track, packets)) = self.receiver.poll(Instant::now()) {
            for packet in packets {
                feed.send(Event::Unit(Unit::Packet(self.taken[track].complete(packet)))).await;
            }
        }
    }

    async fn item(&mut self, item: Item, due: &mut Due) -> Option<Why> {
        match item {
            Item::Data { channel, packet } => self.packet(channel, &packet, due),
            Item::Response(response) => self.link.renew(&response),
            Item::Request { method, cseq } => {
                let replied = self.link.reply(&method, &cseq).await;
                if method == "TEARDOWN" {
                    return Some(Why::Unpublished);
                }
                return replied.err().map(|error| Why::Broken(error.kind()));
            }
        }
        None
    }

    fn packet(&mut self, channel: u8, packet: &[u8], due: &mut Due) {
        let place = self.channels.iter().position(|(rtp, rtcp)| channel == *rtp || channel == *rtcp);
        if let Some(track) = place {
            self.datagram(track, channel == self.channels[track].1, packet, due);
        }
    }

    fn datagram(&mut self, track: usize, is_rtcp: bool, bytes: &[u8], due: &mut Due) {
        if is_rtcp {
            self.receiver.rtcp(track, bytes);
        } else if self.receiver.rtp(Instant::now(), track, bytes) {
            due.silence = Instant::now() + ::rtmp::limits::SILENCE;
        }
    }

    async fn timers(&mut self, due: &mut Due) -> Option<Why> {
        let now = Instant::now();
        if now >= due.silence {
            let heard = (0..self.taken.len()).any(|track| self.receiver.counts(track).packets > 0);
            return Some(if heard { Why::Silent } else { Why::Invalid(self.nothing_came()) });
        }
        if now >= due.alive {
            due.alive = now + self.alive_every;
            if let Err(error) = self.link.send(self.alive, &self.uri, &[]).await {
                return Some(Why::Broken(error.kind()));
            }
        }
        if now >= due.report {
            due.report = now + REPORT_EVERY;
            let report = receiver_report(OUR_SSRC);
            for pair in &self.pairs {
                pair.report(&report).await;
            }
            for (_, channel) in &self.channels {
                if let Err(error) = self.link.send_packet(*channel, &report).await {
                    return Some(Why::Broken(error.kind()));
                }
            }
        }
        None
    }

    fn nothing_came(&self) -> String {
        let way = if self.pairs.is_empty() { "" } else { " by UDP: is there a firewall?" };
        format!("the server plays, but sent nothing for {} s{way}", FIRST_MEDIA.as_secs())
    }
}

enum Came {
    Item(Result<Item, Lost>),
    Datagram(usize, bool),
    Nothing,
}

/// As RTMP's.
fn id(kind: Kind) -> TrackId {
    if kind == Kind::Video { ::rtmp::VIDEO } else { ::rtmp::AUDIO }
}
