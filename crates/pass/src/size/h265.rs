use crate::{
    h264::{Bits, Error},
    simulcast::Size,
};

const SPS: &str = "H.265 sequence parameter set";

/// More than any level allows (H.265 table A.8: each side at most the root of 8 times 142 606 336).
const MAX_SIDE: u32 = 33_776;

/// The pictures' size in a sequence parameter set behind its header (H.265 7.3.2.2.1), after cropping.
pub(super) fn sps_size(sps: &[u8]) -> Option<Size> {
    read(sps).ok().flatten()
}

fn read(sps: &[u8]) -> Result<Option<Size>, Error> {
    let bits = &mut Bits::headless(sps, SPS);
    bits.skip(4)?;
    let sub_layers = bits.bits(3)?;
    bits.skip(1)?;
    profile_tier_level(bits, sub_layers)?;
    bits.ue("sps_seq_parameter_set_id", 15)?;
    let chroma = bits.ue("chroma_format_idc", 3)?;
    if chroma == 3 {
        bits.skip(1)?;
    }
    let width = bits.ue("pic_width_in_luma_samples", MAX_SIDE)?;
    let height = bits.ue("pic_height_in_luma_samples", MAX_SIDE)?;
    let mut crop = [0; 4];
    if bits.bit()? {
        for side in &mut crop {
            *side = bits.ue("conf_win_offset", MAX_SIDE)?;
        }
    }
    let (unit_x, unit_y) = match chroma {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    let [left, right, top, bottom] = crop;
    let (width, height) =
        (width.checked_sub((left + right) * unit_x), height.checked_sub((top + bottom) * unit_y));
    Ok(width.zip(height))
}

/// H.265 7.3.3, of which nothing is needed.
fn profile_tier_level(bits: &mut Bits<'_>, sub_layers: u32) -> Result<(), Error> {
    const PROFILE: u32 = 88;
    const LEVEL: u32 = 8;
    bits.skip(PROFILE + LEVEL)?;
    let mut present = [(false, false); 8];
    for layer in present.iter_mut().take(sub_layers as usize) {
        *layer = (bits.bit()?, bits.bit()?);
    }
    if sub_layers > 0 {
        bits.skip(2 * (8 - sub_layers))?;
    }
    for (profile, level) in present {
        bits.skip(if profile { PROFILE } else { 0 } + if level { LEVEL } else { 0 })?;
    }
    Ok(())
}
