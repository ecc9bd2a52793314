use gst::prelude::*;
use gstreamer as gst;
use gstreamer_video::{
    VideoBufferPool, VideoFormat, VideoFrameExt as _, VideoFrameRef, VideoInfo, VideoInterlaceMode,
};

use crate::input::name_colours;

/// Most often that one frame is halved: 4:1 from HIGH to LOW when MEDIUM is paused, 8:1 from a picture of twice HIGH's size.
const MOST: u32 = 3;

/// Makes frames of exactly half the width and height, each pixel the mean of four.
///
/// `videoconvertscale` spends six times as long on a general filter, in a pipeline and on a thread of its own; here it
/// costs less than handing the frame to another thread and back.
#[derive(Debug)]
pub(crate) struct Halve {
    from: VideoInfo,
    to: VideoInfo,
    caps: gst::Caps,
    /// Frames are used again: fresh memory would be paid for page by page, each time.
    pool: VideoBufferPool,
}

/// The steps from frames of `caps` to `width` x `height`; empty when that is not done by halving alone.
pub(crate) fn steps(caps: &gst::CapsRef, (width, height): (u32, u32)) -> Vec<Halve> {
    let Ok(info) = VideoInfo::from_caps(caps) else { return Vec::new() };
    let Some(count) = (1..=MOST).find(|n| (width << n, height << n) == (info.width(), info.height())) else {
        return Vec::new();
    };
    let plain = info.format() == VideoFormat::I420
        && info.par() == gst::Fraction::new(1, 1)
        && info.interlace_mode() == VideoInterlaceMode::Progressive;
    // Colour has half the sides of the picture: they must come out even.
    if !plain || width % 2 != 0 || height % 2 != 0 {
        return Vec::new();
    }
    let sizes = (0..count).rev().map(|n| (width << n, height << n));
    let mut last = caps.to_owned();
    let step = |size| {
        let step = Halve::new(&last, size)?;
        last = step.caps.clone();
        Some(step)
    };
    // One that cannot be made is the end of them all.
    sizes.map(step).collect::<Option<_>>().unwrap_or_default()
}

impl Halve {
    /// `width` x `height` is what comes out.
    fn new(given: &gst::Caps, (width, height): (u32, u32)) -> Option<Self> {
        let mut caps = given.clone();
        let side = |side| i32::try_from(side).ok();
        let fields = caps.make_mut();
        // What is smaller must not be taken for something of other colours.
        name_colours(fields);
        fields.set("width", side(width)?);
        fields.set("height", side(height)?);
        let (from, to) = (VideoInfo::from_caps(given).ok()?, VideoInfo::from_caps(&caps).ok()?);
        let pool = VideoBufferPool::new();
        let mut config = pool.config();
        // As many as wait for an encoder, which is bounded.
        config.set_params(Some(&caps), u32::try_from(to.size()).ok()?, 0, 0);
        config.add_option(gstreamer_video::BUFFER_POOL_OPTION_VIDEO_META);
        pool.set_config(config).ok()?;
        pool.set_active(true).ok()?;
        Some(Self { from, to, caps, pool })
    }

    /// The halved frame, at the same time; `None` for one whose memory is not as its caps say.
    pub(crate) fn halve(&self, frame: &gst::Sample) -> Option<gst::Sample> {
        let large = frame.buffer()?;
        let mut small = self.pool.acquire_buffer(None).ok()?;
        {
            let small = small.get_mut()?;
            let what = gst::BufferCopyFlags::TIMESTAMPS | gst::BufferCopyFlags::FLAGS;
            large.copy_into(small, what, ..).ok()?;
            let large = VideoFrameRef::from_buffer_ref_readable(large, &self.from).ok()?;
            let mut small = VideoFrameRef::from_buffer_ref_writable(small, &self.to).ok()?;
            halve_frame(&large, &mut small)?;
        }
        Some(gst::Sample::builder().buffer(&small).caps(&self.caps).build())
    }
}

impl Drop for Halve {
    fn drop(&mut self) {
        // Frees the frames that are back; each of the others when its last user lets go of it.
        let _ = self.pool.set_active(false);
    }
}

fn halve_frame(
    large: &VideoFrameRef<&gst::BufferRef>,
    small: &mut VideoFrameRef<&mut gst::BufferRef>,
) -> Option<()> {
    for plane in 0..small.n_planes() {
        let index = usize::try_from(plane).ok()?;
        let (width, height) = (small.comp_width(plane), small.comp_height(plane));
        let stride =
            |strides: &[i32]| usize::try_from(*strides.get(index)?).ok().filter(|stride| *stride > 0);
        let (from, to) = (stride(large.plane_stride())?, stride(small.plane_stride())?);
        let size = (usize::try_from(width).ok()?, usize::try_from(height).ok()?);
        halve_plane(large.plane_data(plane).ok()?, from, small.plane_data_mut(plane).ok()?, to, size)?;
    }
    Some(())
}

/// `size` is what comes out. Bytes between a row's end and the next one's start stay as they are. `None`, with part of it
/// done, when the planes are smaller than that needs.
fn halve_plane(
    from: &[u8],
    from_stride: usize,
    to: &mut [u8],
    to_stride: usize,
    (width, height): (usize, usize),
) -> Option<()> {
    let mut pairs = from.chunks(2 * from_stride);
    let mut rows = to.chunks_mut(to_stride);
    for _ in 0..height {
        let (top, bottom) = pairs.next()?.split_at_checked(from_stride)?;
        halve_row(top.get(..2 * width)?, bottom.get(..2 * width)?, rows.next()?.get_mut(..width)?);
    }
    Some(())
}

/// Two bytes are taken as one number, so that the compiler makes vector instructions of it: 0.07 ms for a picture of
/// 1280x720, five times less than when they are taken one by one.
fn halve_row(top: &[u8], bottom: &[u8], to: &mut [u8]) {
    let sum = |pair: [u8; 2]| {
        let both = u16::from_le_bytes(pair);
        (both & 0xff) + (both >> 8)
    };
    let pairs = top.as_chunks().0.iter().zip(bottom.as_chunks().0);
    for (pixel, (top, bottom)) in to.iter_mut().zip(pairs) {
        *pixel = ((sum(*top) + sum(*bottom) + 2) / 4) as u8;
    }
}

#[cfg(test)]
#[path = "halve_tests.rs"]
mod tests;
