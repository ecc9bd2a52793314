//! From a ladder to elements, in two pure steps: [`Plan`] says how to decode before the source is known, and
//! [`Plan::fit`] makes the encode [`Branch`]es once its picture is.
//!
//! The whole graph; `►` between two pipelines is a bounded queue of ours, where frames are dropped and counted:
//!
//! ```text
//! sound    appsrc, parser, decoder, audioconvert, audioresample, capsfilter, opusenc, appsink
//! picture  appsrc, parser, decoder, deinterlace, videoflip, videoconvertscale, capsfilter, appsink
//!            ► [rate limit] ► scaler of the largest running layer ┬► [pause] its encoder
//!                                                                 └► scaler of the next smaller ┬► …
//! scaler   appsrc, videoconvertscale, capsfilter, appsink    (none where the size is right already)
//! encoder  appsrc, x264enc or vp8enc, capsfilter, appsink
//! ```

use std::{collections::BTreeSet, fmt::Write as _};

use media::{Codec, Kind, Ladder, Layer, Quality, Turn};
use serde::{Deserialize, Serialize};

use crate::{Element, decode, encoder, opus};

/// What a worker is to make of its source, whatever that turns out to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The layers of the picture.
    pub video: Ladder,
    /// The one encoding of the sound.
    pub audio: Audio,
    /// Names of encoder recipes ([`encoder::Recipe::name`]), best first; what [`Plan::encoders`] makes of them counts.
    #[serde(default)]
    pub encoders: Vec<String>,
}

/// How sound is encoded, always as Opus in packets of 20 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audio {
    /// 1 or 2.
    pub channels: u8,
    /// Target, bit/s.
    pub bitrate_bps: u32,
    /// Send next to nothing while the source is silent.
    pub dtx: bool,
}

impl Audio {
    /// LiveKit's `OPUS_STEREO_96KBPS`, the default.
    pub const STEREO_96K: Audio = Audio { channels: 2, bitrate_bps: 96_000, dtx: true };
    /// LiveKit's `OPUS_MONO_64KBS`.
    pub const MONO_64K: Audio = Audio { channels: 1, bitrate_bps: 64_000, dtx: true };

    /// LiveKit's `IngressAudioEncodingOptions`: 0 channels mean 2 and more than 2 are mixed down to 2; bitrate 0 means
    /// that of the preset with as many channels, and others are kept within what Opus can do (RFC 6716 §2.1.1).
    pub fn custom(channels: u32, bitrate_bps: u32, dtx: bool) -> Audio {
        let preset = if channels == 1 { Self::MONO_64K } else { Self::STEREO_96K };
        let bitrate_bps = if bitrate_bps == 0 { preset.bitrate_bps } else { bitrate_bps };
        Audio { bitrate_bps: bitrate_bps.clamp(6_000, 510_000), dtx, ..preset }
    }
}

/// A decoded picture as it leaves the video chain: upright and progressive, not yet square.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picture {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Width of a pixel to its height.
    pub par: (u32, u32),
    /// Frames per 1 000 s.
    pub fps_milli: u32,
}

impl Picture {
    /// Width and height in square pixels; the height stays.
    pub fn square(&self) -> (u32, u32) {
        let (num, den) = self.par;
        if num == 0 || den == 0 {
            return (self.width, self.height);
        }
        let wide = (u64::from(self.width) * u64::from(num) + u64::from(den) / 2) / u64::from(den);
        (u32::try_from(wide).unwrap_or(self.width).max(1), self.height)
    }
}

/// One layer, fitted to a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// With its real size.
    pub layer: Layer,
    /// Frames per 1 000 s that it is encoded at: written into the caps, because rate control reckons with it.
    pub fps_milli: u32,
    /// From raw frames of any larger size to raw frames of this layer, between [`source`] and [`sink`]; empty when the
    /// picture has the size already.
    pub scale: Vec<Element>,
    /// From raw frames to the bytes that a room gets, between [`source`] and [`sink`].
    pub encode: Vec<Element>,
}

impl Plan {
    /// The chain from a track's packets to raw frames (video) or to Opus (audio), between [`source`] and [`sink`].
    pub fn decode(&self, codec: Codec) -> Vec<Element> {
        match decode::by_name(codec) {
            Some(elements) => elements.into_iter().chain(self.behind_decoder(codec.kind())).collect(),
            None => self.autoplug(codec.kind()),
        }
    }

