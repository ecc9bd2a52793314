//! One WHIP connection of a publisher: packets for the room, or pictures and sound for a worker.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use intake::whip::{Control, Event, Mode, Offer, Publisher, Request, Track, Why};
use livekit::token;
use media::{Codec, Format, Kind, OpusHead, Packet, TrackId, Unit};
use pass::simulcast::Best;
use session::{Input, SourceEnd, SourceId, Why as End};
use tokio_util::sync::CancellationToken;

use super::{
    Shared,
    actor::{Actor, FIRST},
    forward, proxy,
    publisher::Closer,
    sound,
    source::{Stage, Tally, Ways},
};

/// What becomes of a connection's media.
pub(super) enum Flow {
    /// It goes to the room as it is.
    Forward(forward::Lane),
    /// A worker gets it.
    Worker(Box<sound::Lane>),
    /// livekit-server has it already, from this participant.
    Proxied(Box<token::Claims>),
}

impl Actor {
    pub(super) fn flow(&self, id: SourceId, request: &Request, sound: sound::Lane) -> Flow {
        if self.ingress.is_proxied() {
            return Flow::Proxied(Box::new(token::Claims::of(&self.record)));
        }
        let Some(way) = &self.forward else { return Flow::Worker(Box::new(sound)) };
        let video = request.offer.video.as_ref().map(|video| (video.codec, request.offer.layers()));
        let channels = request.offer.audio.as_ref().map_or(2, |audio| audio.channels);
        Flow::Forward(forward::Lane::new(id, way.clone(), video, channels))
    }

    /// A publisher whose pictures the room's track cannot carry: this session ends, and the publisher gets one of its own.
    pub(super) fn make_way(&mut self, request: super::publisher::Request) {
        self.deferred.push(request);
        for (id, source) in std::mem::take(&mut self.sources) {
            match source.stage {
                Stage::Flows(closer) => closer.close(&End::TakenOver),
                Stage::Asks(request) => self.deferred.push(request),
                // Closed as soon as it says that it was accepted.
                Stage::Entering { .. } => {}
            }
            self.handle(Input::SourceEnded { source: id, end: SourceEnd::Finished });
        }
    }
}

/// What packets and frames both go through.
enum Way {
    Forward(forward::Lane),
    Worker(Box<sound::Lane>),
}

/// Answers the publisher and reads it to its end.
pub(super) async fn run(
    id: SourceId,
    request: Request,
    shared: Arc<Shared>,
    ways: Ways,
    flow: Flow,
    passed_over: CancellationToken,
) {
    let (way, mode) = match flow {
        Flow::Forward(lane) => (Way::Forward(lane), Mode::Packets),
        Flow::Worker(sound) => (Way::Worker(sound), Mode::Frames),
        // One that is passed over is told so when it is accepted.
        Flow::Proxied(claims) => return proxy::run(id, request, shared, ways.mail, *claims).await,
    };
    let mail = ways.mail.clone();
    // Whoever knows it may end the publisher: it is not the session's, which everybody in the room is told.
    let resource = crate::id::random("WH_");
    let _announced = shared.announce(&resource, &request.key).await;
    let mut publisher = match request.accept(resource, mode).await {
        Ok(publisher) => publisher,
        Err(error) => {
            tracing::debug!(%error, source = %id, "publisher went before it was accepted");
            mail.input(Input::SourceEnded { source: id, end: SourceEnd::Lost }).await;
            return;
        }
    };
    // Who takes over does so when its media can flow: until then the one before it is heard and seen.
    // Of many that wait only the newest is kept: one without a path costs 80 KiB for 10 s.
    if id != FIRST && passed_over.run_until_cancelled(is_connected(&mut publisher)).await != Some(true) {
        mail.input(Input::SourceEnded { source: id, end: SourceEnd::Lost }).await;
        return;
    }
    let closer = Closer::Whip(publisher.closer(), publisher.control());
    if !mail.accepted(id, closer).await {
        return;
    }
    for kind in offered(publisher.offer()) {
        mail.input(Input::SourceFormat { source: id, kind }).await;
    }
    let end = match way {
        Way::Forward(lane) => forward(id, &mut publisher, &ways, lane).await,
        Way::Worker(sound) => decode(id, &mut publisher, &ways, *sound).await,
    };
    mail.input(Input::SourceEnded { source: id, end }).await;
}

