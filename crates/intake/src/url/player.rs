//! An HLS stream as streams of bytes: a task that does what an [`hls::Client`] says, and a reader for each rendition.
//!
//! Read-ahead is bounded by the client: one segment is with the reader and one is fetched behind it, of each rendition.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use hls::{Failure, Fetch, FetchId, Output, Reason, Shown, What, Wish};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::JoinSet,
    time::sleep_until,
};
use tracing::debug;
use url::Url;

use super::{Ask, Error, Fetched, Fetcher, Range, Read, head};

/// Fetches of one stream at a time. The client has four under way at most; those that it has given up end a little later.
const FETCHES: usize = 6;
/// A segment, and the end or error after it.
const PIECES: usize = 2;
/// Causes of failed fetches that are remembered: those of one segment or key and of a playlist beside it, of each rendition.
const CAUSES: usize = 8;

/// A stream that has begun.
pub(super) struct Played {
    pub(super) live: bool,
    /// The main one, and sound that has a playlist of its own.
    pub(super) renditions: Vec<Rendition>,
}

/// One rendition's bytes.
pub(super) struct Rendition {
    which: hls::Rendition,
    pieces: mpsc::Receiver<Piece>,
    taken: mpsc::Sender<hls::Rendition>,
    /// What is left of the segment that is being read.
    current: VecDeque<Bytes>,
    /// The client has not been told yet that a segment was read.
    holds: bool,
    over: Option<Result<(), Error>>,
    _task: Arc<JoinSet<()>>,
}

enum Piece {
    Segment { section: Option<Duration>, parts: Vec<Bytes> },
    Over(Result<(), Error>),
}

/// Begins to play the playlist at `url`, which was just fetched as `first`.
pub(super) async fn play(fetcher: &Fetcher, url: &Url, wish: &Wish, first: Fetched) -> Result<Played, Error> {
    let (taken, told) = mpsc::channel(PIECES);
    let (begun, begins) = oneshot::channel();
    let (main, main_pieces) = mpsc::channel(PIECES);
    let (audio, audio_pieces) = mpsc::channel(PIECES);
    let player = Player {
        client: hls::Client::new(url.clone(), *wish),
        fetcher: fetcher.clone(),
        first: Some(first),
        fetches: JoinSet::new(),
        slots: Arc::new(Semaphore::new(FETCHES)),
        causes: VecDeque::new(),
        lanes: [Lane::new(main), Lane::new(audio)],
        begun: Some(begun),
    };
    let mut task = JoinSet::new();
    task.spawn(player.run(told));
    let (live, sound) = begins.await.map_err(|_| Error::Stopped)??;
    let task = Arc::new(task);
    let rendition = |which, pieces| Rendition {
        which,
        pieces,
        taken: taken.clone(),
        current: VecDeque::new(),
        holds: false,
        over: None,
        _task: task.clone(),
    };
    let mut renditions = vec![rendition(hls::Rendition::Main, main_pieces)];
    renditions.extend(sound.then(|| rendition(hls::Rendition::Audio, audio_pieces)));
    Ok(Played { live, renditions })
}

impl Rendition {
    pub(super) async fn read(&mut self, most: usize) -> Result<Read, Error> {
        loop {
            if let Some(part) = self.current.front_mut() {
                let bytes = part.split_to(most.min(part.len()));
                if part.is_empty() {
                    self.current.pop_front();
                }
                return Ok(Read::Data(bytes));
            }
            if let Some(over) = &self.over {
                return over.clone().map(|()| Read::End);
            }
            if std::mem::take(&mut self.holds) {
                // There is room for one of each rendition. Once the player is gone nobody needs to know.
                let _ = self.taken.try_send(self.which);
            }
            match self.pieces.recv().await.unwrap_or(Piece::Over(Err(Error::Stopped))) {
                Piece::Over(over) => self.over = Some(over),
                Piece::Segment { section, parts } => {
                    self.current = parts.into_iter().filter(|part| !part.is_empty()).collect();
                    self.holds = true;
                    if let Some(at) = section {
                        return Ok(Read::Section { at });
                    }
                }
            }
        }
    }
}

