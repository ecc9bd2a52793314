use std::collections::VecDeque;

use media::{Layer, Quality};
use pipeline::{
    Effort, Picture, Plan,
    encoder::{self, Kind},
};

use crate::{
    build::Error,
    encoder::{Encoder, Recipe, Ways},
};

/// By which encoder each layer is encoded: the first one of the plan that has not failed. A device may refuse one more
/// session or die: its layer goes on with the next encoder and does not come back to it in this worker.
#[derive(Debug)]
pub(crate) struct Recipes {
    plan: Plan,
    cpus: u32,
    names: Vec<String>,
    /// Index of the first name that has not failed, for each quality.
    first: [usize; Quality::ALL.len()],
    pub(crate) effort: Effort,
    ways: Ways,
    /// What an operator should know, and has not been told.
    pub(crate) notes: VecDeque<String>,
}

impl Recipes {
    pub(crate) fn new(plan: Plan, cpus: u32, ways: Ways) -> Self {
        let names = plan.encoders();
        let first = [0; Quality::ALL.len()];
        Self { plan, cpus, names, first, effort: Effort::default(), ways, notes: VecDeque::new() }
    }

    /// How this layer is to be encoded now; `None` when every encoder that takes its size has failed.
    pub(crate) fn of(&self, layer: &Layer, picture: &Picture) -> Option<Recipe> {
        let names = &self.names[self.first[index(layer.quality)]..];
        names.iter().find_map(|name| {
            let elements = self.plan.encode(name, layer, picture, self.cpus, self.effort.speed)?;
            let hardware = encoder::recipe(name).is_some_and(|recipe| recipe.kind == Kind::Hardware);
            Some(Recipe { name: name.clone(), hardware, elements, fps_milli: picture.fps_milli })
        })
    }

    /// A running encoder for this layer, by the first recipe that can be built.
    pub(crate) fn start(&mut self, layer: &Layer, picture: &Picture) -> Result<Encoder, Error> {
        let quality = layer.quality;
        let mut failed: Option<(String, Error)> = None;
        loop {
            let Some(recipe) = self.of(layer, picture) else {
                let why = failed.map(|(name, error)| format!("{name} cannot be used: {error}"));
                return Err(Error::NoEncoder {
                    quality,
                    why: why.unwrap_or_else(|| "no other takes it".into()),
                });
            };
            let name = recipe.name.clone();
            if let Some((broken, error)) = failed.take() {
                let note = format!("encoder {broken} cannot be used, {name} takes its place: {error}");
                self.notes.push_back(note);
            }
            match Encoder::start(recipe, quality, &self.ways) {
                Ok(encoder) => return Ok(encoder),
                Err(error) => {
                    // What cannot be built for one layer cannot be built for any.
                    let after = self.after(&name);
                    self.first.iter_mut().for_each(|first| *first = (*first).max(after));
                    failed = Some((name, error));
                }
            }
        }
    }

    /// An encoder that takes the place of this layer's, which has failed while it ran.
    pub(crate) fn replace(
        &mut self,
        layer: &Layer,
        picture: &Picture,
        broken: &str,
        why: &str,
    ) -> Result<Encoder, Error> {
        let quality = layer.quality;
        let after = self.after(broken);
        let first = &mut self.first[index(quality)];
        *first = (*first).max(after);
        let next = self.start(layer, picture).map_err(|error| match error {
            Error::NoEncoder { quality, why: then } => {
                Error::NoEncoder { quality, why: format!("{broken} failed: {why}; {then}") }
            }
            other => other,
        })?;
        let name = &next.recipe.name;
        self.notes.push_back(format!("layer {quality}: encoder {broken} failed, {name} takes over: {why}"));
        Ok(next)
    }

    fn after(&self, name: &str) -> usize {
        self.names.iter().position(|known| known == name).map_or(0, |at| at + 1)
    }
}

fn index(quality: Quality) -> usize {
    usize::from(quality.number())
}
