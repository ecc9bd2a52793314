//! Queue A: from one connection of a publisher to the worker, over the worker's deaths.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use media::{Bound, GopCache, Kind, MediaTime, Queue, Timeline, Unit};
use tokio::sync::Notify;

/// What a worker may fall behind before pictures are dropped. Half of the latency that a subscriber may see added after
/// a stall; a worker that is further behind will not catch up by itself.
const BOUND: Bound = Bound { span: Duration::from_millis(750), bytes: 8 << 20 };

/// The largest group of pictures kept for a new worker: 10 s at 25 Mbit/s. A longer one is waited out.
const KEPT_BYTES: usize = 32 << 20;

/// The decoding of kept pictures may take this long of a subscriber's start.
const FAST: Duration = Duration::from_millis(300);

/// Pictures of 1280x720 that a worker decodes in that time: 3 ms each on one core (measured). Where more are kept while nobody
/// watches, they are decoded ahead.
const KEPT_720P: u32 = 90;

/// Where a publisher can be asked for key pictures, so many are kept at most while somebody watches: a new worker decodes them
/// all before it shows one, and browsers send no key picture of their own accord.
const KEPT_ASKING: usize = 300;

/// Requests are so far apart.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// What a worker gets of the pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watch {
    /// All of them.
    Awake,
    /// Nobody watches: they are kept for later.
    Asleep,
    /// Nobody watches, but too many are kept for a fast start: they are decoded, up to the next key picture.
    Warm,
}

/// The publisher's packets on the session's clock, and those since the last key picture for a worker that starts later.
#[derive(Debug)]
pub(crate) struct Feed {
    epoch: Instant,
    inner: Mutex<Inner>,
    filled: Notify,
}

#[derive(Debug)]
struct Inner {
    queue: Queue<Unit>,
    /// Bounded by the cache's own bytes; goes out before the queue.
    replay: VecDeque<Unit>,
    cache: GopCache,
    timeline: Timeline,
    watch: Watch,
    /// So many kept pictures are decoded fast enough.
    fast: usize,
    /// Dropped because the worker was too slow, since the last look.
    shed: u64,
    newest: Option<MediaTime>,
    /// The worker has taken all there is, and waits.
    idle: bool,
    /// When a key picture was asked for last.
    asked: Option<Instant>,
}

impl Feed {
    /// An empty feed. Its clock starts at `epoch`, which all connections of a session share.
    pub(crate) fn new(epoch: Instant) -> Self {
        let inner = Inner {
            queue: Queue::new(BOUND),
            replay: VecDeque::new(),
            cache: GopCache::new(KEPT_BYTES),
            timeline: Timeline::new(),
            watch: Watch::Awake,
            fast: KEPT_720P as usize,
            shed: 0,
            newest: None,
            idle: false,
            asked: None,
        };
        Self { epoch, inner: Mutex::new(inner), filled: Notify::new() }
    }

    /// The pictures have this size, in pixels: how many of them a worker decodes fast enough.
    pub(crate) fn sized(&self, width: u32, height: u32) {
        let pixels = width.saturating_mul(height).max(1);
        let fast = (KEPT_720P * 1280 * 720 / pixels).clamp(KEPT_720P / 9, KEPT_720P);
        self.lock().fast = fast as usize;
    }

    /// The session's time at `now`.
    pub(crate) fn time(&self, now: Instant) -> MediaTime {
        MediaTime::from_duration(now.saturating_duration_since(self.epoch))
    }

    /// When the session's time is `time`.
    pub(crate) fn instant(&self, time: MediaTime) -> Instant {
        self.epoch + time.to_duration()
    }

    /// Puts what came from the publisher at `now` on the session's clock.
    pub(crate) fn stamp(&self, unit: Unit, now: Instant) -> Unit {
        let now = self.time(now);
        match unit {
            Unit::Packet(packet) => Unit::Packet(self.lock().timeline.map(packet, now)),
            format => format,
        }
    }

    /// Takes what is on the session's clock. Returns how many packets were dropped for it.
    pub(crate) fn push(&self, unit: Unit) -> usize {
        let mut inner = self.lock();
        if let Unit::Packet(packet) = &unit {
            inner.newest = inner.newest.max(Some(packet.pts));
        }
        inner.cache.note(&unit);
        let awaits = inner.queue.awaits_keyframe();
        let dropped = inner.queue.push(unit.clone());
        inner.idle &= inner.queue.is_empty();
        if !awaits {
            // What is refused until the next key picture says nothing about now.
            inner.shed += dropped as u64;
        }
        inner.follow(&unit);
        drop(inner);
        self.filled.notify_one();
        dropped
    }

    /// Waits for the next unit. One caller at a time: the newest worker's. Cancel safe.
    pub(crate) async fn next(&self) -> Unit {
        loop {
            let filled = self.filled.notified();
            if let Some(unit) = self.try_next() {
                return unit;
            }
            filled.await;
        }
    }

