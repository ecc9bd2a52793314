use std::time::{Duration, Instant};

use crate::Budget;

/// The top layer, as far as the publisher's own pictures can be it.
#[derive(Debug)]
pub(crate) struct Passing {
    on: bool,
    /// Somebody wants the top layer.
    shown: bool,
    last_key: Option<Instant>,
    /// Between the last two key pictures.
    interval: Option<Duration>,
}

impl Default for Passing {
    fn default() -> Self {
        Self { on: false, shown: true, last_key: None, interval: None }
    }
}

impl Passing {
    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    pub(crate) fn start(&mut self, now: Instant) {
        self.on = true;
        (self.last_key, self.interval) = (Some(now), None);
    }

    pub(crate) fn stop(&mut self) {
        self.on = false;
    }

    /// The same for another publisher.
    pub(crate) fn forget(&mut self) {
        *self = Self { shown: self.shown, ..Self::default() };
    }

    /// A key picture went out.
    pub(crate) fn key(&mut self, now: Instant) {
        self.interval = self.last_key.replace(now).map(|last| now - last);
    }

    /// Whether the layer is to be shown, when that is a change. A layer that is not shown is not passed: what comes first
    /// when it is wanted again is a keyframe of the worker's.
    pub(crate) fn show(&mut self, wanted: bool) -> Option<bool> {
        let changed = std::mem::replace(&mut self.shown, wanted) != wanted;
        self.on &= wanted;
        changed.then_some(wanted)
    }

    /// When to look again, if the publisher's next key picture is so near that a keyframe of the worker's own would hardly
    /// come sooner.
    pub(crate) fn next_key(&self, now: Instant, budget: &Budget) -> Option<Instant> {
        let next = self.last_key? + self.interval?;
        (now <= next && next - now <= budget.near_key).then(|| next + budget.near_key)
    }
}
