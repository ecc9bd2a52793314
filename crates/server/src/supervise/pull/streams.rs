//! Streams of other servers over RTMP and RTSP: paced by whoever sends them.

use std::time::Duration;

use super::{Address, By, Failure, News};
use intake::{
    rtmp::{self, Event, ProtocolError, Publisher, PullError, Why},
    rtsp,
    url::Fetcher,
};
use media::{Kind, Unit};
use tokio::{sync::mpsc, time::Instant};

/// A stream that broke off is asked for again after this, then after twice as long each time: a server restarts in seconds.
const FIRST_RETRY: Duration = Duration::from_millis(250);

/// The longest such wait.
const LAST_RETRY: Duration = Duration::from_secs(4);

/// So often it is asked for before any media has come; the last of these waits is 4 s.
const ATTEMPTS: u32 = 6;

/// One that has played and broke off is asked for again for so long: a camera restarts in that time. The participant stays.
const OUTAGE: Duration = Duration::from_secs(30);

/// Plays until the server says that the stream is over.
pub(super) async fn run(
    fetcher: &Fetcher,
    address: &Address,
    out: &mpsc::Sender<News>,
) -> Result<(), Failure> {
    let (mut attempt, mut broke_off) = (0, None);
    loop {
        let mut played = false;
        let failure = match ask(fetcher, address).await {
            Ok(publisher) => match relay(publisher, out, &mut played).await {
                Left::Over => return Ok(()),
                Left::Broken(failure) => failure,
            },
            // Once it has played, the server may be any server for a while: one that starts refuses what it has.
            Err(Refused { failure, transient: false }) if broke_off.is_none() => return Err(failure),
            Err(Refused { failure, .. }) => failure,
        };
        if played {
            (attempt, broke_off) = (0, Some(Instant::now()));
        }
        attempt += 1;
        let given_up = match broke_off {
            Some(since) => since.elapsed() >= OUTAGE,
            None => attempt >= ATTEMPTS,
        };
        if given_up || failure.label == "unsupported" {
            return Err(failure);
        }
        tracing::warn!(reason = failure.label, "stream broke off, trying again: {}", failure.text);
        tokio::time::sleep(LAST_RETRY.min(FIRST_RETRY * 2_u32.saturating_pow(attempt - 1))).await;
    }
}

/// No stream was had.
struct Refused {
    failure: Failure,
    /// It may come a moment later.
    transient: bool,
}

async fn ask(fetcher: &Fetcher, address: &Address) -> Result<Publisher, Refused> {
    let url = address.url.as_str();
    if address.by == By::Rtsp {
        let asked = rtsp::pull(fetcher, url).await;
        return asked.map_err(|error| Refused { transient: error.is_transient(), failure: error.into() });
    }
    let asked = rtmp::pull(fetcher, url).await;
    asked.map_err(|error| Refused { transient: error.is_transient(), failure: error.into() })
}

enum Left {
    /// It is over, or nobody wants it any more.
    Over,
    Broken(Failure),
}

async fn relay(mut publisher: Publisher, out: &mpsc::Sender<News>, played: &mut bool) -> Left {
    let (mut video, mut audio) = (false, false);
    loop {
        let unit = match publisher.recv().await {
            Some(Event::Unit(unit)) => unit,
            Some(Event::Ended(Why::Unpublished)) => return Left::Over,
            Some(Event::Ended(why)) => return Left::Broken(why.into()),
            Some(_) => continue,
            None => return Left::Broken(lost()),
        };
        match &unit {
            Unit::Format(_, format) => {
                match format.codec.kind() {
                    Kind::Video => video = true,
                    Kind::Audio => audio = true,
                }
                if out.send(News::Tracks { video, audio }).await.is_err() {
                    return Left::Over;
                }
            }
            Unit::Packet(_) => *played = true,
        }
        if out.send(News::Unpaced(unit)).await.is_err() {
            return Left::Over;
        }
    }
}

fn lost() -> Failure {
    Failure { label: "cut", text: "the stream broke off".to_owned() }
}

impl From<PullError> for Failure {
    fn from(error: PullError) -> Self {
        let label = match &error {
            PullError::Url(_) => "url",
            PullError::Connect(error) => error.reason(),
            PullError::NotFound { .. } => "not_found",
            PullError::Closed { .. } | PullError::Broken { .. } => "cut",
            _ => "protocol",
        };
        Self { label, text: error.to_string() }
    }
}

impl From<rtsp::Error> for Failure {
    fn from(error: rtsp::Error) -> Self {
        use rtsp::Error::{
            Broken, Connect, NoMedia, NotFound, Status, TimedOut, TooManyRedirects, Unauthorized,
            Unsupported, Url,
        };
        let label = match &error {
            Url(_) => "url",
            Connect(error) => error.reason(),
            NotFound { .. } => "not_found",
            Unauthorized { .. } | Status { .. } => "status",
            Unsupported { .. } => "unsupported",
            NoMedia { .. } => "not_media",
            TimedOut { .. } => "timed_out",
            Broken { .. } => "cut",
            TooManyRedirects { .. } => "redirect",
            _ => "protocol",
        };
        Self { label, text: error.to_string() }
    }
}

impl From<Why> for Failure {
    fn from(why: Why) -> Self {
        match why {
            Why::Protocol(ProtocolError::Unsupported { codec, .. }) => {
                Self { label: "unsupported", text: format!("unsupported media: {codec}") }
            }
            Why::Protocol(error) => Self { label: "protocol", text: error.to_string() },
            Why::Invalid(text) => Self { label: "protocol", text },
            Why::Silent => Self { label: "timed_out", text: "nothing came for too long".to_owned() },
            _ => lost(),
        }
    }
}
