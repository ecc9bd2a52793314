use std::time::{Duration, Instant};

use crate::{branch::Running, build::News};

/// Draining takes as long as decoding and encoding a few frames. Past it the rest is given up.
const PATIENCE: Duration = Duration::from_secs(2);

/// The end of a stream on its way through the graph: each stage is told to end when all of the one before has come out.
#[derive(Debug)]
pub(crate) struct Drain {
    stage: Stage,
    until: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The decoders, and all of the sound.
    Tracks {
        video: bool,
        audio: bool,
    },
    /// The scaler of the layer with this index.
    Scaler {
        at: usize,
        over: bool,
    },
    /// The encoders, by index.
    Encoder(usize),
    Over,
}

impl Drain {
    /// Starts with the tracks that have been told to end.
    pub(crate) fn new(video: bool, audio: bool) -> Self {
        Self { stage: Stage::Tracks { video: !video, audio: !audio }, until: Instant::now() + PATIENCE }
    }

    pub(crate) fn is_late(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Goes on as far as the news allow; true when all is over. `idle` says whether no raw frame waits.
    pub(crate) fn step(
        &mut self,
        (video_news, audio_news): (Option<News>, Option<News>),
        layers: &[Running],
        idle: impl Fn() -> bool,
    ) -> Result<bool, String> {
        self.stage = match self.stage {
            Stage::Tracks { video, audio } => {
                let (video, audio) = (video || ended(video_news)?, audio || ended(audio_news)?);
                if video && audio && idle() {
                    next_scaler(layers, layers.len())
                } else {
                    Stage::Tracks { video, audio }
                }
            }
            Stage::Scaler { at, over } => {
                let over = over || ended(layers[at].scaler_news())?;
                // Its last frames may still be on their way to the smaller ones.
                if over && idle() { next_scaler(layers, at) } else { Stage::Scaler { at, over } }
            }
            Stage::Encoder(at) => match layers.get(at) {
                None => Stage::Over,
                Some(layer) if ended(layer.encoder_news())? => Stage::Encoder(at + 1),
                Some(_) => Stage::Encoder(at),
            },
            Stage::Over => Stage::Over,
        };
        Ok(self.stage == Stage::Over)
    }
}

/// Ends the next scaler below `at`, or all the encoders when there is none.
fn next_scaler(layers: &[Running], at: usize) -> Stage {
    if let Some(at) = (0..at).rev().find(|&at| layers[at].end_scaler()) {
        return Stage::Scaler { at, over: false };
    }
    layers.iter().for_each(Running::end_encoder);
    Stage::Encoder(0)
}

fn ended(news: Option<News>) -> Result<bool, String> {
    match news {
        Some(News::Failed(why)) => Err(why),
        Some(News::EndOfStream) => Ok(true),
        None => Ok(false),
    }
}
