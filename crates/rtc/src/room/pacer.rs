use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use str0m::net::Transmit;

/// Below this rate a keyframe of 60 kB would take longer than a frame's time to leave.
const RATE_FLOOR_BPS: u64 = 20_000_000;

/// The same for packets that are forwarded: the publisher has spread them as its own link needs it, and what comes as a burst all the
/// same (a keyframe of 60 kB from the network next door) is through in 4 ms.
const FORWARD_FLOOR_BPS: u64 = 100_000_000;

/// No link that an ingress sits on is faster; and the sums below cannot overflow.
const RATE_CEILING_BPS: u64 = 10_000_000_000;

/// Headroom over the layers' targets: keyframes, resends after a loss, and three layers that start at once.
const RATE_FACTOR: u64 = 4;

/// What may leave at once: eight full packets, which every switch on the way to an SFU next door can buffer.
const BURST_BYTES: u64 = 10_000;

/// More than this and the caller should hold its frames back: about 50 ms at the floor rate.
const BACKLOG_BYTES: u64 = 128 * 1024;

/// Spreads bursts over a few milliseconds: first in, first out, at a multiple of the media rate. It is no congestion
/// control; the ingress sits next to the SFU.
#[derive(Debug)]
pub struct Pacer {
    queue: VecDeque<Transmit>,
    queued_bytes: u64,
    floor_bps: u64,
    rate_bps: u64,
    /// What may leave now.
    credit_bits: u64,
    refilled: Instant,
}

impl Pacer {
    /// An empty one that may send a burst at once.
    pub fn new(now: Instant) -> Self {
        Self::with_floor(now, RATE_FLOOR_BPS)
    }

    /// The same for what has been paced before.
    pub fn forwarding(now: Instant) -> Self {
        Self::with_floor(now, FORWARD_FLOOR_BPS)
    }

    fn with_floor(now: Instant, floor_bps: u64) -> Self {
        Self {
            queue: VecDeque::new(),
            queued_bytes: 0,
            floor_bps,
            rate_bps: floor_bps,
            credit_bits: BURST_BYTES * 8,
            refilled: now,
        }
    }

    /// Follows the sum of the layers' target rates.
    pub fn set_media_rate(&mut self, bps: u64) {
        self.rate_bps = bps.saturating_mul(RATE_FACTOR).clamp(self.floor_bps, RATE_CEILING_BPS);
    }

    /// Queues a datagram.
    pub fn push(&mut self, datagram: Transmit) {
        self.queued_bytes += datagram.contents.len() as u64;
        self.queue.push_back(datagram);
    }

    /// A datagram that may leave now.
    pub fn pop(&mut self, now: Instant) -> Option<Transmit> {
        self.refill(now);
        let bits = self.front_bits()?;
        self.credit_bits = self.credit_bits.checked_sub(bits)?;
        let datagram = self.queue.pop_front()?;
        self.queued_bytes -= datagram.contents.len() as u64;
        Some(datagram)
    }

    /// When [`Pacer::pop`] has something.
    pub fn timeout(&self) -> Option<Instant> {
        let missing = self.front_bits()?.saturating_sub(self.credit_bits);
        // Round up: waking a nanosecond early would spin.
        let nanos = (missing * 1_000_000_000).div_ceil(self.rate_bps);
        Some(self.refilled + Duration::from_nanos(nanos))
    }

    /// So much waits that more frames should not come in yet.
    pub fn is_full(&self) -> bool {
        self.queued_bytes > BACKLOG_BYTES
    }

    fn front_bits(&self) -> Option<u64> {
        // A datagram larger than the burst could never leave; none is (the MTU is a seventh of it), but the wait must be finite.
        Some((self.queue.front()?.contents.len() as u64 * 8).min(BURST_BYTES * 8))
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.refilled).min(Duration::from_secs(1));
        let bits = elapsed.as_nanos() as u64 * self.rate_bps / 1_000_000_000;
        if bits == 0 {
            return;
        }
        self.credit_bits = (self.credit_bits + bits).min(BURST_BYTES * 8);
        self.refilled = self.refilled.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use str0m::net::Protocol;

    const MS: Duration = Duration::from_millis(1);

    fn datagram(first: u8, bytes: usize) -> Transmit {
        let addr = "127.0.0.1:9".parse().unwrap();
        let contents = vec![first; bytes].into();
        Transmit { proto: Protocol::Udp, source: addr, destination: addr, contents }
    }

    #[test]
    fn a_lone_frame_leaves_at_once() {
        let now = Instant::now();
        let mut pacer = Pacer::new(now);
        for i in 0..8 {
            pacer.push(datagram(i, 1200));
        }
        let sent: Vec<_> = std::iter::from_fn(|| pacer.pop(now)).map(|d| d.contents[0]).collect();
        assert_eq!(sent, [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(pacer.timeout(), None);
    }

    /// How long a keyframe of 60 kB takes, and how many packets of it leave at once at most.
    fn keyframe(start: Instant, mut pacer: Pacer) -> (Duration, usize) {
        for _ in 0..50 {
            pacer.push(datagram(0, 1200));
        }
        let (mut now, mut most) = (start, 0);
        let mut left = 50;
        while left > 0 {
            let sent = std::iter::from_fn(|| pacer.pop(now)).count();
            most = most.max(sent);
            left -= sent;
            now = pacer.timeout().map_or(now, |at| at.max(now + MS));
        }
        (now - start, most)
    }

    #[test]
    fn a_keyframe_of_60_kb_is_spread_and_leaves_within_a_frame_time() {
        let start = Instant::now();
        let (took, most) = keyframe(start, Pacer::new(start));
        assert!(most <= 8, "{most} packets at once");
        assert!(took <= 33 * MS, "took {took:?}");
        let mut forwarding = Pacer::forwarding(start);
        forwarding.set_media_rate(1_000_000);
        let (took, most) = keyframe(start, forwarding);
        assert!(took <= 6 * MS && most <= 10, "took {took:?}, {most} packets at once");
    }

    #[test]
    fn the_timeout_is_exact() {
        let start = Instant::now();
        let mut pacer = Pacer::new(start);
        pacer.set_media_rate(33_333_333);
        for _ in 0..20 {
            pacer.push(datagram(0, 1111));
        }
        let mut now = start;
        for sent in 0..20 {
            assert!(pacer.pop(now).is_some(), "packet {sent}");
            if let Some(at) = pacer.timeout() {
                now = now.max(at);
            }
        }
    }

    #[test]
    fn a_long_backlog_says_so() {
        let now = Instant::now();
        let mut pacer = Pacer::new(now);
        for _ in 0..200 {
            pacer.push(datagram(0, 1200));
        }
        assert!(pacer.is_full());
        let mut later = now;
        while pacer.is_full() {
            later += MS;
            while pacer.pop(later).is_some() {}
        }
        assert!(later - now < 60 * MS);
    }
}
