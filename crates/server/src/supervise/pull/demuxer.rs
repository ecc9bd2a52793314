//! A demuxer process and the bytes that it asks for.

use std::time::Duration;

use bytes::Bytes;
use intake::{srt, url};
use media::MediaTime;
use pipeline::{
    Launch,
    demux::{Command, Demux, Event, Incoming, InputInfo, Mark, Sender, Start},
};
use tokio::{sync::mpsc, task::JoinSet};

use super::Failure;
use crate::metrics::Metrics;

/// Answers on their way to the demuxer: each input has one read open at most.
const ANSWERS: usize = 2;

/// Where bytes come from.
#[derive(Debug)]
pub(in super::super) enum Input {
    /// HTTP.
    Url(url::Input),
    /// SRT: as they come.
    Srt(srt::Publisher),
}

/// What a read gave.
enum Read {
    Data(Bytes),
    Section(MediaTime),
}

/// What a demuxer found, for who plays it.
#[derive(Debug)]
pub(in super::super) enum Found {
    /// So many kinds of media.
    Tracks { video: bool, audio: bool },
    /// A format, or something to be played.
    Unit(media::Unit),
    /// Something that is neither picture nor sound.
    Mark(Mark),
}

/// What is to be taken apart.
pub(in super::super) struct Job {
    pub(in super::super) inputs: Vec<Input>,
    pub(in super::super) live: bool,
    pub(in super::super) start_at: Option<Duration>,
}

impl Input {
    fn info(&self) -> InputInfo {
        match self {
            Self::Url(input) => InputInfo {
                size: input.size(),
                seekable: input.seekable(),
                media_type: input.media_type().map(str::to_owned),
            },
            Self::Srt(_) => InputInfo { media_type: Some("video/mp2t".to_owned()), ..InputInfo::default() },
        }
    }

    async fn read(&mut self, offset: u64, length: u32) -> Result<Read, Failure> {
        match self {
            Self::Url(input) => Ok(match input.read(offset, length).await? {
                url::Read::Data(data) => Read::Data(data),
                url::Read::End => Read::Data(Bytes::new()),
                url::Read::Section { at } => Read::Section(MediaTime::from_duration(at)),
            }),
            Self::Srt(publisher) => Ok(Read::Data(publisher.read(length).await)),
        }
    }
}

/// Takes apart what comes, until its end. `found` is awaited: what it does not take holds the demuxer.
pub(in super::super) async fn run<F: Future<Output = bool>>(
    launch: &Launch,
    job: Job,
    metrics: &Metrics,
    mut found: impl FnMut(Found) -> F,
) -> Result<(), Failure> {
    let start = Start {
        inputs: job.inputs.iter().map(Input::info).collect(),
        live: job.live,
        video: true,
        audio: true,
        start_at: job.start_at,
    };
    let (sender, mut receiver) = Demux::spawn(launch, start).map_err(|error| Failure::internal(&error))?;
    let (failed, mut failures) = mpsc::channel(job.inputs.len().max(1));
    let (answers, waiting) = mpsc::channel(ANSWERS);
    // Aborted when this returns, or is dropped.
    let mut tasks = JoinSet::new();
    tasks.spawn(write(sender, waiting));
    let mut desks = Vec::new();
    for (number, input) in job.inputs.into_iter().enumerate() {
        let (desk, reads) = mpsc::channel(1);
        desks.push(desk);
        let number = u8::try_from(number).expect("a source has two inputs at most");
        tasks.spawn(serve(number, input, reads, answers.clone(), failed.clone(), metrics.clone()));
    }
    drop((answers, failed));
    loop {
        let incoming = tokio::select! {
            biased;
            Some(failure) = failures.recv() => return Err(failure),
            incoming = receiver.recv() => incoming,
        };
        let news = match incoming {
            Incoming::Event(Event::Read { input, offset, length }) => {
                let asked =
                    desks.get(usize::from(input)).is_some_and(|desk| desk.try_send((offset, length)).is_ok());
                if asked {
                    continue;
                }
                return Err(Failure::broken("the demuxer asks for what it may not"));
            }
            Incoming::Event(Event::Unit(unit)) => Found::Unit(unit),
            Incoming::Event(Event::Tracks { video, audio, .. }) => Found::Tracks { video, audio },
            Incoming::Event(Event::Mark(mark)) => Found::Mark(mark),
            Incoming::Event(Event::Warning(text)) => {
                tracing::warn!("demuxer: {text}");
                continue;
            }
            Incoming::Event(Event::Failed { kind, text }) => return Err(Failure::of_demuxer(kind, &text)),
            Incoming::Event(Event::Ended) => return Ok(()),
            Incoming::Exit(exit) => {
                tracing::warn!(%exit, "demuxer is gone");
                return Err(Failure::broken("its container is broken: the demuxer gave up on it"));
            }
        };
        if !found(news).await {
            return Ok(());
        }
    }
}

/// Sends the start, then answers: the demuxer may be slow to read them, while it has something to say.
async fn write(mut sender: Sender, mut answers: mpsc::Receiver<Command>) {
    if sender.flush().await.is_err() {
        return;
    }
    while let Some(answer) = answers.recv().await {
        if sender.send(answer).await.is_err() {
            return;
        }
    }
    // Dropping the sender would end the demuxer before its last units.
    std::future::pending::<()>().await;
}

/// Reads what is asked for of one input.
async fn serve(
    number: u8,
    mut input: Input,
    mut reads: mpsc::Receiver<(u64, u32)>,
    answers: mpsc::Sender<Command>,
    failed: mpsc::Sender<Failure>,
    metrics: Metrics,
) {
    while let Some((offset, length)) = reads.recv().await {
        let answer = match input.read(offset, length).await {
            Ok(Read::Data(data)) => {
                metrics.url_fetched(data.len());
                Command::Data { input: number, data }
            }
            Ok(Read::Section(at)) => Command::Section { input: number, at },
            Err(failure) => {
                // The other input may have failed first.
                let _ = failed.send(failure).await;
                return;
            }
        };
        if answers.send(answer).await.is_err() {
            return;
        }
    }
}
