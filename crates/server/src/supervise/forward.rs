//! A publisher's packets on their way to the room as they are: WHIP without transcoding. No worker takes part.

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Instant,
};

use intake::whip::{Control, RESENDABLE, Track};
use livekit::room::Participant;
use media::{Codec, Layer, MediaTime, Output, Quality, RtpPacket};
use pass::simulcast::{Gate, Layers, Verdict};
use session::{Input, Qualities, SoundWay, SourceId, SourceInfo};

use crate::metrics::{Metrics, Origin};

/// One session's way for packets. Its connections share it; one of them at a time feeds the session.
pub(super) struct Forward {
    room: Arc<OnceLock<Participant>>,
    metrics: Metrics,
    epoch: Instant,
    /// Of the room's picture track; `None` when the first publisher offered sound only.
    codec: Option<Codec>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    feeding: Option<Feeding>,
    /// Nobody watches them.
    paused: Qualities,
}

/// The connection that feeds the session.
struct Feeding {
    source: SourceId,
    control: Control,
    /// Which of its layers is which.
    places: [Option<usize>; 3],
    gates: [Gate; 3],
}

impl Forward {
    pub(super) fn new(
        room: Arc<OnceLock<Participant>>,
        metrics: Metrics,
        epoch: Instant,
        codec: Option<Codec>,
    ) -> Self {
        Self { room, metrics, epoch, codec, inner: Mutex::default() }
    }

    /// Of the room's picture track.
    pub(super) fn codec(&self) -> Option<Codec> {
        self.codec
    }

    /// This connection feeds the session from now on.
    pub(super) fn follow(&self, source: SourceId, control: Control) {
        let mut inner = self.lock();
        let gates = [0; 3].map(|_| Gate::new(RESENDABLE));
        inner.feeding = Some(Feeding { source, control, places: [None; 3], gates });
    }

    /// Nothing of this layer goes out.
    pub(super) fn pause(&self, quality: Quality) {
        let mut inner = self.lock();
        inner.paused = inner.paused.iter().chain([quality]).collect();
    }

    /// It goes out again, from its next key picture on.
    pub(super) fn resume(&self, quality: Quality) {
        let mut inner = self.lock();
        inner.paused = inner.paused.iter().filter(|paused| *paused != quality).collect();
        if let Some(feeding) = &mut inner.feeding {
            feeding.gates[usize::from(quality.number())].close();
        }
        // What was kept back is no loss, and what comes late of it means nothing.
        if let Some(room) = self.room.get() {
            room.pause(Output::Video(quality));
        }
    }

    /// Asks the publisher for a key picture.
    pub(super) fn keyframe(&self, quality: Quality) {
        let inner = self.lock();
        if let Some(feeding) = &inner.feeding
            && let Some(place) = feeding.places[usize::from(quality.number())]
        {
            feeding.control.keyframe(place);
        }
    }

    /// The same by the layer's place in this connection's offer: which one it is may not be known yet.
    fn ask(&self, source: SourceId, place: usize) {
        let inner = self.lock();
        if let Some(feeding) = inner.feeding.as_ref().filter(|feeding| feeding.source == source) {
            feeding.control.keyframe(place);
        }
    }

    /// Of its own among the streams of all the session's connections, which each count theirs from 1.
    fn stream(source: SourceId, stream: u32) -> u32 {
        // Neither comes near half of it: a session would have to be taken over 65536 times.
        let source = u32::try_from(source.0 & 0xffff).unwrap_or(0);
        source << 16 | (stream & 0xffff)
    }

    fn know(&self, source: SourceId, layers: &Layers) {
        let mut inner = self.lock();
        let Some(feeding) = inner.feeding.as_mut().filter(|feeding| feeding.source == source) else { return };
        for (place, quality) in layers.places() {
            feeding.places[usize::from(quality.number())] = Some(place);
        }
    }

