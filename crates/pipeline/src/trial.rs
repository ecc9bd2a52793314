//! Which encoders work on this machine, and which of them sessions use.

use serde::{Deserialize, Serialize};

use crate::encoder::{self, Kind};

/// Pictures of a trial.
pub const PICTURES: u32 = 30;

/// What came of trying one encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// The recipe's name.
    pub encoder: String,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The end of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// GStreamer has no such element: its plugin is missing, or found no device.
    Missing,
    /// It is there and was not good for a session.
    Failed {
        /// For a person.
        why: String,
    },
    /// It made [`PICTURES`] pictures of 640x360, with a keyframe where one was asked for, as receivers need them.
    Works {
        /// From its making to the first picture, ms.
        start_ms: f64,
        /// For each of the others, ms.
        picture_ms: f64,
    },
}

/// What an operator wants of the encoders.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Wish {
    /// Hardware that works, then software, each by rank.
    #[default]
    Auto,
    /// Software, by rank.
    Software,
    /// These, in this order, as far as they work.
    Only(Vec<String>),
}

/// The recipes that sessions use, best first, for [`crate::Plan::encoders`]. Without trials none: plans then take software.
pub fn choose(trials: &[Trial], wish: &Wish) -> Vec<String> {
    let works = |name: &str| {
        let trial = trials.iter().find(|trial| trial.encoder == name);
        trial.is_some_and(|trial| matches!(trial.outcome, Outcome::Works { .. }))
    };
    let ranked = |wanted: fn(Kind) -> bool| {
        let recipes = encoder::recipes().iter().filter(move |recipe| wanted(recipe.kind));
        recipes.map(|recipe| recipe.name.to_owned()).collect()
    };
    let mut names: Vec<String> = match wish {
        Wish::Auto => ranked(|_| true),
        Wish::Software => ranked(|kind| kind == Kind::Software),
        Wish::Only(names) => names.clone(),
    };
    names.retain(|name| works(name));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trials(working: &[&str]) -> Vec<Trial> {
        let outcome = |name| match working.contains(&name) {
            true => Outcome::Works { start_ms: 1.0, picture_ms: 1.0 },
            false if name == "qsv" => Outcome::Failed { why: "no session".to_owned() },
            false => Outcome::Missing,
        };
        let recipes = encoder::recipes().iter();
        recipes.map(|r| Trial { encoder: r.name.to_owned(), outcome: outcome(r.name) }).collect()
    }

    #[test]
    fn what_works_is_used_hardware_first() {
        let found = trials(&["x264", "openh264", "vp8", "vaapi"]);
        assert_eq!(choose(&found, &Wish::Auto), ["vaapi", "x264", "openh264", "vp8"]);
        assert_eq!(choose(&found, &Wish::Software), ["x264", "openh264", "vp8"]);
        assert_eq!(choose(&[], &Wish::Auto), Vec::<String>::new());
    }

    #[test]
    fn an_operators_list_is_kept_in_its_order_as_far_as_it_works() {
        let found = trials(&["x264", "openh264"]);
        let only = |names: &[&str]| Wish::Only(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(choose(&found, &only(&["openh264", "x264"])), ["openh264", "x264"]);
        assert_eq!(choose(&found, &only(&["nvenc", "qsv", "openh264"])), ["openh264"]);
        assert_eq!(choose(&found, &only(&["nvenc"])), Vec::<String>::new());
    }

    #[test]
    fn trials_are_flat_json() {
        let trial = Trial { encoder: "qsv".into(), outcome: Outcome::Failed { why: "no session".into() } };
        let json = serde_json::to_string(&trial).unwrap();
        assert_eq!(json, r#"{"encoder":"qsv","outcome":"failed","why":"no session"}"#);
        assert_eq!(serde_json::from_str::<Trial>(&json).unwrap(), trial);
        let works =
            Trial { encoder: "x264".into(), outcome: Outcome::Works { start_ms: 12.5, picture_ms: 2.0 } };
        let json = serde_json::to_string(&works).unwrap();
        assert_eq!(serde_json::from_str::<Trial>(&json).unwrap(), works);
    }
}
