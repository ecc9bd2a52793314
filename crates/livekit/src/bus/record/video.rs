use livekit_protocol::{
    IngressVideoEncodingOptions, IngressVideoEncodingPreset, IngressVideoOptions, TrackSource, VideoCodec,
    VideoLayer, VideoQuality, ingress_video_options::EncodingOptions,
};
use media::{Codec, Ladder, Layer, Quality};

use super::Invalid;

/// Frames per second when the record names none.
const USUAL_FPS: f64 = 30.0;
/// A cap on the frame rate that a record may name. It only bounds what comes from the source, and no live source is faster.
const MAX_FPS: f64 = 240.0;
/// The highest layer when the record names none (bus.md §7).
const USUAL_TOP: Layer = Layer { quality: Quality::High, width: 1280, height: 720, bitrate_bps: 1_700_000 };
/// What a layer of [`REFERENCE_PIXELS`] at 30 fps gets when the record names no bitrate; others in proportion ^0.75.
const REFERENCE_BPS: f64 = 3_500_000.0;
const REFERENCE_PIXELS: f64 = 1920.0 * 1080.0;
/// How bitrate follows area and frame rate: bigger pictures need fewer bits a pixel.
const BITRATE_EXPONENT: f64 = 0.75;

/// How the picture is published.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoOptions {
    /// The track's name, or empty.
    pub name: String,
    /// CAMERA (also when the record names none) or SCREEN_SHARE.
    pub source: TrackSource,
    /// With what.
    pub encoding: Encoding,
}

