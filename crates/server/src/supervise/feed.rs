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
        };
        Self { epoch, inner: Mutex::new(inner), filled: Notify::new() }
    }

    /// The pictures have this size, in pixels: how many of them a worker decodes fast enough.
    pub(crate) fn sized(&self, width: u32, height: u32) {
        let pixels = width.saturating_mul(height).max(1);
        let fast = (KEPT_720P * 1280 * 720 / pixels).clamp(KEPT_720P / 9, KEPT_720P);
        self.lock().fast = fast as usize;
    }

    /// Puts what came from the publisher at `now` on the session's clock.
    pub(crate) fn stamp(&self, unit: Unit, now: Instant) -> Unit {
        let now = MediaTime::from_duration(now.saturating_duration_since(self.epoch));
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
        let Inner { replay, queue, watch, .. } = &mut *inner;
        std::iter::from_fn(|| replay.pop_front().or_else(|| queue.pop()))
            .find(|unit| !(*watch == Watch::Asleep && is_picture(unit)))
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
mod tests {
    use super::*;
    use bytes::Bytes;
    use media::{Codec, Format, Kind, Packet, TrackId};

    fn push(feed: &Feed, unit: Unit, now: Instant) -> usize {
        feed.push(feed.stamp(unit, now))
    }

    fn format() -> Unit {
        Unit::Format(TrackId(0), Format { codec: Codec::H264, config: Bytes::from_static(b"avcC") })
    }

    fn picture(ms: i64, keyframe: bool) -> Unit {
        let time = MediaTime::from_millis(ms);
        Unit::Packet(Packet {
            track: TrackId(0),
            kind: Kind::Video,
            pts: time,
            dts: time,
            keyframe,
            data: Bytes::new(),
        })
    }

    fn drain(feed: &Feed) -> Vec<Unit> {
        std::iter::from_fn(|| feed.try_next()).collect()
    }

    #[test]
    fn a_new_worker_gets_the_formats_and_the_pictures_since_the_last_key_picture() {
        let epoch = Instant::now();
        let feed = Feed::new(epoch);
        for unit in [format(), picture(0, true), picture(33, false), picture(66, true), picture(99, false)] {
            push(&feed, unit, epoch);
        }
        assert_eq!(drain(&feed).len(), 5);
        assert_eq!(feed.rewind(), Some(MediaTime::from_millis(99)));
        push(&feed, picture(132, false), epoch);
        assert_eq!(drain(&feed), [format(), picture(66, true), picture(99, false), picture(132, false)]);
    }

    fn sound(ms: i64) -> Unit {
        let time = MediaTime::from_millis(ms);
        Unit::Packet(Packet {
            track: TrackId(1),
            kind: Kind::Audio,
            pts: time,
            dts: time,
            keyframe: true,
            data: Bytes::new(),
        })
    }

    #[test]
    fn while_nobody_watches_only_sound_is_given_out() {
        let epoch = Instant::now();
        let feed = Feed::new(epoch);
        push(&feed, picture(0, true), epoch);
        feed.sleep();
        for unit in [sound(10), picture(33, false), picture(66, true), sound(70)] {
            push(&feed, unit, epoch);
        }
        assert_eq!(drain(&feed), [sound(10), sound(70)]);
    }

    #[test]
    fn who_watches_again_gets_the_pictures_since_the_last_key_picture_once() {
        let epoch = Instant::now();
        let feed = Feed::new(epoch);
        feed.sleep();
        for unit in [picture(0, true), picture(33, false), picture(66, true), sound(70), picture(99, false)] {
            push(&feed, unit, epoch);
        }
        assert_eq!(feed.wake(), Some(MediaTime::from_millis(99)));
        push(&feed, picture(132, false), epoch);
        assert_eq!(drain(&feed), [picture(66, true), picture(99, false), sound(70), picture(132, false)]);
        assert_eq!(feed.wake(), None, "it is awake");
    }

    #[test]
    fn more_pictures_than_decode_fast_are_decoded_ahead_up_to_the_next_key_picture() {
        let (epoch, feed) = (Instant::now(), Feed::new(Instant::now()));
        feed.sized(1920, 1080);
        feed.sleep();
        let push = |ms, key| _ = push(&feed, picture(ms, key), epoch);
        (0..40).for_each(|i| push(i * 33, i == 0));
        assert_eq!((drain(&feed).len(), feed.lead()), (0, FAST));
        push(40 * 33, false);
        assert_eq!((drain(&feed).len(), feed.lead()), (41, Duration::ZERO));
        push(41 * 33, false);
        assert_eq!(drain(&feed).len(), 1);
        assert_eq!(feed.wake(), Some(MediaTime::from_millis(41 * 33)), "those before are not shown");
        feed.sleep();
        push(42 * 33, true);
        push(43 * 33, false);
        assert_eq!((drain(&feed).len(), feed.lead()), (0, FAST / 20));
    }

    #[test]
    fn without_a_key_picture_at_hand_one_is_waited_for() {
        let epoch = Instant::now();
        let feed = Feed::new(epoch);
        feed.sleep();
        push(&feed, picture(0, false), epoch);
        assert_eq!(feed.wake(), None);
        for unit in [picture(33, false), sound(40), picture(66, true)] {
            push(&feed, unit, epoch);
        }
        assert_eq!(drain(&feed), [sound(40), picture(66, true)]);
    }

    #[test]
    fn a_worker_that_falls_behind_costs_pictures_not_latency() {
        let epoch = Instant::now();
        let feed = Feed::new(epoch);
        push(&feed, picture(0, true), epoch);
        let dropped: usize = (1..100).map(|i| push(&feed, picture(i * 33, i % 30 == 0), epoch)).sum();
        assert!(dropped > 50, "{dropped} dropped");
        let Some(Unit::Packet(first)) = drain(&feed).into_iter().next() else { panic!("media is left") };
        assert!(first.keyframe && first.dts >= MediaTime::from_millis(2000));
    }

    #[test]
    fn drops_for_want_of_room_are_told_once_and_those_for_want_of_a_key_picture_never() {
        let epoch = Instant::now();
        let feed = Feed::new(epoch);
        for i in 0..=20 {
            push(&feed, picture(i * 33, i == 0), epoch);
        }
        assert_eq!(feed.take_strain(), (Duration::from_millis(660), 0));
        for i in 21..60 {
            push(&feed, picture(i * 33, false), epoch);
        }
        assert_eq!(feed.take_strain(), (Duration::ZERO, 24), "up to the first over 750 ms");
        assert_eq!(feed.take_strain(), (Duration::ZERO, 0));
    }

    #[tokio::test]
    async fn who_waits_is_woken_by_what_comes() {
        let feed = std::sync::Arc::new(Feed::new(Instant::now()));
        let waiting = tokio::spawn({
            let feed = feed.clone();
            async move { feed.next().await }
        });
        push(&feed, format(), Instant::now());
        assert_eq!(waiting.await.unwrap(), format());
    }
}
