//! What a URL is, and how it is read: by the bytes that it begins with first, by what the server says second, by its name last.

use std::time::Duration;

use tokio::time::timeout;
use tracing::debug;
use url::Url;

use super::{
    Ask, Error, Fetched, Fetcher, Input, Opened, Phase, Range, Source, Wish,
    flow::{Flow, Once},
    head,
    places::Places,
    player, radio,
    sniff::{self, Index, Kind},
    source,
    spool::{Spool, Spooled},
};

/// Sound without length that does not say that it is a radio's: this much of it in this time is a file's, 16 s of 128 kbit/s. Radios
/// give some seconds at once.
const BURST: usize = 256 * 1024;
/// See [`BURST`].
const BURST_WITHIN: Duration = Duration::from_millis(1500);
/// Boxes before an MP4 file's index or data: some have a few.
const BOXES: usize = 32;

/// Opens what `url` names, and finds out what it is: a file, a radio, an HLS stream, or a radio's list of servers, whose first entry
/// is opened in its place. All of it is fetched by `fetcher`. It takes as long as [`super::Limits::open`] for each of at most
/// four steps, and [`super::Spooling::within`] for a file that needs its end. Dropping the future ends everything that it began.
///
/// # Errors
/// Why there is nothing to play; [`Error::reason`] is one word for it and [`Error::tell`] a text for who asked. What can only be
/// known later comes from [`Input::read`].
pub async fn open(fetcher: &Fetcher, url: &Url, wish: &Wish) -> Result<Source, Error> {
    let opened = entry(fetcher, url, wish).await;
    opened.inspect_err(|error| {
        // what fetching it told is counted there
        if error.is_of_the_content() {
            fetcher.counts().failed(error);
        }
    })
}

enum Found {
    Source(Source),
    /// A radio's list, and its first entry.
    Elsewhere(Url),
}

async fn entry(fetcher: &Fetcher, url: &Url, wish: &Wish) -> Result<Source, Error> {
    let target = match look(fetcher, url, wish).await? {
        Found::Source(source) => return Ok(source),
        Found::Elsewhere(target) => target,
    };
    match look(fetcher, &target, wish).await? {
        Found::Source(source) => Ok(source),
        Found::Elsewhere(_) => {
            Err(Error::Unsupported { what: "a playlist that names another playlist".to_owned() })
        }
    }
}

/// An answer that has not been told apart yet.
struct Answer<'a> {
    fetcher: &'a Fetcher,
    asked: &'a Url,
    found: Url,
    size: Option<u64>,
    ranges: bool,
    is_part: bool,
    radio: bool,
    icy_interval: Option<u32>,
    media_type: Option<String>,
    flow: Flow,
}

async fn look(fetcher: &Fetcher, url: &Url, wish: &Wish) -> Result<Found, Error> {
    let mut answer = Answer::to(fetcher, url).await?;
    let origin = head::origin(&answer.found);
    let within = fetcher.limits().open;
    let late = |_| Error::TimedOut { origin: origin.clone(), phase: Phase::Total, after: within };
    timeout(within, answer.flow.peek(sniff::ENOUGH)).await.map_err(late)??;
    let first = answer.flow.ahead();
    let kind = sniff::kind(first);
    debug!(origin, ?kind, size = answer.size, ranges = answer.ranges, radio = answer.radio, "opened");
    if first.is_empty() {
        return Err(Error::NotMedia { origin, what: "nothing at all" });
    }
    let media_type = answer.media_type.as_deref();
    match kind {
        _ if media_type == Some("application/dash+xml") => {
            Err(Error::Unsupported { what: "DASH (an MPD manifest)".to_owned() })
        }
        Kind::Refused(what) => Err(Error::Unsupported { what: what.to_owned() }),
        Kind::NotMedia(what) => Err(Error::NotMedia { origin, what }),
        Kind::M3u | Kind::Pls => answer.list(kind, wish).await,
        Kind::Text if sniff::is_list(media_type, answer.found.path()) => answer.list(kind, wish).await,
        Kind::Text => Err(Error::NotMedia { origin, what: "text" }),
        Kind::Streamable | Kind::Boxes | Kind::Unknown => answer.media(kind).await.map(Found::Source),
    }
}

impl<'a> Answer<'a> {
    async fn to(fetcher: &'a Fetcher, asked: &'a Url) -> Result<Self, Error> {
        let ask = Ask { range: Some(Range::from(0)), icy: true, ..Ask::default() };
        let opened = match fetcher.open(asked, ask).await {
            // a radio that answers a range of its endless stream with one that has no end, or an empty file
            Err(Error::PastEnd { .. } | Error::Protocol { .. }) => {
                fetcher.open(asked, Ask { range: None, ..ask }).await?
            }
            opened => opened?,
        };
        let Opened { size, ranges, is_part, url: found, content_type, icy_interval, radio, body } = opened;
        let media_type = sniff::media_type(content_type.as_deref());
        let flow = Flow::new(body);
        Ok(Self { fetcher, asked, found, size, ranges, is_part, radio, icy_interval, media_type, flow })
    }

