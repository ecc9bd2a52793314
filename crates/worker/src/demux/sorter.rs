//! What becomes of a chain's streams: which are chosen, and their buffers as units on the one clock.

use std::sync::Arc;

use gstreamer as gst;
use media::{Codec, Format, Kind, MediaTime, Packet, Unit};
use pipeline::{
    demux::{self, Event, Mark, What},
    plan::MAX_PICTURE,
};

use super::{
    codec,
    feed::Feed,
    raw,
    stream::{Stream, track, turn},
    time::{Anchor, Anchors},
};

/// One chain's streams.
#[derive(Debug)]
pub(crate) struct Sorter {
    feed: Arc<Feed>,
    anchors: Arc<Anchors>,
    /// Which kinds are wanted.
    wants: Wants,
    streams: Vec<Stream>,
    clock: Clock,
    gate: Gate,
    title: Option<String>,
    /// Of the first stream that cannot be played.
    unsupported: Option<String>,
    /// Units have come out.
    pub(crate) flowed: bool,
    seekable: bool,
    lasts: Lasts,
}

/// The last decoding times of pictures and sound.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lasts {
    video: Option<MediaTime>,
    audio: Option<MediaTime>,
}

/// Sound, pictures, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wants {
    pub(crate) video: bool,
    pub(crate) audio: bool,
}

impl Wants {
    fn kind(self, kind: Kind) -> bool {
        match kind {
            Kind::Video => self.video,
            Kind::Audio => self.audio,
        }
    }
}

/// Where a section lies.
#[derive(Debug)]
struct Clock {
    /// ns on the units' clock.
    at: i64,
    /// The running time that is there, ns.
    base: Option<i64>,
    /// The stream's own time that is there, ns.
    raw: Option<Anchor>,
}

/// What is left out at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Everything comes out.
    Open,
    /// What comes is to begin there, ns from the first packet on; a seek would be of use.
    Wanted(i64),
    /// Until the seek is done; if it cannot be, from this running time on, ns.
    Seeking(i64),
    /// Until a key picture (or, without pictures, sound) of this running time or later, ns.
    From(i64),
    /// Sound from before the key picture, ns of running time, is left out.
    Behind(i64),
}

/// Sound that begins less than this before its key picture goes with it, ns.
const OVERLAP: i64 = 30_000_000;

/// What a sorter wants done.
#[derive(Debug)]
pub(crate) enum Outcome {
    Send(Event),
    Seek(i64),
    Fail(demux::Kind, String),
}

impl Sorter {
    pub(crate) fn new(
        feed: Arc<Feed>,
        anchors: Arc<Anchors>,
        wants: Wants,
        at: MediaTime,
        gate: Gate,
        lasts: Lasts,
    ) -> Self {
        Self {
            seekable: false,
            feed,
            anchors,
            wants,
            streams: Vec::new(),
            clock: Clock { at: at.nanos(), base: None, raw: None },
            gate,
            title: None,
            unsupported: None,
            flowed: false,
            lasts,
        }
    }

    /// A stream that could be played; its number, unless its kind is not wanted.
    pub(crate) fn add(&mut self, kind: Kind) -> Option<usize> {
        if !self.wants.kind(kind) {
            return None;
        }
        // Another link of a chained file (Ogg, RFC 3533 §4), whose times begin anew: it follows the one before.
        if !self.streams.is_empty() && self.streams.iter().all(|stream| stream.over) {
            let end = self.lasts.video.max(self.lasts.audio);
            (self.clock.base, self.clock.at) = (None, end.map_or(self.clock.at, MediaTime::nanos));
        }
        self.streams.push(Stream::new(kind));
        Some(self.streams.len() - 1)
    }

    /// A stream that cannot be played.
    pub(crate) fn refuse(&mut self, kind: Kind, caps: &gst::StructureRef) {
        if self.wants.kind(kind) && self.unsupported.is_none() {
            self.unsupported = Some(caps.name().to_string());
        }
    }

    /// Streams of each kind that can be played.
    pub(crate) fn has(&self) -> Wants {
        let has = |kind| self.streams.iter().any(|stream| stream.kind == kind && !stream.over);
        Wants { video: has(Kind::Video), audio: has(Kind::Audio) }
    }

    /// Why there is nothing to play, when the container has named all of its streams.
    pub(crate) fn nothing(&self) -> Option<Outcome> {
        if !self.streams.is_empty() {
            return None;
        }
        Some(match &self.unsupported {
            Some(caps) => Outcome::Fail(
                demux::Kind::Unsupported(caps.clone()),
                format!("{caps} cannot be played here, and there is nothing else in it"),
            ),
            None => Outcome::Fail(demux::Kind::NotMedia, "there is no picture and no sound in it".to_owned()),
        })
    }

