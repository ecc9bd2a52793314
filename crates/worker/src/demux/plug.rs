//! Which element comes next: the tree of a chain, as its streams turn out.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use gst::{glib, prelude::*};
use gstreamer as gst;
use media::Kind;
use pipeline::demux;

use super::{
    chain::{Shared, What},
    codec::{self, Parser, Way},
};

/// Containers and tags inside each other; past it nobody looks.
const DEEPEST: usize = 4;

/// Streams of one chain; the others are left alone.
const MOST_STREAMS: usize = 32;

pub(crate) fn make(factory: &str) -> Result<gst::Element, glib::BoolError> {
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
pub(crate) struct Plugger {
    pipeline: glib::WeakRef<gst::Pipeline>,
    shared: Arc<Shared>,
    depth: usize,
}

impl Plugger {
    pub(crate) fn new(pipeline: &gst::Pipeline, shared: Arc<Shared>) -> Self {
        Self { pipeline: pipeline.downgrade(), shared, depth: 0 }
    }

    /// On a streaming thread: links what these caps need.
    pub(crate) fn plug(&self, pad: &gst::Pad, caps: &gst::Caps) {
        let Some(fields) = caps.structure(0) else { return };
        let way = codec::way(fields);
        let result = match way {
            Way::Container(factory) if self.depth < DEEPEST => self.container(pad, factory),
            Way::Track(kind, parser) => self.track(pad, kind, parser),
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
        if matches!(factory, "qtdemux" | "matroskademux") {
            self.shared.sorter().has_index();
        }
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
                Some(gst::PadProbeData::Event(event)) => {
                    if event.type_() == gst::EventType::FlushStart {
                        shared.seek_begins();
                    }
                    shared.sorter().event(id, event)
                }
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
