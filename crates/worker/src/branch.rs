use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use gstreamer as gst;
use media::Layer;
use pipeline::Branch;

use crate::{
    build::{Error, News},
    encoder::{Encoder, Key},
    inbox::{Inbox, Origin},
    scaler::Scaler,
};

/// An encoder that is replaced gives out what it holds, a fifth of a second of frames, before the new one may. Past it
/// these are given up.
const HAND_OVER: Duration = Duration::from_millis(500);

/// One layer at work: its scaler, if it needs one, and its encoder. They are chains of their own, so that a slow encoder
/// holds up no smaller layer.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) layer: Layer,
    /// Frames per 1 000 s that reach it.
    pub(crate) fps_milli: u32,
    scaler: Option<Scaler>,
    encoder: Encoder,
    /// The one before, while it gives out its last; until when it may.
    ending: Option<(Encoder, Instant)>,
    /// Of encoders that are gone.
    dropped: u64,
}

impl Running {
    /// A layer with a running encoder, whose first frame is a keyframe.
    pub(crate) fn new(branch: &Branch, encoder: Encoder, generation: u64, inbox: &Arc<Inbox>) -> Self {
        let Branch { layer, fps_milli, scale, .. } = branch;
        let fps = gst::Fraction::new(i32::try_from(*fps_milli).unwrap_or(i32::MAX), 1000);
        let from = Origin::Layer(layer.quality, generation);
        let scaler = (!scale.is_empty()).then(|| Scaler::new(layer, scale, fps, from, inbox));
        Self { layer: *layer, fps_milli: *fps_milli, scaler, encoder, ending: None, dropped: 0 }
    }

    /// A frame is to be a keyframe; asking again before it has come out changes nothing.
    pub(crate) fn want_keyframe(&mut self, key: Key) {
        self.encoder.want_keyframe(key);
    }

    /// A frame of any size in the layer's size. `None` when it goes through a scaler's chain, and comes back as a frame of
    /// this layer.
    pub(crate) fn scale(&mut self, frame: &gst::Sample) -> Result<Option<gst::Sample>, Error> {
        match &mut self.scaler {
            Some(scaler) => scaler.take(frame),
            None => Ok(Some(frame.clone())),
        }
    }

    /// Takes a frame of the layer's size that waits since `since`; false when it was dropped.
    pub(crate) fn encode(&mut self, frame: &gst::Sample, since: Option<Instant>) -> bool {
        self.encoder.encode(frame, since)
    }

    pub(crate) fn encoder(&mut self) -> &mut Encoder {
        &mut self.encoder
    }

    /// An encoder gives out its last.
    pub(crate) fn is_handing_over(&self) -> bool {
        self.ending.is_some()
    }

    /// Another encoder takes the frames from now on, and gives out its first when the one before has given out its last.
    pub(crate) fn hand_over(&mut self, mut next: Encoder, now: Instant) {
        next.hold();
        let mut last = mem::replace(&mut self.encoder, next);
        self.dropped += last.take_dropped();
        last.end();
        if let Some((older, _)) = self.ending.replace((last, now + HAND_OVER)) {
            older.bury();
        }
    }

    /// Another encoder takes the place of a broken one at once.
    pub(crate) fn replace(&mut self, mut next: Encoder) {
        if self.is_handing_over() {
            next.hold();
        }
        let mut broken = mem::replace(&mut self.encoder, next);
        self.dropped += broken.take_dropped();
        broken.bury();
    }

    /// Lets the new encoder go when the one before it is through.
    pub(crate) fn tend(&mut self, now: Instant) {
        let over = self.ending.as_ref().is_some_and(|(last, until)| now >= *until || last.news().is_some());
        if let Some((last, _)) = self.ending.take_if(|_| over) {
            last.bury();
            self.encoder.release();
        }
    }

    /// Frames dropped since the last call.
    pub(crate) fn take_dropped(&mut self) -> u64 {
        let scaler = self.scaler.as_mut().map_or(0, Scaler::take_dropped);
        mem::take(&mut self.dropped) + scaler + self.encoder.take_dropped()
    }

    /// Nothing more comes into the scaler; false when there is none.
    pub(crate) fn end_scaler(&self) -> bool {
        self.scaler.as_ref().is_some_and(Scaler::end)
    }

    /// Nothing more comes into the encoder.
    pub(crate) fn end_encoder(&self) {
        self.encoder.end();
    }

    pub(crate) fn scaler_news(&self) -> Option<News> {
        self.scaler.as_ref().and_then(Scaler::news)
    }

    pub(crate) fn encoder_news(&self) -> Option<News> {
        self.encoder.news()
    }
}