struct Player {
    client: hls::Client,
    fetcher: Fetcher,
    /// The answer to the client's first fetch.
    first: Option<Fetched>,
    fetches: JoinSet<Done>,
    slots: Arc<Semaphore>,
    /// What the client is told in its own words, and the API's caller in ours.
    causes: VecDeque<(What, Shown, Error)>,
    lanes: [Lane; 2],
    begun: Option<oneshot::Sender<Result<(bool, bool), Error>>>,
}

/// The way to a rendition's reader.
struct Lane {
    pieces: mpsc::Sender<Piece>,
    /// Session time of the next segment, by the durations of those before it.
    at: Duration,
    ended: bool,
}

struct Done {
    id: FetchId,
    what: What,
    url: Shown,
    result: Result<Fetched, Error>,
}

impl Lane {
    fn new(pieces: mpsc::Sender<Piece>) -> Self {
        Self { pieces, at: Duration::ZERO, ended: false }
    }

    /// There is room: the client gives no segment before the last one was taken, and one end.
    fn send(&self, piece: Piece) {
        let _ = self.pieces.try_send(piece);
    }

    fn end(&mut self, how: Result<(), Error>) {
        if !std::mem::replace(&mut self.ended, true) {
            self.send(Piece::Over(how));
        }
    }
}

impl Player {
    async fn run(mut self, mut taken: mpsc::Receiver<hls::Rendition>) {
        let mut input = hls::Input::Tick;
        loop {
            let mut wake = None;
            for output in self.client.handle(Instant::now(), input) {
                match output {
                    Output::WaitUntil(at) => wake = Some(at),
                    Output::Ended => return,
                    Output::Failed(reason) => return self.failed(&self.error(&reason)),
                    output => self.carry_out(output),
                }
            }
            let tick = sleep_until(wake.unwrap_or_else(Instant::now).into());
            input = tokio::select! {
                Some(done) = self.fetches.join_next() => match done {
                    Ok(done) => self.answered(done),
                    // a fetch that has panicked: the client will give it up
                    Err(_) => hls::Input::Tick,
                },
                rendition = taken.recv() => match rendition {
                    Some(rendition) => hls::Input::Taken { rendition },
                    None => return,
                },
                () = tick, if wake.is_some() => hls::Input::Tick,
            };
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Fetch(fetch) => self.fetch(fetch),
            Output::Begun { live, audio } => {
                let begun = self.begun.take().map(|begun| begun.send(Ok((live, audio))));
                debug!(live, audio, wanted = begun.is_some(), "playlist begun");
            }
            Output::Data(data) => {
                let lane = &mut self.lanes[lane(data.rendition)];
                let section = (data.discontinuity || data.hole).then_some(lane.at);
                lane.at = lane.at.saturating_add(data.duration);
                let parts = data.init.into_iter().chain([data.bytes]).collect();
                lane.send(Piece::Segment { section, parts });
            }
            Output::Skipped { rendition, from, to, lasts, why } => {
                debug!(?rendition, from, to, ?lasts, ?why, "segments passed over");
                let at = &mut self.lanes[lane(rendition)].at;
                *at = at.saturating_add(lasts);
            }
            Output::RenditionEnded { rendition } => self.lanes[lane(rendition)].end(Ok(())),
            Output::Chosen(chosen) => debug!(?chosen, "variant chosen"),
            Output::WaitUntil(_) | Output::Ended | Output::Failed(_) => {}
        }
    }

    fn fetch(&mut self, fetch: Fetch) {
        let Fetch { id, url, range, limit, within, what } = fetch;
        let shown = Shown::of(&url);
        if let Some(first) = self.first.take() {
            self.fetches.spawn(async move { Done { id, what, url: shown, result: Ok(first) } });
            return;
        }
        let range = range.map(|range| Range {
            first: range.offset,
            last: Some(range.offset.saturating_add(range.length) - 1),
        });
        // The client tries again by itself; a segment that was cut is worth its rest.
        let attempts = if what == What::Segment { 2 } else { 1 };
        let ask = Ask { range, within: Some(within), attempts, ..Ask::default() };
        let (fetcher, slots) = (self.fetcher.clone(), self.slots.clone());
        self.fetches.spawn(async move {
            let _slot = slots.acquire_owned().await;
            let result = fetcher.fetch(&url, limit as u64, ask).await;
            Done { id, what, url: shown, result }
        });
    }