    fn send(&self, source: SourceId, output: Output, packet: RtpPacket) {
        let Some(room) = self.room.get() else { return };
        match self.lock().judge(source, output, &packet) {
            Verdict::Send => {}
            Verdict::Keep => return,
            Verdict::Cut => return room.pause(output),
        }
        if packet.marker || output == Output::Audio {
            match output {
                Output::Audio => self.metrics.sound_packet("untouched"),
                Output::Video(_) => self.metrics.frame(output, Origin::Passed),
            }
        }
        room.forward(output, packet);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that holds this lock can panic half way through a change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn judge(&mut self, source: SourceId, output: Output, packet: &RtpPacket) -> Verdict {
        let Some(feeding) = self.feeding.as_mut().filter(|feeding| feeding.source == source) else {
            return Verdict::Keep;
        };
        match output {
            Output::Audio => Verdict::Send,
            Output::Video(quality) if self.paused.contains(quality) => Verdict::Keep,
            Output::Video(quality) => feeding.gates[usize::from(quality.number())].judge(packet),
        }
    }
}

/// One connection's packets.
pub(super) struct Lane {
    source: SourceId,
    way: Arc<Forward>,
    codec: Option<Codec>,
    layers: Layers,
    channels: u8,
    /// From the connection's clock to the session's; known from the first packet on.
    shift: Option<MediaTime>,
    heard: bool,
}

impl Lane {
    /// `video`: codec and number of layers, as offered; `channels` of the sound.
    pub(super) fn new(
        source: SourceId,
        way: Arc<Forward>,
        video: Option<(Codec, usize)>,
        channels: u8,
    ) -> Self {
        let (codec, count) = video.map_or((None, 1), |(codec, count)| (Some(codec), count));
        Self { source, way, codec, layers: Layers::new(count), channels, shift: None, heard: false }
    }

    /// Takes a packet that came at `now` and sends it on. Gives what the state machine has to know.
    pub(super) fn take(&mut self, track: Track, mut packet: RtpPacket, now: Instant) -> Option<Input> {
        let came = MediaTime::from_duration(now.saturating_duration_since(self.way.epoch));
        let shift = *self.shift.get_or_insert(came.since(packet.captured));
        packet.captured = packet.captured + shift;
        packet.stream = Forward::stream(self.source, packet.stream);
        match track {
            Track::Audio => {
                let news = (!std::mem::replace(&mut self.heard, true)).then(|| self.sound());
                self.way.send(self.source, Output::Audio, packet);
                news
            }
            Track::Video(place) => {
                let news = self.look(place, &packet, now);
                if let Some(quality) = self.layers.quality(place) {
                    self.way.send(self.source, Output::Video(quality), packet);
                }
                news
            }
        }
    }

    fn sound(&self) -> Input {
        let channels = u32::from(self.channels);
        let info = SourceInfo::Audio { codec: Codec::Opus, channels, sample_rate: 48_000 };
        let way = SoundWay::Untouched { info, channels: self.channels };
        Input::SoundWay { source: self.source, way }
    }

    /// Sizes are in the packets of key pictures.
    fn look(&mut self, place: usize, packet: &RtpPacket, now: Instant) -> Option<Input> {
        let codec = self.codec?;
        // A key picture's size may be in any of its packets.
        if let Some(size) = pass::picture_size(codec, &packet.payload) {
            self.layers.sized(now, place, size);
        } else if self.layers.unsized_packet(now, place) {
            self.way.ask(self.source, place);
        }
        let layers = self.layers.news(now)?;
        self.way.know(self.source, &self.layers);
        let largest: &Layer = layers.last()?;
        tracing::info!(source = %self.source, layers = %describe(&layers), "publisher's pictures go to the room as they come");
        let (width, height) = (largest.width, largest.height);
        let info = SourceInfo::Video { codec, width, height, fps_milli: 0 };
        Some(Input::Forwarded { source: self.source, info, layers })
    }
}

fn describe(layers: &[Layer]) -> String {
    let texts: Vec<String> =
        layers.iter().map(|layer| format!("{} {}x{}", layer.quality, layer.width, layer.height)).collect();
    texts.join(", ")
}
