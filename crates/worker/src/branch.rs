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
    inbox::{Frame, Inbox, Origin},
    outbox::Outbox,
    track::copy,
};

/// Raw frames that wait for one scaler or encoder: 0.2 s at 30 fps. Enough for a burst out of the network; past it the
/// machine is too slow and frames are dropped before they are encoded, so that latency stays bounded.
const MAX_WAITING: u64 = 6;

/// One layer at work: its scaler, if it needs one, and its encoder. They are chains of their own, so that a slow encoder
/// holds up no smaller layer.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) layer: Layer,
    scaler: Option<Input>,
    encoder: Input,
    /// Where a keyframe is asked for.
    keyframes: gst::Element,
    /// Asked for, and not yet given to the encoder.
    key_wanted: bool,
    /// Given to the encoder, and not yet come out of it.
    key_under_way: Arc<AtomicBool>,
}

/// The bounded way into a chain of raw frames.
#[derive(Debug)]
struct Input {
    chain: Chain,
    fps: gst::Fraction,
    /// As given, and as set.
    caps: Option<(gst::Caps, gst::Caps)>,
    last: Option<gst::ClockTime>,
    dropped: u64,
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
        let scaler = if branch.scale.is_empty() {
            None
        } else {
            let (chain, from) = (Chain::new()?, Origin::Layer(quality, generation));
            let last = chain.append(chain.source.upcast_ref(), &branch.scale)?;
            let inbox = inbox.clone();
            chain.sink(&last, move |sample| inbox.offer(Frame { from, sample }))?;
            Some(Input::new(chain, fps)?)
        };
        let chain = Chain::new()?;
        let (encoder, behind) = branch.encode.split_first().expect("a branch has its encoder");
        let keyframes = chain.append(chain.source.upcast_ref(), std::slice::from_ref(encoder))?;
        let last = chain.append(&keyframes, behind)?;
        let key_under_way = Arc::new(AtomicBool::new(false));
        chain.sink(&last, send_picture(Output::Video(quality), key_under_way.clone(), outbox.clone()))?;
        let encoder = Input::new(chain, fps)?;
        Ok(Self { layer: branch.layer, scaler, encoder, keyframes, key_wanted: false, key_under_way })
    }

    /// The next frame is to be a keyframe; asking again before it has come out changes nothing.
    pub(crate) fn want_keyframe(&mut self) {
        self.key_wanted = true;
    }

    /// Takes a frame of any size. True when it has the layer's size already: it goes to the encoder, and on to smaller
    /// layers. False when it goes through the scaler, and comes back as a frame of this layer.
    pub(crate) fn take(&mut self, frame: &gst::Sample) -> bool {
        match &mut self.scaler {
            Some(scaler) => {
                scaler.push(frame);
                false
            }
            None => {
                self.encode(frame);
                true
            }
        }
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
        let inputs = self.scaler.iter_mut().chain([&mut self.encoder]);
        inputs.map(|input| std::mem::take(&mut input.dropped)).sum()
    }

    /// Nothing more comes into the scaler; false when there is none.
    pub(crate) fn end_scaler(&self) -> bool {
        self.scaler.as_ref().is_some_and(|scaler| scaler.chain.source.end_of_stream().is_ok())
    }

    /// Nothing more comes into the encoder.
    pub(crate) fn end_encoder(&self) {
        // A chain that has failed says why on its bus.
        let _ = self.encoder.chain.source.end_of_stream();
    }

    pub(crate) fn scaler_news(&self) -> Option<News> {
        self.scaler.as_ref().and_then(|scaler| scaler.chain.news())
    }

    pub(crate) fn encoder_news(&self) -> Option<News> {
        self.encoder.chain.news()
    }
}

impl Input {
    fn new(chain: Chain, fps: gst::Fraction) -> Result<Self, Error> {
        chain.play()?;
        Ok(Self { chain, fps, caps: None, last: None, dropped: 0 })
    }

    fn push(&mut self, frame: &gst::Sample) {
        let (Some(caps), Some(buffer)) = (frame.caps(), frame.buffer_owned()) else { return };
        // When a larger layer is paused or resumed, frames that are still in its scaler come after newer ones.
        if buffer.pts() <= self.last {
            return;
        }
        if self.chain.source.property::<u64>("current-level-buffers") >= MAX_WAITING {
            self.dropped += 1;
            return;
        }
        self.last = buffer.pts();
        self.follow(caps);
        let _ = self.chain.source.push_buffer(buffer);
    }

    /// Frames come with the caps of whatever made them; their rate is replaced by the one that was fitted.
    fn follow(&mut self, caps: &gst::CapsRef) {
        if self.caps.as_ref().is_some_and(|(given, _)| given.as_ptr() == caps.as_ptr()) {
            return;
        }
        let mut ours = caps.to_owned();
        ours.make_mut().set("framerate", self.fps);
        if self.caps.as_ref().is_none_or(|(_, set)| *set != ours) {
            self.chain.source.set_caps(Some(&ours));
        }
        self.caps = Some((caps.to_owned(), ours));
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
