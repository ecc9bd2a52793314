//! One rendition: its playlist, its place in it, and the segment that is on its way.

mod job;
mod reload;

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use url::Url;

use crate::{
    Data, Failure, FetchId, Output, Reason, Rendition, Skip, What,
    desk::Desk,
    limits,
    playlist::{Init, Media, Segment, Start},
    remember::Remember,
};
use job::{Continuity, Job, Progress};
use reload::{Reload, Verdict};

/// One rendition.
pub(crate) struct Track {
    rendition: Rendition,
    url: Url,
    reload: Reload,
    pub(crate) playlist: Option<Media>,
    /// The number of the next segment to begin with; `None` before the first.
    next: Option<u64>,
    job: Option<Job>,
    /// A segment that the consumer has no room for yet.
    ready: Option<Data>,
    /// Whether the consumer has room.
    free: bool,
    before: Option<Before>,
    /// The next segment has nothing to do with the one before.
    cut: bool,
    missing: u32,
    ended: bool,
    /// That it has ended was said.
    told: bool,
}

/// The last segment that came through.
struct Before {
    sequence: u64,
    discontinuities: u64,
    init: Option<Arc<Init>>,
}

/// Where another rendition is, for this one to begin there, too.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    at: Option<SystemTime>,
    /// From the end of the playlist.
    distance: Duration,
}

impl Track {
    pub(crate) fn new(now: Instant, rendition: Rendition, url: Url) -> Self {
        Self {
            rendition,
            url,
            reload: Reload::new(now),
            playlist: None,
            next: None,
            job: None,
            ready: None,
            free: true,
            before: None,
            cut: false,
            missing: 0,
            ended: false,
            told: false,
        }
    }

    /// Its first copy has come: where this rendition begins.
    pub(crate) fn begin(&mut self, preferred: Option<Start>, with: Option<Place>) {
        if let (Some(playlist), None) = (&self.playlist, self.next) {
            self.next = begin(playlist, preferred, with);
        }
    }

    /// Where this rendition is, once it has begun.
    pub(crate) fn place(&self) -> Option<Place> {
        let (playlist, next) = (self.playlist.as_ref()?, self.next?);
        let at = playlist.segment(next).and_then(|segment| segment.at);
        Some(Place { at, distance: playlist.distance(next) })
    }

