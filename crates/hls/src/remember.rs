//! The last few of something, by what names them.

use std::collections::VecDeque;

use crate::limits::REMEMBERED;

/// The last [`REMEMBERED`] values; the oldest is forgotten first.
pub(crate) struct Remember<K, V>(VecDeque<(K, V)>);

impl<K: PartialEq, V: Clone> Remember<K, V> {
    pub(crate) fn new() -> Self {
        Self(VecDeque::with_capacity(REMEMBERED))
    }

    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.clone())
    }

    pub(crate) fn put(&mut self, key: K, value: V) {
        self.0.retain(|(known, _)| *known != key);
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back((key, value));
    }
}
