//! Streams of other servers over RTMP and RTSP: paced by whoever sends them.

use super::{Address, By, Failure, News, outage::Outage};
use intake::{
    rtmp::{self, Event, ProtocolError, Publisher, PullError, Why},
    rtsp,
    url::Fetcher,
};
use media::{Kind, Unit};
use tokio::sync::mpsc;

/// Plays until the server says that the stream is over.
pub(super) async fn run(
    fetcher: &Fetcher,
    address: &Address,
    out: &mpsc::Sender<News>,
) -> Result<(), Failure> {
    let mut outage = Outage::default();
    loop {
        let mut played = false;
        let failure = match ask(fetcher, address).await {
            Ok(publisher) => match relay(publisher, out, &mut played).await {
                Left::Over => return Ok(()),
                Left::Broken(failure) => failure,
            },
            // Once it has played, the server may be any server for a while: one that starts refuses what it has.
            Err(Refused { failure, transient: false }) if !outage.has_played() => return Err(failure),
            Err(Refused { failure, .. }) => failure,
        };
        if failure.label == "unsupported" {
            return Err(failure);
        }
        outage.after(failure, played).await?;
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
