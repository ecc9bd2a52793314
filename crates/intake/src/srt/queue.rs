use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use srt_wire::Stats;
use tokio::sync::Notify;

use super::publisher::Why;

/// What of a caller waits for its session: more than a second of the fastest stream that is transcoded. Past it what comes is
/// dropped, message by message, and counted: SRT has no way to hold a caller back.
const BYTES: usize = 8 << 20;

/// From the process to a publisher. Never full for the process: one slow session does not stall the others.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Bytes>,
    bytes: usize,
    dropped: u64,
    stats: Stats,
    ended: Option<Why>,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, bytes: Bytes) {
        let mut state = self.lock();
        if state.bytes + bytes.len() > BYTES {
            state.dropped += bytes.len() as u64;
            return;
        }
        state.bytes += bytes.len();
        state.waiting.push_back(bytes);
        drop(state);
        self.news.notify_one();
    }

    pub(super) fn tell(&self, stats: Stats) {
        self.lock().stats = stats;
    }

    /// The last word; the first one counts.
    pub(super) fn end(&self, why: Why) {
        self.lock().ended.get_or_insert(why);
        self.news.notify_one();
    }

    /// At most `most` bytes; none at the end. For one reader.
    pub(super) async fn read(&self, most: usize) -> Bytes {
        loop {
            {
                let mut state = self.lock();
                if let Some(front) = state.waiting.front_mut() {
                    let taken = if front.len() > most { front.split_to(most) } else { std::mem::take(front) };
                    if front.is_empty() {
                        state.waiting.pop_front();
                    }
                    state.bytes -= taken.len();
                    return taken;
                }
                if state.ended.is_some() {
                    return Bytes::new();
                }
            }
            self.news.notified().await;
        }
    }

    /// Once everything has been read: why there is no more.
    pub(super) fn ended(&self) -> Option<Why> {
        let state = self.lock();
        state.ended.clone().filter(|_| state.waiting.is_empty())
    }

    /// What the connection is like, and the bytes that found no room here.
    pub(super) fn stats(&self) -> (Stats, u64) {
        let state = self.lock();
        (state.stats, state.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_come_in_order_and_then_the_end() {
        let queue = Queue::default();
        queue.push(Bytes::from_static(b"abcdef"));
        queue.push(Bytes::from_static(b"gh"));
        queue.end(Why::Closed);
        queue.end(Why::Vanished);
        let mut read = Vec::new();
        for most in [4, 4, 100] {
            read.push(queue.read(most).await);
            assert_eq!(queue.ended(), (read.len() == 3).then_some(Why::Closed));
        }
        assert_eq!(read, ["abcd", "ef", "gh"]);
        assert!(queue.read(1).await.is_empty());
    }

    #[tokio::test]
    async fn a_session_that_does_not_read_loses_what_is_past_the_bound_and_only_that() {
        let queue = Queue::default();
        let message = Bytes::from(vec![0x47; 1 << 20]);
        (0..10).for_each(|_| queue.push(message.clone()));
        assert_eq!(queue.stats().1, 2 << 20);
        let mut read = 0;
        queue.end(Why::Closed);
        loop {
            let bytes = queue.read(usize::MAX).await;
            if bytes.is_empty() {
                break;
            }
            read += bytes.len();
        }
        assert_eq!(read, BYTES);
    }
}
