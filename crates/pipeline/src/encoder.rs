//! The encoders as data: `pipelines/encoders/<name>.toml` says how each encoder element is driven, how good a choice it
//! is, and what it needs. A new encoder is a new file there and its line in `FILES`.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::LazyLock};

use media::{Codec, Layer, Quality};
use serde::{Deserialize, Serialize};

use crate::{Element, plan::Picture};

/// A recipe's name, which is its file's, and its text.
const FILES: [(&str, &str); 10] = [
    ("nvenc", include_str!("../../../pipelines/encoders/nvenc.toml")),
    ("nvenc_legacy", include_str!("../../../pipelines/encoders/nvenc_legacy.toml")),
    ("openh264", include_str!("../../../pipelines/encoders/openh264.toml")),
    ("qsv", include_str!("../../../pipelines/encoders/qsv.toml")),
    ("v4l2", include_str!("../../../pipelines/encoders/v4l2.toml")),
    ("vaapi", include_str!("../../../pipelines/encoders/vaapi.toml")),
    ("vaapi_legacy", include_str!("../../../pipelines/encoders/vaapi_legacy.toml")),
    ("vaapi_lp", include_str!("../../../pipelines/encoders/vaapi_lp.toml")),
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

/// Pixels that one encoder thread is worth. x264 takes 4 ms for a picture of 1280x720, of the 33 that there are (measured,
/// docs/performance.md); two threads make two slices of it, which take 8 to 14 % more CPU and gain less than 1 ms. (The Go worker: 640x480.)
const PIXELS_PER_THREAD: u32 = 1280 * 720;

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
    /// The GStreamer plugin that it is in.
    pub plugin: String,
    /// What Debian calls the packages that bring it: for people.
    pub package: String,
    /// Width and height, in pixels, below which it refuses or is not trusted.
    #[serde(default)]
    pub smallest: (u32, u32),
    /// What it runs on; with hardware only.
    #[serde(default)]
    pub device: Option<Device>,
    /// From raw I420 in system memory to what the encoder takes.
    #[serde(default)]
    upload: Vec<Part>,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// On the CPU: needs nothing but its library.
    Software,
    /// On a device, which may be missing, busy or broken.
    Hardware,
}

/// A device, and how pictures get from its decoder to its encoder without leaving it. Workers use `nodes` only, so far:
/// the rest is planned, and was never run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Which files in `/dev` it is behind.
    pub nodes: Nodes,
    /// Caps of raw pictures that are on it.
    memory: String,
    /// Decoder elements that leave pictures there, best first.
    decoders: Vec<String>,
    /// Behind the decoder.
    prepare: Vec<Part>,
    /// In front of the caps of a layer's size.
    scale: Vec<Part>,
}

/// A class of device nodes. A worker may open those of one only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nodes {
    /// GPUs of the kernel's DRM: `/dev/dri/renderD*`.
    Render,
    /// NVIDIA's driver: `/dev/nvidia*`.
    Nvidia,
    /// V4L2: `/dev/video*`.
    Video,
}

impl Nodes {
    /// All of them.
    pub const ALL: [Nodes; 3] = [Nodes::Render, Nodes::Nvidia, Nodes::Video];

    /// As in recipes and on a worker's command line.
    pub fn name(self) -> &'static str {
        match self {
            Nodes::Render => "render",
            Nodes::Nvidia => "nvidia",
            Nodes::Video => "video",
        }
    }
}

impl Nodes {
    /// For people: which files in `/dev` they are.
    pub fn pattern(self) -> &'static str {
        match self {
            Nodes::Render => "/dev/dri/renderD*",
            Nodes::Nvidia => "/dev/nvidia*",
            Nodes::Video => "/dev/video*",
        }
    }
}

impl fmt::Display for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Nodes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Nodes::ALL.into_iter().find(|nodes| nodes.name() == text);
        known.ok_or_else(|| format!("`{text}`: expected render, nvidia or video"))
    }
}

/// One element beside the encoder.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    factory: String,
    properties: Vec<Setting>,
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
        let mut elements: Vec<Element> = self.upload.iter().map(Part::element).collect();
        elements.extend(self.encoder_and_caps(layer, picture, cpus, speed));
        elements
    }

    /// The same from pictures that are where the encoder takes them.
    fn encoder_and_caps(&self, layer: &Layer, picture: &Picture, cpus: u32, speed: u8) -> [Element; 2] {
        let settings = self.settings(layer.quality, speed);
        let filled = settings
            .into_iter()
            .map(|setting| Setting { value: filled(&setting.value, layer, picture, cpus), ..setting });
        let encoder = element(&self.factory, filled);
        let output = Element::new("capsfilter").set("caps", self.output.clone(), self.output_reason.clone());
        [encoder, output]
    }

    /// False for a picture that is too small for this encoder.
    pub fn takes(&self, layer: &Layer) -> bool {
        layer.width >= self.smallest.0 && layer.height >= self.smallest.1
    }

    /// Pictures that never leave the device, as text: the decode chain, and for each layer its scaler and encoder.
    /// Nothing for software.
    pub(crate) fn on_device(&self, layers: &[Layer], picture: &Picture, cpus: u32) -> Option<String> {
        let device = self.device.as_ref()?;
        let mut out = format!("on the device: decodebin3 with {} first\n", device.decoders.join(", "));
        let caps = |more: &str, why: &'static str| {
            Element::new("capsfilter").set("caps", format!("{}{more}", device.memory), why)
        };
        let mut chain: Vec<Element> = device.prepare.iter().map(Part::element).collect();
        chain.push(caps("", "pictures stay on the device"));
        chain.iter().for_each(|element| out += &element.to_string());
        for layer in layers.iter().rev() {
            let Layer { quality, width, height, .. } = layer;
            out += &format!("layer {quality} on the device\n");
            let size = format!(", width={width}, height={height}, pixel-aspect-ratio=1/1");
            let mut chain: Vec<Element> = device.scale.iter().map(Part::element).collect();
            chain.push(caps(&size, "the layer's real size, in square pixels"));
            chain.extend(self.encoder_and_caps(layer, picture, cpus, 0));
            chain.iter().for_each(|element| out += &element.to_string());
        }
        Some(out)
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

impl Part {
    fn element(&self) -> Element {
        element(&self.factory, self.properties.iter().cloned())
    }
}

fn element(factory: &str, settings: impl IntoIterator<Item = Setting>) -> Element {
    let element = Element::new(factory.to_owned());
    settings.into_iter().fold(element, |element, Setting { name, value, reason, optional }| {
        if optional {
            element.set_where_possible(name, value, reason)
        } else {
            element.set(name, value, reason)
        }
    })
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
