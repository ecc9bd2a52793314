use std::{sync::Arc, time::Instant};

use gstreamer as gst;
use gstreamer_video as gst_video;
use media::{Codec, MediaTime, Quality};
use pipeline::{Effort, Event, Picture, Plan, Source};

use crate::{
    branch::Running,
    build::{Error, News},
    clock,
    encoder::{Key, Ways},
    inbox::{Frame, Inbox, Origin},
    load::{Arrivals, Gauge},
    outbox::Outbox,
    rate::{Halve, Limit, Measure},
    recipes::Recipes,
    watch::Watch,
};

/// Which frame goes to which layer. Scaling is a cascade: each layer is made from the next larger one that runs, which
/// costs less and looks better than scaling the source four to one.
#[derive(Debug)]
pub(crate) struct Video {
    plan: Plan,
    cpus: u32,
    inbox: Arc<Inbox>,
    outbox: Outbox,
    /// Pictures before it are decoded only.
    output_from: Option<gst::ClockTime>,
    arrivals: Arrivals,
    gauge: Gauge,
    limit: Limit,
    /// Of the top layer.
    halve: Halve,
    /// Known once the first frame is decoded.
    seen: Option<Seen>,
    recipes: Recipes,
    /// Encoders may not be what they should since the last change of effort.
    unsettled: bool,
    /// Smallest first.
    branches: Vec<Running>,
    watch: Watch,
    generation: u64,
}

/// The source as last seen.
#[derive(Debug)]
struct Seen {
    caps: gst::Caps,
    info: gst_video::VideoInfo,
    measure: Measure,
}

impl Seen {
    fn picture(&self) -> Picture {
        let side = |side: i32| u32::try_from(side).unwrap_or(1).max(1);
        Picture {
            width: self.info.width(),
            height: self.info.height(),
            par: (side(self.info.par().numer()), side(self.info.par().denom())),
            fps_milli: self.measure.fps_milli(),
        }
    }
}