    /// The same where one of those elements is not installed; see [`decoder_properties`].
    pub fn autoplug(&self, kind: Kind) -> Vec<Element> {
        std::iter::once(decode::autoplugged()).chain(self.behind_decoder(kind)).collect()
    }

    fn behind_decoder(&self, kind: Kind) -> Vec<Element> {
        match kind {
            Kind::Video => video_chain(),
            Kind::Audio => audio_chain(self.audio),
        }
    }

    /// The branches for a picture, smallest first: each layer of the ladder shrunk to fit inside the picture, never
    /// enlarged, in the picture's shape, with even sides; up to the first that is as large as the picture, which is then the high one.
    /// Empty when nothing here encodes the ladder's codec. `cpus` bounds the encoders' threads; `speed` is
    /// [`crate::Effort::speed`]. Each branch's encoder is the first of [`Plan::encoders`] that takes its size.
    pub fn fit(&self, picture: &Picture, cpus: u32, speed: u8) -> Vec<Branch> {
        let fps_milli = picture.fps_milli.min(self.video.max_fps_milli).max(1);
        let picture = Picture { fps_milli, ..*picture };
        let layers = fit_layers(&self.video.layers, picture.square());
        let encoders = self.encoders();
        let branch = |layer: &Layer| {
            let encode = encoders.iter().find_map(|name| self.encode(name, layer, &picture, cpus, speed))?;
            Some(Branch { layer: *layer, fps_milli, scale: scale_chain(layer, &picture), encode })
        };
        layers.iter().filter_map(branch).collect()
    }

    /// The names of the recipes to try, best first: those of the plan that make its codec, and when no software is among
    /// them the software ones by rank, because a device may die, and may take no small pictures. Never empty for H.264
    /// and VP8.
    pub fn encoders(&self) -> Vec<String> {
        let recipes = self.encoders.iter().filter_map(|name| encoder::recipe(name));
        let mut chosen: Vec<_> = recipes.filter(|recipe| recipe.codec == self.video.codec).collect();
        if !chosen.iter().any(|recipe| recipe.kind == encoder::Kind::Software) {
            let software = encoder::recipes().iter().filter(|recipe| recipe.kind == encoder::Kind::Software);
            chosen.extend(software.filter(|recipe| recipe.codec == self.video.codec));
        }
        chosen.into_iter().map(|recipe| recipe.name.to_owned()).collect()
    }

    /// The chain from raw frames of the layer's size to the bytes that a room gets, by the recipe of this name; `picture`
    /// gives the frame rate that is encoded. Nothing when there is no such recipe, it makes another codec, or the layer is too
    /// small for it.
    pub fn encode(
        &self,
        encoder: &str,
        layer: &Layer,
        picture: &Picture,
        cpus: u32,
        speed: u8,
    ) -> Option<Vec<Element>> {
        let recipe = encoder::recipe(encoder).filter(|recipe| recipe.codec == self.video.codec)?;
        recipe.takes(layer).then(|| recipe.elements(layer, picture, cpus, speed))
    }

    /// The devices that the plan's encoders are behind: what a worker with this plan must be able to open.
    pub fn devices(&self) -> BTreeSet<encoder::Nodes> {
        let recipes = self.encoders().into_iter().filter_map(|name| encoder::recipe(&name));
        recipes.filter_map(|recipe| recipe.device.as_ref().map(|device| device.nodes)).collect()
    }

    /// The plan as text, for people and for `pipelines/golden/`; with the branches once a picture is known.
    pub fn text(&self, picture: Option<&Picture>, cpus: u32) -> String {
        let mut out = String::new();
        if let Some(picture) = picture {
            section(&mut out, "video, when it comes as H.264", &self.decode(Codec::H264));
            for branch in self.fit(picture, cpus, 0).iter().rev() {
                let Layer { quality, width, height, bitrate_bps } = branch.layer;
                let fps = f64::from(branch.fps_milli) / 1000.0;
                let title = format!("layer {quality}: {width}x{height} at {fps} fps, {bitrate_bps} bit/s");
                section(&mut out, &title, &branch.scale);
                branch.encode.iter().for_each(|element| out += &element.to_string());
            }
            out += &self.on_device(picture, cpus).unwrap_or_default();
        }
        section(&mut out, "audio, when it comes as AAC", &self.decode(Codec::Aac));
        section(&mut out, "in front of each chain above, each scaler and each encoder", &[source()]);
        section(&mut out, "behind them", &[sink()]);
        out
    }
}