    /// A list of segments, of variants, or of a radio's servers.
    async fn list(mut self, kind: Kind, wish: &Wish) -> Result<Found, Error> {
        let (most, within) = (hls::limits::PLAYLIST, hls::limits::SMALL_WITHIN);
        let origin = head::origin(&self.found);
        let late = |_| Error::TimedOut { origin: origin.clone(), phase: Phase::Total, after: within };
        if timeout(within, self.flow.peek(most + 1)).await.map_err(late)?? {
            return Err(Error::TooLarge { limit: most as u64 });
        }
        let (bytes, _) = self.flow.into_parts();
        let text = String::from_utf8_lossy(&bytes);
        // radios have extended lists, too, without these
        if kind == Kind::M3u && text.lines().any(|line| line.trim_start().starts_with("#EXT-X-")) {
            let fetched = Fetched { url: self.found, content_type: None, bytes };
            let played = player::play(self.fetcher, self.asked, wish, fetched).await?;
            // what the server says is the playlist's type
            let input = |it| Input { bytes: source::Kind::Rendition(it), size: None, media_type: None };
            let inputs = played.renditions.into_iter().map(input).collect();
            return Ok(Found::Source(Source { inputs, live: played.live, radio: false, titles: None }));
        }
        let first = radio::first_entry(&text, &self.found);
        first.map(Found::Elsewhere).ok_or(Error::NotMedia { origin, what: "a playlist without entries" })
    }

    async fn media(mut self, kind: Kind) -> Result<Source, Error> {
        let most = self.fetcher.spooling().most;
        // Only live streams have titles between their bytes; some say that they are a part of something very large.
        let titled = self.radio && self.icy_interval.is_some_and(|interval| interval > 0);
        if titled || self.size.is_none() && kind != Kind::Boxes && self.is_live().await? {
            return Ok(self.live());
        }
        match self.size {
            Some(size) if self.is_part || self.ranges && size > most => {
                let (fetcher, urls) = (self.fetcher.clone(), (self.asked.clone(), self.found));
                let places = Places::new(fetcher, urls, size, self.flow);
                Ok(file(source::Kind::Places(Box::new(places)), Some(size), self.media_type))
            }
            Some(size) if size > most && !self.plays_as_it_comes(kind) => {
                Err(Error::TooLarge { limit: most })
            }
            Some(size) if size > most => {
                let once = Once::new(self.flow);
                Ok(file(source::Kind::Once(Box::new(once)), Some(size), self.media_type))
            }
            Some(_) => self.spooled(false).await,
            None if self.plays_as_it_comes(kind) => {
                Ok(file(source::Kind::Once(Box::new(Once::new(self.flow))), None, self.media_type))
            }
            None => self.spooled(true).await,
        }
    }

    /// Without length: whether it has no end, either.
    async fn is_live(&mut self) -> Result<bool, Error> {
        if self.radio || !sniff::is_sound(self.media_type.as_deref()) {
            return Ok(self.radio);
        }
        match timeout(BURST_WITHIN, self.flow.peek(BURST)).await {
            Ok(all) => all.map(|_| false),
            Err(_) => Ok(true),
        }
    }

    fn live(self) -> Source {
        let (once, titles) = match self.icy_interval {
            Some(interval) if interval > 0 => {
                let (once, titles) = Once::with_titles(self.flow, interval);
                (once, Some(titles))
            }
            _ => (Once::new(self.flow), None),
        };
        let input =
            Input { bytes: source::Kind::Once(Box::new(once)), size: None, media_type: self.media_type };
        Source { inputs: vec![input], live: true, radio: self.radio, titles }
    }

    /// Whether it needs no seek, as far as what has come of it tells.
    fn plays_as_it_comes(&self, kind: Kind) -> bool {
        let mut at = 0;
        for _ in 0..BOXES {
            let rest = usize::try_from(at).ok().and_then(|at| self.flow.ahead().get(at..));
            match rest.filter(|_| kind == Kind::Boxes).and_then(|rest| sniff::index(rest, at)) {
                Some(Index::At(next)) => at = next,
                Some(Index::First) => return true,
                Some(Index::Last) | None => break,
            }
        }
        kind == Kind::Streamable
    }

    /// By way of a temporary file; as a `whole` where its end has to be there before it is read.
    async fn spooled(self, whole: bool) -> Result<Source, Error> {
        let spooling = self.fetcher.spooling();
        let (first, body) = self.flow.into_parts();
        let (spool, filling) = Spool::after(first, body, &spooling.folder, spooling.most)?;
        let spooled = Spooled::new(spool, filling);
        if whole {
            let (origin, after) = (head::origin(&self.found), spooling.within);
            let late = |_| Error::TimedOut { origin, phase: Phase::Total, after };
            timeout(after, spooled.whole()).await.map_err(late)??;
        }
        Ok(file(source::Kind::Spooled(spooled), self.size, self.media_type))
    }
}

fn file(bytes: source::Kind, size: Option<u64>, media_type: Option<String>) -> Source {
    Source { inputs: vec![Input { bytes, size, media_type }], live: false, radio: false, titles: None }
}
