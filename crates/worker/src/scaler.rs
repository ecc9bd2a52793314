use std::sync::Arc;

use gst::prelude::*;
use gstreamer as gst;
use pipeline::Element;

use crate::{
    build::{Chain, Error, News},
    inbox::{Frame, Inbox, Origin},
    input::Input,
};

/// Makes one layer's raw frames from larger ones.
#[derive(Debug)]
pub(crate) struct Scaler(Input);

impl Scaler {
    /// Builds and starts the chain of `elements`; what it makes goes to the inbox as `from`.
    pub(crate) fn start(
        elements: &[Element],
        fps: gst::Fraction,
        from: Origin,
        inbox: &Arc<Inbox>,
    ) -> Result<Self, Error> {
        let chain = Chain::new()?;
        let last = chain.append(chain.source.upcast_ref(), elements)?;
        let inbox = inbox.clone();
        chain.sink(&last, move |sample| inbox.offer(Frame { from, sample }))?;
        Ok(Self(Input::new(chain, fps)?))
    }

    /// Scales a frame: at once when one is returned, else it comes through the inbox.
    pub(crate) fn take(&mut self, frame: &gst::Sample) -> Option<gst::Sample> {
        self.0.push(frame);
        None
    }

    /// Frames dropped since the last call.
    pub(crate) fn take_dropped(&mut self) -> u64 {
        self.0.take_dropped()
    }

    /// Nothing more comes. False when there is nothing to wait for.
    pub(crate) fn end(&self) -> bool {
        self.0.end()
    }

    pub(crate) fn news(&self) -> Option<News> {
        self.0.news()
    }
}