    fn answered(&mut self, done: Done) -> hls::Input {
        let Done { id, what, url, result } = done;
        let result = match result {
            Ok(fetched) => Ok(hls::Fetched { url: fetched.url, body: fetched.bytes }),
            Err(error) => {
                let failure = failure(&error);
                if self.causes.len() == CAUSES {
                    self.causes.pop_front();
                }
                self.causes.push_back((what, url, error));
                Err(failure)
            }
        };
        hls::Input::Fetched { id, result }
    }

    fn failed(&mut self, error: &Error) {
        debug!(reason = error.reason(), %error, "playlist failed");
        if let Some(begun) = self.begun.take() {
            // who waits for the beginning counts it
            drop(begun.send(Err(error.clone())));
            return;
        }
        if error.is_of_the_content() {
            self.fetcher.counts().failed(error);
        }
        self.lanes.iter_mut().for_each(|lane| lane.end(Err(error.clone())));
    }

    /// Why the client cannot go on, with the fetcher's own word for it where there is one.
    fn error(&self, reason: &Reason) -> Error {
        let playlist = |url: &Shown, why: String| Error::Playlist { origin: origin(url), why };
        match reason {
            Reason::Fetch { what, url, failure } => {
                let own = matches!(
                    failure,
                    Failure::Range { .. } | Failure::KeyLength { .. } | Failure::Decrypt { .. }
                );
                let known = self.causes.iter().rev().find(|(of, at, _)| of == what && at == url);
                match (known.filter(|_| !own), what) {
                    (Some((_, _, cause)), What::Playlist) => cause.clone(),
                    (Some((_, _, cause)), what) => {
                        Error::Part { what: *what, cause: Box::new(cause.clone()) }
                    }
                    (None, what) => playlist(url, format!("{what}: {failure}")),
                }
            }
            Reason::Scheme { what, .. } => {
                let cause = Box::new(Error::Url("only http and https are fetched"));
                Error::Part { what: *what, cause }
            }
            Reason::Protected { method, .. } => {
                Error::Unsupported { what: format!("a playlist that is encrypted with {method}") }
            }
            Reason::NoVariant { count, seen, .. } => {
                Error::Unsupported { what: format!("any of the playlist's {count} variants ({seen})") }
            }
            Reason::Playlist { url, error } => playlist(url, error.to_string()),
            Reason::Address { url, what, error } => playlist(url, format!("address of a {what}: {error}")),
            Reason::Nested { url } => playlist(url, "a list of variants where segments were expected".into()),
            Reason::Stalled { url, after } => playlist(url, format!("nothing new for {} s", after.as_secs())),
            reason => Error::Playlist { origin: "it".to_owned(), why: reason.to_string() },
        }
    }
}

fn lane(rendition: hls::Rendition) -> usize {
    match rendition {
        hls::Rendition::Main => 0,
        hls::Rendition::Audio => 1,
    }
}

fn origin(shown: &Shown) -> String {
    Url::parse(&shown.to_string()).map_or_else(|_| "the server".to_owned(), |url| head::origin(&url))
}

/// What the client is told: whether it may be better later.
fn failure(error: &Error) -> Failure {
    match error {
        Error::Status { status, .. } => Failure::Status(*status),
        Error::PastEnd { .. } => Failure::Status(416),
        Error::TooLarge { limit } => {
            Failure::TooLong { limit: usize::try_from(*limit).unwrap_or(usize::MAX) }
        }
        Error::Dns { .. }
        | Error::Refused { .. }
        | Error::Unreachable { .. }
        | Error::TimedOut { .. }
        | Error::Cut { .. }
        | Error::Changed { .. }
        | Error::Protocol { .. } => Failure::Network(error.to_string()),
        error => Failure::Refused(error.to_string()),
    }
}
