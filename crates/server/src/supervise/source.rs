//! One connection of a publisher: read, put on the session's clock, counted.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use intake::rtmp::{self, CodecId, Event, Metadata, ProtocolError, Publisher, Why};
use livekit::room::Participant;
use media::{Kind, MediaTime, Unit};
use session::{Input, SourceEnd, SourceId, Why as End};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    actor::Actor,
    feed::Feed,
    mail::Mail,
    passage::Passage,
    publisher::{Closer, Request},
    pull,
    sound::Lane,
    srt, whip,
};
use crate::metrics::{Metrics, Publication};

/// The state machine hears of media this often: far under its own stall limits, far over the packet rate.
pub(super) const SUMMARY: Duration = Duration::from_millis(200);

/// Lines about dropped packets are this far apart at least.
const LINE: Duration = Duration::from_secs(1);

/// A connection as the session's actor holds it.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) feed: Arc<Feed>,
    pub(super) stage: Stage,
}

/// How far a connection has come.
#[derive(Debug)]
pub(super) enum Stage {
    /// It asks.
    Asks(Request),
    /// It is being told to go on. Who waits for its media path hears when it is passed over.
    Entering { _passed_over: DropGuard },
    /// Its media flows.
    Flows(Closer),
}

impl Actor {
    pub(super) fn add_source(&mut self, request: Request) -> SourceId {
        let id = SourceId(self.next_source);
        self.next_source += 1;
        let feed = Arc::new(Feed::new(self.epoch));
        self.sources.insert(id, Source { feed, stage: Stage::Asks(request) });
        id
    }

    pub(super) fn accept(&mut self, id: SourceId) {
        let sound = Lane::new(id, self.outlet.clone(), self.plan().audio);
        let Some(source) = self.sources.get_mut(&id) else { return };
        let passed_over = CancellationToken::new();
        let entering = Stage::Entering { _passed_over: passed_over.clone().drop_guard() };
        if let Stage::Asks(request) = std::mem::replace(&mut source.stage, entering) {
            tracing::info!(peer = %request.peer(), encoder = %request.encoder(), source = %id, "publisher accepted");
            if !matches!(request, Request::Pull(_)) {
                self.shared.metrics.published(request.input(), Publication::Success);
            }
            let ways = Ways {
                feed: source.feed.clone(),
                passage: self.passage.clone(),
                mail: self.mail.clone(),
                metrics: self.shared.metrics.clone(),
            };
            match request {
                Request::Rtmp(request) => self.spawn(run(id, request, ways, sound)),
                Request::Srt(request) => self.spawn(srt::run(id, request, self.shared.clone(), ways, sound)),
                Request::Whip(request) => {
                    let flow = self.flow(id, &request, sound);
                    if let whip::Flow::Proxied(_) = flow {
                        // Others begin with the room.
                        self.running.get_or_insert_with(|| self.shared.metrics.session(self.input, false));
                    }
                    self.spawn(whip::run(id, *request, self.shared.clone(), ways, flow, passed_over))
                }
                Request::Pull(request) => {
                    // Others begin with the room.
                    self.running.get_or_insert_with(|| self.shared.metrics.session(self.input, true));
                    let audience = self.attendance.subscribe();
                    self.spawn(pull::run(
                        id,
                        *request,
                        self.shared.clone(),
                        ways,
                        sound,
                        audience,
                        passed_over,
                    ))
                }
            };
        }
    }

    pub(super) fn close(&mut self, id: SourceId, why: &End) {
        match self.sources.remove(&id).map(|source| source.stage) {
            Some(Stage::Asks(request)) => {
                let why = why.clone();
                self.spawn(async move { request.reject(&why).await });
            }
            Some(Stage::Flows(closer)) => closer.close(why),
            // Closed as soon as it says that it was accepted, or sees that it was passed over.
            Some(Stage::Entering { .. }) | None => {}
        }
    }

