use super::{Error, bits::Bits};

const SPS: &str = "sequence parameter set";
const PPS: &str = "picture parameter set";

/// More than any level allows (H.264 table A-1: 139 264 macroblocks, each side at most the root of 8 times that).
const MAX_SIDE_MBS: u32 = 1056;

/// Profiles whose parameter sets say how colour is sampled (H.264 7.3.2.1.1).
const WITH_CHROMA: [u8; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

/// What a sequence parameter set says of the pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// Pixels, after cropping.
    pub width: u32,
    /// Pixels, after cropping.
    pub height: u32,
    /// The pixels are square, or nothing is said of them.
    pub square: bool,
    /// 66 Baseline, 77 Main, 88 Extended, 100 High, above: more than 8 bits or 4:2:0.
    pub profile_idc: u8,
    /// `constraint_set0_flag` is the top bit.
    pub constraints: u8,
    /// Ten times the level.
    pub level_idc: u8,
    /// Frames only: neither fields nor macroblocks of fields.
    pub progressive: bool,
    /// 4:2:0 at 8 bits.
    pub yuv420_8bit: bool,
    /// By how many pictures the order of showing may differ from the order of decoding. `Some(0)`: they are the same;
    /// `None`: not said.
    pub reorder: Option<u32>,
    /// Frames per 1 000 s, where timing is given. Encoders do write wrong ones.
    pub fps_milli: Option<u32>,
}

/// A sequence parameter set (H.264 7.3.2.1.1), as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sps {
    pub(super) id: u32,
    pub(super) description: Description,
    pub(super) separate_colours: bool,
    pub(super) frame_num_bits: u32,
}

/// A picture parameter set (H.264 7.3.2.2), as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pps {
    pub(super) id: u32,
    /// The sequence parameter set that it belongs to.
    pub(super) sps: u32,
    pub(super) slice_groups: bool,
}

impl Pps {
    pub(super) fn read(nal: &[u8]) -> Result<Self, Error> {
        let bits = &mut Bits::new(nal, PPS);
        let id = bits.ue("pic_parameter_set_id", 255)?;
        let sps = bits.ue("seq_parameter_set_id", 31)?;
        bits.skip(2)?;
        let slice_groups = bits.ue("num_slice_groups_minus1", 7)? > 0;
        Ok(Self { id, sps, slice_groups })
    }
}

impl Sps {
    pub(super) fn read(nal: &[u8]) -> Result<Self, Error> {
        let bits = &mut Bits::new(nal, SPS);
        let [profile_idc, constraints, level_idc] =
            [bits.bits(8)?, bits.bits(8)?, bits.bits(8)?].map(|byte| byte as u8);
        let id = bits.ue("seq_parameter_set_id", 31)?;
        let colour = Colour::read(bits, profile_idc)?;
        let frame_num_bits = bits.ue("log2_max_frame_num_minus4", 12)? + 4;
        let order_type = picture_order(bits)?;
        bits.ue("max_num_ref_frames", 16)?;
        bits.skip(1)?;
        let width_mbs = bits.ue("pic_width_in_mbs_minus1", MAX_SIDE_MBS - 1)? + 1;
        let map_units = bits.ue("pic_height_in_map_units_minus1", MAX_SIDE_MBS - 1)? + 1;
        let progressive = bits.bit()?;
        if !progressive {
            bits.skip(1)?;
        }
        bits.skip(1)?;
        let fields = if progressive { 1 } else { 2 };
        let [left, right, top, bottom] = cropping(bits)?;
        let (unit_x, unit_y) = (colour.crop_x, colour.crop_y * fields);
        let side = |full: u32, crop: u32, field| {
            full.checked_sub(crop).filter(|side| *side > 0).ok_or(Error::Range { in_what: SPS, field })
        };
        let width = side(width_mbs * 16, (left + right) * unit_x, "frame_crop_left/right_offset")?;
        let height = side(map_units * fields * 16, (top + bottom) * unit_y, "frame_crop_top/bottom_offset")?;
        // Encoders cut this part short or fill it badly, and decoders bear that: then nothing is known from it.
        let vui = Vui::read(bits).unwrap_or_default();
        let in_order = order_type == 2 || profile_idc == 66;
        let description = Description {
            width,
            height,
            square: vui.square.unwrap_or(true),
            profile_idc,
            constraints,
            level_idc,
            progressive,
            yuv420_8bit: colour.yuv420_8bit,
            reorder: if in_order { Some(0) } else { vui.reorder },
            fps_milli: vui.fps_milli,
        };
        Ok(Self { id, description, separate_colours: colour.separate, frame_num_bits })
    }
}

struct Colour {
    yuv420_8bit: bool,
    separate: bool,
    /// Pixels for each step of cropping, before fields are counted.
    crop_x: u32,
    crop_y: u32,
}