    /// A seek has been done.
    fn sought(&mut self) {
        self.streams.iter_mut().for_each(|stream| stream.over = false);
        if let Gate::Seeking(_) = self.gate {
            self.gate = Gate::From(i64::MIN);
        }
    }

    /// The container knows where its key pictures are: seeking in another one ends anywhere.
    pub(crate) fn has_index(&mut self) {
        self.seekable = self.feed.info.seekable;
    }

    /// There is no seeking here: what comes before is read and left out.
    pub(crate) fn skip(&mut self) {
        if let Gate::Seeking(from) = self.gate {
            self.gate = Gate::From(from);
        }
    }

    /// The last decoding times of pictures and sound: those of the next section are no earlier.
    pub(crate) fn lasts(&self) -> Lasts {
        self.lasts
    }

    pub(crate) fn event(&mut self, id: usize, event: &gst::EventRef) -> Vec<Outcome> {
        let Some(stream) = self.streams.get_mut(id) else { return Vec::new() };
        match event.view() {
            gst::EventView::StreamStart(start) => stream.start(start.stream_flags()),
            gst::EventView::Caps(caps) => return self.caps(id, caps.caps()),
            gst::EventView::Segment(segment) => {
                stream.segment = segment.segment().downcast_ref::<gst::ClockTime>().cloned();
            }
            gst::EventView::Tag(tag) => return self.tags(id, tag.tag()),
            gst::EventView::FlushStop(_) => self.sought(),
            gst::EventView::Eos(_) => {
                stream.over = true;
                let was_chosen = std::mem::take(&mut stream.chosen);
                let left = stream.order.drain();
                return if was_chosen { self.out(id, left) } else { Vec::new() };
            }
            _ => {}
        }
        Vec::new()
    }

    fn caps(&mut self, id: usize, caps: &gst::CapsRef) -> Vec<Outcome> {
        let size = |name| caps.structure(0).and_then(|fields| fields.get::<i32>(name).ok()).unwrap_or(0);
        let (width, height) = (size("width"), size("height"));
        let stream = &mut self.streams[id];
        if width.max(height) > MAX_PICTURE.0 || width.min(height) > MAX_PICTURE.1 {
            let (most, other) = MAX_PICTURE;
            let text = format!("a picture of {width}x{height} is larger than {most}x{other}");
            return vec![Outcome::Fail(demux::Kind::Unsupported(text.clone()), text)];
        }
        stream.format = codec::format(caps);
        let left = stream.order.drain();
        if stream.chosen { self.out(id, left) } else { Vec::new() }
    }

    fn tags(&mut self, id: usize, tags: &gst::TagListRef) -> Vec<Outcome> {
        if let Some(orientation) = tags.get::<gst::tags::ImageOrientation>() {
            self.streams[id].turn = turn(orientation.get());
        }
        let Some(title) = tags.get::<gst::tags::Title>().map(|title| title.get().to_owned()) else {
            return Vec::new();
        };
        if title.is_empty() || self.title.as_ref() == Some(&title) {
            return Vec::new();
        }
        self.title = Some(title.clone());
        vec![self.mark(None, What::Title(title))]
    }

    /// A buffer of a stream.
    pub(crate) fn buffer(&mut self, id: usize, buffer: gst::Buffer) -> Vec<Outcome> {
        if self.streams.get(id).is_none_or(|stream| stream.over) {
            return Vec::new();
        }
        self.choose(self.streams[id].kind);
        let stream = &self.streams[id];
        let Some(codec) = stream.format.as_ref().map(|format| format.codec) else { return Vec::new() };
        // What a decoder is to know is in its caps.
        let in_caps = matches!(codec, Codec::Vorbis | Codec::Flac | Codec::Opus | Codec::Theora);
        let header = in_caps && buffer.flags().contains(gst::BufferFlags::HEADER);
        if !stream.chosen || header || buffer.size() == 0 {
            return Vec::new();
        }
        let Some((mut packet, has_dts)) = stream.packet(buffer) else { return Vec::new() };
        match self.admit(&packet) {
            Ok(()) => {}
            Err(outcome) => return outcome.into_iter().collect(),
        }
        let base = self.base(&packet);
        let to_clock = |time: MediaTime| {
            MediaTime::from_nanos(time.nanos().saturating_sub(base).saturating_add(self.clock.at))
        };
        (packet.pts, packet.dts) = (to_clock(packet.pts), to_clock(packet.dts));
        let stream = &mut self.streams[id];
        let ready = stream.order.push(packet, codec, has_dts);
        self.out(id, ready)
    }

