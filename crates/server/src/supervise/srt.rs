//! A publisher over SRT: the bytes of its transport stream, taken apart as they come.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use intake::srt::{self, Meter, Publisher, Refusal, Why};
use media::Unit;
use session::{Input, Reason, SourceEnd, SourceId, Why as End};
use tokio::sync::mpsc;

use super::{
    Shared,
    marks::Marks,
    publisher::Closer,
    pull::{
        Failure,
        demuxer::{self, Found, Job},
    },
    sound::Lane,
    source::{Tally, Ways},
};
use crate::metrics::Metrics;

/// Units between the demuxer and the session, which only hands them on.
const AHEAD: usize = 64;

/// How often a connection's statistics are counted: they are told as often.
const COUNT: Duration = Duration::from_secs(1);

/// Tells the publisher to go on and plays it to its end.
pub(super) async fn run(id: SourceId, request: srt::Request, shared: Arc<Shared>, ways: Ways, sound: Lane) {
    let mail = ways.mail.clone();
    let publisher = match request.accept().await {
        Ok(publisher) => publisher,
        Err(error) => {
            tracing::info!(source = %id, "publisher refused: {error}");
            return mail.input(Input::SourceEnded { source: id, end: SourceEnd::Lost }).await;
        }
    };
    if !mail.accepted(id, Closer::Srt(publisher.closer())).await {
        return;
    }
    tracing::info!(source = %id, "publisher connected: {}", publisher.describe());
    let end = play(id, publisher, &shared, ways, sound).await;
    mail.input(Input::SourceEnded { source: id, end }).await;
}

async fn play(id: SourceId, publisher: Publisher, shared: &Shared, ways: Ways, mut sound: Lane) -> SourceEnd {
    let (meter, mut tally) = (publisher.meter(), Tally::new(id));
    let mut marks = Marks::new(ways.room());
    let (out, mut found) = mpsc::channel(AHEAD);
    let job = Job { inputs: vec![demuxer::Input::Srt(publisher)], live: true, start_at: None };
    let taken_apart = demuxer::run(&shared.launch, job, &shared.metrics, |found| {
        let out = out.clone();
        async move { out.send(found).await.is_ok() }
    });
    let mut taken_apart = std::pin::pin!(taken_apart);
    let mut counted = Counted::new(meter.clone(), &shared.metrics);
    let mut result = None;
    loop {
        tokio::select! {
            biased;
            Some(found) = found.recv() => match found {
                Found::Unit(unit) => {
                    if let Unit::Packet(packet) = &unit {
                        marks.reach(packet.dts);
                    }
                    ways.take(id, unit, Instant::now(), &mut sound, &mut tally).await;
                }
                Found::Mark(mark) => marks.note(mark.at, mark.what),
                Found::Tracks { video, audio } => ways.promise(id, video, audio).await,
            },
            ended = &mut taken_apart, if result.is_none() => result = Some(ended),
            () = counted.next() => {}
            else => unreachable!("statistics are counted for ever"),
        }
        if result.is_some() && found.is_empty() {
            break;
        }
    }
    let why = meter.why();
    if let Some(why) = &why {
        tracing::info!(source = %id, "publisher ended: {why}");
    }
    end(why, result.unwrap_or(Ok(())))
}

/// Counts a connection's statistics, at its end as well.
struct Counted<'m> {
    meter: Meter,
    metrics: &'m Metrics,
    before: (srt::Stats, u64),
    tick: tokio::time::Interval,
}

impl<'m> Counted<'m> {
    fn new(meter: Meter, metrics: &'m Metrics) -> Self {
        Self { meter, metrics, before: Default::default(), tick: tokio::time::interval(COUNT) }
    }

    /// Cancel safe.
    async fn next(&mut self) {
        self.tick.tick().await;
        self.count();
    }

    fn count(&mut self) {
        let now = self.meter.stats();
        self.metrics.srt(&self.before, &now);
        self.before = now;
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.count();
    }
}

/// What the connection says of its end counts, unless what came was no good.
fn end(why: Option<Why>, taken_apart: Result<(), Failure>) -> SourceEnd {
    match (why, taken_apart) {
        (None, Err(failure)) => SourceEnd::Invalid(failure.text),
        (Some(Why::Closed), Err(failure)) if failure.label == "not_media" => SourceEnd::Invalid(failure.text),
        (Some(Why::Closed), _) => SourceEnd::Finished,
        // Closed by us: the session knows why.
        _ => SourceEnd::Lost,
    }
}

/// What a caller is told of a refusal.
pub(super) fn refusal(why: &End) -> Refusal {
    let End::Failed(reason) = why else { return Refusal::Conflict };
    match reason {
        Reason::Disabled | Reason::MissingKey | Reason::UnknownKey => Refusal::Forbidden,
        Reason::WrongType | Reason::NoRoom | Reason::Invalid(_) | Reason::Unsupported(_) => {
            Refusal::Unacceptable
        }
        Reason::Full => Refusal::Overload,
        _ => Refusal::Down,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(label: &'static str) -> Result<(), Failure> {
        Err(Failure { label, text: "text".to_owned() })
    }

    #[test]
    fn a_stream_that_is_no_good_is_named_and_one_that_is_over_is_over() {
        assert_eq!(end(Some(Why::Closed), Ok(())), SourceEnd::Finished);
        // Cut off in the middle of a packet.
        assert_eq!(end(Some(Why::Closed), failure("broken")), SourceEnd::Finished);
        assert_eq!(end(Some(Why::Closed), failure("not_media")), SourceEnd::Invalid("text".to_owned()));
        assert_eq!(end(None, failure("broken")), SourceEnd::Invalid("text".to_owned()));
        assert_eq!(end(Some(Why::Vanished), Ok(())), SourceEnd::Lost);
        assert_eq!(end(Some(Why::Died), failure("broken")), SourceEnd::Lost);
    }

    #[test]
    fn refusals_have_srts_own_codes() {
        let code = |reason| refusal(&End::Failed(reason)).code();
        assert_eq!((code(Reason::UnknownKey), code(Reason::Full)), (1403, 1402));
        assert_eq!((code(Reason::WrongType), code(Reason::ControlUnavailable)), (1406, 1503));
        assert_eq!(refusal(&End::TakenOver).code(), 1409);
    }
}
