use std::time::Duration;

use bytes::BytesMut;
use media::{MediaTime, Packet};

/// Samples of an AAC frame; 960 are unheard of in RTP, and low delay's 512 is told by the configuration.
const SAMPLES: u32 = 1024;

/// The largest AAC frame: 6144 bits for each of eight channels.
const LARGEST: usize = 6144;

/// How AAC lies in RTP packets (RFC 3640 section 3.2, 3.3.6): each begins with headers that have the sizes of the frames behind them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aac {
    /// Bits of a frame's size: 13 in high bit rate mode, 6 in low.
    size_bits: u32,
    /// Bits of the index of the first frame, and of what the index grows by from one to the next.
    index_bits: u32,
    delta_bits: u32,
    frame: Duration,
    /// A frame that is longer than a packet.
    begun: Option<(MediaTime, usize, BytesMut)>,
}

impl Aac {
    /// `sizelength`, `indexlength` and `indexdeltalength` of the description; `rate`: samples in a second.
    /// `None` for what no AAC has.
    pub fn new(size_bits: u32, index_bits: u32, delta_bits: u32, rate: u32) -> Option<Self> {
        let sane = (1..=16).contains(&size_bits) && index_bits <= 8 && delta_bits <= 8 && rate > 0;
        let frame = Duration::from_secs(1).checked_mul(SAMPLES)?.checked_div(rate)?;
        sane.then_some(Self { size_bits, index_bits, delta_bits, frame, begun: None })
    }

    /// The frames of a packet's payload. Those that are cut off are left out.
    pub(super) fn unpack(&mut self, packet: &Packet) -> Vec<Packet> {
        self.read(packet).unwrap_or_default()
    }

    fn read(&mut self, packet: &Packet) -> Option<Vec<Packet>> {
        let (length, rest) = packet.data.split_first_chunk::<2>()?;
        let bits = usize::from(u16::from_be_bytes(*length));
        let (headers, mut data) = rest.split_at_checked(bits.div_ceil(8))?;
        let sizes = self.sizes(headers, bits);
        if let [size] = sizes[..]
            && (size > data.len() || self.begun.is_some())
        {
            return Some(self.part(packet, size, data).into_iter().collect());
        }
        self.begun = None;
        let mut frames = Vec::new();
        for (index, size) in (0_u32..).zip(sizes) {
            let Some((frame, after)) = data.split_at_checked(size) else { break };
            data = after;
            if !frame.is_empty() {
                frames.push(super::later(packet, self.frame * index, packet.data.slice_ref(frame)));
            }
        }
        Some(frames)
    }

    fn sizes(&self, headers: &[u8], bits: usize) -> Vec<usize> {
        let (mut at, mut sizes, mut index) = (0, Vec::new(), self.index_bits);
        loop {
            let width = (self.size_bits + index) as usize;
            if at + width > bits {
                return sizes;
            }
            sizes.push(number(headers, at, self.size_bits));
            (at, index) = (at + width, self.delta_bits);
        }
    }

    /// A frame over several packets: each has its whole size, and the same time.
    fn part(&mut self, packet: &Packet, size: usize, data: &[u8]) -> Option<Packet> {
        let (_, whole, mut joined) = match self.begun.take() {
            Some(begun) if begun.0 == packet.pts && begun.1 == size => begun,
            _ => (packet.pts, size, BytesMut::new()),
        };
        joined.extend_from_slice(data);
        if whole > LARGEST || joined.len() > whole {
            return None;
        }
        if joined.len() == whole {
            return Some(super::later(packet, Duration::ZERO, joined.freeze()));
        }
        self.begun = Some((packet.pts, whole, joined));
        None
    }
}

/// Of `width` bits from bit `at` on, which are there.
fn number(bytes: &[u8], at: usize, width: u32) -> usize {
    let bit = |at: usize| bytes.get(at / 8).map_or(0, |byte| usize::from(byte >> (7 - at % 8) & 1));
    (at..at + width as usize).fold(0, |number, at| number << 1 | bit(at))
}