    /// Chooses a stream of this kind, if none is: the container's default, else its first.
    fn choose(&mut self, kind: Kind) {
        let of_kind = |stream: &&mut Stream| stream.kind == kind && !stream.over;
        if self.streams.iter().any(|stream| stream.kind == kind && stream.chosen) {
            return;
        }
        let best = self.streams.iter_mut().filter(of_kind).rev().max_by_key(|stream| stream.rank);
        if let Some(best) = best {
            best.chosen = true;
        }
    }

    /// Whether a packet comes out at all.
    fn admit(&mut self, packet: &Packet) -> Result<(), Option<Outcome>> {
        let pts = packet.pts.nanos();
        if let Gate::Wanted(start) = self.gate {
            let from = pts.saturating_add(start);
            if self.seekable {
                self.gate = Gate::Seeking(from);
                return Err(Some(Outcome::Seek(start)));
            }
            self.gate = Gate::From(from);
        }
        match self.gate {
            Gate::Open => Ok(()),
            Gate::Wanted(_) | Gate::Seeking(_) => Err(None),
            Gate::From(start) => {
                let first = packet.kind == Kind::Video || !self.has().video;
                if first && packet.keyframe && pts >= start {
                    self.gate = Gate::Behind(pts);
                    return Ok(());
                }
                Err(None)
            }
            Gate::Behind(start) if packet.kind == Kind::Audio && pts < start - OVERLAP => Err(None),
            Gate::Behind(_) => Ok(()),
        }
    }

    /// The running time that the section begins with; the first packet says it.
    fn base(&mut self, first: &Packet) -> i64 {
        if let Some(base) = self.clock.base {
            return base;
        }
        let base = first.pts.nanos();
        self.clock.base = Some(base);
        self.clock.at = self.feed.moved().map_or(self.clock.at, MediaTime::nanos);
        let firsts = self.feed.raw().firsts();
        if let Some(raw) = firsts.of(first.kind) {
            let anchor = Anchor { at: self.clock.at, raw, wraps: firsts.wraps };
            self.clock.at = if self.feed.input == 0 {
                self.anchors.place(anchor)
            } else {
                self.feed.pulse.rest();
                let at = self.anchors.follow(anchor);
                self.feed.pulse.beat();
                at
            };
            self.clock.raw = Some(Anchor { at: self.clock.at, ..anchor });
        }
        base
    }

    /// Packets that are ready, with what has to come before them.
    fn out(&mut self, id: usize, packets: Vec<Packet>) -> Vec<Outcome> {
        if packets.is_empty() {
            return Vec::new();
        }
        let mut out = self.marks();
        self.flowed = true;
        let stream = &mut self.streams[id];
        let id = track(stream.kind);
        let turn = stream.turn;
        let format = stream
            .format
            .clone()
            .map(|format| Format { shape: media::Shape { turn, ..format.shape }, ..format });
        if stream.sent != format
            && let Some(format) = format
        {
            stream.sent = Some(format.clone());
            out.push(Outcome::Send(Event::Unit(Unit::Format(id, format))));
        }
        for mut packet in packets {
            let last = if packet.kind == Kind::Video { &mut self.lasts.video } else { &mut self.lasts.audio };
            // The sound of a section may reach a little into the next one.
            packet.dts = last.map_or(packet.dts, |last| last.max(packet.dts));
            packet.pts = packet.pts.max(packet.dts);
            *last = Some(packet.dts);
            if packet.kind == Kind::Video && !stream.rate.note(packet.dts) {
                let text = "more than 300 pictures a second".to_owned();
                out.push(Outcome::Fail(demux::Kind::Unsupported(text.clone()), text));
                return out;
            }
            out.push(Outcome::Send(Event::Unit(Unit::Packet(packet))));
        }
        out
    }

    /// The marks that have come by.
    fn marks(&mut self) -> Vec<Outcome> {
        let Some(zero) = self.clock.raw else { return Vec::new() };
        let marks = std::mem::take(&mut self.feed.raw().marks);
        let place = |mark: raw::Mark| {
            let (at, what) = match mark {
                raw::Mark::Id3 { at, tag } => (Some(at), What::Id3(tag.into())),
                raw::Mark::Cue(raw::Cue { at, event_id, out_of_network, cancelled, duration }) => {
                    (at, What::Splice { event_id, out_of_network, cancelled, duration })
                }
            };
            let after = at.map_or(0, |at| raw::difference(at, zero.raw, zero.wraps));
            Outcome::Send(Event::Mark(Mark {
                at: MediaTime::from_nanos(zero.at.saturating_add(after)),
                what,
            }))
        };
        marks.into_iter().map(place).collect()
    }

    /// A mark at this running time, or at the start of the section.
    fn mark(&self, at: Option<i64>, what: What) -> Outcome {
        let after = at.zip(self.clock.base).map_or(0, |(at, base)| at - base);
        Outcome::Send(Event::Mark(Mark { at: MediaTime::from_nanos(self.clock.at + after), what }))
    }
}
