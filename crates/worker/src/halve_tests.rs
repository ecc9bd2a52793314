use gstreamer_video::VideoMeta;
use proptest::prelude::*;

use super::*;

fn i420(width: i32, height: i32) -> gst::Caps {
    gst::init().unwrap();
    gst::Caps::builder("video/x-raw")
        .field("format", "I420")
        .field("width", width)
        .field("height", height)
        .field("framerate", gst::Fraction::new(30, 1))
        .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
        .field("interlace-mode", "progressive")
        .field("colorimetry", "bt709")
        .build()
}

/// What halving is, without any thought for speed.
fn naive(from: &[u8], stride: usize, (width, height): (usize, usize)) -> Vec<u8> {
    let pixel = |x: usize, y: usize| u32::from(from[y * stride + x]);
    let mean = |x: usize, y: usize| pixel(x, y) + pixel(x + 1, y) + pixel(x, y + 1) + pixel(x + 1, y + 1);
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (2 * x, 2 * y)));
    places.map(|(x, y)| u8::try_from((mean(x, y) + 2) / 4).unwrap()).collect()
}

/// A frame whose planes have these strides, and whose bytes are a pattern that differs in each plane.
fn frame(caps: &gst::Caps, strides: [usize; 3]) -> gst::Sample {
    let info = VideoInfo::from_caps(caps).unwrap();
    let (width, height) = (info.width(), info.height());
    let rows = |plane: u8| usize::try_from(info.comp_height(plane)).unwrap();
    let offsets = [0, strides[0] * rows(0), strides[0] * rows(0) + strides[1] * rows(1)];
    let size = offsets[2] + strides[2] * rows(2);
    let bytes: Vec<u8> = (0..size).map(|at| u8::try_from((at * at / 7 + at) % 256).unwrap()).collect();
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    let writable = buffer.get_mut().unwrap();
    writable.set_pts(gst::ClockTime::from_mseconds(40));
    writable.set_duration(gst::ClockTime::from_mseconds(33));
    let strides = strides.map(|stride| i32::try_from(stride).unwrap());
    let flags = gstreamer_video::VideoFrameFlags::empty();
    VideoMeta::add_full(writable, flags, VideoFormat::I420, width, height, &offsets, &strides).unwrap();
    gst::Sample::builder().buffer(&buffer).caps(caps).build()
}

/// The three planes of a frame, without what pads their rows.
fn planes(frame: &gst::Sample) -> Vec<Vec<u8>> {
    let info = VideoInfo::from_caps(frame.caps().unwrap()).unwrap();
    let frame = VideoFrameRef::from_buffer_ref_readable(frame.buffer().unwrap(), &info).unwrap();
    let plane = |plane: u32| {
        let width = usize::try_from(frame.comp_width(plane)).unwrap();
        let stride = usize::try_from(frame.plane_stride()[plane as usize]).unwrap();
        frame.plane_data(plane).unwrap().chunks(stride).flat_map(|row| row[..width].to_vec()).collect()
    };
    (0..3).map(plane).collect()
}

#[test]
fn a_pixel_is_the_mean_of_four_rounded_half_up() {
    let top = [0, 0, 1, 0, 1, 1, 255, 255, 10, 20, 255, 0];
    let bottom = [0, 1, 1, 0, 1, 0, 255, 255, 30, 41, 255, 0];
    let mut to = [9; 6];
    halve_row(&top, &bottom, &mut to);
    assert_eq!(to, [0, 1, 1, 255, 25, 128]);
}

#[test]
fn all_planes_are_halved_whatever_their_strides_and_the_frame_keeps_its_time() {
    let caps = i420(72, 20);
    for strides in [[72, 36, 36], [96, 48, 64], [80, 37, 41]] {
        let large = frame(&caps, strides);
        let made = steps(&caps, (36, 10));
        let small = made[0].halve(&large).unwrap();
        let expected: Vec<_> = planes(&large)
            .iter()
            .zip([(36, 10), (18, 5), (18, 5)])
            .map(|(plane, size)| naive(plane, 2 * size.0, size))
            .collect();
        assert_eq!(planes(&small), expected, "{strides:?}");
        let buffer = small.buffer().unwrap();
        assert_eq!(buffer.pts(), Some(gst::ClockTime::from_mseconds(40)));
        assert_eq!(buffer.duration(), Some(gst::ClockTime::from_mseconds(33)));
        assert_eq!(small.caps().unwrap(), i420(36, 10).as_ref());
    }
}

