//! One section of one input, from bytes to units: source, typefind, demuxer, a parser for each stream, and sinks that look at
//! what comes. All of it runs on the source's one thread.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
    mpsc::{SyncSender, TrySendError},
};

use gst::{glib, prelude::*};
use gstreamer as gst;
use media::Kind;
use pipeline::demux::{self, Event};

use super::{
    codec::{self, Parser, Way},
    feed::Feed,
    report::Report,
    sorter::{Outcome, Sorter},
    source::Source,
};
use crate::outbox::Outbox;

/// Containers and tags inside each other; past it nobody looks.
const DEEPEST: usize = 4;

/// Streams of one chain; the others are left alone.
const MOST_STREAMS: usize = 32;

/// A running chain. Ends when dropped.
#[derive(Debug)]
pub(crate) struct Chain {
    pipeline: gst::Pipeline,
    source: Source,
    pub(crate) shared: Arc<Shared>,
}

/// What a chain's callbacks share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) feed: Arc<Feed>,
    sorter: Mutex<Sorter>,
    outbox: Outbox<Event>,
    report: Arc<Report>,
    news: SyncSender<News>,
    /// Which chain it is that has news.
    pub(crate) number: u64,
}

/// For the command thread.
#[derive(Debug)]
pub(crate) enum News {
    /// Of this chain.
    Chain(u64, What),
    /// The socket is closed, or speaks nonsense.
    Closed(String),
}

/// What has happened to a chain.
#[derive(Debug)]
pub(crate) enum What {
    /// An element gave up.
    Error(glib::Error, String),
    /// All streams have ended.
    EndOfStream,
    /// What the demuxer left has been read.
    Drained,
    /// It is to seek to this time, ns.
    Seek(i64),
    /// What it holds cannot be played.
    Failed(demux::Kind, String),
}

impl Shared {
    pub(crate) fn new(
        feed: Arc<Feed>,
        sorter: Sorter,
        outbox: Outbox<Event>,
        report: Arc<Report>,
        news: SyncSender<News>,
        number: u64,
    ) -> Self {
        Self { feed, sorter: Mutex::new(sorter), outbox, report, news, number }
    }

    pub(crate) fn sorter(&self) -> MutexGuard<'_, Sorter> {
        self.sorter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// News must not make a streaming thread wait: the first is what counts.
    fn tell(&self, what: What) {
        if let Err(TrySendError::Full(_)) = self.news.try_send(News::Chain(self.number, what)) {
            gst::warning!(gst::CAT_DEFAULT, "more news than anybody wants to know");
        }
    }

    /// Carries out what a sorter wants. Waits while the server does not read.
    fn act(&self, outcomes: Vec<Outcome>) {
        for outcome in outcomes {
            match outcome {
                Outcome::Send(event) => {
                    self.feed.pulse.rest();
                    self.outbox.send(event);
                    self.feed.pulse.beat();
                }
                Outcome::Seek(time) => self.tell(What::Seek(time)),
                Outcome::Fail(kind, text) => self.tell(What::Failed(kind, text)),
            }
        }
    }

    /// Says what tracks there are, when that is known or has changed.
    fn announce(&self, pad: &gst::Pad) {
        let has = self.sorter().has();
        let duration = pad.peer_query_duration::<gst::ClockTime>();
        let duration = duration.map(|duration| std::time::Duration::from_nanos(duration.nseconds()));
        if let Some(event) = self.report.note(self.feed.input, has, duration) {
            self.act(vec![Outcome::Send(event)]);
        }
    }
}

impl Chain {
    /// Builds and starts a chain.
    pub(crate) fn start(shared: Arc<Shared>) -> Result<Self, String> {
        let pipeline = gst::Pipeline::new();
        let failed = |error: glib::BoolError| error.to_string();
        let source = Source::new(shared.feed.clone());
        let typefind = make("typefind").map_err(failed)?;
        let media_type = shared.feed.info.media_type.as_deref();
        if let Some(caps) = media_type.and_then(codec::of_media_type) {
            typefind.set_property("force-caps", caps);
        }
        pipeline.add_many([source.upcast_ref(), &typefind]).map_err(failed)?;
        source.link(&typefind).map_err(failed)?;
        let plugger = Plugger { pipeline: pipeline.downgrade(), shared: shared.clone(), depth: 0 };
        typefind.connect("have-type", false, move |arguments| {
            let typefind = arguments.first()?.get::<gst::Element>().ok()?;
            let caps = arguments.get(2)?.get::<gst::Caps>().ok()?;
            plugger.plug(&typefind.static_pad("src")?, &caps);
            None
        });
        let bus = pipeline.bus().ok_or("a pipeline without a bus")?;
        let on_bus = shared.clone();
        bus.set_sync_handler(move |_, message| {
            match message.view() {
                gst::MessageView::Error(error) => {
                    let from = error.src().map(|src| src.name().to_string()).unwrap_or_default();
                    on_bus.tell(What::Error(error.error(), from));
                }
                gst::MessageView::Eos(_) => on_bus.tell(What::EndOfStream),
                _ => {}
            }
            gst::BusSyncReply::Drop
        });
        pipeline.set_state(gst::State::Playing).map_err(|error| error.to_string())?;
        Ok(Self { pipeline, source, shared })
    }

