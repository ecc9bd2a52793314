use bytes::Bytes;
use media::{Format, Quality};
use proptest::prelude::*;

use super::*;
use crate::ladder;

fn plan(preset: &str) -> Plan {
    Plan { video: ladder::preset(preset).unwrap(), audio: Audio::STEREO_96K, encoders: vec![] }
}

fn picture(width: u32, height: u32) -> Picture {
    Picture { width, height, par: (1, 1), fps_milli: 30_000 }
}

fn sizes(preset: &str, picture: Picture) -> Vec<(Quality, u32, u32)> {
    let branches = plan(preset).fit(&picture, 2, 0);
    branches.iter().map(|b| (b.layer.quality, b.layer.width, b.layer.height)).collect()
}

#[test]
fn layers_shrink_to_fit_and_stop_at_the_source_size() {
    use Quality::{High, Low, Medium};
    let default = ladder::DEFAULT_PRESET;
    let of = |width, height| sizes(default, picture(width, height));
    assert_eq!(of(1280, 720), [(Low, 320, 180), (Medium, 640, 360), (High, 1280, 720)]);
    assert_eq!(of(640, 360), [(Medium, 320, 180), (High, 640, 360)]);
    assert_eq!(of(1920, 1080), [(Low, 320, 180), (Medium, 640, 360), (High, 1280, 720)]);
    assert_eq!(of(720, 1280), [(Low, 102, 180), (Medium, 202, 360), (High, 406, 720)]);
    assert_eq!(of(160, 90), [(High, 160, 90)]);
    assert_eq!(of(1, 1), [(High, 2, 2)]);
}

#[test]
fn pixels_become_square_before_they_are_fitted() {
    let pal = Picture { par: (64, 45), ..picture(720, 576) };
    assert_eq!(pal.square(), (1024, 576));
    let (_, width, height) = sizes(ladder::DEFAULT_PRESET, pal)[2];
    assert_eq!((width, height), (1024, 576));
    assert_eq!(Picture { par: (0, 0), ..pal }.square(), (720, 576));
}

#[test]
fn frame_rate_is_a_maximum() {
    let fps = |fps_milli| {
        plan("H264_540P_25FPS_2_LAYERS").fit(&Picture { fps_milli, ..picture(960, 540) }, 2, 0)[0].fps_milli
    };
    assert_eq!((fps(60_000), fps(25_000), fps(12_500)), (25_000, 25_000, 12_500));
}

#[test]
fn a_layer_of_the_source_size_is_not_scaled() {
    let scaled = |picture| {
        let branches = plan(ladder::DEFAULT_PRESET).fit(&picture, 2, 0);
        branches.iter().map(|branch| !branch.scale.is_empty()).collect::<Vec<_>>()
    };
    assert_eq!(scaled(picture(1280, 720)), [true, true, false]);
    assert_eq!(scaled(Picture { par: (4, 3), ..picture(960, 720) }), [true, true, true]);
    assert_eq!(scaled(picture(639, 359)), [true, true]);
}

#[test]
fn audio_options_follow_livekit() {
    assert_eq!(Audio::custom(0, 0, true), Audio::STEREO_96K);
    assert_eq!(Audio::custom(1, 0, true), Audio::MONO_64K);
    assert_eq!(Audio::custom(6, 9_999_999, false), Audio { channels: 2, bitrate_bps: 510_000, dtx: false });
}

#[test]
fn caps_carry_the_decoder_configuration() {
    let caps = |codec, config| track_caps(&Format::new(codec, Bytes::from_static(config)));
    assert_eq!(
        caps(Codec::Aac, &[0x12, 0x10]).unwrap(),
        "audio/mpeg, mpegversion=4, stream-format=raw, framed=true, codec_data=(buffer)1210"
    );
    assert!(
        caps(Codec::H264, &[1, 2])
            .unwrap()
            .ends_with("stream-format=avc, alignment=au, codec_data=(buffer)0102")
    );
    assert_eq!(caps(Codec::H264, &[]).unwrap(), "video/x-h264, stream-format=byte-stream, alignment=au");
    assert_eq!(caps(Codec::Mp3, &[]).unwrap(), "audio/mpeg, mpegversion=1, layer=3, parsed=false");
    assert!(caps(Codec::Opus, &[]).unwrap().starts_with("audio/x-opus, "));
    assert_eq!(caps(Codec::Flac, b"audio/x-flac, rate=48000").unwrap(), "audio/x-flac, rate=48000");
    assert_eq!((caps(Codec::Vorbis, &[]), caps(Codec::Vorbis, &[0xff])), (None, None));
    let shape = media::Shape { pixel: Some((64, 45)), ..media::Shape::default() };
    let wide = Format { shape, ..Format::new(Codec::Vp8, Bytes::new()) };
    assert_eq!(track_caps(&wide).unwrap(), "video/x-vp8, pixel-aspect-ratio=(fraction)64/45");
}

