//! One segment on its way: its key, its init section, itself; one fetch after the other, each tried for a while.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use url::Url;

use super::reload::backoff;
use crate::{
    ByteRange, Data, Failure, FetchId, Reason, Rendition, Shown, What, address,
    crypt::{self, KeyBytes},
    desk::Desk,
    limits,
    playlist::{Base, Init, Protection, Segment},
};

/// A segment on its way.
pub(super) struct Job {
    pub(super) segment: Segment,
    base: Base,
    within: Duration,
    continuity: Continuity,
    /// The init section of the segment before it.
    init_before: Option<Arc<Init>>,
    /// What goes with the segment, had before it is fetched.
    init: Option<Bytes>,
    key: Option<KeyBytes>,
    since: Instant,
    failures: u32,
    step: Step,
}

/// How a segment continues what came before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Continuity {
    pub(super) discontinuity: bool,
    pub(super) hole: bool,
}

enum Step {
    /// Not before this time.
    Waiting(Instant),
    /// Until the other rendition has the key that both need: its answer is an input, after which this is asked again.
    Parked,
    Fetching(FetchId),
}

/// What a job lacks.
struct Want {
    what: What,
    url: Url,
    range: Option<ByteRange>,
}

/// What an answer meant to a job.
pub(super) enum Progress {
    /// There is more to fetch, or to fetch again.
    Going,
    /// The segment.
    Done(Data),
    /// The segment cannot be had.
    GivenUp(Reason),
}

impl Job {
    /// For a segment of the playlist at `base`, whose fetch may take `within` in all.
    pub(super) fn new(
        now: Instant,
        (base, segment): (Base, Segment),
        continuity: Continuity,
        init_before: Option<Arc<Init>>,
        within: Duration,
    ) -> Self {
        let (init, key, step) = (None, None, Step::Waiting(now));
        Self { segment, base, within, continuity, init_before, init, key, since: now, failures: 0, step }
    }

    /// Fetches what is next, if it is time.
    pub(super) fn turn(&mut self, now: Instant, rendition: Rendition, desk: &mut Desk) -> Result<(), Reason> {
        match self.step {
            Step::Fetching(_) => return Ok(()),
            Step::Waiting(from) if from > now => return Ok(()),
            Step::Waiting(_) | Step::Parked => {}
        }
        let Want { what, url, range } = self.want(desk)?;
        self.step = if what == What::Key && desk.is_coming(what, &url) {
            Step::Parked
        } else {
            let within = if what == What::Segment { self.within } else { limits::SMALL_WITHIN };
            Step::Fetching(desk.fetch(now, rendition, (what, url, range), within))
        };
        Ok(())
    }

    /// Keys and init section, before the segment itself.
    fn want(&mut self, desk: &Desk) -> Result<Want, Reason> {
        let init = self.segment.init.clone();
        let init = init.filter(|init| !self.init_before.as_ref().is_some_and(|before| before.is_same(init)));
        let of_init = init.as_ref().map(|init| init.protection.clone());
        for protection in [Some(self.segment.protection.clone()), of_init].into_iter().flatten() {
            if let Some(url) = self.key_url(&protection)?
                && desk.keys.get(&url).is_none()
            {
                return Ok(Want { what: What::Key, url, range: None });
            }
        }
        if let Some(init) = init {
            let url = address::resolve(&self.base, &init.uri, What::Init)?;
            let range = init.range;
            self.init = desk.inits.get(&(url.clone(), range));
            if self.init.is_none() {
                return Ok(Want { what: What::Init, url, range });
            }
        }
        self.key = self.key_url(&self.segment.protection)?.and_then(|url| desk.keys.get(&url));
        let url = address::resolve(&self.base, &self.segment.uri, What::Segment)?;
        Ok(Want { what: What::Segment, url, range: self.segment.range })
    }

    fn key_url(&self, protection: &Protection) -> Result<Option<Url>, Reason> {
        match protection {
            Protection::None => Ok(None),
            Protection::Aes128(key) => address::resolve(&self.base, &key.uri, What::Key).map(Some),
            Protection::Other(method) => {
                Err(Reason::Protected { url: Shown::of(&self.base), method: method.to_string() })
            }
        }
    }

