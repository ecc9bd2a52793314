use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

use media::StreamKey;

/// The bounds of [`WrongKeys`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongKeyLimits {
    /// Wrong keys of one address before it is held back: a person who mistypes, or a studio behind one address, stays below.
    pub burst: u32,
    /// After the burst an address may ask once in this time.
    pub every: Duration,
    /// Addresses that are remembered; past it the one that has been quiet for longest is forgotten.
    pub addresses: usize,
    /// Keys that are remembered as right, by their hash; past it the oldest is forgotten.
    pub right_keys: usize,
}

impl Default for WrongKeyLimits {
    fn default() -> Self {
        Self { burst: 20, every: Duration::from_secs(1), addresses: 4096, right_keys: 4096 }
    }
}

/// Holds back addresses that guess stream keys, so that guesses don't reach the control plane. Pure: time is told.
///
/// An address pays when it asks and gets it back unless the key was wrong: a thousand questions at once are bounded, too.
/// A key that was right before always passes, so a guesser does not lock out an encoder behind the same address.
#[derive(Debug)]
pub struct WrongKeys {
    limits: WrongKeyLimits,
    addresses: HashMap<IpAddr, Account>,
    right: HashSet<u64>,
    right_in_order: VecDeque<u64>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Account {
    /// Questions not yet forgotten, as of `since`.
    owed: u32,
    since: Instant,
}

impl WrongKeys {
    /// Nothing is held against anybody.
    pub fn new(limits: WrongKeyLimits) -> Self {
        Self {
            limits,
            addresses: HashMap::new(),
            right: HashSet::new(),
            right_in_order: VecDeque::new(),
            hasher: RandomState::new(),
        }
    }

    /// True if the key may be asked for; then [`WrongKeys::right`] or [`WrongKeys::forgive`] follow, unless it was wrong.
    pub fn may_ask(&mut self, now: Instant, peer: IpAddr, key: &StreamKey) -> bool {
        let known = self.right.contains(&self.hash(key));
        let limits = self.limits;
        let peer = network(peer);
        if !self.addresses.contains_key(&peer) && self.addresses.len() >= limits.addresses {
            self.forget_one();
        }
        let account = self.addresses.entry(peer).or_insert(Account { owed: 0, since: now });
        account.pay_back(now, limits.every);
        if account.owed >= limits.burst && !known {
            return false;
        }
        account.owed += 1;
        true
    }

    /// The key was right: remembered, and the question is forgotten.
    pub fn right(&mut self, peer: IpAddr, key: &StreamKey) {
        self.forgive(peer);
        let hash = self.hash(key);
        if self.right.insert(hash) {
            self.right_in_order.push_back(hash);
            if self.right_in_order.len() > self.limits.right_keys
                && let Some(oldest) = self.right_in_order.pop_front()
            {
                self.right.remove(&oldest);
            }
        }
    }

    /// The question is forgotten: it was refused for a reason that has nothing to do with the key.
    pub fn forgive(&mut self, peer: IpAddr) {
        if let Some(account) = self.addresses.get_mut(&network(peer)) {
            account.owed = account.owed.saturating_sub(1);
        }
    }

    fn forget_one(&mut self) {
        if let Some(quiet) = self.addresses.iter().min_by_key(|(_, a)| a.since).map(|(peer, _)| *peer) {
            self.addresses.remove(&quiet);
        }
    }

    /// Under a secret of this process: the set gives no key away.
    fn hash(&self, key: &StreamKey) -> u64 {
        self.hasher.hash_one(key)
    }
}

impl Account {
    fn pay_back(&mut self, now: Instant, every: Duration) {
        let passed = now.saturating_duration_since(self.since).as_nanos() / every.as_nanos().max(1);
        let paid = u32::try_from(passed).unwrap_or(u32::MAX);
        if paid >= self.owed {
            (self.owed, self.since) = (0, now);
        } else {
            self.owed -= paid;
            self.since += every * paid;
        }
    }
}

/// One customer of a network has a whole /64 of IPv6.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn limiter() -> (WrongKeys, Instant) {
        (WrongKeys::new(WrongKeyLimits::default()), Instant::now())
    }

    fn guess(n: u64) -> StreamKey {
        StreamKey::new(format!("guess{n}"))
    }

    #[test]
    fn a_thousand_guesses_a_second_become_twenty_and_then_one_a_second() {
        let (mut limiter, start) = limiter();
        let asked = |limiter: &mut WrongKeys, second: u64| {
            let at = |n: u64| start + Duration::from_millis(second * 1000 + n);
            (0..1000).filter(|n| limiter.may_ask(at(*n), PEER, &guess(second * 1000 + n))).count()
        };
        assert_eq!((0..4).map(|second| asked(&mut limiter, second)).collect::<Vec<_>>(), [20, 1, 1, 1]);
    }

    #[test]
    fn a_key_that_was_right_passes_from_an_address_that_is_held_back() {
        let (mut limiter, now) = limiter();
        let key = StreamKey::new("right");
        assert!(limiter.may_ask(now, PEER, &key));
        limiter.right(PEER, &key);
        let asked = (0..1000).filter(|n| limiter.may_ask(now, PEER, &guess(*n))).count();
        assert_eq!(asked, 20, "the right key cost nothing");
        assert!(limiter.may_ask(now, PEER, &key));
    }

    #[test]
    fn other_addresses_are_not_held_back() {
        let (mut limiter, now) = limiter();
        while limiter.may_ask(now, PEER, &guess(0)) {}
        assert!(limiter.may_ask(now, "192.0.2.2".parse().unwrap(), &guess(0)));
        assert!(!limiter.may_ask(now, "::ffff:192.0.2.1".parse().unwrap(), &guess(0)), "the same, mapped");
    }

    #[test]
    fn an_ipv6_network_counts_as_one() {
        let (mut limiter, now) = limiter();
        let asked = (0..100_u128)
            .filter(|n| {
                let peer = Ipv6Addr::from_bits(0x2001_0db8 << 96 | n);
                limiter.may_ask(now, peer.into(), &guess(0))
            })
            .count();
        assert_eq!(asked, 20);
    }

    #[test]
    fn refusals_for_other_reasons_cost_nothing() {
        let (mut limiter, now) = limiter();
        for n in 0..100 {
            assert!(limiter.may_ask(now, PEER, &guess(n)));
            limiter.forgive(PEER);
        }
    }

    #[test]
    fn memory_is_bounded() {
        let limits = WrongKeyLimits { addresses: 10, right_keys: 10, ..WrongKeyLimits::default() };
        let (mut limiter, now) = (WrongKeys::new(limits), Instant::now());
        for n in 0..1000_u32 {
            let peer = IpAddr::V4(n.into());
            limiter.may_ask(now + Duration::from_millis(n.into()), peer, &guess(n.into()));
            limiter.right(peer, &guess(n.into()));
        }
        assert_eq!(
            (limiter.addresses.len(), limiter.right.len(), limiter.right_in_order.len()),
            (10, 10, 10)
        );
    }
}