/// Codec and layers.
#[derive(Debug, Clone, PartialEq)]
pub enum Encoding {
    /// One of LiveKit's presets, by its name in the protocol (`H264_720P_30FPS_3_LAYERS`): the presets are data elsewhere.
    Preset(&'static str),
    /// What the record spells out, with all that it left open filled in. A lone layer is HIGH, whatever the record calls it.
    Custom(Ladder),
}

impl VideoOptions {
    pub(super) fn read(options: &IngressVideoOptions) -> Result<Self, Invalid> {
        let source = match TrackSource::try_from(options.source) {
            // As LiveKit's SDKs publish: clients look for a camera.
            Ok(TrackSource::Unknown) => TrackSource::Camera,
            Ok(s @ (TrackSource::Camera | TrackSource::ScreenShare)) => s,
            _ => return Err(Invalid::Source),
        };
        let preset = |number| IngressVideoEncodingPreset::try_from(number).map_err(|_| Invalid::Preset);
        let encoding = match &options.encoding_options {
            None => Encoding::Preset(IngressVideoEncodingPreset::default().as_str_name()),
            Some(EncodingOptions::Preset(number)) => Encoding::Preset(preset(*number)?.as_str_name()),
            Some(EncodingOptions::Options(custom)) => Encoding::Custom(ladder(custom)?),
        };
        Ok(Self { name: options.name.clone(), source, encoding })
    }
}

fn ladder(custom: &IngressVideoEncodingOptions) -> Result<Ladder, Invalid> {
    let codec = match VideoCodec::try_from(custom.video_codec) {
        Ok(VideoCodec::DefaultVc | VideoCodec::H264Baseline) => Codec::H264,
        Ok(VideoCodec::Vp8) => Codec::Vp8,
        _ => return Err(Invalid::VideoCodec),
    };
    if !custom.frame_rate.is_finite() {
        return Err(Invalid::FrameRate);
    }
    let fps = if custom.frame_rate <= 0.0 { USUAL_FPS } else { custom.frame_rate.min(MAX_FPS) };
    let layers = match custom.layers.as_slice() {
        [] => usual_layers(),
        asked => read_layers(asked, fps)?,
    };
    // At least one: a rate below 0.0005 fps is not "no limit".
    let max_fps_milli = ((fps * 1000.0).round() as u32).max(1);
    Ok(Ladder { codec, max_fps_milli, layers })
}

/// Three layers, each half the size of the one above.
fn usual_layers() -> Vec<Layer> {
    let shrunk = |(quality, shift): (Quality, u32)| {
        let (width, height) = (USUAL_TOP.width >> shift, USUAL_TOP.height >> shift);
        let ratio = area(width, height) / area(USUAL_TOP.width, USUAL_TOP.height);
        let bitrate_bps = (f64::from(USUAL_TOP.bitrate_bps) * ratio.powf(BITRATE_EXPONENT)) as u32;
        Layer { quality, width, height, bitrate_bps }
    };
    Quality::ALL.into_iter().zip([2, 1, 0]).map(shrunk).collect()
}

/// The layers that the record asks for, lowest first.
fn read_layers(asked: &[VideoLayer], fps: f64) -> Result<Vec<Layer>, Invalid> {
    let mut layers = asked.iter().map(|layer| read_layer(layer, fps)).collect::<Result<Vec<_>, _>>()?;
    layers.sort_by_key(|layer| layer.quality);
    for pair in layers.windows(2) {
        if pair[0].quality == pair[1].quality {
            return Err(Invalid::DuplicateQuality);
        }
        if pair[0].width > pair[1].width {
            return Err(Invalid::FallingWidth);
        }
        if pair[0].height > pair[1].height {
            return Err(Invalid::FallingHeight);
        }
    }
    if let [only] = layers.as_mut_slice() {
        only.quality = Quality::High; // LOW is the zero of the enum, so it is what a record without `quality` says
    }
    Ok(layers)
}

fn read_layer(layer: &VideoLayer, fps: f64) -> Result<Layer, Invalid> {
    let quality = match VideoQuality::try_from(layer.quality) {
        Ok(VideoQuality::Low) => Quality::Low,
        Ok(VideoQuality::Medium) => Quality::Medium,
        Ok(VideoQuality::High) => Quality::High,
        _ => return Err(Invalid::Quality),
    };
    let (width, height) = (layer.width, layer.height);
    if width == 0 || height == 0 {
        return Err(Invalid::Dimensions);
    }
    if width % 2 == 1 {
        return Err(Invalid::OddWidth);
    }
    if height % 2 == 1 {
        return Err(Invalid::OddHeight);
    }
    let usual = || {
        let scale = (fps / USUAL_FPS).powf(BITRATE_EXPONENT)
            * (area(width, height) / REFERENCE_PIXELS).powf(BITRATE_EXPONENT);
        ((REFERENCE_BPS * scale) as u32).max(1)
    };
    let bitrate_bps = if layer.bitrate == 0 { usual() } else { layer.bitrate };
    Ok(Layer { quality, width, height, bitrate_bps })
}

fn area(width: u32, height: u32) -> f64 {
    f64::from(width) * f64::from(height)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(encoding: Option<EncodingOptions>) -> Result<Encoding, Invalid> {
        let options = IngressVideoOptions { encoding_options: encoding, ..Default::default() };
        VideoOptions::read(&options).map(|video| video.encoding)
    }

    fn asked(quality: VideoQuality, width: u32, height: u32, bitrate: u32) -> VideoLayer {
        VideoLayer { quality: quality.into(), width, height, bitrate, ..Default::default() }
    }

    fn custom(frame_rate: f64, layers: Vec<VideoLayer>) -> Result<Ladder, Invalid> {
        ladder(&IngressVideoEncodingOptions { frame_rate, layers, ..Default::default() })
    }

    fn sizes(ladder: &Ladder) -> Vec<(Quality, u32, u32, u32)> {
        ladder.layers.iter().map(|l| (l.quality, l.width, l.height, l.bitrate_bps)).collect()
    }

    #[test]
    fn presets_go_by_their_protocol_names() {
        assert_eq!(read(None), Ok(Encoding::Preset("H264_720P_30FPS_3_LAYERS")));
        assert_eq!(read(Some(EncodingOptions::Preset(2))), Ok(Encoding::Preset("H264_540P_25FPS_2_LAYERS")));
        assert_eq!(
            read(Some(EncodingOptions::Preset(9))),
            Ok(Encoding::Preset("H264_1080P_30FPS_1_LAYER_HIGH_MOTION"))
        );
        assert_eq!(read(Some(EncodingOptions::Preset(10))), Err(Invalid::Preset));
    }

    #[test]
    fn custom_options_without_layers_are_720p_in_three() {
        let ladder = custom(0.0, vec![]).unwrap();
        assert_eq!((ladder.codec, ladder.max_fps_milli), (Codec::H264, 30_000));
        assert_eq!(
            sizes(&ladder),
            [
                (Quality::Low, 320, 180, 212_500),
                (Quality::Medium, 640, 360, 601_040),
                (Quality::High, 1280, 720, 1_700_000),
            ]
        );
    }

    #[test]
    fn a_layer_without_a_bitrate_gets_one_by_area_and_frame_rate() {
        let bitrate = |fps, width, height| {
            custom(fps, vec![asked(VideoQuality::High, width, height, 0)]).unwrap().layers[0].bitrate_bps
        };
        assert_eq!(bitrate(30.0, 1920, 1080), 3_500_000);
        assert_eq!(bitrate(60.0, 1920, 1080), 5_886_274);
        assert_eq!(bitrate(30.0, 960, 540), 1_237_436);
        assert_eq!(bitrate(30.0, 2, 2), 181);
    }

    #[test]
    fn layers_are_put_in_order_lowest_first() {
        let layers = vec![asked(VideoQuality::High, 640, 480, 9), asked(VideoQuality::Low, 320, 240, 5)];
        let ladder = custom(23.976, layers).unwrap();
        assert_eq!(ladder.max_fps_milli, 23_976);
        assert_eq!(sizes(&ladder), [(Quality::Low, 320, 240, 5), (Quality::High, 640, 480, 9)]);
    }

    #[test]
    fn a_lone_layer_is_high() {
        let ladder = custom(30.0, vec![asked(VideoQuality::Low, 640, 480, 9)]).unwrap();
        assert_eq!(ladder.layers[0].quality, Quality::High);
    }

    #[test]
    fn impossible_layers_and_rates_are_refused() {
        use VideoQuality::{High, Low, Off};
        let refused = |layers| custom(30.0, layers).unwrap_err();
        assert_eq!(refused(vec![asked(Low, 0, 240, 0)]), Invalid::Dimensions);
        assert_eq!(refused(vec![asked(Low, 321, 240, 0)]), Invalid::OddWidth);
        assert_eq!(refused(vec![asked(Low, 320, 241, 0)]), Invalid::OddHeight);
        assert_eq!(refused(vec![asked(Off, 320, 240, 0)]), Invalid::Quality);
        assert_eq!(
            refused(vec![asked(Low, 320, 240, 0), asked(Low, 640, 480, 0)]),
            Invalid::DuplicateQuality
        );
        assert_eq!(refused(vec![asked(Low, 640, 240, 0), asked(High, 320, 480, 0)]), Invalid::FallingWidth);
        assert_eq!(refused(vec![asked(Low, 320, 480, 0), asked(High, 640, 240, 0)]), Invalid::FallingHeight);
        assert_eq!(custom(f64::NAN, vec![]), Err(Invalid::FrameRate));
        assert_eq!(custom(f64::INFINITY, vec![]), Err(Invalid::FrameRate));
    }

    #[test]
    fn only_h264_baseline_and_vp8_are_published() {
        let codec = |codec: VideoCodec| {
            ladder(&IngressVideoEncodingOptions { video_codec: codec.into(), ..Default::default() })
                .map(|ladder| ladder.codec)
        };
        assert_eq!(codec(VideoCodec::H264Baseline), Ok(Codec::H264));
        assert_eq!(codec(VideoCodec::Vp8), Ok(Codec::Vp8));
        assert_eq!(codec(VideoCodec::H264High), Err(Invalid::VideoCodec));
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_is_a_ladder(
            fps in any::<f64>(),
            layers in proptest::collection::vec((0..5_i32, any::<u32>(), any::<u32>(), any::<u32>()), 0..5),
        ) {
            let layers = layers.into_iter().map(|(quality, width, height, bitrate)| {
                VideoLayer { quality, width, height, bitrate, ..Default::default() }
            });
            if let Ok(ladder) = custom(fps, layers.collect()) {
                prop_assert!(!ladder.layers.is_empty() && ladder.max_fps_milli > 0);
                prop_assert!(ladder.layers.is_sorted_by(|a, b| a.quality < b.quality && a.width <= b.width));
                prop_assert!(ladder.layers.iter().all(|l| l.bitrate_bps > 0 && l.height % 2 == 0));
            }
        }
    }
}
