use crate::{h264, simulcast::Size};

use super::h265;

/// RFC 6184 sections 5.6 to 5.8.
const H264_SPS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// RFC 7798 sections 4.4.1 to 4.4.3.
const H265_SPS: u8 = 33;
const AP: u8 = 48;
const FU: u8 = 49;

/// A fragment is the first one of its NAL unit.
const START: u8 = 0x80;

pub(super) fn h264(payload: &[u8]) -> Option<Size> {
    let kind = |nal: &[u8]| nal.first().map(|byte| byte & 0x1f);
    match kind(payload)? {
        H264_SPS => h264::sps_size(payload),
        STAP_A => {
            aggregated(payload.get(1..)?).find(|nal| kind(nal) == Some(H264_SPS)).and_then(h264::sps_size)
        }
        // The second byte stands where the NAL unit's own header would.
        FU_A if *payload.get(1)? & (START | 0x1f) == START | H264_SPS => h264::sps_size(payload.get(1..)?),
        _ => None,
    }
}

pub(super) fn h265(payload: &[u8]) -> Option<Size> {
    let kind = |nal: &[u8]| nal.first().map(|byte| byte >> 1 & 0x3f);
    match kind(payload)? {
        H265_SPS => h265::sps_size(payload.get(2..)?),
        AP => {
            let sps = aggregated(payload.get(2..)?).find(|nal| kind(nal) == Some(H265_SPS))?;
            h265::sps_size(sps.get(2..)?)
        }
        FU if *payload.get(2)? & (START | 0x3f) == START | H265_SPS => h265::sps_size(payload.get(3..)?),
        _ => None,
    }
}

/// The NAL units of an aggregation packet, each behind its length in 16 bits.
fn aggregated(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, behind) = rest.split_first_chunk::<2>()?;
        let (nal, behind) = behind.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        rest = behind;
        Some(nal)
    })
}
