use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use gst::prelude::*;
use gstreamer as gst;
use gstreamer_video::UpstreamForceKeyUnitEvent;
use media::{Encoded, Layer, Output};
use pipeline::{Event, plan::Branch};

use crate::{
    build::{Chain, Error, News},
    clock,
    inbox::{Frame, Inbox, Origin},
    outbox::Outbox,
    track::copy,
};

/// Raw frames that wait for one encoder: 0.2 s at 30 fps. Enough for a burst out of the network; past it the encoder is
/// too slow for its machine and frames are dropped before they are encoded, so that latency stays bounded.
const MAX_WAITING: u64 = 6;

/// One layer's chain: scale, encode, send.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) layer: Layer,
    /// Its raw frames come back through the inbox, for the next smaller layer.
    pub(crate) feeds_smaller: bool,
    fps: gst::Fraction,
    chain: Chain,
    encoder: gst::Element,
    /// Asked for, and not yet given to the encoder.
    key_wanted: bool,
    /// Given to the encoder, and not yet come out of it.
    key_under_way: Arc<AtomicBool>,
    caps: Option<(gst::Caps, gst::Caps)>,
    dropped: u64,
}

impl Running {
    /// Builds and starts a layer's chain. Its first frame is a keyframe.
    pub(crate) fn start(
        branch: &Branch,
        generation: u64,
        inbox: &Arc<Inbox>,
        outbox: &Outbox,
    ) -> Result<Self, Error> {
        let (source, scale) = branch.scale.split_first().expect("a branch starts with its source");
        let chain = Chain::new(source)?;
        let mut last = chain.append(chain.source.upcast_ref(), scale)?;
        let quality = branch.layer.quality;
        if branch.feeds_smaller {
            let from = Origin::Layer(quality, generation);
            let inbox = inbox.clone();
            last = chain.append(&last, &[pipeline::Element::new("tee")])?;
            // Linked before the encoder: the smaller layer need not wait for this one's encoding.
            chain.sink(&last, move |sample| inbox.offer(Frame { from, sample }))?;
        }
        let (encoder, behind) = branch.encode.split_first().expect("a branch has its encoder");
        let encoder = chain.append(&last, std::slice::from_ref(encoder))?;
        let last = chain.append(&encoder, behind)?;
        let key_under_way = Arc::new(AtomicBool::new(false));
        chain.sink(&last, send_picture(Output::Video(quality), key_under_way.clone(), outbox.clone()))?;
        chain.play()?;
        Ok(Self {
            layer: branch.layer,
            feeds_smaller: branch.feeds_smaller,
            fps: gst::Fraction::new(i32::try_from(branch.fps_milli).unwrap_or(i32::MAX), 1000),
            chain,
            encoder,
            key_wanted: false,
            key_under_way,
            caps: None,
            dropped: 0,
        })
    }

    /// The next frame is to be a keyframe; asking again before it has come out changes nothing.
    pub(crate) fn want_keyframe(&mut self) {
        self.key_wanted = true;
    }

    /// Hands a raw frame over; false when the encoder is too far behind, and the frame is dropped for this layer.
    pub(crate) fn push(&mut self, frame: &gst::Sample) -> bool {
        if self.chain.source.current_level_buffers() >= MAX_WAITING {
            self.dropped += 1;
            return false;
        }
        if std::mem::take(&mut self.key_wanted) && !self.key_under_way.swap(true, Ordering::AcqRel) {
            let event = UpstreamForceKeyUnitEvent::builder().all_headers(true).build();
            if let Some(pad) = self.encoder.static_pad("src") {
                pad.send_event(event);
            }
        }
        self.follow_caps(frame);
        if let Some(buffer) = frame.buffer_owned() {
            let _ = self.chain.source.push_buffer(buffer);
        }
        true
    }

    /// Frames come with the caps of whatever made them; their rate is replaced by the one that was fitted.
    fn follow_caps(&mut self, frame: &gst::Sample) {
        let Some(caps) = frame.caps() else { return };
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

    /// Frames dropped since the last call.
    pub(crate) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// Nothing more comes.
    pub(crate) fn end(&self) {
        let _ = self.chain.source.end_of_stream();
    }

    pub(crate) fn news(&self) -> Option<News> {
        self.chain.news()
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
