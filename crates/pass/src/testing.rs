//! Real encoders' streams for tests: FLV files made with ffmpeg 5.1 (x264) and GStreamer 1.22 (openh264); testdata/README.md.

use bytes::{Buf, Bytes};
use media::{Codec, Format, Kind, MediaTime, Packet, TrackId, Unit};

macro_rules! clip {
    ($name:literal) => {
        $crate::testing::flv(include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/", $name, ".flv")))
    };
}
pub(crate) use clip;

/// The pictures of an FLV file (FLV E.3, E.4), their format first.
pub(crate) fn flv(file: &'static [u8]) -> Vec<Unit> {
    let mut rest = Bytes::from_static(file).slice(9 + 4..);
    let mut units = Vec::new();
    while rest.len() > 11 {
        let kind = rest.get_u8();
        let len = rest.get_uint(3) as usize;
        let low = rest.get_uint(3) as i64;
        let dts = low | i64::from(rest.get_u8()) << 24;
        rest.advance(3);
        let body = rest.split_to(len);
        rest.advance(4);
        if kind == 9 && body.len() > 5 {
            units.extend(video(dts, body));
        }
    }
    units
}

fn video(dts: i64, mut body: Bytes) -> Option<Unit> {
    let head = body.get_u8();
    let packet_type = body.get_u8();
    let composition = body.get_int(3);
    match packet_type {
        0 => Some(Unit::Format(TrackId(0), Format::new(Codec::H264, body))),
        1 => Some(Unit::Packet(Packet {
            track: TrackId(0),
            kind: Kind::Video,
            pts: MediaTime::from_millis(dts + composition),
            dts: MediaTime::from_millis(dts),
            keyframe: head >> 4 == 1,
            data: body,
        })),
        _ => None,
    }
}

/// The record and the pictures of a clip.
pub(crate) fn parts(units: Vec<Unit>) -> (Bytes, Vec<Packet>) {
    let mut record = Bytes::new();
    let mut packets = Vec::new();
    for unit in units {
        match unit {
            Unit::Format(_, format) => record = format.config,
            Unit::Packet(packet) => packets.push(packet),
        }
    }
    (record, packets)
}
