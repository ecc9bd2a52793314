//! Reads a clip for the examples.

use std::{error::Error, path::Path};

use gstreamer::{self as gst, prelude::*};
use media::{Codec, Format, Kind, MediaTime, Packet, TrackId, Unit};

/// The packets of an FLV file with H.264 and AAC, as a publisher would send them.
pub(crate) fn read(clip: &str) -> Result<Vec<Unit>, Box<dyn Error>> {
    let mut units = Vec::new();
    for (kind, pad, caps) in [
        (Kind::Video, "video", "h264parse ! video/x-h264,stream-format=avc,alignment=au"),
        (Kind::Audio, "audio", "aacparse ! audio/mpeg,stream-format=raw"),
    ] {
        let location = Path::new(clip).display();
        let text = format!(
            "filesrc location={location} ! flvdemux name=d d.{pad} ! {caps} ! appsink name=out sync=false"
        );
        let graph = gst::parse::launch(&text)?.downcast::<gst::Pipeline>().map_err(|_| "no pipeline")?;
        let sink = graph.by_name("out").and_then(|sink| sink.downcast::<gstreamer_app::AppSink>().ok());
        let sink = sink.ok_or("no sink")?;
        graph.set_state(gst::State::Playing)?;
        let track = TrackId(u8::from(kind == Kind::Audio));
        while let Ok(sample) = sink.pull_sample() {
            let buffer = sample.buffer().ok_or("no buffer")?;
            if !units.iter().any(|unit| matches!(unit, Unit::Format(id, _) if *id == track)) {
                let data =
                    sample.caps().and_then(|caps| caps.structure(0)?.get::<gst::Buffer>("codec_data").ok());
                let config = bytes::Bytes::copy_from_slice(&data.ok_or("no codec_data")?.map_readable()?);
                let codec = if kind == Kind::Video { Codec::H264 } else { Codec::Aac };
                units.push(Unit::Format(track, Format::new(codec, config)));
            }
            let time = |time: Option<gst::ClockTime>| {
                MediaTime::from_nanos(time.map_or(0, |time| i64::try_from(time.nseconds()).unwrap_or(0)))
            };
            let pts = time(buffer.pts());
            units.push(Unit::Packet(Packet {
                track,
                kind,
                pts,
                dts: buffer.dts().map_or(pts, |dts| time(Some(dts))),
                keyframe: !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
                data: bytes::Bytes::copy_from_slice(&buffer.map_readable()?),
            }));
        }
        graph.set_state(gst::State::Null)?;
    }
    units.sort_by_key(|unit| match unit {
        Unit::Format(..) => MediaTime::from_nanos(i64::MIN + 1),
        Unit::Packet(packet) => packet.dts,
    });
    Ok(units)
}
