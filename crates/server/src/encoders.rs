//! The machine's encoders: tried at start, chosen for sessions, and shown by `sluicegate encoders`.

use std::{fmt::Write as _, time::Instant};

use anyhow::{Context, Result};
use pipeline::{
    Launch,
    encoder::{self, Kind, Recipe},
    trial::{self, Outcome, Trial, Wish},
};
use serde::Serialize;

/// Makes the plugin registry, tries the encoders and gives the names of those that sessions use, best first; none when they
/// could not be tried, which is no reason not to serve: plans take software then.
///
/// # Errors
/// There is no worker, or no GStreamer.
pub async fn prepare(launch: &Launch, wish: &Wish) -> Result<Vec<String>> {
    build_registry(launch).await?;
    let begin = Instant::now();
    let trials = launch.try_encoders().await.unwrap_or_else(|error| {
        tracing::error!(%error, "encoders could not be tried: sessions use software");
        Vec::new()
    });
    let chosen = trial::choose(&trials, wish);
    let millis = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(encoders = %chosen.join(", "), millis, "encoders tried");
    for Trial { encoder, outcome } in &trials {
        let wanted = matches!(wish, Wish::Only(names) if names.contains(encoder));
        match outcome {
            Outcome::Failed { why } => tracing::warn!(encoder, "encoder is there and does not work: {why}"),
            Outcome::Missing if wanted => {
                tracing::warn!(
                    encoder,
                    "encoder of the configuration is missing: `sluicegate encoders` says more"
                );
            }
            _ => {}
        }
    }
    Ok(chosen)
}

async fn build_registry(launch: &Launch) -> Result<()> {
    launch.build_registry().await.context(
        "start the media worker: is sluicegate-worker installed beside this executable, with GStreamer?",
    )
}

/// What `sluicegate encoders` prints: a table for people, or JSON.
///
/// # Errors
/// There is no worker, no GStreamer, or nowhere to put the registry; the encoders cannot be tried.
pub async fn report(launch: &Launch, wish: &Wish, json: bool) -> Result<String> {
    build_registry(launch).await?;
    let trials = launch.try_encoders().await?;
    let lines = lines(&trials, wish);
    Ok(if json { serde_json::to_string_pretty(&lines)? } else { table(&lines) })
}

/// One encoder, as it is shown.
#[derive(Debug, PartialEq, Serialize)]
struct Line {
    encoder: &'static str,
    kind: Kind,
    codec: media::Codec,
    element: &'static str,
    found: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    picture_ms: Option<f64>,
    /// Place among the encoders of its codec, from 1; nothing when sessions do not use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<usize>,
    why: String,
}

fn lines(trials: &[Trial], wish: &Wish) -> Vec<Line> {
    let chosen = trial::choose(trials, wish);
    let line = |recipe: &'static Recipe| {
        let same = |name: &&String| encoder::recipe(name).is_some_and(|other| other.codec == recipe.codec);
        let place = chosen.iter().filter(same).position(|name| name == recipe.name).map(|at| at + 1);
        let outcome = trials.iter().find(|trial| trial.encoder == recipe.name).map(|trial| &trial.outcome);
        let picture_ms = match outcome {
            Some(Outcome::Works { picture_ms, .. }) => Some(*picture_ms),
            _ => None,
        };
        Line {
            encoder: recipe.name,
            kind: recipe.kind,
            codec: recipe.codec,
            element: &recipe.factory,
            found: !matches!(outcome, Some(Outcome::Missing) | None),
            picture_ms,
            place,
            why: why(recipe, outcome, place),
        }
    };
    encoder::recipes().iter().map(line).collect()
}

fn why(recipe: &Recipe, outcome: Option<&Outcome>, place: Option<usize>) -> String {
    match (outcome, place) {
        (None, _) => "was not tried".to_owned(),
        (Some(Outcome::Missing), _) => {
            let device = recipe.device.as_ref().map_or(String::new(), |device| {
                format!(", or it found no device ({})", device.nodes.pattern())
            });
            format!(
                "no element {}: plugin {} is missing{device}; comes with {}",
                recipe.factory, recipe.plugin, recipe.package
            )
        }
        (Some(Outcome::Failed { why }), _) => why.clone(),
        (Some(Outcome::Works { .. }), Some(1)) => "best that works and is wanted".to_owned(),
        (Some(Outcome::Works { .. }), Some(_)) => "stands in when those before it fail".to_owned(),
        (Some(Outcome::Works { .. }), None) => "works, but the configuration does not want it".to_owned(),
    }
}