/// False when it ends before that.
async fn is_connected(publisher: &mut Publisher) -> bool {
    loop {
        match publisher.recv().await {
            Some(Event::Connected) => return true,
            Some(Event::Ended(_)) | None => return false,
            Some(_) => {}
        }
    }
}

fn offered(offer: &Offer) -> impl Iterator<Item = Kind> + use<> {
    let (video, audio) = (offer.video.is_some(), offer.audio.is_some());
    [(video, Kind::Video), (audio, Kind::Audio)].into_iter().filter(|(is, _)| *is).map(|(_, kind)| kind)
}

async fn forward(id: SourceId, publisher: &mut Publisher, ways: &Ways, mut lane: forward::Lane) -> SourceEnd {
    let mut tally = Tally::new(id);
    loop {
        let (track, packet) = match publisher.recv().await {
            Some(Event::Packet(track, packet)) => (track, packet),
            Some(Event::Ended(why)) => return end(id, &why),
            Some(_) => continue,
            None => return SourceEnd::Lost,
        };
        let now = Instant::now();
        if let Some(summary) = tally.count(kind(track), packet.payload.len(), now, false) {
            ways.mail.input(summary).await;
        }
        if let Some(news) = lane.take(track, packet, now) {
            ways.mail.input(news).await;
        }
    }
}

async fn decode(id: SourceId, publisher: &mut Publisher, ways: &Ways, mut sound: sound::Lane) -> SourceEnd {
    let (offer, control) = (publisher.offer().clone(), publisher.control());
    let mut pictures = Pictures::new(&offer, control);
    let mut tally = Tally::new(id);
    for unit in formats(&offer) {
        ways.take(id, unit, Instant::now(), &mut sound, &mut tally).await;
    }
    loop {
        let (track, packet) = match publisher.recv().await {
            Some(Event::Frame(track, packet)) => (track, packet),
            Some(Event::Ended(why)) => return end(id, &why),
            Some(_) => continue,
            None => return SourceEnd::Lost,
        };
        let now = Instant::now();
        if let Track::Video(layer) = track
            && !pictures.take(now, layer, &packet)
        {
            continue;
        }
        ways.take(id, Unit::Packet(packet), now, &mut sound, &mut tally).await;
        if matches!(track, Track::Video(_)) && ways.want_keyframe(now) {
            pictures.ask();
        }
    }
}

/// Of the layers that come, the worker gets the best one.
struct Pictures {
    best: Best,
    control: Control,
}

impl Pictures {
    fn new(offer: &Offer, control: Control) -> Self {
        Self { best: Best::new(offer.layers()), control }
    }

    fn take(&mut self, now: Instant, layer: usize, packet: &Packet) -> bool {
        let takes = self.best.takes(now, layer, packet.data.len(), packet.keyframe);
        if let Some(better) = self.best.wants(now) {
            self.control.keyframe(better);
        }
        takes
    }

    /// For the layer that the worker gets.
    fn ask(&self) {
        if let Some(chosen) = self.best.chosen() {
            self.control.keyframe(chosen);
        }
    }
}

/// Tracks of frames: see [`Event::Frame`].
const VIDEO: TrackId = TrackId(0);
const AUDIO: TrackId = TrackId(1);

fn formats(offer: &Offer) -> Vec<Unit> {
    let format = |track, codec, config| Unit::Format(track, Format::new(codec, config));
    let video = offer.video.as_ref().map(|video| format(VIDEO, video.codec, Bytes::new()));
    // What a container would say of such sound: RTP has no header of its own.
    let head = |channels| OpusHead { channels, mapping: None }.to_bytes().into();
    let audio = offer.audio.as_ref().map(|audio| format(AUDIO, Codec::Opus, head(audio.channels)));
    video.into_iter().chain(audio).collect()
}

fn kind(track: Track) -> Kind {
    match track {
        Track::Audio => Kind::Audio,
        Track::Video(_) => Kind::Video,
    }
}

fn end(id: SourceId, why: &Why) -> SourceEnd {
    tracing::info!(source = %id, "publisher ended: {why}");
    match why {
        Why::Deleted => SourceEnd::Finished,
        Why::NotConnected => SourceEnd::Silent,
        Why::Broken(what) => SourceEnd::Invalid(what.clone()),
        // Closed by us: the session knows why.
        _ => SourceEnd::Lost,
    }
}
