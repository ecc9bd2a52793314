//! The demuxer: takes containers apart for a server that has no media library, behind one socket.
//!
//! * `feed`: an input's bytes, asked of the server; `source`: the element that hands them on.
//! * `chain`: the elements of one section; `plug`: which comes next; `codec`: by what caps, and what a track's format is.
//! * `sorter`: which `stream`s are chosen, and their buffers as units; `time`: on one clock; `raw`: what the bytes say of it.

mod chain;
mod codec;
mod feed;
mod plug;
mod raw;
mod report;
mod sorter;
mod source;
mod stream;
mod time;
mod watchdog;

use std::{
    io::{self, Read as _},
    os::unix::net::UnixStream,
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::{BufMut as _, BytesMut};
use gstreamer as gst;
use media::MediaTime;
use pipeline::{
    demux::{self, Command, Event, MAX_INPUTS, Start},
    wire,
};
use thiserror::Error;

use crate::outbox::Outbox;
use chain::{Chain, News, Shared, What};
use feed::{Feed, Pulse};
use report::Report;
use sorter::{Gate, Lasts, Sorter, Wants};
use time::Anchors;
use watchdog::Watchdog;

/// How often the watchdog looks.
const TICK: Duration = Duration::from_millis(100);

/// The same while a chain is about to end.
const SHORT_TICK: Duration = Duration::from_millis(2);

/// News that wait for the command thread.
const MAX_NEWS: usize = 16;

/// Bytes asked of the socket at a time.
const READ_AT_ONCE: usize = 64 * 1024;

/// When all bytes are read, or the one thread has stopped, the rest is a matter of microseconds.
const LAST_BREATH: Duration = Duration::from_millis(500);

/// Why a demuxer ended before its inputs did.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The socket could not be used.
    #[error("demuxer socket: {0}")]
    Socket(#[from] io::Error),
    /// The server closed the socket, or spoke nonsense.
    #[error("{0}")]
    Closed(String),
    /// What it was given cannot be played; the server has been told.
    #[error("{1}")]
    Failed(demux::Kind, String),
}

/// Serves one source over `socket` until its inputs end, it fails, or the server is gone. GStreamer must be initialised.
/// What went wrong has also been sent as [`Event::Failed`].
///
/// # Errors
/// Whatever ended it but the end of its inputs. A chain that hangs is left to the end of the process.
pub fn run(socket: UnixStream) -> Result<(), Error> {
    let (outbox, writer) = Outbox::new(socket.try_clone()?)?;
    let (news, incoming) = mpsc::sync_channel(MAX_NEWS);
    let (start, started) = mpsc::sync_channel(1);
    let reader = {
        let (socket, outbox, news) = (socket.try_clone()?, outbox.clone(), news.clone());
        thread::Builder::new().name("inbox".into()).spawn(move || {
            let why = read(socket, &outbox, &start);
            let _ = news.send(News::Closed(why));
        })?
    };
    let result = match started.recv() {
        Err(_) => Err(Error::Closed("closed before it started".to_owned())),
        Ok((start, feeds)) => Session::new(&start, feeds, &outbox, news.clone()).serve(&incoming),
    };
    drop(incoming);
    let closed = matches!(result, Err(Error::Closed(_)));
    match &result {
        Ok(()) => outbox.send(Event::Ended),
        Err(Error::Failed(kind, text)) => {
            outbox.send(Event::Failed { kind: kind.clone(), text: text.clone() })
        }
        Err(_) => {}
    }
    drop(outbox);
    // Nobody reads any more, or the last word is what the writer ends with.
    if !closed {
        writer.join();
    }
    let _ = socket.shutdown(std::net::Shutdown::Both);
    let _ = reader.join();
    result
}

/// The reader thread: bytes into commands. Says why it ended.
fn read(
    mut socket: UnixStream,
    outbox: &Outbox<Event>,
    start: &SyncSender<(Start, Vec<Arc<Feed>>)>,
) -> String {
    let mut received = BytesMut::new();
    let mut chunk = vec![0; READ_AT_ONCE];
    let mut feeds: Vec<Arc<Feed>> = Vec::new();
    loop {
        match wire::next::<Command>(&mut received) {
            Ok(Some(Command::Start(first))) => {
                if !feeds.is_empty() || !(1..=MAX_INPUTS).contains(&first.inputs.len()) {
                    return "a start command that is none".to_owned();
                }
                let pulse = || Arc::new(Pulse::new());
                let feed = |(input, info)| Arc::new(Feed::new(input, info, outbox.clone(), pulse()));
                feeds = (0..).zip(first.inputs.iter().cloned()).map(feed).collect();
                if start.send((first, feeds.clone())).is_err() {
                    return "nobody listens".to_owned();
                }
            }
            Ok(Some(Command::Data { input, data })) => {
                if !feeds.get(usize::from(input)).is_some_and(|feed| feed.data(data)) {
                    return "data that nobody asked for".to_owned();
                }
            }
            Ok(Some(Command::Section { input, at })) => {
                if !feeds.get(usize::from(input)).is_some_and(|feed| feed.section(at)) {
                    return "a section that nobody asked for".to_owned();
                }
            }
            Err(error) => return error.to_string(),
            Ok(None) => match socket.read(&mut chunk) {
                Ok(0) => return "server closed the socket".to_owned(),
                Ok(read) => received.put_slice(&chunk[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return format!("read demuxer socket: {error}"),
            },
        }
    }
}

/// One input and the chain that takes it apart.
struct Input {
    feed: Arc<Feed>,
    wants: Wants,
    lasts: Lasts,
    chain: Option<Chain>,
    /// The chain is gone, and this thread reads what it left; news of this number tell when it is done.
    draining: Option<u64>,
    /// The chain's streams have ended; more may begin.
    ended: bool,
    /// Since when all of its bytes are read, or the chain does nothing more.
    read: Option<Instant>,
    watchdog: Watchdog,
}

struct Session {
    inputs: Vec<Input>,
    outbox: Outbox<Event>,
    anchors: Arc<Anchors>,
    report: Arc<Report>,
    news: SyncSender<News>,
    chains: u64,
    /// Units have come out of any chain.
    flowed: bool,
}

impl Session {
    fn new(start: &Start, feeds: Vec<Arc<Feed>>, outbox: &Outbox<Event>, news: SyncSender<News>) -> Self {
        let alone = feeds.len() == 1;
        let inputs = feeds.into_iter().map(|feed| {
            let wants = Wants {
                video: start.video && feed.input == 0,
                audio: start.audio && (alone || feed.input > 0),
            };
            let watchdog = Watchdog::new(feed.pulse.clone());
            Input {
                feed,
                wants,
                lasts: Lasts::default(),
                chain: None,
                draining: None,
                ended: false,
                read: None,
                watchdog,
            }
        });
        let mut session = Self {
            inputs: inputs.collect(),
            outbox: outbox.clone(),
            anchors: Arc::default(),
            report: Arc::default(),
            news,
            chains: 0,
            flowed: false,
        };
        let start_at = start.start_at.filter(|start_at| alone && !start_at.is_zero());
        let gate = start_at.map_or(Gate::Open, |at| Gate::Wanted(MediaTime::from_duration(at).nanos()));
        for input in 0..session.inputs.len() {
            session.begin(input, MediaTime::ZERO, gate);
        }
        session
    }

    /// Starts the chain of an input's next section.
    fn begin(&mut self, input: usize, at: MediaTime, gate: Gate) {
        self.chains += 1;
        let input = &mut self.inputs[input];
        let sorter =
            Sorter::new(input.feed.clone(), self.anchors.clone(), input.wants, at, gate, input.lasts);
        let (outbox, report, news) = (self.outbox.clone(), self.report.clone(), self.news.clone());
        let shared = Shared::new(input.feed.clone(), sorter, outbox, report, news, self.chains);
        (input.read, input.ended) = (None, false);
        match Chain::start(Arc::new(shared)) {
            Ok(chain) => input.chain = Some(chain),
            Err(error) => {
                let failed = What::Failed(demux::Kind::Broken, error);
                let _ = self.news.try_send(News::Chain(self.chains, failed));
            }
        }
    }

    /// The command thread, until the inputs end or something breaks.
    fn serve(mut self, incoming: &Receiver<News>) -> Result<(), Error> {
        while self.inputs.iter().any(|input| input.chain.is_some() || input.draining.is_some()) {
            let soon = self.inputs.iter().any(|input| input.ended);
            let result = match incoming.recv_timeout(if soon { SHORT_TICK } else { TICK }) {
                Ok(News::Closed(why)) => Err(Error::Closed(why)),
                Ok(News::Chain(number, what)) => self.news(number, what),
                Err(RecvTimeoutError::Timeout) => self.look(),
                Err(RecvTimeoutError::Disconnected) => Ok(()),
            };
            if let Err(error) = result {
                self.abandon(&error);
                return Err(error);
            }
        }
        Ok(())
    }

    /// A streaming thread may hang, or wait for a server that waits for the end: it is left where it is.
    fn abandon(&mut self, _why: &Error) {
        self.inputs.iter_mut().filter_map(|input| input.chain.take()).for_each(Chain::abandon);
    }

    fn news(&mut self, number: u64, what: What) -> Result<(), Error> {
        let of_chain =
            |input: &Input| input.chain.as_ref().is_some_and(|chain| chain.shared.number == number);
        let Some(index) = self.inputs.iter().position(of_chain) else {
            return match what {
                What::Drained => self.drained(number),
                What::Failed(kind, text) if number == self.chains => Err(Error::Failed(kind, text)),
                _ => Ok(()),
            };
        };
        let input = &self.inputs[index];
        let Some(chain) = &input.chain else { return Ok(()) };
        match what {
            What::Seek(time) => chain.seek(time),
            What::Failed(kind, text) => return Err(Error::Failed(kind, text)),
            What::EndOfStream if input.feed.is_drained() => return self.end(index),
            What::EndOfStream => self.inputs[index].ended = true,
            What::Drained => {}
            // What is left of a file that was cut off has been taken; there is nothing more to break.
            What::Error(error, from) if input.feed.is_drained() && chain.shared.sorter().flowed => {
                self.outbox.offer(Event::Warning(format!("{from}: {error}")));
                return self.end(index);
            }
            What::Error(error, from) => return Err(self.broken(index, &error, &from)),
        }
        Ok(())
    }

    /// What an element's error says of the input.
    fn broken(&self, index: usize, error: &gst::glib::Error, from: &str) -> Error {
        let chain = self.inputs[index].chain.as_ref();
        if let Some(sorter::Outcome::Fail(kind, text)) =
            chain.and_then(|chain| chain.shared.sorter().nothing()).filter(|_| !from.starts_with("typefind"))
            && matches!(kind, demux::Kind::Unsupported(_))
        {
            return Error::Failed(kind, text);
        }
        let unknown = [gst::StreamError::TypeNotFound, gst::StreamError::WrongType];
        let is_media = !error.kind::<gst::StreamError>().is_some_and(|kind| unknown.contains(&kind));
        let kind = if is_media { demux::Kind::Broken } else { demux::Kind::NotMedia };
        Error::Failed(kind, format!("{from}: {error}"))
    }

    /// A chain is done with.
    fn end(&mut self, index: usize) -> Result<(), Error> {
        let input = &mut self.inputs[index];
        let Some(chain) = input.chain.take() else { return Ok(()) };
        self.flowed |= chain.shared.sorter().flowed;
        input.lasts = chain.shared.sorter().lasts();
        let number = chain.shared.number;
        drop(chain);
        if !input.feed.info.seekable && !input.feed.is_drained() {
            input.draining = Some(number);
            let (feed, news) = (input.feed.clone(), self.news.clone());
            let drain = move || {
                feed.drain();
                let _ = news.send(News::Chain(number, What::Drained));
            };
            thread::Builder::new().name("drain".into()).spawn(drain)?;
            return Ok(());
        }
        self.next(index)
    }

    fn drained(&mut self, number: u64) -> Result<(), Error> {
        let Some(index) = self.inputs.iter().position(|input| input.draining == Some(number)) else {
            return Ok(());
        };
        self.inputs[index].draining = None;
        self.next(index)
    }

    /// The next section begins, or the input is over.
    fn next(&mut self, index: usize) -> Result<(), Error> {
        let input = &mut self.inputs[index];
        if let Some(at) = input.feed.next_section() {
            self.begin(index, at, Gate::Open);
            return Ok(());
        }
        let over = self.inputs.iter().all(|input| input.chain.is_none() && input.draining.is_none());
        if over && !self.flowed {
            let text = "it ends before the first picture or sound".to_owned();
            return Err(Error::Failed(demux::Kind::Broken, text));
        }
        Ok(())
    }

    /// Nothing has been heard for a moment.
    fn look(&mut self) -> Result<(), Error> {
        for index in 0..self.inputs.len() {
            let input = &mut self.inputs[index];
            let Some(chain) = &input.chain else { continue };
            if input.ended && chain.is_still() {
                self.end(index)?;
                continue;
            }
            if input.watchdog.hangs() {
                let text = "the demuxer does not come back from it".to_owned();
                return Err(Error::Failed(demux::Kind::Broken, text));
            }
            // A chain that has no stream to end, or whose demuxer has had enough, may never say so.
            let read = input.feed.is_drained() && input.feed.pulse.busy_since().is_some();
            if !read && !chain.is_still() {
                input.read = None;
            } else if input.read.get_or_insert_with(Instant::now).elapsed() >= LAST_BREATH {
                self.end(index)?;
            }
        }
        Ok(())
    }
}