impl Video {
    pub(crate) fn new(
        plan: Plan,
        inbox: Arc<Inbox>,
        outbox: Outbox,
        output_from: Option<gst::ClockTime>,
    ) -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1));
        let gauge = Gauge::default();
        let ways = Ways { outbox: outbox.clone(), gauge: gauge.clone() };
        Self {
            recipes: Recipes::new(plan.clone(), cpus, ways),
            limit: Limit::new(plan.video.max_fps_milli),
            plan,
            cpus,
            inbox,
            outbox,
            output_from,
            arrivals: Arrivals::default(),
            gauge,
            halve: Halve::default(),
            seen: None,
            unsettled: false,
            branches: vec![],
            watch: Watch::default(),
            generation: 0,
        }
    }

    /// A coded picture goes to the decoder, and has waited since `since`.
    pub(crate) fn expect(&mut self, pts: MediaTime, since: Instant) {
        if let Some(time) = clock::to_gst(pts) {
            self.arrivals.note(time, since);
        }
    }

    /// A raw frame, from the decoder of a `codec` track or from a layer that feeds smaller ones.
    pub(crate) fn frame(&mut self, frame: Frame, codec: Codec) -> Result<(), Error> {
        match frame.from {
            Origin::Decoder => self.decoded(&frame.sample, codec),
            Origin::Layer(quality, generation) => {
                let at = self.branches.iter().position(|branch| branch.layer.quality == quality);
                // Nothing is taken from an earlier fit.
                if let Some(at) = at.filter(|_| generation == self.generation) {
                    self.encode(&frame.sample, at);
                    self.feed(&frame.sample, at)?;
                }
                Ok(())
            }
        }
    }

    fn decoded(&mut self, sample: &gst::Sample, codec: Codec) -> Result<(), Error> {
        let Some(time) = clock::running_time(sample) else { return Ok(()) };
        let changed = self.look(sample);
        let Some(seen) = &mut self.seen else { return Ok(()) };
        if seen.measure.note(time.nseconds()) || changed {
            self.refit(codec)?;
        }
        if self.output_from.is_some_and(|from| time < from) || !self.limit.passes(time.nseconds()) {
            return Ok(());
        }
        if let Some(time) = time_of(sample) {
            self.halve.note(time.nseconds());
        }
        self.feed(sample, self.branches.len())
    }

    /// Notes the picture; true when it is another than before.
    fn look(&mut self, sample: &gst::Sample) -> bool {
        let Some(caps) = sample.caps() else { return false };
        if self.seen.as_ref().is_some_and(|seen| seen.caps.as_ptr() == caps.as_ptr()) {
            return false;
        }
        let Ok(info) = gst_video::VideoInfo::from_caps(caps) else { return false };
        let shape = |info: &gst_video::VideoInfo| (info.width(), info.height(), info.par(), info.fps());
        if let Some(seen) = &mut self.seen
            && shape(&seen.info) == shape(&info)
        {
            seen.caps = caps.to_owned();
            return false;
        }
        let fps = info.fps();
        let declared = i64::from(fps.numer()) * 1000 / i64::from(fps.denom().max(1));
        let measure = Measure::new(u32::try_from(declared).unwrap_or(0), self.plan.video.max_fps_milli);
        self.seen = Some(Seen { caps: caps.to_owned(), info, measure });
        true
    }

    /// Makes new branches for the picture as it is now, and says so.
    fn refit(&mut self, codec: Codec) -> Result<(), Error> {
        let Some(seen) = &self.seen else { return Ok(()) };
        let picture = seen.picture();
        let Picture { width, height, fps_milli, .. } = picture;
        self.outbox.send(Event::Source(Source::Video { codec, width, height, fps_milli }));
        self.generation += 1;
        let fitted = self.plan.fit(&picture, self.cpus, self.recipes.effort.speed);
        // The old ones end here: what they still held is older than what comes.
        self.branches.clear();
        for (at, branch) in fitted.iter().enumerate() {
            let picture =
                Picture { fps_milli: self.encoded_fps(at + 1 == fitted.len(), branch.fps_milli), ..picture };
            let encoder = self.recipes.start(&branch.layer, &picture)?;
            self.branches.push(Running::new(branch, encoder, self.generation, &self.inbox));
        }
        self.outbox.send(Event::Layers(fitted.iter().map(|branch| branch.layer).collect()));
        Ok(())
    }

    /// What of a layer's frame rate is encoded.
    fn encoded_fps(&self, top: bool, fps_milli: u32) -> u32 {
        if top && self.halve.on { fps_milli.div_ceil(2) } else { fps_milli }
    }

    /// Gives a frame to the largest running layer among the first `below`. What its scaler makes of it comes back and
    /// goes on to the next smaller; a layer that needs no scaler passes this one on.
    fn feed(&mut self, sample: &gst::Sample, below: usize) -> Result<(), Error> {
        let Some(time) = time_of(sample) else { return Ok(()) };
        let mut sample = sample.clone();
        for at in (0..below).rev() {
            if !self.watch.wants(self.branches[at].layer.quality, time) {
                continue;
            }
            let smaller = self.branches[..at].iter().any(|b| self.watch.wants(b.layer.quality, time));
            if !smaller && self.is_left_out(at, time) {
                break;
            }
            let Some(scaled) = self.branches[at].scale(&sample)? else { break };
            self.encode(&scaled, at);
            sample = scaled;
        }
        Ok(())
    }

    /// Gives a frame of a layer's size to its encoder.
    fn encode(&mut self, sample: &gst::Sample, at: usize) {
        let Some(time) = time_of(sample) else { return };
        let quality = self.branches[at].layer.quality;
        if self.watch.wants(quality, time)
            && !self.is_left_out(at, time)
            && self.branches[at].encode(sample, self.arrivals.of(time))
        {
            self.watch.begun(quality);
        }
    }

    /// Of the top layer only every second frame is wanted, and this is not one of them.
    fn is_left_out(&self, at: usize, time: gst::ClockTime) -> bool {
        let top = at + 1 == self.branches.len();
        top && self.halve.leaves_out(time.nseconds()) && !self.watch.begins(self.branches[at].layer.quality)
    }

    pub(crate) fn keyframe(&mut self, quality: Quality) {
        self.want_keyframe(quality, Key::Soon);
    }

    fn want_keyframe(&mut self, quality: Quality, key: Key) {
        if let Some(branch) = self.branches.iter_mut().find(|branch| branch.layer.quality == quality) {
            branch.want_keyframe(key);
        }
    }

    pub(crate) fn skip_to(&mut self, time: MediaTime) {
        self.output_from = clock::to_gst(time);
    }

    pub(crate) fn pause(&mut self, quality: Quality) {
        self.watch.pause(quality);
    }

    pub(crate) fn resume(&mut self, quality: Quality) {
        if self.watch.resume(quality) {
            self.resumed(quality);
        }
    }

    /// Resumes a layer with the first picture at or after `time`; one that runs already goes on.
    pub(crate) fn resume_at(&mut self, quality: Quality, time: MediaTime) {
        // A time before all times is now.
        if self.watch.resume_at(quality, clock::to_gst(time).unwrap_or(gst::ClockTime::ZERO)) {
            self.resumed(quality);
        }
    }

    fn resumed(&mut self, quality: Quality) {
        self.unsettled = true;
        self.want_keyframe(quality, Key::Next);
    }

    /// Encodes with this effort from now on; encoders follow in [`Video::tend`].
    pub(crate) fn set_effort(&mut self, effort: Effort) {
        self.unsettled |= effort != self.recipes.effort;
        self.halve.on = effort.half_rate;
        self.recipes.effort = effort;
    }

    /// True while an encoder gives out its last.
    pub(crate) fn is_handing_over(&self) -> bool {
        self.branches.iter().any(Running::is_handing_over)
    }

    /// Looks after the encoders: replaces broken ones, and those that the effort has changed. While the end is being
    /// drained only what has begun is brought to its end.
    pub(crate) fn tend(&mut self, now: Instant, draining: bool) -> Result<(), Error> {
        self.branches.iter_mut().for_each(|branch| branch.tend(now));
        if !draining {
            for at in 0..self.branches.len() {
                self.mend(at, now)?;
            }
            self.settle(now)?;
        }
        Ok(())
    }

    fn mend(&mut self, at: usize, now: Instant) -> Result<(), Error> {
        let layer = self.branches[at].layer;
        let encoder = self.branches[at].encoder();
        let Some(why) = encoder.failure(now) else { return Ok(()) };
        let name = encoder.recipe.name.clone();
        let Some(picture) = self.picture_of(at) else { return Ok(()) };
        let next = self.recipes.replace(&layer, &picture, &name, &why)?;
        self.branches[at].replace(next);
        Ok(())
    }

    /// Replaces encoders that are not what the effort wants, of layers that run.
    fn settle(&mut self, now: Instant) -> Result<(), Error> {
        if !self.unsettled {
            return Ok(());
        }
        self.unsettled = false;
        for at in 0..self.branches.len() {
            let layer = self.branches[at].layer;
            let Some(picture) = self.picture_of(at) else { continue };
            let wanted = self.recipes.of(&layer, &picture);
            if wanted.is_none_or(|wanted| wanted == self.branches[at].encoder().recipe) {
                continue;
            }
            // A paused one is looked at when it is resumed.
            if self.watch.is_paused(layer.quality) {
                continue;
            }
            if self.branches[at].is_handing_over() {
                self.unsettled = true;
                continue;
            }
            let next = self.recipes.start(&layer, &picture)?;
            self.branches[at].hand_over(next, now);
        }
        Ok(())
    }

    /// The source as this layer's encoder is to get it.
    fn picture_of(&self, at: usize) -> Option<Picture> {
        let fps_milli = self.encoded_fps(at + 1 == self.branches.len(), self.branches[at].fps_milli);
        Some(Picture { fps_milli, ..self.seen.as_ref()?.picture() })
    }

    /// The layers, for draining: smallest first.
    pub(crate) fn branches(&self) -> &[Running] {
        &self.branches
    }

    /// What has gone wrong in any layer's scaler.
    pub(crate) fn failure(&self) -> Option<String> {
        self.branches.iter().find_map(|branch| match branch.scaler_news() {
            Some(News::Failed(why)) => Some(format!("layer {}: {why}", branch.layer.quality)),
            _ => None,
        })
    }

    /// What an operator should know of the encoders; what `tell` finds no way for is told later.
    pub(crate) fn tell_notes(&mut self, tell: impl Fn(String) -> bool) {
        while self.recipes.notes.front().is_some_and(|note| tell(note.clone())) {
            self.recipes.notes.pop_front();
        }
    }

    /// How far behind the encoders were since the last call; `None` when nothing was encoded.
    pub(crate) fn take_behind(&self) -> Option<u32> {
        self.gauge.take()
    }

    /// How many pictures were dropped since the last call, and what was dropped as one line; `None` for nothing.
    pub(crate) fn take_dropped(&mut self) -> (u64, Option<String>) {
        let lost = self.inbox.take_lost();
        let mut pictures = lost.pictures + lost.frames;
        let mut parts: Vec<String> = Vec::new();
        for branch in &mut self.branches {
            let dropped = branch.take_dropped();
            if dropped > 0 {
                pictures += dropped;
                parts.push(format!("{dropped} before layer {}", branch.layer.quality));
            }
        }
        let elsewhere = [
            (lost.pictures, "pictures before the decoder"),
            (lost.frames, "behind the decoder"),
            (lost.sound, "of sound"),
        ];
        let elsewhere = elsewhere.into_iter().filter(|(count, _)| *count > 0);
        parts.extend(elsewhere.map(|(count, place)| format!("{count} {place}")));
        let line = format!("frames dropped, machine too slow: {}", parts.join(", "));
        (pictures, (!parts.is_empty()).then_some(line))
    }
}

/// Which picture it is.
fn time_of(sample: &gst::Sample) -> Option<gst::ClockTime> {
    sample.buffer()?.pts()
}
