//! The key `encoders`: `auto`, `software`, or the names of recipes.

use pipeline::{encoder, trial::Wish};

use super::section::Section;

const KEY: &str = "encoders";

pub(super) fn read(s: &mut Section<'_>) -> Wish {
    let names = s.list(KEY, |name| match name {
        "auto" | "software" => Ok(name.to_owned()),
        name if encoder::recipe(name).is_some() => Ok(name.to_owned()),
        _ => Err(format!("`{name}`: expected auto, software, or names out of: {}", known())),
    });
    match names.as_slice() {
        [] => Wish::Auto,
        [only] if only == "auto" => Wish::Auto,
        [only] if only == "software" => Wish::Software,
        names if names.iter().any(|name| name == "auto" || name == "software") => {
            s.wrong(KEY, 0, "auto and software stand alone: expected one of them, or names".to_owned());
            Wish::Auto
        }
        _ => Wish::Only(names),
    }
}

fn known() -> String {
    encoder::recipes().iter().map(|recipe| recipe.name).collect::<Vec<_>>().join(", ")
}
