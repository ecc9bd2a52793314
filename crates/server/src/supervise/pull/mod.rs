//! A URL that is played: opened, taken apart, and given on at the pace at which it plays.
//!
//! ```text
//! read: each item of the playlist ── intake::url ⇄ demuxer (or streams) ── News ─► Player: media::pacer ─► Ways
//! ```

mod audience;
pub(super) mod demuxer;
mod outage;
mod player;
mod playlist;
mod srt;
mod start;
mod streams;

use std::{sync::Arc, time::Duration};

use intake::url::{self, Wish};
use media::{Unit, pacer::Pace};
use pipeline::demux::{Kind, Mark};
use session::{Input, SourceId};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::Instrument as _;

use super::{Shared, marks::Marks, sound::Lane, source::Ways};
pub(super) use audience::{Attendance, Audience};
use demuxer::{Found, Job};
use outage::Outage;
use playlist::{Address, By, Playlist};
pub use srt::Caller as SrtCaller;
pub(super) use start::Answer;

/// Units between who reads and who paces: the pacer has its own bound, this one only smooths.
const AHEAD: usize = 64;

/// A list is read again no faster than this: one of very short files would else start a process for each of them.
const LAP: Duration = Duration::from_secs(1);

/// What StartIngress asks for.
#[derive(Debug)]
pub struct Request {
    pub(super) playlist: Playlist,
    /// Of the variants that there are.
    pub(super) wish: Wish,
}

/// Why a URL cannot be played, or not any further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// For metrics: one of `intake::url::REASONS`, or one of the demuxer's.
    pub(super) label: &'static str,
    /// For the user; no path, query or password.
    pub(super) text: String,
}

/// What the reader has for the player.
#[derive(Debug)]
enum News {
    /// What follows begins at zero again, and comes over so many ways: of several, each has a kind of its own.
    Item { pace: Pace, inputs: usize },
    /// There will be these kinds.
    Tracks { video: bool, audio: bool },
    /// To be given when it is due.
    Unit(Unit),
    /// To be given at once: its sender paces it.
    Unpaced(Unit),
    /// To be told when it is due.
    Mark(Mark),
    /// To be told with what was read last.
    Title(String),
}

impl Request {
    /// For logs: scheme and host.
    pub(super) fn shown(&self) -> String {
        self.playlist.items.first().map(Address::to_string).unwrap_or_default()
    }
}

/// Plays it to its end. `given_up`: until it was accepted, nobody wants it any more.
pub(super) async fn run(
    id: SourceId,
    request: Request,
    shared: Arc<Shared>,
    ways: Ways,
    sound: Lane,
    audience: watch::Receiver<Audience>,
    given_up: CancellationToken,
) {
    let mail = ways.mail.clone();
    let (sender, news) = mpsc::channel(AHEAD);
    let reader = AbortOnDropHandle::new(tokio::spawn(read(shared, request, sender).in_current_span()));
    let marks = Marks::new(ways.room());
    let end = player::Player::new(id, ways, sound, marks, given_up).play(news, reader, audience).await;
    mail.input(Input::SourceEnded { source: id, end }).await;
}

/// Reads all items, one after the other, as far as what they give is taken.
async fn read(shared: Arc<Shared>, request: Request, out: mpsc::Sender<News>) -> Result<(), Failure> {
    let Request { playlist, wish } = request;
    let (mut start_at, mut lap) = (playlist.start_at, 0);
    while playlist.laps.is_none_or(|laps| lap < laps) {
        let began = Instant::now();
        for address in &playlist.items {
            item(&shared, address, &wish, start_at.take(), &out).await?;
            if out.is_closed() {
                return Ok(());
            }
        }
        lap = lap.saturating_add(1);
        if playlist.laps != Some(lap) {
            tokio::time::sleep_until(began + LAP).await;
        }
    }
    Ok(())
}

async fn item(
    shared: &Shared,
    address: &Address,
    wish: &Wish,
    start_at: Option<Duration>,
    out: &mpsc::Sender<News>,
) -> Result<(), Failure> {
    tracing::info!(%address, "opening");
    match address.by {
        By::Http => {}
        By::Srt => return call(shared, address, out).await,
        By::Rtmp | By::Rtsp => return streams::run(&shared.fetcher, address, out).await,
    }
    let source = url::open(&shared.fetcher, &address.url, wish).await?;
    if source.radio {
        return radio(shared, address, source, wish, out).await;
    }
    play(shared, address, source, start_at, out, &mut false).await
}

