use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use gst::prelude::*;
use gstreamer as gst;
use gstreamer_video::UpstreamForceKeyUnitEvent;
use media::{Encoded, Layer, Output};
use pipeline::{Branch, Event};

use crate::{
    build::{Chain, Error, News},
    clock,
    inbox::{Inbox, Origin},
    input::Input,
    outbox::Outbox,
    scaler::Scaler,
    track::copy,
};

/// One layer at work: its scaler, if it needs one, and its encoder. They are chains of their own, so that a slow encoder
/// holds up no smaller layer.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) layer: Layer,
    scaler: Option<Scaler>,
    encoder: Input,
    /// Where a keyframe is asked for.
    keyframes: gst::Element,
    /// Asked for, and not yet given to the encoder.
    key_wanted: bool,
    /// Given to the encoder, and not yet come out of it.
    key_under_way: Arc<AtomicBool>,
}

impl Running {
    /// Builds and starts a layer's chains. Its first frame is a keyframe.
    pub(crate) fn start(
        branch: &Branch,
        generation: u64,
        inbox: &Arc<Inbox>,
        outbox: &Outbox,
    ) -> Result<Self, Error> {
        let quality = branch.layer.quality;
        let fps = gst::Fraction::new(i32::try_from(branch.fps_milli).unwrap_or(i32::MAX), 1000);
        let from = Origin::Layer(quality, generation);
        let scaler =
            (!branch.scale.is_empty()).then(|| Scaler::new(&branch.layer, &branch.scale, fps, from, inbox));
        let chain = Chain::new()?;
        // What is behind an encoder hands a wish for a keyframe on to it.
        let keyframes = chain.append(chain.source.upcast_ref(), &branch.encode)?;
        let key_under_way = Arc::new(AtomicBool::new(false));
        chain
            .sink(&keyframes, send_picture(Output::Video(quality), key_under_way.clone(), outbox.clone()))?;
        let encoder = Input::new(chain, fps)?;
        Ok(Self { layer: branch.layer, scaler, encoder, keyframes, key_wanted: false, key_under_way })
    }

    /// The next frame is to be a keyframe; asking again before it has come out changes nothing.
    pub(crate) fn want_keyframe(&mut self) {
        self.key_wanted = true;
    }

    /// Takes a frame of any size. What has the layer's size at once goes to the encoder, and is returned for smaller
    /// layers. `None` when it goes through a scaler's chain, and comes back as a frame of this layer.
    pub(crate) fn take(&mut self, frame: &gst::Sample) -> Result<Option<gst::Sample>, Error> {
        let frame = match &mut self.scaler {
            Some(scaler) => scaler.take(frame)?,
            None => Some(frame.clone()),
        };
        if let Some(frame) = &frame {
            self.encode(frame);
        }
        Ok(frame)
    }

    /// Takes a frame of the layer's size.
    pub(crate) fn encode(&mut self, frame: &gst::Sample) {
        if std::mem::take(&mut self.key_wanted) && !self.key_under_way.swap(true, Ordering::AcqRel) {
            let event = UpstreamForceKeyUnitEvent::builder().all_headers(true).build();
            if let Some(pad) = self.keyframes.static_pad("src") {
                pad.send_event(event);
            }
        }
        self.encoder.push(frame);
    }

    /// Frames dropped since the last call.
    pub(crate) fn take_dropped(&mut self) -> u64 {
        self.scaler.as_mut().map_or(0, Scaler::take_dropped) + self.encoder.take_dropped()
    }

    /// Nothing more comes into the scaler; false when there is none.
    pub(crate) fn end_scaler(&self) -> bool {
        self.scaler.as_ref().is_some_and(Scaler::end)
    }

    /// Nothing more comes into the encoder.
    pub(crate) fn end_encoder(&self) {
        // A chain that has failed says why on its bus.
        let _ = self.encoder.end();
    }

    pub(crate) fn scaler_news(&self) -> Option<News> {
        self.scaler.as_ref().and_then(Scaler::news)
    }

    pub(crate) fn encoder_news(&self) -> Option<News> {
        self.encoder.news()
    }
}

fn send_picture(
    output: Output,
    key_under_way: Arc<AtomicBool>,
    outbox: Outbox,
) -> impl FnMut(gst::Sample) + Send + 'static {
    move |sample| {
        let Some(pts) = clock::running_time(&sample).map(clock::from_gst) else { return };
        let Some(data) = copy(&sample) else { return };
        let keyframe =
            sample.buffer().is_some_and(|buffer| !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT));
        if keyframe {
            key_under_way.store(false, Ordering::Release);
        }
        outbox.send(Event::Encoded(Encoded { output, pts, keyframe, data }));
    }
}