#[test]
fn four_to_one_is_halving_twice_and_other_ratios_and_formats_are_left_alone() {
    let hd = i420(1280, 720);
    let count = |caps: &gst::Caps, size| steps(caps, size).len();
    assert_eq!((count(&hd, (640, 360)), count(&hd, (320, 180)), count(&hd, (160, 90))), (1, 2, 3));
    assert_eq!((count(&hd, (1280, 720)), count(&hd, (80, 45)), count(&hd, (640, 358))), (0, 0, 0));
    let large = frame(&hd, [1280, 640, 640]);
    let twice = steps(&hd, (320, 180));
    let small = twice[1].halve(&twice[0].halve(&large).unwrap()).unwrap();
    let luma = naive(&naive(&planes(&large)[0], 1280, (640, 360)), 640, (320, 180));
    assert_eq!(planes(&small)[0], luma);
    // Sides whose colour has half a pixel too many.
    assert_eq!(count(&i420(1284, 722), (642, 361)), 0);
    for (field, value) in [
        ("format", "NV12".to_send_value()),
        ("pixel-aspect-ratio", gst::Fraction::new(4, 3).to_send_value()),
        ("interlace-mode", "mixed".to_send_value()),
    ] {
        let mut caps = hd.clone();
        caps.make_mut().set_value(field, value);
        assert_eq!(count(&caps, (640, 360)), 0, "{caps}");
    }
}

#[test]
fn what_is_smaller_has_the_colours_of_what_it_is_made_from() {
    let mut unnamed = i420(1280, 720);
    unnamed.make_mut().structure_mut(0).unwrap().remove_field("colorimetry");
    for step in steps(&unnamed, (320, 180)) {
        let fields = step.caps.structure(0).unwrap();
        assert_eq!(fields.get::<&str>("colorimetry").unwrap(), "bt709");
    }
    assert_eq!(steps(&unnamed, (320, 180)).len(), 2);
}

#[test]
fn frames_come_back_to_be_used_again() {
    let caps = i420(64, 64);
    let (large, made) = (frame(&caps, [64, 32, 32]), steps(&caps, (32, 32)));
    let memory = |small: &gst::Sample| small.buffer().unwrap().peek_memory(0).as_ptr();
    let first = memory(&made[0].halve(&large).unwrap());
    let held = made[0].halve(&large).unwrap();
    assert_eq!(memory(&held), first, "one that nobody holds any more");
    assert_ne!(memory(&made[0].halve(&large).unwrap()), first, "never one that is in use");
    drop(made);
    assert_eq!(planes(&held).len(), 3, "a frame outlives what made it");
}

#[test]
fn a_plane_that_is_too_small_is_refused() {
    let mut to = [0; 4];
    assert_eq!(halve_plane(&[0; 15], 4, &mut to, 2, (2, 2)), None);
    assert_eq!(halve_plane(&[0; 16], 3, &mut to, 2, (2, 2)), None);
    assert_eq!(halve_plane(&[0; 16], 4, &mut to[..3], 2, (2, 2)), None);
    assert_eq!(halve_plane(&[8; 16], 4, &mut to, 2, (2, 2)), Some(()));
    assert_eq!(to, [8; 4]);
}

proptest! {
    #[test]
    fn any_plane_is_halved_as_the_naive_way_does_it(
        (width, height, pad, to_pad) in (1usize..70, 1usize..12, 0usize..20, 0usize..9),
        seed: [u8; 32],
    ) {
        let (stride, to_stride) = (2 * width + pad, width + to_pad);
        let bytes = |at: usize| seed[at % 32].wrapping_mul(seed[at / 32 % 32]).wrapping_add(at as u8);
        let from: Vec<u8> = (0..2 * height * stride).map(bytes).collect();
        let mut to = vec![77; height * to_stride];
        prop_assert!(halve_plane(&from, stride, &mut to, to_stride, (width, height)).is_some());
        let rows = to.chunks(to_stride);
        let halved: Vec<u8> = rows.clone().flat_map(|row| row[..width].to_vec()).collect();
        prop_assert_eq!(halved, naive(&from, stride, (width, height)));
        prop_assert!(rows.flat_map(|row| &row[width..]).all(|byte| *byte == 77), "padding is left alone");
    }
}
