use gstreamer::{self as gst, prelude::*};
use gstreamer_video::VideoFrameExt as _;
use media::{Encoded, Output, Quality};

use super::generate::counter;

/// A decoded picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub width: usize,
    pub height: usize,
    /// The number burnt into it.
    pub counter: usize,
}

/// One layer's frames, in the order in which they came.
pub fn layer(encoded: &[Encoded], quality: Quality) -> Vec<Encoded> {
    encoded.iter().filter(|frame| frame.output == Output::Video(quality)).cloned().collect()
}

/// The sound packets.
pub fn sound(encoded: &[Encoded]) -> Vec<Encoded> {
    encoded.iter().filter(|frame| frame.output == Output::Audio).cloned().collect()
}

/// Decodes frames of one layer, which must start with a keyframe; every frame must decode.
pub fn decode(frames: &[Encoded], caps: &str) -> Vec<Seen> {
    super::init();
    let decoder = if caps.contains("vp8") { "vp8dec" } else { "h264parse ! avdec_h264" };
    let text = format!(
        "appsrc name=in format=time caps={caps} ! {decoder} ! videoconvert ! video/x-raw,format=I420 ! \
         appsink name=out sync=false"
    );
    let (pipeline, sink) = super::generate::launch_source(&text);
    let source = pipeline.by_name("in").unwrap().downcast::<gstreamer_app::AppSrc>().unwrap();
    for (n, frame) in frames.iter().enumerate() {
        let mut buffer = gst::Buffer::from_slice(frame.data.clone());
        buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(40 * n as u64));
        source.push_buffer(buffer).unwrap();
    }
    source.end_of_stream().unwrap();
    let mut seen = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        let info = gstreamer_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
        let frame = gstreamer_video::VideoFrameRef::from_buffer_ref_readable(sample.buffer().unwrap(), &info)
            .unwrap();
        let (width, height) = (info.width() as usize, info.height() as usize);
        let stride = frame.plane_stride()[0] as usize;
        let counter = counter(frame.plane_data(0).unwrap(), stride, width, height);
        seen.push(Seen { width, height, counter });
    }
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(seen.len(), frames.len(), "every frame decodes");
    seen
}

/// The caps of what an H.264 layer sends.
pub const H264: &str = "video/x-h264,stream-format=byte-stream,alignment=au";
