use std::time::Instant;

use media::{Layer, Quality};

use crate::{Budget, Output, Qualities};

/// The layers of the video track: which somebody watches, which the worker was told to pause, and when each may have its
/// next keyframe.
#[derive(Debug)]
pub(crate) struct Layers {
    have: Vec<Layer>,
    wanted: Qualities,
    /// The machine has no CPU for the top layer.
    withheld: bool,
    paused: Qualities,
    keys: [Key; Quality::ALL.len()],
}

#[derive(Debug, Clone, Copy, Default)]
struct Key {
    last: Option<Instant>,
    /// Asked for since, and to be sent then.
    due: Option<Instant>,
}

impl Layers {
    /// All are wanted until the SFU says otherwise (publish.md §4).
    pub(crate) fn new() -> Self {
        let keys = [Key::default(); Quality::ALL.len()];
        Self { have: Vec::new(), wanted: Qualities::ALL, withheld: false, paused: Qualities::NONE, keys }
    }

    pub(crate) fn have(&self) -> &[Layer] {
        &self.have
    }

    fn qualities(&self) -> Qualities {
        self.have.iter().map(|layer| layer.quality).collect()
    }

    /// Layers that the worker encodes.
    pub(crate) fn active(&self) -> Qualities {
        self.qualities().without(self.paused)
    }

    /// True when they differ from those before.
    pub(crate) fn set(&mut self, layers: Vec<Layer>) -> bool {
        let changed = self.have != layers;
        self.have = layers;
        for quality in Qualities::ALL.without(self.qualities()).iter() {
            self.keys[index(quality)].due = None;
        }
        changed
    }

    pub(crate) fn want(&mut self, wanted: Qualities) {
        self.wanted = wanted;
    }

    /// Keeps the top layer back although it is wanted, or no longer. A track's only layer is never kept back.
    pub(crate) fn withhold(&mut self, withheld: bool) {
        self.withheld = withheld;
    }

    /// Layers not to be encoded. Who watches a top layer that is withheld gets the one below it, watched before or not.
    fn unneeded(&self) -> Qualities {
        let unwatched = self.qualities().without(self.wanted);
        match self.have.as_slice() {
            [.., below, top] if self.withheld && self.wanted.contains(top.quality) => {
                unwatched.iter().filter(|quality| *quality != below.quality).chain([top.quality]).collect()
            }
            _ => unwatched,
        }
    }

    /// For a new worker, which starts with keyframes: what it shall pause at once.
    pub(crate) fn restart(&mut self) -> Qualities {
        self.keys = Default::default();
        self.paused = self.unneeded();
        self.paused
    }

    /// Tells the worker what differs from what it was told before.
    pub(crate) fn apply(&mut self, now: Instant, budget: &Budget, out: &mut Vec<Output>) {
        let paused = self.unneeded();
        let before = std::mem::replace(&mut self.paused, paused);
        for quality in paused.without(before).iter() {
            self.keys[index(quality)].due = None;
            out.push(Output::Pause(quality));
        }
        for quality in before.without(paused).iter() {
            // A quality that the new ladder lacks was paused too: resuming it makes it work should it come back.
            out.push(Output::Resume(quality));
            self.keys[index(quality)] = Key::default();
            self.request(now, quality, budget, out);
        }
    }

    /// A keyframe, now or when the layer may have its next one; none of a layer that is paused, since its resumption brings one.
    pub(crate) fn request(&mut self, now: Instant, quality: Quality, budget: &Budget, out: &mut Vec<Output>) {
        let active = self.active().contains(quality);
        let key = &mut self.keys[index(quality)];
        if !active || key.due.is_some() {
            return;
        }
        match key.last.map(|last| last + budget.keyframe) {
            Some(next) if next > now => key.due = Some(next),
            _ => {
                key.last = Some(now);
                out.push(Output::Keyframe(quality));
            }
        }
    }

    /// Keyframes of every layer that is encoded.
    pub(crate) fn request_all(&mut self, now: Instant, budget: &Budget, out: &mut Vec<Output>) {
        for quality in self.active().iter() {
            self.request(now, quality, budget, out);
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.keys.iter().filter_map(|key| key.due).min()
    }

    /// Sends the keyframes whose time has come.
    pub(crate) fn expire(&mut self, now: Instant, out: &mut Vec<Output>) {
        for quality in Quality::ALL {
            let key = &mut self.keys[index(quality)];
            if key.due.take_if(|due| *due <= now).is_some() {
                key.last = Some(now);
                out.push(Output::Keyframe(quality));
            }
        }
    }

    /// Nobody is there to make them.
    pub(crate) fn drop_requests(&mut self) {
        self.keys = Default::default();
    }
}

fn index(quality: Quality) -> usize {
    usize::from(quality.number())
}
