//! LiveKit's presets as data: which layers an ingress that names one asks for.

use media::Ladder;

/// The preset that an ingress without video options gets.
pub const DEFAULT_PRESET: &str = "H264_720P_30FPS_3_LAYERS";

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

#[cfg(test)]
mod tests {
    use super::*;
    use media::{Codec, Layer, Quality};

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
}
