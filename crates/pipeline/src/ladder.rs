//! Which layers an ingress asks for: LiveKit's presets as data, and its rules for custom options.
//!
//! The enums and messages are LiveKit's (`livekit_ingress.proto`); whoever reads those hands plain values in here.

use media::{Codec, Ladder, Layer, Quality};
use thiserror::Error;

/// The preset that an ingress without video options gets.
pub const DEFAULT_PRESET: &str = "H264_720P_30FPS_3_LAYERS";

/// Layers of one custom ladder: one a quality.
const MAX_LAYERS: usize = Quality::ALL.len();

/// Longest side that a layer may have: 8K, past it an encoder's memory alone is an attack.
const MAX_SIDE: u32 = 7680;

/// Highest rate that options may ask for.
const MAX_FPS: f64 = 240.0;

/// `IngressVideoEncodingPreset` names and `pipelines/ladders/*.toml`.
const PRESETS: [(&str, &str); 10] = [
    (DEFAULT_PRESET, include_str!("../../../pipelines/ladders/h264_720p_30fps_3_layers.toml")),
    (
        "H264_720P_30FPS_3_LAYERS_HIGH_MOTION",
        include_str!("../../../pipelines/ladders/h264_720p_30fps_3_layers_high_motion.toml"),
    ),
    ("H264_1080P_30FPS_3_LAYERS", include_str!("../../../pipelines/ladders/h264_1080p_30fps_3_layers.toml")),
    (
        "H264_1080P_30FPS_3_LAYERS_HIGH_MOTION",
        include_str!("../../../pipelines/ladders/h264_1080p_30fps_3_layers_high_motion.toml"),
    ),
    ("H264_540P_25FPS_2_LAYERS", include_str!("../../../pipelines/ladders/h264_540p_25fps_2_layers.toml")),
    (
        "H264_540P_25FPS_2_LAYERS_HIGH_MOTION",
        include_str!("../../../pipelines/ladders/h264_540p_25fps_2_layers_high_motion.toml"),
    ),
    ("H264_720P_30FPS_1_LAYER", include_str!("../../../pipelines/ladders/h264_720p_30fps_1_layer.toml")),
    (
        "H264_720P_30FPS_1_LAYER_HIGH_MOTION",
        include_str!("../../../pipelines/ladders/h264_720p_30fps_1_layer_high_motion.toml"),
    ),
    ("H264_1080P_30FPS_1_LAYER", include_str!("../../../pipelines/ladders/h264_1080p_30fps_1_layer.toml")),
    (
        "H264_1080P_30FPS_1_LAYER_HIGH_MOTION",
        include_str!("../../../pipelines/ladders/h264_1080p_30fps_1_layer_high_motion.toml"),
    ),
];

/// The ladder of a preset, by the name of LiveKit's `IngressVideoEncodingPreset` value; nothing for an unknown name.
pub fn preset(name: &str) -> Option<Ladder> {
    let (_, text) = PRESETS.iter().find(|(known, _)| *known == name)?;
    Some(toml::from_str(text).expect("presets are embedded, and parsed by a test"))
}

/// The names that [`preset`] knows, the default first.
pub fn presets() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|(name, _)| *name)
}

/// LiveKit's `IngressVideoEncodingOptions`, as plain values.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// `DEFAULT_VC` is none and means H.264.
    pub codec: Option<Codec>,
    /// Frames per second; zero, negative or not a number means 30.
    pub frame_rate: f64,
    /// In any order; none means [1280×720 at 1.7 Mbit/s in three layers](custom).
    pub layers: Vec<Layer>,
}

/// Options that make no ladder.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing here encodes it.
    #[error("video options: codec {0} cannot be encoded, expected video/H264 or video/VP8")]
    Codec(Codec),
    /// No picture of that size.
    #[error("video options: layer {quality} is {width}x{height}, expected sides from 2 to {MAX_SIDE}")]
    Size {
        /// Which layer.
        quality: Quality,
        /// As asked for.
        width: u32,
        /// As asked for.
        height: u32,
    },
    /// A quality names one layer.
    #[error("video options: quality {0} is given twice, expected each of low, medium, high at most once")]
    Twice(Quality),
}

/// The ladder of custom options. A layer with bitrate 0 gets `3.5 Mbit/s × (fps/30)^0.75 × (area / 1080p)^0.75`.
///
/// # Errors
/// A codec that is not encoded, a size no encoder takes, a quality twice.
pub fn custom(options: &Options) -> Result<Ladder, Error> {
    let codec = options.codec.unwrap_or(Codec::H264);
    if !matches!(codec, Codec::H264 | Codec::Vp8) {
        return Err(Error::Codec(codec));
    }
    let asked = options.frame_rate;
    let fps = if asked > 0.0 { asked.min(MAX_FPS) } else { 30.0 };
    let max_fps_milli = (fps * 1000.0).round().max(1.0) as u32;
    if options.layers.is_empty() {
        return Ok(Ladder { codec, max_fps_milli, layers: steps(1280, 720, 1_700_000, MAX_LAYERS) });
    }
    let mut layers = options.layers.clone();
    layers.sort_by_key(|layer| layer.quality);
    if let Some(pair) = layers.windows(2).find(|pair| pair[0].quality == pair[1].quality) {
        return Err(Error::Twice(pair[0].quality));
    }
    for layer in &mut layers {
        let Layer { quality, width, height, .. } = *layer;
        if !(2..=MAX_SIDE).contains(&width) || !(2..=MAX_SIDE).contains(&height) {
            return Err(Error::Size { quality, width, height });
        }
        if layer.bitrate_bps == 0 {
            layer.bitrate_bps = default_bitrate_bps(width, height, fps);
        }
    }
    Ok(Ladder { codec, max_fps_milli, layers })
}

