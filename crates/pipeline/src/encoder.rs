//! The encoders as data: `pipelines/encoders/<name>.toml` says how each encoder element is driven, how good a choice it
//! is, and what it needs. A new encoder is a new file there and its line in `FILES`.

use std::{collections::BTreeMap, sync::LazyLock};

use media::{Codec, Layer, Quality};
use serde::Deserialize;

use crate::{Element, plan::Picture};

/// A recipe's name, which is its file's, and its text.
const FILES: [(&str, &str); 2] = [
    ("vp8", include_str!("../../../pipelines/encoders/vp8.toml")),
    ("x264", include_str!("../../../pipelines/encoders/x264.toml")),
];

/// All recipes, best first.
static RECIPES: LazyLock<Vec<Recipe>> = LazyLock::new(|| {
    let parse = |(name, text): &(&'static str, &str)| Recipe {
        name,
        ..toml::from_str(text).expect("encoder recipes are embedded, and parsed by a test")
    };
    let mut recipes: Vec<Recipe> = FILES.iter().map(parse).collect();
    recipes.sort_by_key(|recipe| std::cmp::Reverse((recipe.kind, recipe.rank)));
    recipes
});

/// Seconds between keyframes that nobody asked for.
const GOP_SECONDS: u64 = 4;

/// Pixels that one encoder thread is worth: VGA, as the Go worker reckons.
const PIXELS_PER_THREAD: u32 = 640 * 480;

/// How one encoder is driven.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// As in `Plan::encoders` and the configuration: the file's name without its ending.
    #[serde(skip)]
    pub name: &'static str,
    /// What it makes.
    pub codec: Codec,
    /// Where it runs.
    pub kind: Kind,
    /// Of two of one kind the higher one is the better choice.
    pub rank: u16,
    /// The encoder element.
    pub factory: String,
    output: String,
    output_reason: String,
    properties: Vec<Setting>,
    /// Each step down is cheaper and looks worse; a step keeps what the ones before it set.
    #[serde(default)]
    speeds: Vec<Overrides>,
    /// What is different in layers other than the highest.
    #[serde(default)]
    layers: BTreeMap<Quality, LayerSettings>,
}

/// Where an encoder runs. Hardware comes before software.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// On the CPU: needs nothing but its library.
    Software,
    /// On a device, which may be missing, busy or broken.
    Hardware,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Setting {
    name: String,
    value: String,
    reason: String,
    /// Left out where the element has no such property or value: it came with a later version.
    #[serde(default)]
    optional: bool,
}

/// By property name.
type Overrides = BTreeMap<String, Override>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Override {
    value: String,
    reason: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LayerSettings {
    /// Steps of `speeds` that this layer is always down.
    #[serde(default)]
    speed: u8,
    #[serde(default)]
    set: Overrides,
}

/// All recipes, best first: hardware before software, then by rank.
pub fn recipes() -> &'static [Recipe] {
    &RECIPES
}

/// The recipe of this name.
pub fn recipe(name: &str) -> Option<&'static Recipe> {
    RECIPES.iter().find(|recipe| recipe.name == name)
}

impl Recipe {
    /// From raw I420 frames of the layer's size to what a room gets. `cpus` bounds the threads; `speed` is
    /// [`crate::Effort::speed`], and past the last step the last one counts.
    pub fn elements(&self, layer: &Layer, picture: &Picture, cpus: u32, speed: u8) -> Vec<Element> {
        let mut encoder = Element::new(self.factory.clone());
        for Setting { name, value, reason, optional } in self.settings(layer.quality, speed) {
            let value = filled(&value, layer, picture, cpus);
            encoder = if optional {
                encoder.set_where_possible(name, value, reason)
            } else {
                encoder.set(name, value, reason)
            };
        }
        let output = Element::new("capsfilter").set("caps", self.output.clone(), self.output_reason.clone());
        vec![encoder, output]
    }

    /// The properties with the overrides of this layer, then of this speed. An override that no property is there for
    /// is added.
    fn settings(&self, quality: Quality, speed: u8) -> Vec<Setting> {
        let none = LayerSettings::default();
        let layer = self.layers.get(&quality).unwrap_or(&none);
        let steps = usize::from(layer.speed.saturating_add(speed));
        let mut settings = self.properties.clone();
        let overrides = [&layer.set].into_iter().chain(self.speeds.iter().take(steps)).flatten();
        for (name, Override { value, reason }) in overrides {
            let (value, reason) = (value.clone(), reason.clone());
            match settings.iter_mut().find(|setting| setting.name == *name) {
                Some(setting) => (setting.value, setting.reason) = (value, reason),
                None => settings.push(Setting { name: name.clone(), value, reason, optional: false }),
            }
        }
        settings
    }
}

fn filled(value: &str, layer: &Layer, picture: &Picture, cpus: u32) -> String {
    let threads = (layer.width * layer.height).div_ceil(PIXELS_PER_THREAD).clamp(1, cpus.max(1));
    let gop = (u64::from(picture.fps_milli) * GOP_SECONDS).div_ceil(1000).max(1);
    value
        .replace("{kbps}", &layer.bitrate_bps.div_ceil(1000).max(1).to_string())
        .replace("{bps}", &layer.bitrate_bps.max(1000).to_string())
        .replace("{gop}", &gop.to_string())
        .replace("{threads}", &threads.to_string())
}

#[cfg(test)]
#[path = "encoder_tests.rs"]
mod tests;
