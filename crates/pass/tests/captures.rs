//! What real encoders sent over RTMP (crates/rtmp/testdata), judged.

use std::time::Instant;

use media::{Kind, Layer, Output, Quality, Unit};
use rtmp::{Event, Session};
use sluicegate_pass::{Judge, Verdict, Why};

const LAYER: Layer = Layer { quality: Quality::High, width: 160, height: 90, bitrate_bps: 1_000_000 };

/// What a recorded connection sent, in order.
fn units(bytes: &[u8]) -> Vec<Unit> {
    let now = Instant::now();
    let mut session = Session::new(now);
    session.handle_input(now, bytes).expect("a whole connection");
    let mut units = Vec::new();
    while let Some(event) = session.poll_event() {
        match event {
            Event::Publish(_) => session.accept(now),
            Event::Unit(unit) => units.push(unit),
            _ => {}
        }
    }
    units
}

/// What is said of it, with the number of the picture that it is said with; and which pictures are keyframes for a room.
fn judged(bytes: &[u8]) -> (Vec<(usize, Verdict)>, Vec<usize>) {
    let mut judge = Judge::new();
    judge.set_layer(Some(LAYER), 30_000);
    let (mut pictures, mut said, mut keys) = (0, Vec::new(), Vec::new());
    for unit in units(bytes) {
        said.extend(judge.take(&unit).map(|verdict| (pictures, verdict)));
        if let Unit::Packet(packet) = &unit
            && packet.kind == Kind::Video
        {
            let frame = judge.frame(packet, Output::Video(Quality::High)).expect("a picture");
            keys.extend(frame.keyframe.then_some(pictures));
            pictures += 1;
        }
    }
    (said, keys)
}

#[test]
fn ffmpegs_b_pictures_are_found() {
    let capture = include_bytes!("../../rtmp/testdata/ffmpeg5_avc_aac_bframes.bin");
    assert_eq!(judged(capture), (vec![(2, Verdict::Unfit(Why::BFrames))], vec![0, 5]));
}

#[test]
fn ffmpeg_and_gstreamer_without_b_pictures_fit_at_once() {
    for (capture, keys) in [
        (&include_bytes!("../../rtmp/testdata/ffmpeg5_killed.bin")[..], [0, 10]),
        (include_bytes!("../../rtmp/testdata/rtmp2sink122_avc_aac.bin"), [0, 5]),
        (include_bytes!("../../rtmp/testdata/rtmpsink_avc_aac.bin"), [0, 5]),
    ] {
        assert_eq!(judged(capture), (vec![(0, Verdict::Fits)], keys.to_vec()));
    }
}