impl Plan {
    /// What the first encoder could do without its pictures leaving the device; workers do not do it yet.
    fn on_device(&self, picture: &Picture, cpus: u32) -> Option<String> {
        let first = self.encoders().into_iter().next()?;
        let layers: Vec<Layer> = self.fit(picture, cpus, 0).iter().map(|branch| branch.layer).collect();
        let chains = encoder::recipe(&first)?.on_device(&layers, picture, cpus)?;
        Some(format!("planned, not done by workers yet, never run:\n{chains}"))
    }
}

/// What is set on the decoder that the autoplugger picks, where it has such a property.
pub use crate::decode::properties as decoder_properties;

/// The sink behind each chain and each encoder.
pub fn sink() -> Element {
    Element::new("appsink")
        .set("sync", "false", "live: what is ready leaves at once")
        .set("async", "false", "no waiting for a first frame: tracks start when they start")
        .set("enable-last-sample", "false", "it would keep one raw frame alive for nobody")
        .set("wait-on-eos", "false", "frames are taken by callback as they come")
}

/// The source in front of each chain and each branch.
pub fn source() -> Element {
    Element::new("appsrc")
        .set("format", "time", "timestamps are the session's, with one constant offset")
        .set(
            "handle-segment-change",
            "true",
            "each track's time starts with its first packet: no gap before it to fill",
        )
        .set("is-live", "true", "decoders choose low delay when upstream is live")
        .set("min-latency", 0, "the source is paced by its publisher; nothing here waits for a clock")
        .set("max-bytes", 0, "fullness is looked at before each push: that is where drops are counted")
}

fn video_chain() -> Vec<Element> {
    vec![
        Element::new("deinterlace")
            .set("mode", "auto", "passes progressive pictures through untouched")
            .set("fields", "top", "one frame for two fields: 50i becomes 25 fps, as its sender counts")
            .set("method", "linear", "keeps no field back: adds no delay"),
        Element::new("videoflip").set(
            "video-direction",
            "identity",
            "becomes auto with the rotation tag of a phone recording; auto without one copies each frame",
        ),
        Element::new("videoconvertscale"),
        Element::new("capsfilter").set(
            "caps",
            "video/x-raw, format=I420, interlace-mode=progressive",
            "converted once for all layers (4:4:4, 10 bit); WebRTC encoders take 4:2:0 only",
        ),
    ]
}

fn audio_chain(audio: Audio) -> Vec<Element> {
    let Audio { channels, bitrate_bps, dtx } = audio;
    let caps = format!("audio/x-raw, format=S16LE, layout=interleaved, rate=48000, channels={channels}");
    vec![
        Element::new("audioconvert").set(
            "dithering",
            "none",
            "noise on silence would keep the encoder from DTX; at 16 bit nobody hears the difference",
        ),
        Element::new("audioresample"),
        Element::new("capsfilter").set("caps", caps, "Opus runs at 48 kHz (RFC 7587 §4.1)"),
        Element::new("audiorate")
            .set("skip-to-first", "true", "sound starts when it starts: no silence before it")
            .set(
                "tolerance",
                20_000_000,
                "ns: RTMP counts in whole milliseconds, and receivers take packets that are not exactly 20 ms apart for lost ones; a shorter gap stays in the lip sync",
            ),
        Element::new("opusenc")
            .set("bitrate", bitrate_bps, "as the ingress says, bit/s")
            .set(
                "bitrate-type",
                "constrained-vbr",
                "bits go where the sound needs them, packets stay bounded",
            )
            .set("frame-size", 20, "ms: LiveKit's packet time")
            .set("complexity", 7, "a sixth off the encoder's time for 0.2 dB; 5 takes 0.9 dB (docs/performance.md)")
            .set("dtx", dtx, "silence costs next to nothing, unless the ingress disables it"),
    ]
}