/// Until the other side says that it is over; where it vanishes it is called again for a while.
async fn call(shared: &Shared, address: &Address, out: &mpsc::Sender<News>) -> Result<(), Failure> {
    let mut outage = Outage::default();
    loop {
        let mut any = false;
        let end = async {
            let publisher = srt::open(&shared.srt, &shared.fetcher, &address.url).await?;
            let meter = publisher.meter();
            let job = Job { inputs: vec![demuxer::Input::Srt(publisher)], live: true, start_at: None };
            take_apart(shared, job, None, out, &mut any).await?;
            srt::ended(&meter)
        };
        let Err(failure) = end.await else { return Ok(()) };
        if !any && !outage.has_played() {
            return Err(failure);
        }
        outage.after(failure, any).await?;
    }
}

async fn play(
    shared: &Shared,
    address: &Address,
    source: url::Source,
    start_at: Option<Duration>,
    out: &mpsc::Sender<News>,
    any: &mut bool,
) -> Result<(), Failure> {
    let url::Source { inputs, live, titles, .. } = source;
    let inputs: Vec<_> = inputs.into_iter().map(demuxer::Input::Url).collect();
    tracing::info!(%address, live, inputs = inputs.len(), "open");
    take_apart(shared, Job { inputs, live, start_at }, titles, out, any).await
}

/// Sound that has no end by itself: where it stops it is asked for again for a while, and is over when its server has it no more.
async fn radio(
    shared: &Shared,
    address: &Address,
    mut source: url::Source,
    wish: &Wish,
    out: &mpsc::Sender<News>,
) -> Result<(), Failure> {
    let mut outage = Outage::default();
    loop {
        let mut any = false;
        let mut end = play(shared, address, source, None, out, &mut any).await;
        if any {
            outage.played();
        }
        // What was nothing from the beginning will not be more.
        if !outage.has_played() {
            return end;
        }
        tracing::warn!(%address, ?end, "the radio stopped");
        source = loop {
            if !outage.wait().await {
                return end;
            }
            match url::open(&shared.fetcher, &address.url, wish).await {
                Ok(again) if again.radio => break again,
                Ok(_) => return end,
                Err(error) if error.reason() == "not_found" => end = Ok(()),
                Err(error) => end = Err(error.into()),
            }
        };
    }
}

/// `any`: whether there was something to play.
async fn take_apart(
    shared: &Shared,
    job: Job,
    titles: Option<mpsc::Receiver<String>>,
    out: &mpsc::Sender<News>,
    any: &mut bool,
) -> Result<(), Failure> {
    // Nobody listens any more where it cannot be sent: the next unit finds that out, too.
    let pace = if job.live { Pace::Live } else { Pace::File };
    let _ = out.send(News::Item { pace, inputs: job.inputs.len() }).await;
    // Ends with the item.
    let _titles = titles.map(|titles| AbortOnDropHandle::new(tokio::spawn(tell(titles, out.clone()))));
    demuxer::run(&shared.launch, job, &shared.metrics, |found| {
        let news = match found {
            Found::Tracks { video, audio } => News::Tracks { video, audio },
            Found::Unit(unit) => {
                *any |= matches!(unit, Unit::Packet(_));
                News::Unit(unit)
            }
            Found::Mark(mark) => News::Mark(mark),
        };
        async { out.send(news).await.is_ok() }
    })
    .await?;
    if *any {
        Ok(())
    } else {
        Err(Failure { label: "not_media", text: "there is nothing in it to be seen or heard".to_owned() })
    }
}

async fn tell(mut titles: mpsc::Receiver<String>, out: mpsc::Sender<News>) {
    while let Some(title) = titles.recv().await {
        if out.send(News::Title(title)).await.is_err() {
            return;
        }
    }
}

impl Failure {
    fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(%error, "cannot play a URL");
        Self { label: "internal", text: "internal".to_owned() }
    }

    fn broken(text: &str) -> Self {
        Self { label: "broken", text: format!("broken media: {text}") }
    }

    fn of_demuxer(kind: Kind, text: &str) -> Self {
        match kind {
            Kind::NotMedia => Self { label: "not_media", text: format!("not media: {text}") },
            Kind::Unsupported(what) => {
                Self { label: "unsupported", text: format!("unsupported media: {what}") }
            }
            Kind::Broken => Self::broken(text),
        }
    }
}

impl From<url::Error> for Failure {
    fn from(error: url::Error) -> Self {
        Self { label: error.reason(), text: error.tell() }
    }
}