    pub(super) fn defer(&mut self, id: SourceId) {
        if let Some(Stage::Asks(request)) = self.sources.remove(&id).map(|source| source.stage) {
            self.deferred.push(request);
        }
    }
}

/// Where a connection's media goes, and who hears of it.
pub(super) struct Ways {
    feed: Arc<Feed>,
    passage: Arc<Passage>,
    pub(super) mail: Mail,
    metrics: Metrics,
}

/// Tells the publisher to go on and reads it to its end.
async fn run(id: SourceId, request: rtmp::Request, ways: Ways, mut sound: Lane) {
    let mail = &ways.mail;
    let mut publisher = match request.accept().await {
        Ok(publisher) => publisher,
        Err(error) => {
            tracing::debug!(%error, source = %id, "publisher went before it was accepted");
            mail.input(Input::SourceEnded { source: id, end: SourceEnd::Lost }).await;
            return;
        }
    };
    if !mail.accepted(id, Closer::Rtmp(publisher.closer())).await {
        return;
    }
    let end = read(id, &mut publisher, &ways, &mut sound).await;
    mail.input(Input::SourceEnded { source: id, end }).await;
}

async fn read(id: SourceId, publisher: &mut Publisher, ways: &Ways, sound: &mut Lane) -> SourceEnd {
    let mut tally = Tally::new(id);
    loop {
        let unit = match publisher.recv().await {
            Some(Event::Unit(unit)) => unit,
            Some(Event::Metadata(metadata)) => {
                tracing::debug!(?metadata, source = %id, "publisher describes itself");
                for kind in promised(&metadata) {
                    ways.mail.input(Input::SourceFormat { source: id, kind }).await;
                }
                continue;
            }
            Some(Event::Ended(why)) => {
                tracing::info!(source = %id, "publisher ended: {why}");
                return end(why);
            }
            Some(_) => continue,
            None => return SourceEnd::Lost,
        };
        ways.take(id, unit, Instant::now(), sound, &mut tally).await;
    }
}

impl Ways {
    /// See [`Feed::wants_keyframe`].
    pub(super) fn want_keyframe(&self, now: Instant) -> bool {
        self.feed.wants_keyframe(now)
    }

    /// The source says which kinds will come.
    pub(super) async fn promise(&self, id: SourceId, video: bool, audio: bool) {
        for (_, kind) in [(video, Kind::Video), (audio, Kind::Audio)].into_iter().filter(|(is, _)| *is) {
            self.mail.input(Input::SourceFormat { source: id, kind }).await;
        }
    }

    /// What came at `now` goes to the worker, or past it.
    pub(super) async fn take(
        &self,
        id: SourceId,
        unit: Unit,
        now: Instant,
        sound: &mut Lane,
        tally: &mut Tally,
    ) {
        let unit = self.feed.stamp(unit, now);
        self.put(id, unit, now, sound, tally).await;
    }

    /// Where those who watch are.
    pub(super) fn room(&self) -> Arc<OnceLock<Participant>> {
        self.passage.room.clone()
    }

    /// The session's time.
    pub(super) fn time(&self, now: Instant) -> MediaTime {
        self.feed.time(now)
    }

    /// When the session's time is this.
    pub(super) fn instant(&self, time: MediaTime) -> Instant {
        self.feed.instant(time)
    }

    /// The same for what is on the session's clock already.
    pub(super) async fn put(
        &self,
        id: SourceId,
        unit: Unit,
        now: Instant,
        sound: &mut Lane,
        tally: &mut Tally,
    ) {
        let Ways { feed, passage, mail, metrics } = self;
        match &unit {
            Unit::Format(_, format) => {
                mail.input(Input::SourceFormat { source: id, kind: format.codec.kind() }).await;
            }
            Unit::Packet(packet) => {
                if let Some(summary) = tally.count(packet.kind, packet.data.len(), now, feed.starves()) {
                    mail.input(summary).await;
                }
            }
        }
        for input in passage.source(id, &unit, now) {
            mail.input(input).await;
        }
        let (units, news) = sound.take(unit);
        if let Some(news) = news {
            mail.input(news).await;
        }
        let dropped = units.into_iter().map(|unit| feed.push(unit)).sum();
        if dropped > 0 {
            metrics.queue_dropped("publisher_to_worker", dropped as u64);
        }
        tally.dropped(dropped, now);
    }
}