fn table(lines: &[Line]) -> String {
    let mut out = format!(
        "{:<13} {:<9} {:<6} {:<6} {:>10}  {:<6} {}\n",
        "encoder", "kind", "codec", "found", "ms/picture", "used", "why"
    );
    for Line { encoder, kind, codec, found, picture_ms, place, why, .. } in lines {
        let kind = match kind {
            Kind::Hardware => "hardware",
            Kind::Software => "software",
        };
        let codec = codec.mime_type().trim_start_matches("video/");
        let found = if *found { "yes" } else { "no" };
        let ms = picture_ms.map_or("-".to_owned(), |ms| format!("{ms:.1}"));
        let used = match place {
            Some(1) => "first".to_owned(),
            Some(place) => format!("{place}."),
            None => "no".to_owned(),
        };
        let _ = writeln!(out, "{encoder:<13} {kind:<9} {codec:<6} {found:<6} {ms:>10}  {used:<6} {why}");
    }
    out += "ms/picture: of 640x360, one after the other, on this machine as busy as it was.\n";
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trials() -> Vec<Trial> {
        let outcome = |name| match name {
            "x264" => Outcome::Works { start_ms: 40.0, picture_ms: 5.25 },
            "openh264" => Outcome::Works { start_ms: 30.0, picture_ms: 4.0 },
            "vp8" => Outcome::Works { start_ms: 30.0, picture_ms: 6.0 },
            "qsv" => Outcome::Failed { why: "no session is left".to_owned() },
            _ => Outcome::Missing,
        };
        let recipes = encoder::recipes().iter();
        recipes.map(|r| Trial { encoder: r.name.to_owned(), outcome: outcome(r.name) }).collect()
    }

    fn shown(wish: &Wish, name: &str) -> (Option<usize>, String) {
        let line = lines(&trials(), wish).into_iter().find(|line| line.encoder == name).unwrap();
        (line.place, line.why)
    }

    #[test]
    fn each_encoder_says_why_it_is_used_or_not() {
        let (place, why) = shown(&Wish::Auto, "nvenc");
        assert_eq!(place, None);
        assert!(
            why.contains("nvcudah264enc") && why.contains("/dev/nvidia") && why.contains("libcuda"),
            "{why}"
        );
        assert_eq!(shown(&Wish::Auto, "qsv"), (None, "no session is left".to_owned()));
        assert_eq!(shown(&Wish::Auto, "x264").0, Some(1));
        assert_eq!(shown(&Wish::Auto, "openh264").0, Some(2));
        assert_eq!(shown(&Wish::Auto, "vp8").0, Some(1), "the first of its codec");
        let forced = Wish::Only(vec!["openh264".to_owned()]);
        assert_eq!(shown(&forced, "openh264").0, Some(1));
        let (place, why) = shown(&forced, "x264");
        assert!(place.is_none() && why.contains("configuration"), "{why}");
    }

    #[test]
    fn the_table_and_the_json_have_a_line_for_each_encoder() {
        let lines = lines(&trials(), &Wish::Auto);
        let table = table(&lines);
        assert_eq!(table.lines().count(), encoder::recipes().len() + 2);
        let x264 = table.lines().find(|line| line.starts_with("x264 ")).unwrap();
        let words: Vec<&str> = x264.split_whitespace().take(6).collect();
        assert_eq!(words, ["x264", "software", "H264", "yes", "5.2", "first"]);
        let json: serde_json::Value = serde_json::to_value(&lines).unwrap();
        assert_eq!(json.as_array().unwrap().len(), encoder::recipes().len());
        assert_eq!((&json[0]["found"], &json[0]["kind"]), (&false.into(), &"hardware".into()));
    }
}