    /// Goes to the last key picture before `time`, ns; else what comes before is left out as it comes.
    pub(crate) fn seek(&self, time: i64) {
        let to = gst::ClockTime::from_nseconds(u64::try_from(time).unwrap_or(0));
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT | gst::SeekFlags::SNAP_BEFORE;
        if self.pipeline.seek_simple(flags, to).is_err() {
            self.shared.sorter().skip(time);
        }
    }

    /// Its one thread has nothing more to do.
    pub(crate) fn is_still(&self) -> bool {
        let pad = self.source.static_pad("src");
        pad.is_none_or(|pad| pad.task_state() != gst::TaskState::Started)
    }

    /// Leaves it as it is, with its threads: one that hangs cannot be stopped.
    pub(crate) fn abandon(self) {
        std::mem::forget(self);
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        // Stopping waits for the streaming thread, which a closed socket or a flush sets free.
        self.shared.feed.flush(true);
        let _ = self.pipeline.set_state(gst::State::Null);
        if let Some(bus) = self.pipeline.bus() {
            bus.unset_sync_handler();
        }
    }
}

fn make(factory: &str) -> Result<gst::Element, glib::BoolError> {
    let element = gst::ElementFactory::make(factory).build()?;
    match factory {
        "fakesink" => {
            element.set_property("sync", false);
            element.set_property("async", false);
            element.set_property("enable-last-sample", false);
        }
        // Parameter sets in front of each key picture: a decoder can start there.
        "h264parse" | "h265parse" => element.set_property("config-interval", -1),
        _ => {}
    }
    Ok(element)
}

/// Puts the next element behind a pad.
#[derive(Debug, Clone)]
struct Plugger {
    pipeline: glib::WeakRef<gst::Pipeline>,
    shared: Arc<Shared>,
    depth: usize,
}

impl Plugger {
    /// On a streaming thread: links what these caps need.
    fn plug(&self, pad: &gst::Pad, caps: &gst::Caps) {
        let Some(fields) = caps.structure(0) else { return };
        let way = codec::way(fields);
        let result = match way {
            Way::Container(factory) if self.depth < DEEPEST => self.container(pad, factory),
            Way::Track(kind, parser) => self.track(pad, kind, parser),
            Way::Id3 => self.id3(pad),
            Way::Unsupported(kind) => {
                self.shared.sorter().refuse(kind, fields);
                self.ignore(pad)
            }
            Way::Container(_) | Way::Other => self.ignore(pad),
        };
        if let Err(error) = result {
            self.shared.tell(What::Failed(demux::Kind::Broken, error.to_string()));
        }
        let alone = self.depth == 0 && !matches!(way, Way::Container(_) | Way::Track(..));
        if alone && let Some(outcome) = self.shared.sorter().nothing() {
            self.shared.act(vec![outcome]);
        }
    }

    fn add(&self, factory: &str) -> Result<gst::Element, glib::BoolError> {
        let pipeline = self.pipeline.upgrade().ok_or_else(|| glib::bool_error!("the chain is gone"))?;
        let element = make(factory)?;
        pipeline.add(&element)?;
        Ok(element)
    }

    fn link(pad: &gst::Pad, element: &gst::Element) -> Result<(), glib::BoolError> {
        let sink = element.static_pad("sink").ok_or_else(|| glib::bool_error!("no pad to link"))?;
        pad.link(&sink).map_err(|error| glib::bool_error!("{}: {error:?}", element.name()))?;
        Ok(())
    }

