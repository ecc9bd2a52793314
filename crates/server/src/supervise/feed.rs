//! Queue A: from one connection of a publisher to the worker, over the worker's deaths.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use media::{Bound, GopCache, MediaTime, Queue, Timeline, Unit};
use tokio::sync::Notify;

/// What a worker may fall behind before pictures are dropped. Half of the latency that a subscriber may see added after
/// a stall; a worker that is further behind will not catch up by itself.
const BOUND: Bound = Bound { span: Duration::from_millis(750), bytes: 8 << 20 };

/// The largest group of pictures kept for a new worker: 10 s at 25 Mbit/s. A longer one is waited out.
const KEPT_BYTES: usize = 32 << 20;

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
            newest: None,
        };
        Self { epoch, inner: Mutex::new(inner), filled: Notify::new() }
    }

    /// Takes what came from the publisher at `now`. Returns how many packets were dropped for it.
    pub(crate) fn push(&self, unit: Unit, now: Instant) -> usize {
        let now = MediaTime::from_duration(now.saturating_duration_since(self.epoch));
        let mut inner = self.lock();
        let unit = match unit {
            Unit::Packet(packet) => Unit::Packet(inner.timeline.map(packet, now)),
            format => format,
        };
        if let Unit::Packet(packet) = &unit {
            inner.newest = inner.newest.max(Some(packet.pts));
        }
        inner.cache.note(&unit);
        let dropped = inner.queue.push(unit);
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
        inner.replay.pop_front().or_else(|| inner.queue.pop())
    }

    /// Another worker starts: it gets the formats and all since the last key picture first. Returns the newest time in
    /// there: what is not after it has been encoded already.
    pub(crate) fn rewind(&self) -> Option<MediaTime> {
        let mut inner = self.lock();
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

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use media::{Codec, Format, Kind, Packet, TrackId};

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
            feed.push(unit, epoch);
        }
        assert_eq!(drain(&feed).len(), 5);
        assert_eq!(feed.rewind(), Some(MediaTime::from_millis(99)));
        feed.push(picture(132, false), epoch);
        assert_eq!(drain(&feed), [format(), picture(66, true), picture(99, false), picture(132, false)]);
    }

    #[test]
    fn a_worker_that_falls_behind_costs_pictures_not_latency() {
        let epoch = Instant::now();
        let feed = Feed::new(epoch);
        feed.push(picture(0, true), epoch);
        let dropped: usize = (1..100).map(|i| feed.push(picture(i * 33, i % 30 == 0), epoch)).sum();
        assert!(dropped > 50, "{dropped} dropped");
        let Some(Unit::Packet(first)) = drain(&feed).into_iter().next() else { panic!("media is left") };
        assert!(first.keyframe && first.dts >= MediaTime::from_millis(2000));
    }

    #[tokio::test]
    async fn who_waits_is_woken_by_what_comes() {
        let feed = std::sync::Arc::new(Feed::new(Instant::now()));
        let waiting = tokio::spawn({
            let feed = feed.clone();
            async move { feed.next().await }
        });
        feed.push(format(), Instant::now());
        assert_eq!(waiting.await.unwrap(), format());
    }
}
