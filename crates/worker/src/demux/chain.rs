//! One section of one input, from bytes to units: source, typefind, demuxer, a parser for each stream, and sinks that look at
//! what comes. All of it runs on the source's one thread.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{SyncSender, TrySendError},
    },
    time::Duration,
};

use gst::{glib, prelude::*};
use gstreamer as gst;
use pipeline::demux::{self, Event};

use super::{
    codec,
    feed::Feed,
    plug::{Plugger, make},
    report::Report,
    sorter::{Outcome, Sorter},
    source::Source,
};
use crate::outbox::Outbox;

/// The command thread begins a seek at once; the machine may be busy.
const SEEK: Duration = Duration::from_secs(1);

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
    /// A seek has begun, or could not be done: the streaming thread, which waits for it, goes on.
    sought: (Mutex<bool>, Condvar),
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
        Self { feed, sorter: Mutex::new(sorter), outbox, report, news, number, sought: Default::default() }
    }

    pub(crate) fn sorter(&self) -> MutexGuard<'_, Sorter> {
        self.sorter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// News must not make a streaming thread wait: the first is what counts.
    pub(crate) fn tell(&self, what: What) {
        if let Err(TrySendError::Full(_)) = self.news.try_send(News::Chain(self.number, what)) {
            gst::warning!(gst::CAT_DEFAULT, "more news than anybody wants to know");
        }
    }

    /// Carries out what a sorter wants. Waits while the server does not read.
    pub(crate) fn act(&self, outcomes: Vec<Outcome>) {
        for outcome in outcomes {
            match outcome {
                Outcome::Send(event) => {
                    self.feed.pulse.rest();
                    self.outbox.send(event);
                    self.feed.pulse.beat();
                }
                Outcome::Seek(time) => {
                    self.tell(What::Seek(time));
                    self.await_seek();
                }
                Outcome::Fail(kind, text) => self.tell(What::Failed(kind, text)),
            }
        }
    }

    /// On the streaming thread: a small file would be over before the seek.
    fn await_seek(&self) {
        let (sought, changed) = &self.sought;
        let sought = sought.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = changed.wait_timeout_while(sought, SEEK, |sought| !*sought);
    }

    pub(crate) fn seek_begins(&self) {
        let (sought, changed) = &self.sought;
        *sought.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
    }

    /// Says what tracks there are, when that is known or has changed.
    pub(crate) fn announce(&self, pad: &gst::Pad) {
        let has = self.sorter().has();
        let duration = pad.peer_query_duration::<gst::ClockTime>();
        let duration = duration.map(|duration| Duration::from_nanos(duration.nseconds()));
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
        let plugger = Plugger::new(&pipeline, shared.clone());
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
            self.shared.sorter().skip();
        }
        self.shared.seek_begins();
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
