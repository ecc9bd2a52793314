use super::*;

fn layer(quality: Quality, width: u32, height: u32, bitrate_bps: u32) -> Layer {
    Layer { quality, width, height, bitrate_bps }
}

fn picture(width: u32, height: u32) -> Picture {
    Picture { width, height, par: (1, 1), fps_milli: 29_970 }
}

fn value(elements: &[Element], name: &str) -> String {
    elements[0].properties.iter().find(|p| p.name == name).unwrap().value.clone()
}

#[test]
fn every_file_is_a_recipe_and_fills_all_its_places() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../pipelines/encoders");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), FILES.len());
    for recipe in recipes() {
        for quality in Quality::ALL {
            for speed in 0..=recipe.speeds.len() as u8 {
                let layer = layer(quality, 1280, 720, 1_900_000);
                let elements = recipe.elements(&layer, &picture(1280, 720), 8, speed);
                for property in elements.iter().flat_map(|element| &element.properties) {
                    assert!(!property.value.contains(['{', '}']), "{property:?}");
                    assert!(!property.reason.is_empty(), "{property:?}");
                }
            }
        }
    }
}

#[test]
fn threads_follow_the_picture_and_never_exceed_the_cpus() {
    let layer = layer(Quality::High, 1920, 1080, 3_500_000);
    let threads =
        |cpus| value(&recipe("x264").unwrap().elements(&layer, &picture(1920, 1080), cpus, 0), "threads");
    assert_eq!((threads(0), threads(2), threads(64)), ("1".into(), "2".into(), "3".into()));
}

#[test]
fn speeds_add_up_and_end_with_the_last() {
    let layer = layer(Quality::High, 640, 360, 700_000);
    let at = |speed| {
        let elements = recipe("x264").unwrap().elements(&layer, &picture(640, 360), 2, speed);
        (value(&elements, "speed-preset"), value(&elements, "option-string"))
    };
    let expected = [("veryfast", "subme=1"), ("veryfast", "subme=0"), ("ultrafast", "deblock=0,0:aq-mode=1")];
    for (speed, (preset, options)) in [0, 1, 2, 255].into_iter().zip(expected.iter().chain(expected.last())) {
        assert_eq!(at(speed), (preset.to_string(), options.to_string()), "{speed}");
    }
}

#[test]
fn a_layer_may_be_faster_and_different_from_the_start() {
    let text = "codec = 'h264'\nkind = 'software'\nrank = 1\nfactory = 'e'\nplugin = 'p'\npackage = 'g'\noutput = 'o'\noutput_reason = 'r'\n\
        properties = [{name = 'preset', value = 'slow', reason = 'r'}, {name = 'aq', value = '2', reason = 'r'}]\n\
        speeds = [{preset = {value = 'fast', reason = 'r'}}, {aq = {value = '0', reason = 'r'}}]\n\
        [layers.low]\nspeed = 1\nset = {size = {value = '{kbps}', reason = 'r'}}\n";
    let recipe: Recipe = toml::from_str(text).unwrap();
    let set = |quality, speed| {
        let elements = recipe.elements(&layer(quality, 320, 180, 237_500), &picture(320, 180), 1, speed);
        let shown = elements[0].properties.iter().map(|p| format!("{}={}", p.name, p.value));
        shown.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(set(Quality::High, 0), "preset=slow aq=2");
    assert_eq!(set(Quality::Low, 0), "preset=fast aq=2 size=238");
    assert_eq!(set(Quality::High, 1), "preset=fast aq=2");
    assert_eq!(set(Quality::Low, 1), "preset=fast aq=0 size=238");
}

#[test]
fn hardware_comes_first_then_rank_decides() {
    let names = |codec| {
        let recipes = recipes().iter().filter(move |recipe| recipe.codec == codec);
        recipes.map(|recipe| recipe.name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(Codec::H264), "nvenc nvenc_legacy vaapi vaapi_lp qsv vaapi_legacy v4l2 x264 openh264");
    assert_eq!(names(Codec::Vp8), "vp8");
}

#[test]
fn hardware_says_what_it_is_behind_and_software_is_behind_nothing() {
    for recipe in recipes() {
        assert_eq!(recipe.device.is_some(), recipe.kind == Kind::Hardware, "{}", recipe.name);
        assert!(!recipe.plugin.is_empty() && !recipe.package.is_empty());
    }
    for nodes in Nodes::ALL {
        assert_eq!(nodes.to_string().parse(), Ok(nodes));
    }
    assert!("gpu".parse::<Nodes>().unwrap_err().contains("render"));
}

#[test]
fn an_encoder_is_not_given_pictures_that_are_too_small_for_it() {
    let nvenc = recipe("nvenc").unwrap();
    assert!(nvenc.takes(&layer(Quality::Low, 320, 180, 1)));
    assert!(!nvenc.takes(&layer(Quality::Low, 102, 180, 1)));
}
