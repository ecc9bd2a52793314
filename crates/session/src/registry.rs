use std::collections::HashMap;
use std::collections::hash_map;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The sessions of this server, by ingress id; `T` is how each is reached (its mailbox).
///
/// Clones share one table.
#[derive(Debug)]
pub struct Registry<T> {
    table: Arc<Mutex<HashMap<String, T>>>,
}

/// What a connection is to an ingress id.
#[derive(Debug)]
pub enum Entry<T> {
    /// The first: a session of its own, for as long as the [`Hold`] lives.
    New(Hold<T>),
    /// One more: it is handed to the running session as [`Input::TookOver`](crate::Input::TookOver).
    TakeOver(T),
}

/// The right to be the one session of an ingress. Freed on drop, also in a panic.
#[derive(Debug)]
pub struct Hold<T> {
    id: String,
    table: Arc<Mutex<HashMap<String, T>>>,
}

impl<T: Clone> Registry<T> {
    /// An empty table.
    pub fn new() -> Self {
        Self { table: Arc::default() }
    }

    /// Takes the place of `id`, to be reached by `mailbox`; or finds who has it.
    pub fn enter(&self, id: &str, mailbox: T) -> Entry<T> {
        match lock(&self.table).entry(id.to_owned()) {
            hash_map::Entry::Occupied(taken) => Entry::TakeOver(taken.get().clone()),
            hash_map::Entry::Vacant(free) => {
                free.insert(mailbox);
                Entry::New(Hold { id: id.to_owned(), table: self.table.clone() })
            }
        }
    }

    /// True while `id` has a session.
    pub fn has(&self, id: &str) -> bool {
        lock(&self.table).contains_key(id)
    }

    /// All sessions, in no order.
    pub fn all(&self) -> Vec<(String, T)> {
        lock(&self.table).iter().map(|(id, mailbox)| (id.clone(), mailbox.clone())).collect()
    }
}

impl<T> Registry<T> {
    /// Number of sessions.
    pub fn len(&self) -> usize {
        lock(&self.table).len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: Clone> Default for Registry<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for Registry<T> {
    fn clone(&self) -> Self {
        Self { table: self.table.clone() }
    }
}

impl<T> Drop for Hold<T> {
    fn drop(&mut self) {
        lock(&self.table).remove(&self.id);
    }
}

/// No code of others runs under the lock, so a panic elsewhere leaves the table whole.
fn lock<T>(table: &Mutex<T>) -> MutexGuard<'_, T> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_publisher_on_a_live_ingress_takes_over() {
        let registry = Registry::new();
        let Entry::New(_first) = registry.enter("IN_a", 1) else { panic!("IN_a was free") };
        assert!(matches!(registry.enter("IN_a", 2), Entry::TakeOver(1)));
        assert!(matches!(registry.enter("IN_b", 3), Entry::New(_)));
    }

    #[test]
    fn a_panic_frees_the_ingress() {
        let registry = Registry::new();
        let shared = registry.clone();
        let panicked = std::thread::spawn(move || {
            let _hold = shared.enter("IN_a", ());
            panic!("the session's task dies");
        });
        panicked.join().unwrap_err();
        assert!(registry.is_empty());
        assert!(matches!(registry.enter("IN_a", ()), Entry::New(_)));
    }
}
