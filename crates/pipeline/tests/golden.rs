//! The plan that each preset and source turn into, as text in `pipelines/golden/`.
//!
//! A wanted change: `SLUICEGATE_WRITE_GOLDEN=1 cargo test -p sluicegate-pipeline --test golden`, then read the diff.

use std::{fs, path::PathBuf};

use sluicegate_pipeline::{Audio, Picture, Plan, encoder, ladder};

/// CPUs of the machine that the texts are made for.
const CPUS: u32 = 4;

const PRESETS: [&str; 3] =
    ["H264_720P_30FPS_3_LAYERS", "H264_1080P_30FPS_3_LAYERS", "H264_540P_25FPS_2_LAYERS"];

/// A name, what it stands for, and the picture as it leaves the decode chain.
const SOURCES: [(&str, &str, Option<Picture>); 6] = [
    ("720p30", "1280x720, 30 fps", picture(1280, 720, 30_000)),
    ("640x360", "640x360, 15 fps: slower and smaller than the preset", picture(640, 360, 15_000)),
    ("portrait", "720x1280 (or 1280x720 with a rotation tag), 30 fps", picture(720, 1280, 30_000)),
    ("1080i", "1920x1080 interlaced, 50 fields: 25 fps once deinterlaced", picture(1920, 1080, 25_000)),
    ("444", "1280x720 High 4:4:4, 60 fps: faster than the preset", picture(1280, 720, 60_000)),
    ("audio", "no picture", None),
];

const fn picture(width: u32, height: u32, fps_milli: u32) -> Option<Picture> {
    Some(Picture { width, height, par: (1, 1), fps_milli })
}

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "..", "pipelines", "golden"].iter().collect()
}

/// The text of one plan against its file, which it writes instead when asked to.
fn check(name: &str, text: &str) {
    let path = folder().join(name);
    if std::env::var_os("SLUICEGATE_WRITE_GOLDEN").is_some() {
        fs::write(&path, text).expect("the golden text can be written");
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        text,
        golden,
        "{} differs from the plan (how to update it: see this test's head)",
        path.display()
    );
}

#[test]
fn plans_are_the_golden_texts_and_no_text_is_without_its_plan() {
    for preset in PRESETS {
        let plan =
            Plan { video: ladder::preset(preset).unwrap(), audio: Audio::STEREO_96K, encoders: vec![] };
        for (name, means, picture) in SOURCES {
            let text = format!("# {preset}; source: {means}\n\n{}", plan.text(picture.as_ref(), CPUS));
            check(&format!("{}_{name}.txt", preset.to_lowercase()), &text);
        }
    }
    let (preset, (_, means, picture)) = (ladder::DEFAULT_PRESET, SOURCES[0]);
    for recipe in encoder::recipes() {
        let mut video = ladder::preset(preset).unwrap();
        video.codec = recipe.codec;
        let plan = Plan { video, audio: Audio::STEREO_96K, encoders: vec![recipe.name.to_owned()] };
        let text = plan.text(picture.as_ref(), CPUS);
        // The rest is the same for all.
        let layers = &text[text.find("layer high").unwrap()..text.find("audio, when").unwrap()];
        let text = format!("# {preset}; source: {means}; encoder: {}\n\n{layers}", recipe.name);
        check(&format!("encoder_{}.txt", recipe.name), &text);
    }
    let files = fs::read_dir(folder()).unwrap().count();
    assert_eq!(files, PRESETS.len() * SOURCES.len() + encoder::recipes().len());
}