    /// All of it was given out.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended && self.job.is_none() && self.ready.is_none()
    }

    /// The consumer has used up what it had.
    pub(crate) fn taken(&mut self) {
        self.free = true;
    }

    /// Does what is due. `with` is where the rendition is that this one goes along with.
    pub(crate) fn turn(&mut self, now: Instant, with: Option<Place>, desk: &mut Desk) -> Result<(), Reason> {
        if self.reload.begin(now) {
            desk.fetch(now, self.rendition, (What::Playlist, self.url.clone(), None), limits::SMALL_WITHIN);
        }
        self.reload.check(now, &self.url)?;
        if self.free
            && let Some(data) = self.ready.take()
        {
            self.free = false;
            desk.outputs.push(Output::Data(data));
        }
        if self.job.is_none() && self.ready.is_none() {
            self.job = self.advance(now, with, desk);
        }
        if self.has_ended() && !std::mem::replace(&mut self.told, true) {
            desk.outputs.push(Output::RenditionEnded { rendition: self.rendition });
        }
        self.job.as_mut().map_or(Ok(()), |job| job.turn(now, self.rendition, desk))
    }

    /// The next segment, if there is one.
    fn advance(&mut self, now: Instant, with: Option<Place>, desk: &mut Desk) -> Option<Job> {
        let playlist = self.playlist.as_ref()?;
        if playlist.complete && playlist.segments.is_empty() {
            self.ended = true;
        }
        let mut next = self.next?;
        if next < playlist.first {
            let to = if playlist.complete { playlist.first } else { begin(playlist, None, with)? };
            self.skipped(desk, (next, to), playlist.mean().saturating_mul(count(next, to)), Skip::Behind);
            next = to;
        }
        let gaps = next;
        while playlist.segment(next).is_some_and(|segment| segment.gap) {
            next += 1;
        }
        if next > gaps {
            let lasts = playlist.distance(gaps).saturating_sub(playlist.distance(next));
            self.skipped(desk, (gaps, next), lasts, Skip::Gap);
        }
        self.next = Some(next);
        let Some(segment) = playlist.segment(next) else {
            self.ended = playlist.complete;
            return None;
        };
        self.next = Some(next + 1);
        let continuity = self.continuity(playlist, segment);
        let init_before = self.before.as_ref().and_then(|before| before.init.clone());
        let within = if playlist.complete { limits::SEGMENT_WITHIN } else { live_within(playlist.target) };
        Some(Job::new(now, (playlist.base.clone(), segment.clone()), continuity, init_before, within))
    }

    fn skipped(&self, desk: &mut Desk, (from, to): (u64, u64), lasts: Duration, why: Skip) {
        let (rendition, lasts) = (self.rendition, lasts.min(limits::HOLE));
        desk.outputs.push(Output::Skipped { rendition, from, to, lasts, why });
    }

    fn continuity(&self, playlist: &Media, segment: &Segment) -> Continuity {
        let Some(before) = &self.before else {
            return Continuity { discontinuity: false, hole: false };
        };
        if self.cut {
            return Continuity { discontinuity: true, hole: true };
        }
        let follows = before.sequence + 1;
        let between = follows..=segment.sequence;
        let discontinuity = match playlist.segment(follows) {
            Some(_) => between.clone().filter_map(|n| playlist.segment(n)).any(|s| s.discontinuity),
            None => segment.discontinuities != before.discontinuities,
        };
        Continuity { discontinuity, hole: follows != segment.sequence }
    }

    /// A copy of its playlist, whose load began at `begun`.
    pub(crate) fn loaded(
        &mut self,
        now: Instant,
        begun: Instant,
        new: Media,
        with: Option<Place>,
        desk: &mut Desk,
    ) {
        match self.reload.loaded(now, begun, self.playlist.as_ref(), &new) {
            Verdict::Old => {}
            Verdict::New | Verdict::Same => self.playlist = Some(new),
            Verdict::Restarted => {
                let from = self.job.take().map_or(self.next, |job| Some(job.segment.sequence));
                if let (Some(from), Some(to)) = (from, begin(&new, None, with)) {
                    self.skipped(desk, (from, to), Duration::ZERO, Skip::Restarted);
                    self.next = Some(to);
                }
                self.cut = true;
                // The same names may stand for other bytes now.
                self.before.iter_mut().for_each(|before| before.init = None);
                desk.inits = Remember::new();
                desk.forget(self.rendition);
                self.playlist = Some(new);
            }
        }
    }

    /// Its playlist could not be had.
    pub(crate) fn not_loaded(&mut self, now: Instant, failure: Failure) -> Result<(), Reason> {
        self.reload.failed(now, &self.url, failure)
    }

    /// Something of a segment came, or did not.
    pub(crate) fn answered(
        &mut self,
        now: Instant,
        (id, what, url): (FetchId, What, Url),
        body: Result<Bytes, Failure>,
        desk: &mut Desk,
    ) -> Result<(), Reason> {
        let patience = self.patience();
        let Some(job) = self.job.as_mut().filter(|job| job.waits_for(id)) else { return Ok(()) };
        match job.answered(now, (what, url, body), patience, (self.rendition, desk))? {
            Progress::Going => {}
            Progress::Done(data) => {
                let Segment { sequence, discontinuities, ref init, .. } = job.segment;
                self.before = Some(Before { sequence, discontinuities, init: init.clone() });
                (self.job, self.ready, self.cut, self.missing) = (None, Some(data), false, 0);
            }
            Progress::GivenUp(reason) => {
                let (from, lasts) = (job.segment.sequence, job.segment.duration);
                self.job = None;
                self.missing += 1;
                if self.missing >= limits::MISSING {
                    return Err(reason);
                }
                self.skipped(desk, (from, from + 1), lasts, Skip::Missing);
            }
        }
        Ok(())
    }

    /// How long a segment is worth being tried: a live one that is late makes those after it late, and is gone with the window.
    fn patience(&self) -> Duration {
        let Some(playlist) = &self.playlist else { return limits::PATIENCE };
        let is_gone = self.job.as_ref().is_some_and(|job| job.segment.sequence < playlist.first);
        match (playlist.complete, is_gone) {
            (true, _) => limits::PATIENCE,
            (false, true) => Duration::ZERO,
            (false, false) => limits::PATIENCE.min(playlist.target * 2),
        }
    }

    /// When to be asked again.
    pub(crate) fn wake(&self) -> Option<Instant> {
        [self.reload.wake(), self.job.as_ref().and_then(Job::wake)].into_iter().flatten().min()
    }
}

fn count(from: u64, to: u64) -> u32 {
    u32::try_from(to.saturating_sub(from)).unwrap_or(u32::MAX)
}

fn live_within(target: Duration) -> Duration {
    (target * limits::SEGMENT_TARGETS).clamp(limits::SEGMENT_WITHIN_LEAST, limits::SEGMENT_WITHIN)
}

/// Where to begin: with another rendition, else where the playlist says.
fn begin(playlist: &Media, preferred: Option<Start>, with: Option<Place>) -> Option<u64> {
    let edge = playlist.start(preferred)?;
    let Some(place) = with.filter(|_| !playlist.complete) else { return Some(edge) };
    let at = place.at.and_then(|at| playlist.at_moment(at));
    Some(at.unwrap_or_else(|| playlist.before_end(place.distance)))
}
