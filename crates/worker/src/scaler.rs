use std::sync::Arc;

use gst::prelude::*;
use gstreamer as gst;
use media::{Kind, Layer};
use pipeline::Element;

use crate::{
    build::{Chain, Error, News},
    halve::{self, Halve},
    inbox::{Frame, Inbox, Origin},
    input::Input,
};

/// Makes one layer's raw frames from larger ones. Frames of twice its size, or four times, are halved at once; all others
/// go through a chain of GStreamer's, which is started when the first one comes.
#[derive(Debug)]
pub(crate) struct Scaler {
    size: (u32, u32),
    elements: Vec<Element>,
    fps: gst::Fraction,
    from: Origin,
    inbox: Arc<Inbox>,
    /// What the last frame looked like, and the way for such frames: empty for the chain.
    seen: Option<(gst::Caps, Vec<Halve>)>,
    chain: Option<Input>,
    dropped: u64,
}

impl Scaler {
    /// For frames of `layer`. `elements` are the chain, whose frames go to the inbox as `from`.
    pub(crate) fn new(
        layer: &Layer,
        elements: &[Element],
        fps: gst::Fraction,
        from: Origin,
        inbox: &Arc<Inbox>,
    ) -> Self {
        let (size, elements, inbox) = ((layer.width, layer.height), elements.to_vec(), inbox.clone());
        Self { size, elements, fps, from, inbox, seen: None, chain: None, dropped: 0 }
    }

    /// Scales a frame: at once when one is returned, else it comes through the inbox.
    pub(crate) fn take(&mut self, frame: &gst::Sample) -> Result<Option<gst::Sample>, Error> {
        let Some(caps) = frame.caps() else { return Ok(None) };
        let (_, steps) = match self.seen.take() {
            Some(seen) if seen.0.as_ptr() == caps.as_ptr() || seen.0.as_ref() == caps => {
                self.seen.insert(seen)
            }
            _ => self.seen.insert((caps.to_owned(), halve::steps(caps, self.size))),
        };
        if steps.is_empty() {
            self.chain()?.push(frame);
            return Ok(None);
        }
        let halved = steps.iter().try_fold(frame.clone(), |frame, step| step.halve(&frame));
        self.dropped += u64::from(halved.is_none());
        Ok(halved)
    }

    fn chain(&mut self) -> Result<&mut Input, Error> {
        if self.chain.is_none() {
            let chain = Chain::new(Kind::Video)?;
            let last = chain.append(chain.source.upcast_ref(), &self.elements)?;
            let (inbox, from) = (self.inbox.clone(), self.from);
            chain.sink(&last, move |sample| inbox.offer(Frame { from, sample }))?;
            self.chain = Some(Input::new(chain, self.fps)?);
        }
        Ok(self.chain.as_mut().expect("made above"))
    }

    /// Frames dropped since the last call.
    pub(crate) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped) + self.chain.as_mut().map_or(0, Input::take_dropped)
    }

    /// Nothing more comes. False when there is nothing to wait for.
    pub(crate) fn end(&self) -> bool {
        self.chain.as_ref().is_some_and(Input::end)
    }

    pub(crate) fn news(&self) -> Option<News> {
        self.chain.as_ref().and_then(Input::news)
    }
}