/// Layer `i` from the top: sides shifted right by `i`, bitrate by the area's share to the power of 0.75; lowest first.
fn steps(width: u32, height: u32, bitrate_bps: u32, count: usize) -> Vec<Layer> {
    let qualities: &[Quality] = match count {
        1 => &[Quality::High],
        2 => &[Quality::Low, Quality::High],
        _ => &Quality::ALL,
    };
    let top = f64::from(width) * f64::from(height);
    qualities
        .iter()
        .zip((0..qualities.len()).rev())
        .map(|(&quality, shift)| {
            let (width, height) = (width >> shift, height >> shift);
            let share = f64::from(width) * f64::from(height) / top;
            let bitrate_bps = (f64::from(bitrate_bps) * share.powf(0.75)) as u32;
            Layer { quality, width, height, bitrate_bps }
        })
        .collect()
}

fn default_bitrate_bps(width: u32, height: u32, fps: f64) -> u32 {
    let share = f64::from(width) * f64::from(height) / (1920.0 * 1080.0);
    (3_500_000.0 * (fps / 30.0).powf(0.75) * share.powf(0.75)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// name, fps, top width, top height, top bit/s, layers: the table of LiveKit's presets.
    const TABLE: [(&str, u32, u32, u32, u32, usize); 10] = [
        ("H264_720P_30FPS_3_LAYERS", 30, 1280, 720, 1_900_000, 3),
        ("H264_1080P_30FPS_3_LAYERS", 30, 1920, 1080, 3_500_000, 3),
        ("H264_540P_25FPS_2_LAYERS", 25, 960, 540, 1_000_000, 2),
        ("H264_720P_30FPS_1_LAYER", 30, 1280, 720, 1_900_000, 1),
        ("H264_1080P_30FPS_1_LAYER", 30, 1920, 1080, 3_500_000, 1),
        ("H264_720P_30FPS_3_LAYERS_HIGH_MOTION", 30, 1280, 720, 2_500_000, 3),
        ("H264_1080P_30FPS_3_LAYERS_HIGH_MOTION", 30, 1920, 1080, 4_500_000, 3),
        ("H264_540P_25FPS_2_LAYERS_HIGH_MOTION", 25, 960, 540, 1_300_000, 2),
        ("H264_720P_30FPS_1_LAYER_HIGH_MOTION", 30, 1280, 720, 2_500_000, 1),
        ("H264_1080P_30FPS_1_LAYER_HIGH_MOTION", 30, 1920, 1080, 4_500_000, 1),
    ];

    #[test]
    fn presets_are_livekits_table() {
        assert_eq!(presets().count(), TABLE.len());
        for (name, fps, width, height, bitrate_bps, count) in TABLE {
            let ladder = preset(name).unwrap_or_else(|| panic!("no preset {name}"));
            assert_eq!(ladder.codec, Codec::H264);
            assert_eq!(ladder.max_fps_milli, fps * 1000);
            assert_eq!(ladder.layers, steps(width, height, bitrate_bps, count), "{name}");
        }
        assert_eq!(preset("H264_4K"), None);
    }

    #[test]
    fn default_ladder_has_livekits_bitrates() {
        let rates: Vec<u32> =
            preset(DEFAULT_PRESET).unwrap().layers.iter().map(|layer| layer.bitrate_bps).collect();
        assert_eq!(rates, [237_500, 671_751, 1_900_000]);
    }

    #[test]
    fn empty_options_mean_720p_in_three_layers_of_h264_at_30() {
        let ladder = custom(&Options { codec: None, frame_rate: -1.0, layers: vec![] }).unwrap();
        assert_eq!((ladder.codec, ladder.max_fps_milli), (Codec::H264, 30_000));
        assert_eq!(ladder.layers, steps(1280, 720, 1_700_000, 3));
    }

    #[test]
    fn custom_layers_are_sorted_and_a_zero_bitrate_is_computed() {
        let layer = |quality, width, height, bitrate_bps| Layer { quality, width, height, bitrate_bps };
        let ladder = custom(&Options {
            codec: Some(Codec::Vp8),
            frame_rate: 30.0,
            layers: vec![layer(Quality::High, 1920, 1080, 0), layer(Quality::Low, 480, 270, 99_000)],
        })
        .unwrap();
        assert_eq!(
            ladder.layers,
            [layer(Quality::Low, 480, 270, 99_000), layer(Quality::High, 1920, 1080, 3_500_000)]
        );
        assert_eq!(default_bitrate_bps(960, 540, 30.0), 1_237_436);
        assert_eq!(default_bitrate_bps(1920, 1080, 15.0), 2_081_112);
    }

    #[test]
    fn options_that_nothing_can_encode_are_refused() {
        let layer = Layer { quality: Quality::Low, width: 320, height: 180, bitrate_bps: 0 };
        let refuse = |codec, layers| custom(&Options { codec, frame_rate: 30.0, layers }).unwrap_err();
        assert_eq!(refuse(Some(Codec::Opus), vec![]), Error::Codec(Codec::Opus));
        assert_eq!(refuse(None, vec![layer, layer]), Error::Twice(Quality::Low));
        let flat = Layer { height: 0, ..layer };
        assert_eq!(refuse(None, vec![flat]), Error::Size { quality: Quality::Low, width: 320, height: 0 });
        let wide = Layer { width: 7681, ..layer };
        assert_eq!(refuse(None, vec![wide]), Error::Size { quality: Quality::Low, width: 7681, height: 180 });
    }
}
