use gst::prelude::*;
use gstreamer as gst;
use gstreamer_video::VideoInfo;

use crate::build::{Chain, Error, News};

/// Raw frames that wait for one scaler or encoder: 0.2 s at 30 fps. Enough for a burst out of the network; past it the
/// machine is too slow and frames are dropped before they are encoded, so that latency stays bounded.
const MAX_WAITING: u64 = 6;

/// The bounded way into a chain of raw frames.
#[derive(Debug)]
pub(crate) struct Input {
    chain: Chain,
    fps: gst::Fraction,
    /// As given, and as set.
    caps: Option<(gst::Caps, gst::Caps)>,
    last: Option<gst::ClockTime>,
    dropped: u64,
}

impl Input {
    /// Starts the chain. `fps` goes into the caps of what is pushed.
    pub(crate) fn new(chain: Chain, fps: gst::Fraction) -> Result<Self, Error> {
        chain.play()?;
        Ok(Self { chain, fps, caps: None, last: None, dropped: 0 })
    }

    /// Hands a frame to the chain, unless it is older than the last one, or too many wait.
    pub(crate) fn push(&mut self, frame: &gst::Sample) {
        self.push_after(frame, || ());
    }

    /// The same, and calls `before` when the frame is about to be handed over; true if it is.
    pub(crate) fn push_after(&mut self, frame: &gst::Sample, before: impl FnOnce()) -> bool {
        let (Some(caps), Some(buffer)) = (frame.caps(), frame.buffer_owned()) else { return false };
        // When a larger layer is paused or resumed, frames that are still in its scaler come after newer ones.
        if buffer.pts() <= self.last {
            return false;
        }
        if self.chain.source.property::<u64>("current-level-buffers") >= MAX_WAITING {
            self.dropped += 1;
            return false;
        }
        self.last = buffer.pts();
        self.follow(caps);
        before();
        // A chain that has failed says why on its bus.
        let _ = self.chain.source.push_buffer(buffer);
        true
    }

    /// Where frames leave the queue, one by one as the chain takes them.
    pub(crate) fn front(&self) -> Option<gst::Pad> {
        self.chain.source.static_pad("src")
    }

    /// Frames come with the caps of whatever made them; their rate is replaced by the one that was fitted, and their
    /// colours are named.
    fn follow(&mut self, caps: &gst::CapsRef) {
        if self.caps.as_ref().is_some_and(|(given, _)| given.as_ptr() == caps.as_ptr()) {
            return;
        }
        let mut ours = caps.to_owned();
        ours.make_mut().set("framerate", self.fps);
        name_colours(ours.make_mut());
        if self.caps.as_ref().is_none_or(|(_, set)| *set != ours) {
            self.chain.source.set_caps(Some(&ours));
        }
        self.caps = Some((caps.to_owned(), ours));
    }

    /// Frames dropped since the last call.
    pub(crate) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// Nothing more comes. False when the chain has failed: its bus says why.
    pub(crate) fn end(&self) -> bool {
        self.chain.source.end_of_stream().is_ok()
    }

    pub(crate) fn news(&self) -> Option<News> {
        self.chain.news()
    }
}

/// Says in raw caps what colours without a name mean. GStreamer guesses by the height (BT.709 above 576 lines, else BT.601): a
/// smaller layer would be taken for, or converted to, other colours than the picture that it is made from.
pub(crate) fn name_colours(caps: &mut gst::CapsRef) {
    let unnamed = caps.structure(0).is_some_and(|fields| !fields.has_field("colorimetry"));
    if unnamed && let Ok(info) = VideoInfo::from_caps(caps) {
        caps.set("colorimetry", info.colorimetry().to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_without_a_name_get_that_of_the_size_they_come_in() {
        gst::init().unwrap();
        let named = |text: &str| {
            let mut caps: gst::Caps = text.parse().unwrap();
            name_colours(caps.make_mut());
            caps.structure(0).unwrap().get::<String>("colorimetry").ok()
        };
        let raw = "video/x-raw, format=I420, framerate=30/1";
        assert_eq!(named(&format!("{raw}, width=1280, height=720")).as_deref(), Some("bt709"));
        assert_eq!(named(&format!("{raw}, width=640, height=360")).as_deref(), Some("bt601"));
        let given = format!("{raw}, width=640, height=360, colorimetry=bt709");
        assert_eq!(named(&given).as_deref(), Some("bt709"));
        assert_eq!(named("audio/x-raw"), None);
    }
}
