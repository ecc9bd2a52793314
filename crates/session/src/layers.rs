use std::time::Instant;

use media::{Layer, MediaTime, Quality};

use crate::passing::Passing;
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
    /// Of the top layer.
    passing: Passing,
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
        let passing = Passing::default();
        let paused = Qualities::NONE;
        Self { have: Vec::new(), wanted: Qualities::ALL, withheld: false, paused, keys, passing }
    }

    pub(crate) fn have(&self) -> &[Layer] {
        &self.have
    }

    fn qualities(&self) -> Qualities {
        self.have.iter().map(|layer| layer.quality).collect()
    }

    /// The one that a publisher's own pictures may be.
    fn top(&self) -> Option<Quality> {
        self.have.last().map(|layer| layer.quality)
    }

    /// The top layer, while the publisher's own pictures are it.
    fn passed(&self) -> Qualities {
        self.top().filter(|_| self.passing.is_on()).into_iter().collect()
    }

    /// Layers that the worker encodes.
    pub(crate) fn active(&self) -> Qualities {
        self.qualities().without(self.paused)
    }

    /// There are layers, and none of them is encoded: the worker gets no pictures.
    pub(crate) fn are_asleep(&self) -> bool {
        !self.have.is_empty() && self.active().is_empty()
    }

    /// True when they differ from those before.
    pub(crate) fn set(&mut self, layers: Vec<Layer>) -> bool {
        let changed = self.have != layers;
        let top = self.top();
        self.have = layers;
        if self.top() != top {
            self.passing.stop();
        }
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

    /// Layers not to be encoded. Who watches a top layer that is withheld gets the one below it, watched before or not; one that
    /// is passed costs nothing and is not withheld.
    fn unneeded(&self) -> Qualities {
        let unwatched = self.qualities().without(self.wanted);
        match self.have.as_slice() {
            _ if self.passing.is_on() => unwatched.iter().chain(self.passed().iter()).collect(),
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
        self.open_or_close(out);
        let paused = self.unneeded();
        let before = std::mem::replace(&mut self.paused, paused);
        for quality in paused.without(self.passed()).iter() {
            self.keys[index(quality)].due = None;
        }
        out.extend(paused.without(before).iter().map(Output::Pause));
        for quality in before.without(paused).iter() {
            // A quality that the new ladder lacks was paused too: resuming it makes it work should it come back.
            out.push(Output::Resume(quality));
            self.keys[index(quality)] = Key::default();
            self.request(now, quality, budget, out);
        }
    }

    /// Nothing of a top layer that nobody wants goes out, whoever makes it.
    pub(crate) fn open_or_close(&mut self, out: &mut Vec<Output>) {
        let wanted = self.top().is_none_or(|top| self.wanted.contains(top));
        out.extend(self.passing.show(wanted).map(Output::ShowTop));
    }

    /// A keyframe, now or when the layer may have its next one; none of a layer that is paused, since its resumption brings one.
    pub(crate) fn request(&mut self, now: Instant, quality: Quality, budget: &Budget, out: &mut Vec<Output>) {
        let passed = self.passed().contains(quality);
        let active = passed || self.active().contains(quality);
        let key = &mut self.keys[index(quality)];
        if !active || key.due.is_some() {
            return;
        }
        let soon = self.passing.next_key(now, budget).filter(|_| passed);
        match key.last.map(|last| last + budget.keyframe).max(soon) {
            Some(next) if next > now => key.due = Some(next),
            _ => self.make_key(now, quality, out),
        }
    }

    /// Keyframes of every layer that somebody gets.
    pub(crate) fn request_all(&mut self, now: Instant, budget: &Budget, out: &mut Vec<Output>) {
        for quality in self.active().iter().chain(self.passed().iter()) {
            self.request(now, quality, budget, out);
        }
    }

    /// The worker makes one; for a layer that is passed it takes over until the publisher's next key picture.
    fn make_key(&mut self, now: Instant, quality: Quality, out: &mut Vec<Output>) {
        self.keys[index(quality)] = Key { last: Some(now), due: None };
        if self.passed().contains(quality) {
            self.passing.stop();
            self.paused = self.paused.without([quality].into_iter().collect());
            out.push(Output::Bridge(quality));
        } else {
            out.push(Output::Keyframe(quality));
        }
    }

    /// The publisher's own pictures are the top layer from here on. False when there is no such layer, or nobody wants it.
    pub(crate) fn pass(&mut self, now: Instant) -> bool {
        let Some(top) = self.top().filter(|top| self.wanted.contains(*top)) else { return false };
        self.passing.start(now);
        self.keys[index(top)] = Key { last: Some(now), due: None };
        true
    }

    /// One of the publisher's own key pictures went out.
    pub(crate) fn passed_key(&mut self, now: Instant) {
        if let Some(top) = self.passed().iter().next() {
            self.passing.key(now);
            self.keys[index(top)] = Key { last: Some(now), due: None };
        }
    }

    /// They are not any more, from `from` on. `resume`: there is a worker to be told.
    pub(crate) fn stop_passing(
        &mut self,
        now: Instant,
        from: MediaTime,
        resume: bool,
        out: &mut Vec<Output>,
    ) {
        let passed = self.passed();
        self.passing.stop();
        for top in passed.iter().filter(|_| resume) {
            self.paused = self.paused.without(passed);
            self.keys[index(top)] = Key { last: Some(now), due: None };
            out.push(Output::ResumeAt(top, from));
        }
    }

    /// Another publisher: what it sends is not known.
    pub(crate) fn new_source(&mut self) {
        self.passing.forget();
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.keys.iter().filter_map(|key| key.due).min()
    }

    /// Sends the keyframes whose time has come.
    pub(crate) fn expire(&mut self, now: Instant, out: &mut Vec<Output>) {
        for quality in Quality::ALL {
            if self.keys[index(quality)].due.is_some_and(|due| due <= now) {
                self.make_key(now, quality, out);
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
