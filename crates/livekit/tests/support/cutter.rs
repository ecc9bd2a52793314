use bytes::Bytes;
use media::{Codec, Encoded, MediaTime, Output, RtpPacket};

/// What goes into one packet at most.
const PAYLOAD_BYTES: usize = 1100;

/// Makes packets of frames, as a publisher does.
#[derive(Debug)]
pub struct Cutter {
    codec: Codec,
    /// Another publisher, with other numbers, is another stream.
    pub stream: u32,
    sequences: [u64; 4],
    picture_ids: [u16; 4],
}

impl Cutter {
    pub fn new(codec: Codec) -> Self {
        Self { codec, stream: 1, sequences: [65_000; 4], picture_ids: [0; 4] }
    }

    /// The next publisher takes over.
    pub fn take_over(&mut self) {
        self.stream += 1;
        self.sequences = [7; 4];
    }

    pub fn cut(&mut self, frame: &Encoded) -> Vec<RtpPacket> {
        let payloads = match (frame.output, self.codec) {
            (Output::Audio, _) => vec![frame.data.to_vec()],
            (_, Codec::H264) => h264(&frame.data),
            (output, Codec::Vp8) => {
                let id = &mut self.picture_ids[index(output)];
                *id = (*id + 1) & 0x7fff;
                vp8(&frame.data, *id)
            }
            // Nobody reads them.
            _ => frame.data.chunks(PAYLOAD_BYTES).map(<[u8]>::to_vec).collect(),
        };
        let rate = if frame.output == Output::Audio { 48_000 } else { 90_000 };
        let timestamp = (frame.pts.ticks_at(rate) as u32).wrapping_add(self.stream.wrapping_mul(0x7654_3210));
        let (last, sequence) = (payloads.len() - 1, &mut self.sequences[index(frame.output)]);
        let packet = |(part, payload): (usize, Vec<u8>)| {
            *sequence += 1;
            RtpPacket {
                stream: self.stream,
                sequence: *sequence,
                timestamp,
                captured: frame.pts + MediaTime::from_millis(i64::from(self.stream)),
                marker: part == last,
                keyframe: frame.output == Output::Audio || (frame.keyframe && part == 0),
                level: None,
                payload: payload.into(),
            }
        };
        payloads.into_iter().enumerate().map(packet).collect()
    }
}

/// RFC 7741 section 4.2, with a picture id of 15 bits.
fn vp8(frame: &Bytes, id: u16) -> Vec<Vec<u8>> {
    let [high, low] = id.to_be_bytes();
    let descriptor = |start| [if start { 0x90 } else { 0x80 }, 0x80, 0x80 | high, low];
    let parts = frame.chunks(PAYLOAD_BYTES).enumerate();
    parts.map(|(part, bytes)| [&descriptor(part == 0)[..], bytes].concat()).collect()
}

/// RFC 6184: single NAL units, and FU-A for large ones.
fn h264(unit: &Bytes) -> Vec<Vec<u8>> {
    let starts: Vec<usize> = (0..unit.len()).filter(|at| unit[*at..].starts_with(&[0, 0, 1])).collect();
    let ends = starts.iter().skip(1).copied().chain([unit.len()]);
    let mut payloads = vec![];
    for (start, end) in starts.iter().zip(ends) {
        let nal = unit[start + 3..end].strip_suffix(&[0]).unwrap_or(&unit[start + 3..end]);
        let kind = nal[0] & 0x1f;
        if kind == 9 {
            continue; // an access unit delimiter
        }
        if nal.len() <= PAYLOAD_BYTES {
            payloads.push(nal.to_vec());
            continue;
        }
        let parts = nal[1..].chunks(PAYLOAD_BYTES).collect::<Vec<_>>();
        for (part, bytes) in parts.iter().enumerate() {
            let first = if part == 0 { 0x80 } else { 0 };
            let last = if part + 1 == parts.len() { 0x40 } else { 0 };
            payloads.push([&[(nal[0] & 0xe0) | 28, first | last | kind][..], bytes].concat());
        }
    }
    payloads
}

fn index(output: Output) -> usize {
    match output {
        Output::Audio => 0,
        Output::Video(quality) => 1 + usize::from(quality.number()),
    }
}