    fn container(&self, pad: &gst::Pad, factory: &str) -> Result<(), glib::BoolError> {
        let demuxer = self.add(factory)?;
        let next = Self { depth: self.depth + 1, ..self.clone() };
        if let Some(src) = demuxer.static_pad("src") {
            next.when_known(&src);
        } else {
            let (on_pad, shared) = (next.clone(), self.shared.clone());
            demuxer.connect_pad_added(move |_, pad| on_pad.when_known(pad));
            demuxer.connect_no_more_pads(move |_| {
                let nothing = shared.sorter().nothing();
                shared.act(nothing.into_iter().collect());
            });
            let pipeline = self.pipeline.clone();
            demuxer.connect_pad_removed(move |_, pad| {
                if let Some(pipeline) = pipeline.upgrade() {
                    remove(&pipeline, pad);
                }
            });
        }
        Self::link(pad, &demuxer)?;
        demuxer.sync_state_with_parent()
    }

    /// Goes on when the pad's caps are known.
    fn when_known(&self, pad: &gst::Pad) {
        if pad.direction() != gst::PadDirection::Src {
            return;
        }
        if let Some(caps) = pad.current_caps() {
            return self.plug(pad, &caps);
        }
        let next = self.clone();
        pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |pad, info| {
            let Some(gst::EventView::Caps(caps)) = info.event().map(|event| event.view()) else {
                return gst::PadProbeReturn::Ok;
            };
            next.plug(pad, &caps.caps_owned());
            gst::PadProbeReturn::Remove
        });
    }

    fn ignore(&self, pad: &gst::Pad) -> Result<(), glib::BoolError> {
        let sink = self.add("fakesink")?;
        sink.sync_state_with_parent()?;
        Self::link(pad, &sink)
    }

    fn track(&self, pad: &gst::Pad, kind: Kind, parser: Option<Parser>) -> Result<(), glib::BoolError> {
        let id = self.shared.sorter().add(kind);
        let Some(id) = id.filter(|id| *id < MOST_STREAMS) else { return self.ignore(pad) };
        let sink = self.add("fakesink")?;
        let last = sink.static_pad("sink").ok_or_else(|| glib::bool_error!("a sink without a pad"))?;
        self.watch(&last, id);
        sink.sync_state_with_parent()?;
        let Some(Parser { factory, caps }) = parser else { return Self::link(pad, &sink) };
        let parser = self.add(factory)?;
        match caps {
            Some(caps) => {
                let caps: gst::Caps = caps.parse().map_err(|_| glib::bool_error!("not caps: {caps}"))?;
                parser.link_filtered(&sink, &caps)?;
            }
            None => parser.link(&sink)?,
        }
        parser.sync_state_with_parent()?;
        if let Some(filter) = parser.static_pad("src").and_then(|src| src.peer()?.parent_element()) {
            filter.sync_state_with_parent()?;
        }
        Self::link(pad, &parser)
    }

    /// Looks at all that comes to a sink.
    fn watch(&self, pad: &gst::Pad, id: usize) {
        let shared = self.shared.clone();
        let announced = AtomicBool::new(false);
        let kinds =
            gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM | gst::PadProbeType::EVENT_FLUSH;
        pad.add_probe(kinds, move |pad, info| {
            let outcomes = match &info.data {
                Some(gst::PadProbeData::Event(event)) => shared.sorter().event(id, event),
                Some(gst::PadProbeData::Buffer(buffer)) => {
                    if !announced.swap(true, Ordering::Relaxed) {
                        shared.announce(pad);
                    }
                    shared.sorter().buffer(id, buffer.clone())
                }
                _ => Vec::new(),
            };
            shared.act(outcomes);
            gst::PadProbeReturn::Ok
        });
    }

    fn id3(&self, pad: &gst::Pad) -> Result<(), glib::BoolError> {
        let shared = self.shared.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            if let Some(buffer) = info.buffer() {
                let segment = pad.sticky_event::<gst::event::Segment>(0);
                let outcomes = shared.sorter().id3(segment.as_ref().map(|segment| segment.segment()), buffer);
                shared.act(outcomes);
            }
            gst::PadProbeReturn::Ok
        });
        self.ignore(pad)
    }
}

/// A stream of a chained file is over: what was behind its pad goes.
fn remove(pipeline: &gst::Pipeline, pad: &gst::Pad) {
    let mut next = pad.peer().and_then(|peer| peer.parent_element());
    if let Some(peer) = pad.peer() {
        let _ = pad.unlink(&peer);
    }
    while let Some(element) = next {
        next = element.static_pad("src").and_then(|src| src.peer()?.parent_element());
        let _ = pipeline.remove(&element);
        let _ = element.set_state(gst::State::Null);
    }
}