    /// The next unit, if there is one.
    pub(crate) fn try_next(&self) -> Option<Unit> {
        let mut inner = self.lock();
        let Inner { replay, queue, watch, idle, .. } = &mut *inner;
        let unit = std::iter::from_fn(|| replay.pop_front().or_else(|| queue.pop()))
            .find(|unit| !(*watch == Watch::Asleep && is_picture(unit)));
        *idle = unit.is_none();
        unit
    }

    /// True while the worker waits for pictures and gets none, because they are refused up to the next key picture.
    pub(crate) fn starves(&self) -> bool {
        let inner = self.lock();
        inner.idle && inner.queue.awaits_keyframe()
    }

    /// True when the publisher should be asked for a key picture: one is waited for, none is kept, or those kept since are
    /// too many to decode at once. Twice a second at most.
    pub(crate) fn wants_keyframe(&self, now: Instant) -> bool {
        let mut inner = self.lock();
        let most = match inner.watch {
            Watch::Awake => KEPT_ASKING,
            // Before they are decoded ahead.
            Watch::Asleep | Watch::Warm => inner.fast * 2 / 3,
        };
        let kept = inner.cache.pictures();
        let wants = kept == 0 || kept > most || inner.queue.awaits_keyframe();
        let asked = inner.asked.is_some_and(|asked| now.saturating_duration_since(asked) < ASK_AGAIN);
        if wants && !asked {
            inner.asked = Some(now);
        }
        wants && !asked
    }

    /// How long what comes now will wait for the worker, and how many packets were dropped because it was too slow since the
    /// last call.
    pub(crate) fn take_strain(&self) -> (Duration, u64) {
        let mut inner = self.lock();
        (inner.queue.span(), std::mem::take(&mut inner.shed))
    }

    /// Nobody watches: from now on pictures are kept since the last key picture, and not given out. Sound is.
    pub(crate) fn sleep(&self) {
        self.lock().watch = Watch::Asleep;
    }

    /// Somebody watches again: the pictures since the last key picture are given out first. Returns the time of the newest
    /// of them, which is the first that is worth showing; `None` when a key picture has to be waited for.
    pub(crate) fn wake(&self) -> Option<MediaTime> {
        let mut inner = self.lock();
        let newest = match std::mem::replace(&mut inner.watch, Watch::Awake) {
            Watch::Awake => None,
            // They are on their way already.
            Watch::Warm => inner.newest_kept(),
            Watch::Asleep => inner.replay_pictures(),
        };
        drop(inner);
        self.filled.notify_one();
        newest
    }

    /// How long a worker that is woken now takes until it can give its newest picture, by estimate.
    pub(crate) fn lead(&self) -> Duration {
        let inner = self.lock();
        match inner.watch {
            Watch::Asleep => FAST.mul_f64(inner.cache.pictures() as f64 / inner.fast as f64).min(FAST),
            Watch::Awake | Watch::Warm => Duration::ZERO,
        }
    }

    /// Another worker starts: it gets the formats and all since the last key picture first. Returns the newest time in
    /// there: what is not after it has been encoded already.
    pub(crate) fn rewind(&self) -> Option<MediaTime> {
        let mut inner = self.lock();
        inner.watch = Watch::Awake;
        inner.replay = inner.cache.replay().collect();
        // All that waited is in the cache too, unless the group was too large to keep: then a key picture is awaited.
        inner.queue = Queue::new(BOUND);
        if inner.replay.iter().all(|unit| matches!(unit, Unit::Format(..))) {
            inner.queue.clear();
        }
        let newest = inner.newest;
        drop(inner);
        self.filled.notify_one();
        newest
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that holds this lock can panic half way through a change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Nobody watches: whether pictures are decoded all the same depends on how many are kept.
    fn follow(&mut self, unit: &Unit) {
        let key = matches!(unit, Unit::Packet(packet) if packet.kind == Kind::Video && packet.keyframe);
        match self.watch {
            Watch::Asleep if self.cache.pictures() > self.fast => {
                self.replay_pictures();
                self.watch = Watch::Warm;
            }
            Watch::Warm if key => self.watch = Watch::Asleep,
            _ => {}
        }
    }

    /// Puts the pictures since the last key picture before what waits; gives the time of the newest one. Without any, what
    /// waits begins with a key picture.
    fn replay_pictures(&mut self) -> Option<MediaTime> {
        self.replay = self.cache.replay().filter(is_picture).collect();
        // Pictures that wait are among the kept ones, as are those that found no room; sound is not.
        let mut before = std::mem::replace(&mut self.queue, Queue::new(BOUND));
        let newest = self.newest_kept();
        if newest.is_none() {
            self.queue.clear();
        }
        for unit in std::iter::from_fn(|| before.pop()).filter(|unit| !is_picture(unit)) {
            self.queue.push(unit);
        }
        newest
    }

    fn newest_kept(&self) -> Option<MediaTime> {
        let pictures = self.cache.replay().filter(is_picture);
        pictures
            .filter_map(|unit| if let Unit::Packet(packet) = unit { Some(packet.pts) } else { None })
            .max()
    }
}

fn is_picture(unit: &Unit) -> bool {
    matches!(unit, Unit::Packet(packet) if packet.kind == Kind::Video)
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
