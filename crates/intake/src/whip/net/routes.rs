use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rtc::room::{Protocol, Transmit};

use super::{mailbox::Mailbox, stun};

/// Addresses of one publisher: a network or two, each with IPv4 and IPv6, and where it moves to. Past it the oldest is
/// forgotten.
const ADDRESSES: usize = 16;

/// Whose datagram is this? A connectivity check says so by our ufrag. Everything else counts by its source address, once a
/// check from there was found right by the peer: what comes from elsewhere is dropped and costs no memory.
#[derive(Debug, Default)]
pub(in crate::whip) struct Routes(Mutex<Tables>);

#[derive(Debug, Default)]
pub(super) struct Tables {
    ufrags: HashMap<String, Arc<Mailbox>>,
    addresses: HashMap<SocketAddr, Arc<Mailbox>>,
    unknown: u64,
}

impl Routes {
    pub(super) fn lock(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Datagrams that were for nobody.
    pub(in crate::whip) fn unknown(&self) -> u64 {
        self.lock().unknown
    }

    /// Addresses that are somebody's.
    pub(in crate::whip) fn known(&self) -> usize {
        self.lock().addresses.len()
    }

    /// Whom a connectivity check is for.
    pub(super) fn by_ufrag(&self, datagram: &[u8]) -> Option<Arc<Mailbox>> {
        self.lock().ufrags.get(stun::asked_ufrag(datagram)?).cloned()
    }
}

impl Tables {
    /// Whom a datagram is for.
    pub(super) fn find(&mut self, from: SocketAddr, datagram: &[u8]) -> Option<&Arc<Mailbox>> {
        let asked = stun::asked_ufrag(datagram).and_then(|ufrag| self.ufrags.get(ufrag));
        let found = asked.or_else(|| self.addresses.get(&from));
        self.unknown += u64::from(found.is_none());
        found
    }
}

/// A publisher's entries, which go when this does.
#[derive(Debug)]
pub(in crate::whip) struct Route {
    routes: Arc<Routes>,
    mailbox: Arc<Mailbox>,
    ufrag: String,
    addresses: VecDeque<SocketAddr>,
}

impl Route {
    pub(in crate::whip) fn new(routes: Arc<Routes>, ufrag: String) -> Self {
        let mailbox = Arc::new(Mailbox::default());
        routes.lock().ufrags.insert(ufrag.clone(), mailbox.clone());
        Self { routes, mailbox, ufrag, addresses: VecDeque::new() }
    }

    pub(in crate::whip) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// ICE was restarted: checks carry this from now on.
    pub(in crate::whip) fn rename(&mut self, ufrag: String) {
        let mut tables = self.routes.lock();
        tables.ufrags.remove(&self.ufrag);
        tables.ufrags.insert(ufrag.clone(), self.mailbox.clone());
        self.ufrag = ufrag;
    }

    /// Looks at what is sent. An answer to a check goes to somebody who has shown the password: from now on everything
    /// that comes from there by UDP is for this publisher, whoever was there before. True if it was such an answer.
    pub(in crate::whip) fn sent(&mut self, datagram: &Transmit) -> bool {
        if !stun::is_success(&datagram.contents) {
            return false;
        }
        if datagram.proto == Protocol::Udp {
            self.learn(datagram.destination);
        }
        true
    }

    fn learn(&mut self, to: SocketAddr) {
        let mut tables = self.routes.lock();
        if !self.addresses.contains(&to) {
            if self.addresses.len() >= ADDRESSES
                && let Some(oldest) = self.addresses.pop_front()
            {
                forget(&mut tables, oldest, &self.mailbox);
            }
            self.addresses.push_back(to);
        }
        if !tables.addresses.get(&to).is_some_and(|known| Arc::ptr_eq(known, &self.mailbox)) {
            tables.addresses.insert(to, self.mailbox.clone());
        }
    }
}

impl Drop for Route {
    fn drop(&mut self) {
        let mut tables = self.routes.lock();
        tables.ufrags.remove(&self.ufrag);
        for address in &self.addresses {
            forget(&mut tables, *address, &self.mailbox);
        }
        self.mailbox.disconnect();
    }
}

/// Unless it is another publisher's by now.
fn forget(tables: &mut Tables, address: SocketAddr, mailbox: &Arc<Mailbox>) {
    if tables.addresses.get(&address).is_some_and(|known| Arc::ptr_eq(known, mailbox)) {
        tables.addresses.remove(&address);
    }
}

#[cfg(test)]
mod tests {
    use super::stun::tests::check;
    use super::*;

    fn addr(port: u16) -> SocketAddr {
        ([192, 0, 2, 1], port).into()
    }

    fn sent(to: u16, contents: &[u8]) -> Transmit {
        let (source, destination) = (addr(7885), addr(to));
        Transmit { proto: Protocol::Udp, source, destination, contents: contents.to_vec().into() }
    }

    fn answer(to: u16) -> Transmit {
        let mut answer = check("a:b");
        answer[0] = 1;
        sent(to, &answer)
    }

    fn finds(routes: &Routes, port: u16, datagram: &[u8]) -> Option<Arc<Mailbox>> {
        routes.lock().find(addr(port), datagram).cloned()
    }

    #[test]
    fn an_address_is_known_once_its_check_was_answered() {
        let routes = Arc::new(Routes::default());
        let mut route = Route::new(routes.clone(), "ours".to_owned());
        assert!(finds(&routes, 1, b"media").is_none() && finds(&routes, 1, &check("other:x")).is_none());
        assert!(finds(&routes, 1, &check("ours:x")).is_some());
        assert!(finds(&routes, 1, b"media").is_none(), "a check alone proves nothing");
        assert!(!route.sent(&sent(1, b"dtls")) && route.sent(&answer(1)));
        assert!(finds(&routes, 1, b"media").is_some() && finds(&routes, 2, b"media").is_none());
        assert_eq!(routes.unknown(), 4);
        drop(route);
        assert!(finds(&routes, 1, b"media").is_none() && finds(&routes, 1, &check("ours:x")).is_none());
    }

    #[test]
    fn who_proved_an_address_last_has_it() {
        let routes = Arc::new(Routes::default());
        let mut old = Route::new(routes.clone(), "old".to_owned());
        let mut new = Route::new(routes.clone(), "new".to_owned());
        old.sent(&answer(1));
        new.sent(&answer(1));
        drop(old);
        assert!(Arc::ptr_eq(&finds(&routes, 1, b"media").unwrap(), new.mailbox()));
    }

    #[test]
    fn a_restart_renames_and_addresses_stay() {
        let routes = Arc::new(Routes::default());
        let mut route = Route::new(routes.clone(), "one".to_owned());
        route.sent(&answer(1));
        route.rename("two".to_owned());
        assert!(finds(&routes, 2, &check("one:x")).is_none() && finds(&routes, 2, &check("two:x")).is_some());
        assert!(finds(&routes, 1, b"media").is_some());
    }

    #[test]
    fn a_publisher_has_a_bounded_number_of_addresses() {
        let routes = Arc::new(Routes::default());
        let mut route = Route::new(routes.clone(), "one".to_owned());
        for port in 1..1000 {
            route.sent(&answer(port));
        }
        assert_eq!((routes.lock().addresses.len(), route.addresses.len()), (ADDRESSES, ADDRESSES));
        assert!(finds(&routes, 999, b"media").is_some());
    }
}