fn end(why: Why) -> SourceEnd {
    match why {
        Why::Unpublished => SourceEnd::Finished,
        Why::Silent => SourceEnd::Silent,
        Why::Protocol(ProtocolError::Unsupported { codec, .. }) => SourceEnd::Unsupported(codec),
        Why::Protocol(error) => SourceEnd::Invalid(error.to_string()),
        // Closed by us: the session knows why.
        Why::Disconnected | Why::Broken(_) | Why::Closed(_) => SourceEnd::Lost,
        _ => SourceEnd::Lost,
    }
}

/// The kinds of media that will come, as the publisher says. 0 stands for none in the metadata of some encoders.
fn promised(metadata: &Metadata) -> impl Iterator<Item = Kind> {
    let said = |codec: &Option<CodecId>| codec.as_ref().is_some_and(|codec| *codec != CodecId::Flv(0));
    let video = said(&metadata.video_codec).then_some(Kind::Video);
    video.into_iter().chain(said(&metadata.audio_codec).then_some(Kind::Audio))
}

/// What came since the last summary, and what was dropped since the last line about it.
pub(super) struct Tally {
    source: SourceId,
    /// The last summary; `None` before the first, which is due with the first packet.
    told: Option<Instant>,
    video_bytes: u64,
    audio_bytes: u64,
    dropped: u64,
    logged: Option<Instant>,
}

impl Tally {
    pub(super) fn new(source: SourceId) -> Self {
        Self { source, told: None, video_bytes: 0, audio_bytes: 0, dropped: 0, logged: None }
    }

    /// Counts what came at `now`; gives a summary when one is due. `refused`: no picture gets to the worker now.
    pub(super) fn count(&mut self, kind: Kind, bytes: usize, now: Instant, refused: bool) -> Option<Input> {
        match kind {
            Kind::Video => self.video_bytes += bytes as u64,
            Kind::Audio => self.audio_bytes += bytes as u64,
        }
        let nothing = self.video_bytes + self.audio_bytes == 0;
        if nothing || self.told.is_some_and(|told| now.duration_since(told) < SUMMARY) {
            return None;
        }
        self.told = Some(now);
        let (video_bytes, audio_bytes) =
            (std::mem::take(&mut self.video_bytes), std::mem::take(&mut self.audio_bytes));
        Some(Input::SourceMedia { source: self.source, video_bytes, audio_bytes, refused })
    }

    /// Counts what the queue dropped; one line a second at most.
    fn dropped(&mut self, packets: usize, now: Instant) {
        self.dropped += packets as u64;
        if self.dropped > 0 && self.logged.is_none_or(|logged| now.duration_since(logged) >= LINE) {
            self.logged = Some(now);
            let dropped = std::mem::take(&mut self.dropped);
            tracing::warn!(
                dropped,
                "queue from publisher to worker is full: packets dropped up to a key picture"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_packet_is_told_at_once_and_the_others_together() {
        let start = Instant::now();
        let mut tally = Tally::new(SourceId(3));
        let told = |video_bytes| {
            Some(Input::SourceMedia { source: SourceId(3), video_bytes, audio_bytes: 0, refused: false })
        };
        assert_eq!(tally.count(Kind::Video, 10, start, false), told(10));
        assert_eq!(tally.count(Kind::Video, 10, start + SUMMARY / 2, false), None);
        assert_eq!(tally.count(Kind::Video, 10, start + SUMMARY, false), told(20));
    }
}
