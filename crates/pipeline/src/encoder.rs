use media::{Codec, Layer};
use serde::Deserialize;

use crate::{Element, plan::Picture};

/// `pipelines/encoders/*.toml`: how each encoder element is driven.
const RECIPES: [&str; 2] = [
    include_str!("../../../pipelines/encoders/x264.toml"),
    include_str!("../../../pipelines/encoders/vp8.toml"),
];

/// Seconds between keyframes that nobody asked for.
const GOP_SECONDS: u64 = 4;

/// Pixels that one encoder thread is worth: VGA, as the Go worker reckons.
const PIXELS_PER_THREAD: u32 = 640 * 480;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipe {
    codec: Codec,
    factory: String,
    output: String,
    output_reason: String,
    properties: Vec<Setting>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Setting {
    name: String,
    value: String,
    reason: String,
}

/// The encoder of one layer and the capsfilter behind it, or nothing when no recipe makes this codec.
pub(crate) fn elements(codec: Codec, layer: &Layer, picture: &Picture, cpus: u32) -> Option<Vec<Element>> {
    let recipe = RECIPES.iter().map(|text| parse(text)).find(|recipe| recipe.codec == codec)?;
    let threads = (layer.width * layer.height).div_ceil(PIXELS_PER_THREAD).clamp(1, cpus.max(1));
    let gop = (u64::from(picture.fps_milli) * GOP_SECONDS).div_ceil(1000).max(1);
    let mut encoder = Element::new(recipe.factory);
    for Setting { name, value, reason } in recipe.properties {
        let value = value
            .replace("{kbps}", &layer.bitrate_bps.div_ceil(1000).max(1).to_string())
            .replace("{bps}", &layer.bitrate_bps.max(1000).to_string())
            .replace("{gop}", &gop.to_string())
            .replace("{threads}", &threads.to_string());
        encoder = encoder.set(name, value, reason);
    }
    let output = Element::new("capsfilter").set("caps", recipe.output, recipe.output_reason);
    Some(vec![encoder, output])
}

fn parse(text: &str) -> Recipe {
    toml::from_str(text).expect("encoder recipes are embedded, and parsed by a test")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recipe_parses_and_fills_all_its_places() {
        let picture = Picture { width: 1280, height: 720, par: (1, 1), fps_milli: 29_970 };
        let layer = Layer { quality: media::Quality::High, width: 1280, height: 720, bitrate_bps: 1_900_000 };
        for text in RECIPES {
            let recipe = parse(text);
            let elements = elements(recipe.codec, &layer, &picture, 8).unwrap();
            assert_eq!(elements.len(), 2);
            for property in elements.iter().flat_map(|element| &element.properties) {
                assert!(!property.value.contains(['{', '}']), "{property:?}");
                assert!(!property.reason.is_empty(), "{property:?}");
            }
        }
    }

    #[test]
    fn threads_follow_the_picture_and_never_exceed_the_cpus() {
        let picture = Picture { width: 1920, height: 1080, par: (1, 1), fps_milli: 30_000 };
        let layer =
            Layer { quality: media::Quality::High, width: 1920, height: 1080, bitrate_bps: 3_500_000 };
        let threads = |cpus| {
            let elements = elements(Codec::H264, &layer, &picture, cpus).unwrap();
            elements[0].properties.iter().find(|p| p.name == "threads").unwrap().value.clone()
        };
        assert_eq!((threads(0), threads(2), threads(64)), ("1".into(), "2".into(), "7".into()));
    }

    #[test]
    fn a_codec_without_a_recipe_has_no_encoder() {
        let picture = Picture { width: 64, height: 64, par: (1, 1), fps_milli: 30_000 };
        let layer = Layer { quality: media::Quality::High, width: 64, height: 64, bitrate_bps: 1 };
        assert_eq!(elements(Codec::Aac, &layer, &picture, 1), None);
    }
}