impl Colour {
    fn read(bits: &mut Bits<'_>, profile_idc: u8) -> Result<Self, Error> {
        if !WITH_CHROMA.contains(&profile_idc) {
            return Ok(Self { yuv420_8bit: true, separate: false, crop_x: 2, crop_y: 2 });
        }
        let chroma = bits.ue("chroma_format_idc", 3)?;
        let separate = chroma == 3 && bits.bit()?;
        let depths = [bits.ue("bit_depth_luma_minus8", 6)?, bits.ue("bit_depth_chroma_minus8", 6)?];
        bits.skip(1)?;
        if bits.bit()? {
            for list in 0..if chroma == 3 { 12 } else { 8 } {
                if bits.bit()? {
                    scaling_list(bits, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
        let (crop_x, crop_y) = match chroma {
            1 => (2, 2),
            2 => (2, 1),
            _ => (1, 1),
        };
        Ok(Self { yuv420_8bit: chroma == 1 && depths == [0, 0], separate, crop_x, crop_y })
    }
}

/// H.264 7.3.2.1.1.1.
fn scaling_list(bits: &mut Bits<'_>, size: usize) -> Result<(), Error> {
    let (mut last, mut next) = (8_i64, 8_i64);
    for _ in 0..size {
        if next != 0 {
            next = (last + i64::from(bits.se("delta_scale")?)).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Ok(())
}

/// `pic_order_cnt_type` with what belongs to it.
fn picture_order(bits: &mut Bits<'_>) -> Result<u32, Error> {
    let order_type = bits.ue("pic_order_cnt_type", 2)?;
    match order_type {
        0 => drop(bits.ue("log2_max_pic_order_cnt_lsb_minus4", 12)?),
        1 => {
            bits.skip(1)?;
            bits.se("offset_for_non_ref_pic")?;
            bits.se("offset_for_top_to_bottom_field")?;
            for _ in 0..bits.ue("num_ref_frames_in_pic_order_cnt_cycle", 255)? {
                bits.se("offset_for_ref_frame")?;
            }
        }
        _ => {}
    }
    Ok(order_type)
}

/// Left, right, top, bottom; none where there is no cropping.
fn cropping(bits: &mut Bits<'_>) -> Result<[u32; 4], Error> {
    let mut crop = [0; 4];
    if bits.bit()? {
        for side in &mut crop {
            *side = bits.ue("frame_crop_offset", MAX_SIDE_MBS * 16)?;
        }
    }
    Ok(crop)
}

/// What is used of the video usability information (H.264 E.1.1).
#[derive(Default)]
struct Vui {
    square: Option<bool>,
    fps_milli: Option<u32>,
    reorder: Option<u32>,
}

impl Vui {
    fn read(bits: &mut Bits<'_>) -> Result<Self, Error> {
        if !bits.bit()? {
            return Ok(Self::default());
        }
        let square = Self::aspect(bits)?;
        if bits.bit()? {
            bits.skip(1)?; // overscan_appropriate_flag
        }
        if bits.bit()? {
            bits.skip(4)?; // video_format, video_full_range_flag
            if bits.bit()? {
                bits.skip(24)?; // colour description
            }
        }
        if bits.bit()? {
            bits.ue("chroma_sample_loc_type_top_field", 5)?;
            bits.ue("chroma_sample_loc_type_bottom_field", 5)?;
        }
        let fps_milli = Self::timing(bits)?;
        // From here on a mistake loses only what follows it.
        let reorder = Self::restriction(bits).unwrap_or(None);
        Ok(Self { square, fps_milli, reorder })
    }

    fn aspect(bits: &mut Bits<'_>) -> Result<Option<bool>, Error> {
        if !bits.bit()? {
            return Ok(None);
        }
        Ok(Some(match bits.bits(8)? {
            // Unspecified, 1:1, extended.
            0 | 1 => true,
            255 => {
                let (width, height) = (bits.bits(16)?, bits.bits(16)?);
                width == height || width == 0 || height == 0
            }
            _ => false,
        }))
    }

    /// A frame is two ticks.
    fn timing(bits: &mut Bits<'_>) -> Result<Option<u32>, Error> {
        if !bits.bit()? {
            return Ok(None);
        }
        let (ticks, per_second) = (u64::from(bits.bits(32)?), u64::from(bits.bits(32)?));
        bits.skip(1)?;
        let fps_milli = (per_second * 1000).checked_div(ticks * 2);
        Ok(fps_milli.and_then(|fps| u32::try_from(fps).ok()).filter(|fps| *fps > 0))
    }

    /// `max_num_reorder_frames`, behind the two sets of buffer parameters.
    fn restriction(bits: &mut Bits<'_>) -> Result<Option<u32>, Error> {
        let (nal, vcl) = (hrd(bits)?, hrd(bits)?);
        if nal || vcl {
            bits.skip(1)?; // low_delay_hrd_flag
        }
        bits.skip(1)?; // pic_struct_present_flag
        if !bits.bit()? {
            return Ok(None);
        }
        bits.skip(1)?; // motion_vectors_over_pic_boundaries_flag
        for field in ["max_bytes_per_pic_denom", "max_bits_per_mb_denom"] {
            bits.ue(field, 16)?;
        }
        for field in ["log2_max_mv_length_horizontal", "log2_max_mv_length_vertical"] {
            bits.ue(field, 16)?;
        }
        bits.ue("max_num_reorder_frames", 16).map(Some)
    }
}

/// Reads over buffer parameters (H.264 E.1.2), if there are any.
fn hrd(bits: &mut Bits<'_>) -> Result<bool, Error> {
    if !bits.bit()? {
        return Ok(false);
    }
    let schedules = bits.ue("cpb_cnt_minus1", 31)? + 1;
    bits.skip(8)?;
    for _ in 0..schedules {
        bits.ue("bit_rate_value_minus1", u32::MAX)?;
        bits.ue("cpb_size_value_minus1", u32::MAX)?;
        bits.skip(1)?;
    }
    bits.skip(20)?;
    Ok(true)
}