    /// Whether a fetch is this job's present one.
    pub(super) fn waits_for(&self, id: FetchId) -> bool {
        matches!(self.step, Step::Fetching(waited) if waited == id)
    }

    /// Its fetch was answered. `patience` is how long a segment is worth.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        (what, url, body): (What, Url, Result<Bytes, Failure>),
        patience: Duration,
        (rendition, desk): (Rendition, &mut Desk),
    ) -> Result<Progress, Reason> {
        self.step = Step::Waiting(now);
        let taken = body.and_then(|body| self.take(what, &url, body, desk));
        match taken {
            Ok(None) => {
                // The next thing has all the time that this one had.
                (self.failures, self.since) = (0, now);
                Ok(Progress::Going)
            }
            Ok(Some(bytes)) => Ok(Progress::Done(self.data(rendition, bytes))),
            Err(failure) => self.failed(now, what, &url, failure, patience),
        }
    }

    /// Keeps what came; the segment in clear, if it was that.
    fn take(&self, what: What, url: &Url, body: Bytes, desk: &mut Desk) -> Result<Option<Bytes>, Failure> {
        match (what, &self.segment.init) {
            (What::Key, _) => desk.keys.put(url.clone(), KeyBytes::read(&body)?),
            (What::Init, Some(init)) => {
                let key = self.key_url(&init.protection).ok().flatten().and_then(|url| desk.keys.get(&url));
                let clear = if is_mp4(&body) { body } else { self.clear(&init.protection, key, body)? };
                desk.inits.put((url.clone(), init.range), clear);
            }
            _ => return self.clear(&self.segment.protection, self.key, body).map(Some),
        }
        Ok(None)
    }

    fn clear(&self, protection: &Protection, key: Option<KeyBytes>, body: Bytes) -> Result<Bytes, Failure> {
        let Protection::Aes128(how) = protection else { return Ok(body) };
        // A key that was forgotten since is fetched again, as the body is.
        let key = key.ok_or(Failure::Decrypt { bytes: body.len() })?;
        key.decrypt(how.iv.unwrap_or_else(|| crypt::iv_of(self.segment.sequence)), body)
    }

    fn data(&mut self, rendition: Rendition, bytes: Bytes) -> Data {
        let init = self.init.take();
        let Segment { duration, at, sequence, .. } = self.segment;
        let Continuity { discontinuity, hole } = self.continuity;
        Data { rendition, discontinuity, hole, init, bytes, duration, at, sequence }
    }

    fn failed(
        &mut self,
        now: Instant,
        what: What,
        url: &Url,
        failure: Failure,
        patience: Duration,
    ) -> Result<Progress, Reason> {
        let again = now + backoff(self.failures);
        let hopeless =
            matches!(failure, Failure::Refused(_) | Failure::TooLong { .. } | Failure::KeyLength { .. });
        let worth = if what == What::Segment { patience } else { limits::PATIENCE };
        let over = !failure.passes() || again > self.since + worth;
        let reason = Reason::Fetch { what, url: Shown::of(url), failure };
        // Without its key or init section the next segment is worth nothing either.
        if hopeless || (over && what != What::Segment) {
            return Err(reason);
        }
        if over {
            return Ok(Progress::GivenUp(reason));
        }
        self.failures += 1;
        self.step = Step::Waiting(again);
        Ok(Progress::Going)
    }

    /// When to be asked again.
    pub(super) fn wake(&self) -> Option<Instant> {
        match self.step {
            Step::Waiting(from) => Some(from),
            Step::Parked | Step::Fetching(_) => None,
        }
    }
}

/// Whether it is an MP4 in clear, whatever its playlist says: by RFC 8216 4.3.2.5 a key applies to the `EXT-X-MAP` after it, too,
/// and a packager that forgets this has written a section that would otherwise be refused. Encrypted bytes look so once in 2^30.
fn is_mp4(body: &Bytes) -> bool {
    matches!(body.get(4..8), Some(b"ftyp" | b"styp" | b"moov" | b"sidx"))
}
