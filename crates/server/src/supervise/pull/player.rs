//! Gives what is read to the session when it is due.

use std::time::Instant;

use media::{
    MediaTime, Packet, Unit,
    pacer::{Pace, Pacer, Step},
};
use pipeline::demux::What;
use session::{SourceEnd, SourceId};
use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{Audience, Failure, News};
use crate::supervise::{
    marks::Marks,
    publisher::Closer,
    sound::Lane,
    source::{Tally, Ways},
};

type Reader = AbortOnDropHandle<Result<(), Failure>>;

/// One pull, from its first byte to the last picture shown.
pub(super) struct Player {
    id: SourceId,
    ways: Ways,
    sound: Lane,
    tally: Tally,
    marks: Marks,
    /// The newest that was read.
    newest: MediaTime,
    pacer: Pacer,
    /// Added to the times of the item that is read.
    base: MediaTime,
    given_up: CancellationToken,
    closed: CancellationToken,
    accepted: bool,
    /// Of the item that is read.
    inputs: usize,
    dry: u64,
}

/// When there is something to do again.
enum Due {
    At(Instant),
    Later,
    Over,
}

impl Player {
    pub(super) fn new(
        id: SourceId,
        ways: Ways,
        sound: Lane,
        marks: Marks,
        given_up: CancellationToken,
    ) -> Self {
        Self {
            id,
            ways,
            sound,
            tally: Tally::new(id),
            marks,
            newest: MediaTime::ZERO,
            pacer: Pacer::new(Pace::File),
            base: MediaTime::ZERO,
            given_up,
            closed: CancellationToken::new(),
            accepted: false,
            inputs: 1,
            dry: 0,
        }
    }

    /// Plays to the end of what comes, or until it is closed.
    pub(super) async fn play(
        mut self,
        mut news: mpsc::Receiver<News>,
        reader: Reader,
        mut audience: watch::Receiver<Audience>,
    ) -> SourceEnd {
        let (given_up, closed) = (self.given_up.clone(), self.closed.clone());
        let mut reader = Some(reader);
        loop {
            let present = *audience.borrow_and_update();
            let due = match self.give(present).await {
                Due::At(at) => Some(at),
                Due::Later => None,
                Due::Over => return SourceEnd::Finished,
            };
            let wait = async {
                match due {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = closed.cancelled() => return SourceEnd::Lost,
                () = given_up.cancelled(), if !self.accepted => return SourceEnd::Lost,
                Ok(()) = audience.changed() => {}
                heard = news.recv(), if reader.is_some() && self.pacer.wants() => match heard {
                    Some(news) => if !self.hear(news).await { return SourceEnd::Lost },
                    None => match reader.take() {
                        Some(reader) => if let Err(failure) = self.read_out(reader).await { return failure },
                        None => unreachable!("it is asked for only while it is there"),
                    },
                },
                () = wait => {}
            }
        }
    }

    /// Gives all that is due.
    async fn give(&mut self, audience: Audience) -> Due {
        match audience {
            // It would be dropped.
            Audience::None => return Due::Later,
            Audience::Worker => {}
            Audience::Room => {
                if let Some(from) = self.pacer.start_over() {
                    self.sound.start(from.max(self.ways.time(Instant::now())));
                }
            }
        }
        loop {
            let now = Instant::now();
            match self.pacer.next(self.ways.time(now)) {
                Step::Give(unit) => {
                    if let Unit::Packet(packet) = &unit {
                        self.marks.reach(packet.dts);
                    }
                    self.ways.put(self.id, unit, now, &mut self.sound, &mut self.tally).await;
                }
                Step::Wait(until) => {
                    self.say_dry();
                    return until.map_or(Due::Later, |until| Due::At(self.ways.instant(until)));
                }
                Step::Over => return Due::Over,
            }
        }
    }

    /// False when nobody wants any more.
    async fn hear(&mut self, news: News) -> bool {
        let now = Instant::now();
        match news {
            News::Item { pace, inputs } => {
                self.inputs = inputs;
                self.base = self.pacer.next_item(pace);
            }
            News::Tracks { video, audio } => return self.describe(video, audio).await,
            News::Unit(unit) => {
                let unit = later(unit, self.base);
                if let Unit::Packet(packet) = &unit {
                    self.newest = packet.dts;
                }
                self.pacer.push(self.ways.time(now), unit);
            }
            News::Mark(mark) => self.marks.note(mark.at + self.base, mark.what),
            News::Title(title) => self.marks.note(self.newest, What::Title(title)),
            News::Unpaced(unit) => self.ways.take(self.id, unit, now, &mut self.sound, &mut self.tally).await,
        }
        true
    }

    async fn describe(&mut self, video: bool, audio: bool) -> bool {
        // The first input speaks for itself alone.
        self.pacer.expect((usize::from(video) + usize::from(audio)).max(self.inputs));
        if !self.accepted {
            self.accepted = true;
            if !self.ways.mail.accepted(self.id, Closer::Pull(self.closed.clone())).await {
                return false;
            }
        }
        self.ways.promise(self.id, video, audio).await;
        true
    }

    /// Nothing more is read. What is there is played, unless it failed.
    async fn read_out(&mut self, reader: Reader) -> Result<(), SourceEnd> {
        let end = match reader.await {
            Ok(end) => end,
            Err(error) => Err(Failure::internal(&error)),
        };
        self.pacer.finish();
        end.map_err(|Failure { label, text }| SourceEnd::Pull { label, text })
    }

    fn say_dry(&mut self) {
        if std::mem::replace(&mut self.dry, self.pacer.dry()) != self.pacer.dry() {
            tracing::warn!("the URL gives less than is played: the picture stands until it has more");
        }
    }
}

/// As if it came so much later in its source.
fn later(unit: Unit, by: MediaTime) -> Unit {
    match unit {
        Unit::Packet(packet) => Unit::Packet(Packet { pts: packet.pts + by, dts: packet.dts + by, ..packet }),
        format => format,
    }
}
