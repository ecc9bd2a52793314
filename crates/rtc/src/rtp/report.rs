//! RTCP (RFC 3550 section 6): what a sender tells of its clock and of its end, and the little that a receiver has to say.

use crate::whip::clock::Report;

/// Packet types.
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;

/// SDES item (section 6.5.1).
const CNAME: u8 = 1;

/// What a compound packet says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Told {
    pub(super) report: Option<Report>,
    pub(super) bye: bool,
}

/// Reads a compound packet. `ssrc`: the source whose words count; any, as long as none is known.
pub(super) fn read(datagram: &[u8], ssrc: Option<u32>) -> Told {
    let (mut told, mut rest) = (Told::default(), datagram);
    while let Some((&[first, kind, high, low], body)) = rest.split_first_chunk::<4>() {
        let length = usize::from(u16::from_be_bytes([high, low])) * 4;
        let Some((body, next)) = body.split_at_checked(length) else { break };
        rest = next;
        let word = |at: usize| Some(u32::from_be_bytes(*body.get(at..)?.first_chunk::<4>()?));
        if first >> 6 != 2 || word(0).is_none_or(|from| ssrc.is_some_and(|ours| ours != from)) {
            continue;
        }
        match kind {
            SENDER_REPORT => {
                if let (Some(high), Some(low), Some(timestamp), Some(packets)) =
                    (word(4), word(8), word(12), word(16))
                    // Before its first packet a sender has no RTP time to tell.
                    && packets > 0
                    && (high, low) != (0, 0)
                {
                    told.report = Some(Report { timestamp, at: nanos(high, low) });
                }
            }
            GOODBYE => told.bye = true,
            _ => {}
        }
    }
    told
}

/// NTP's seconds and fractions (section 4) in nanoseconds.
fn nanos(high: u32, low: u32) -> i64 {
    let fraction = (i128::from(low) * 1_000_000_000) >> 32;
    let nanos = i128::from(high) * 1_000_000_000 + fraction;
    i64::try_from(nanos).unwrap_or(i64::MAX)
}

/// A receiver report without blocks, and the description that has to follow it: servers take it for a sign of life.
pub fn receiver_report(ssrc: u32) -> Vec<u8> {
    let name = b"sluicegate";
    let mut bytes = vec![2 << 6, RECEIVER_REPORT, 0, 1];
    bytes.extend(ssrc.to_be_bytes());
    let mut items = vec![CNAME, name.len() as u8];
    items.extend(name);
    // At least one zero ends the list, and the chunk ends at a word.
    items.resize((items.len() + 4) / 4 * 4, 0);
    bytes.extend([(2 << 6) | 1, DESCRIPTION, 0, 1 + (items.len() / 4) as u8]);
    bytes.extend(ssrc.to_be_bytes());
    bytes.extend(items);
    bytes
}
