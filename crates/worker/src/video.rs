use std::sync::Arc;

use gstreamer as gst;
use gstreamer_video as gst_video;
use media::{Codec, MediaTime, Quality};
use pipeline::{Event, Picture, Plan, Source};

use crate::{
    branch::Running,
    build::{Error, News},
    clock,
    inbox::{Frame, Inbox, Origin},
    outbox::Outbox,
    rate::{Limit, Measure},
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
    limit: Limit,
    /// Known once the first frame is decoded.
    seen: Option<Seen>,
    /// Smallest first.
    branches: Vec<Running>,
    paused: [bool; Quality::ALL.len()],
    generation: u64,
}

/// The source as last seen.
#[derive(Debug)]
struct Seen {
    caps: gst::Caps,
    info: gst_video::VideoInfo,
    measure: Measure,
}

impl Video {
    pub(crate) fn new(
        plan: Plan,
        inbox: Arc<Inbox>,
        outbox: Outbox,
        output_from: Option<gst::ClockTime>,
    ) -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1));
        let limit = Limit::new(plan.video.max_fps_milli);
        let paused = [false; Quality::ALL.len()];
        Self {
            plan,
            cpus,
            inbox,
            outbox,
            output_from,
            limit,
            seen: None,
            branches: vec![],
            paused,
            generation: 0,
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
                    if !self.is_paused(quality) {
                        self.branches[at].encode(&frame.sample);
                    }
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
        let Some(Seen { info, measure, .. }) = &self.seen else { return Ok(()) };
        let side = |side: i32| u32::try_from(side).unwrap_or(1).max(1);
        let par = (side(info.par().numer()), side(info.par().denom()));
        let (width, height, fps_milli) = (info.width(), info.height(), measure.fps_milli());
        self.outbox.send(Event::Source(Source::Video { codec, width, height, fps_milli }));
        self.generation += 1;
        let fitted = self.plan.fit(&Picture { width, height, par, fps_milli }, self.cpus, 0);
        // The old ones end here: what they still held is older than what comes.
        self.branches.clear();
        for branch in &fitted {
            self.branches.push(Running::start(branch, self.generation, &self.inbox, &self.outbox)?);
        }
        self.outbox.send(Event::Layers(fitted.iter().map(|branch| branch.layer).collect()));
        Ok(())
    }

    /// Gives a frame to the largest running layer among the first `below`. What its scaler makes of it comes back and
    /// goes on to the next smaller; a layer that needs no scaler passes this one on.
    fn feed(&mut self, sample: &gst::Sample, below: usize) -> Result<(), Error> {
        let mut sample = sample.clone();
        for at in (0..below).rev() {
            if !self.is_paused(self.branches[at].layer.quality) {
                let Some(scaled) = self.branches[at].take(&sample)? else { return Ok(()) };
                sample = scaled;
            }
        }
        Ok(())
    }

    fn is_paused(&self, quality: Quality) -> bool {
        self.paused[usize::from(quality.number())]
    }

    pub(crate) fn keyframe(&mut self, quality: Quality) {
        if let Some(branch) = self.branches.iter_mut().find(|branch| branch.layer.quality == quality) {
            branch.want_keyframe();
        }
    }

    pub(crate) fn skip_to(&mut self, time: MediaTime) {
        self.output_from = clock::to_gst(time);
    }

    pub(crate) fn pause(&mut self, quality: Quality) {
        self.paused[usize::from(quality.number())] = true;
    }

    pub(crate) fn resume(&mut self, quality: Quality) {
        if std::mem::take(&mut self.paused[usize::from(quality.number())]) {
            self.keyframe(quality);
        }
    }

    /// The layers, for draining: smallest first.
    pub(crate) fn branches(&self) -> &[Running] {
        &self.branches
    }

    /// What has gone wrong in any layer.
    pub(crate) fn failure(&self) -> Option<String> {
        self.branches.iter().find_map(|branch| match branch.scaler_news().or_else(|| branch.encoder_news()) {
            Some(News::Failed(why)) => Some(format!("layer {}: {why}", branch.layer.quality)),
            _ => None,
        })
    }

    /// Frames that each layer's encoder was too slow for since the last call, as one line; `None` for none.
    pub(crate) fn take_dropped(&mut self) -> Option<String> {
        let lost = self.inbox.take_lost();
        let mut parts: Vec<String> = Vec::new();
        for branch in &mut self.branches {
            let dropped = branch.take_dropped();
            if dropped > 0 {
                parts.push(format!("{dropped} before layer {}", branch.layer.quality));
            }
        }
        if lost > 0 {
            parts.push(format!("{lost} behind the decoder"));
        }
        (!parts.is_empty()).then(|| format!("frames dropped, machine too slow: {}", parts.join(", ")))
    }
}