fn scale_chain(layer: &Layer, picture: &Picture) -> Vec<Element> {
    let Layer { width, height, .. } = layer;
    if (*width, *height) == (picture.width, picture.height) && picture.square() == (*width, *height) {
        return Vec::new();
    }
    let caps = format!("video/x-raw, format=I420, width={width}, height={height}, pixel-aspect-ratio=1/1");
    vec![
        Element::new("videoconvertscale")
            .set(
                "add-borders",
                "false",
                "rounding to even sides may bend the shape by a pixel: no black lines for that",
            )
            .set("n-threads", 1, "layers run side by side already"),
        Element::new("capsfilter").set("caps", caps, "the layer's real size, in square pixels"),
    ]
}

fn fit_layers(ladder: &[Layer], (source_width, source_height): (u32, u32)) -> Vec<Layer> {
    let mut fitted = Vec::with_capacity(ladder.len());
    for layer in ladder {
        let (mut width, mut height) = (source_width, source_height);
        if width > layer.width {
            height = scaled(source_height, layer.width, source_width);
            width = layer.width;
        }
        if height > layer.height {
            width = scaled(source_width, layer.height, source_height);
            height = layer.height;
        }
        let (width, height) = (even(width), even(height));
        fitted.push(Layer { width, height, ..*layer });
        if width >= source_width && height >= source_height {
            break;
        }
    }
    // A small picture has fewer layers. The largest is the high one all the same: the room knows a track's top by that name.
    if fitted.last().is_some_and(|top| top.quality != Quality::High) {
        let names = Quality::ALL.into_iter().rev();
        fitted.iter_mut().rev().zip(names).for_each(|(layer, quality)| layer.quality = quality);
    }
    fitted
}

/// `side × to / from`, rounded down.
fn scaled(side: u32, to: u32, from: u32) -> u32 {
    u32::try_from(u64::from(side) * u64::from(to) / u64::from(from.max(1))).unwrap_or(u32::MAX)
}

fn even(side: u32) -> u32 {
    side.max(1).next_multiple_of(2)
}

fn section(out: &mut String, title: &str, elements: &[Element]) {
    let _ = writeln!(out, "{title}");
    elements.iter().for_each(|element| *out += &element.to_string());
}

/// The caps of a track's packets as text, `codec_data` in hex; nothing for a codec that publishers don't send here.
pub fn track_caps(format: &media::Format) -> Option<String> {
    let caps = match format.codec {
        // WebRTC publishers send parameter sets among the pictures.
        Codec::H264 if format.config.is_empty() => "video/x-h264, stream-format=byte-stream, alignment=au",
        Codec::H264 => "video/x-h264, stream-format=avc, alignment=au",
        Codec::H265 => "video/x-h265, stream-format=byte-stream, alignment=au",
        Codec::Aac => "audio/mpeg, mpegversion=4, stream-format=raw, framed=true",
        Codec::Mp3 => "audio/mpeg, mpegversion=1, layer=3, parsed=false",
        Codec::Vp8 => "video/x-vp8",
        Codec::Vp9 => "video/x-vp9",
        Codec::Av1 => "video/x-av1, stream-format=obu-stream, alignment=tu",
        Codec::Opus => return Some(opus::caps(&format.config)),
        codec if codec.config_is_caps() => {
            return std::str::from_utf8(&format.config)
                .ok()
                .filter(|caps| !caps.is_empty())
                .map(str::to_owned);
        }
        _ => return None,
    };
    let mut caps = caps.to_owned();
    if let Some((width, height)) = format.shape.pixel {
        let _ = write!(caps, ", pixel-aspect-ratio=(fraction){width}/{height}");
    }
    if !format.config.is_empty() {
        caps += ", codec_data=(buffer)";
        format.config.iter().for_each(|byte| {
            let _ = write!(caps, "{byte:02x}");
        });
    }
    Some(caps)
}

/// Longest and shortest side of a picture that is taken, pixels; larger ones are refused.
pub const MAX_PICTURE: (i32, i32) = (4096, 2304);

/// `videoflip`'s name for a turn.
pub fn direction(turn: Turn) -> &'static str {
    match (turn.mirrored, turn.quarters()) {
        (false, 1) => "90r",
        (false, 2) => "180",
        (false, 3) => "90l",
        (true, 0) => "horiz",
        (true, 1) => "ur-ll",
        (true, 2) => "vert",
        (true, _) => "ul-lr",
        (false, _) => "identity",
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