#[test]
fn every_property_has_a_reason() {
    let plan = plan(ladder::DEFAULT_PRESET);
    let branches = plan.fit(&picture(1280, 720), 2, 0);
    let elements =
        Codec::ALL.into_iter().flat_map(|codec| plan.decode(codec)).chain(plan.autoplug(Kind::Video));
    let elements = elements.chain(branches.into_iter().flat_map(|b| [b.scale, b.encode].concat()));
    for property in elements.flat_map(|element| element.properties) {
        assert!(!property.reason.is_empty(), "{property:?}");
    }
}

#[test]
fn the_plans_encoders_are_tried_in_its_order_and_software_stands_in() {
    let with = |preset: &str, names: &[&str]| {
        let encoders = names.iter().map(|name| (*name).to_owned()).collect();
        Plan { encoders, ..plan(preset) }
    };
    let default = ladder::DEFAULT_PRESET;
    assert_eq!(with(default, &[]).encoders(), ["x264", "openh264"]);
    assert_eq!(with(default, &["openh264", "vp8", "x264", "gone"]).encoders(), ["openh264", "x264"]);
    assert_eq!(with(default, &["vp8"]).encoders(), ["x264", "openh264"]);
    assert_eq!(with(default, &["vaapi"]).encoders(), ["vaapi", "x264", "openh264"]);
    let mut vp8 = with(default, &["vaapi", "x264"]);
    vp8.video.codec = Codec::Vp8;
    assert_eq!(vp8.encoders(), ["vp8"]);
    vp8.video.codec = Codec::Aac;
    assert_eq!((vp8.encoders().len(), vp8.fit(&picture(64, 64), 1, 0).len()), (0, 0));
}

#[test]
fn a_layer_too_small_for_an_encoder_goes_to_the_next_one() {
    let encoders = vec!["nvenc".to_owned()];
    let plan = Plan { encoders, ..plan(ladder::DEFAULT_PRESET) };
    let branches = plan.fit(&picture(720, 1280), 2, 0);
    let factories: Vec<_> = branches.iter().map(|b| b.encode[b.encode.len() - 2].factory.clone()).collect();
    assert_eq!(factories, ["x264enc", "nvcudah264enc", "nvcudah264enc"]);
    assert!(plan.encode("nvenc", &branches[0].layer, &picture(720, 1280), 2, 0).is_none());
}

#[test]
fn a_worker_may_open_the_devices_of_its_plans_encoders_only() {
    let devices = |names: &[&str]| {
        let encoders = names.iter().map(|name| (*name).to_owned()).collect();
        let plan = Plan { encoders, ..plan(ladder::DEFAULT_PRESET) };
        plan.devices().into_iter().map(encoder::Nodes::name).collect::<Vec<_>>()
    };
    assert_eq!(devices(&[]), Vec::<&str>::new());
    assert_eq!(devices(&["x264", "vp8"]), Vec::<&str>::new());
    assert_eq!(devices(&["nvenc", "vaapi", "qsv", "x264"]), ["render", "nvidia"]);
}

proptest! {
    #[test]
    fn fitted_layers_are_even_never_larger_and_keep_the_shape(
        width in 16_u32..8000, height in 16_u32..8000, which in 0_usize..10,
    ) {
        let preset = ladder::presets().nth(which).unwrap();
        let branches = plan(preset).fit(&picture(width, height), 4, 0);
        prop_assert!(!branches.is_empty());
        for Branch { layer, .. } in branches {
            prop_assert!(layer.width % 2 == 0 && layer.height % 2 == 0);
            prop_assert!(layer.width <= even(width) && layer.height <= even(height));
            // Rounding moves each side by less than two pixels.
            let ideal = f64::from(layer.height) * f64::from(width) / f64::from(height);
            let slack = 2.0 + 2.0 * f64::from(width) / f64::from(height);
            prop_assert!((f64::from(layer.width) - ideal).abs() <= slack, "{:?}", layer);
        }
    }
}
