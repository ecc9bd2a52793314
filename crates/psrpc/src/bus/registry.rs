//! What this process wants to hear. The connection task makes Redis agree with it, so that a drop is enough to
//! unsubscribe, and a new connection knows what to ask for.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc, watch};

/// The wanted channels and who listens to each.
#[derive(Default)]
pub(crate) struct Registry {
    topics: Mutex<Topics>,
    changed: Notify,
}

#[derive(Default)]
struct Topics {
    by_channel: HashMap<String, Topic>,
    next_listener: u64,
}

struct Topic {
    listeners: HashMap<u64, Listener>,
    /// Whether Redis has confirmed the subscription on the present connection.
    confirmed: watch::Sender<bool>,
}

struct Listener {
    messages: mpsc::Sender<Bytes>,
    /// Messages that found its buffer full since it last had room.
    dropped: u64,
}

/// Keeps one listener on a channel until it is dropped.
pub(crate) struct Subscription {
    registry: Arc<Registry>,
    channel: String,
    listener: u64,
    confirmed: watch::Receiver<bool>,
}

impl Registry {
    /// Adds a listener with a buffer of `capacity` messages. What comes while the buffer is full is dropped: the sender
    /// of a request has its own timeout, and one slow listener must not hold up the others.
    pub(crate) fn listen(
        self: &Arc<Self>,
        channel: String,
        capacity: usize,
    ) -> (Subscription, mpsc::Receiver<Bytes>) {
        let (messages, receiver) = mpsc::channel(capacity);
        let mut topics = self.lock();
        let listener = topics.next_listener;
        topics.next_listener += 1;
        let topic = topics
            .by_channel
            .entry(channel.clone())
            .or_insert_with(|| Topic { listeners: HashMap::new(), confirmed: watch::Sender::new(false) });
        topic.listeners.insert(listener, Listener { messages, dropped: 0 });
        let confirmed = topic.confirmed.subscribe();
        drop(topics);
        self.changed.notify_one();
        (Subscription { registry: self.clone(), channel, listener, confirmed }, receiver)
    }

    /// Hands a message to all listeners of its channel.
    pub(crate) fn deliver(&self, channel: &str, message: &Bytes) {
        let mut topics = self.lock();
        let Some(topic) = topics.by_channel.get_mut(channel) else { return };
        for listener in topic.listeners.values_mut() {
            let dropped = &mut listener.dropped;
            match listener.messages.try_send(message.clone()) {
                Ok(()) if *dropped > 0 => {
                    tracing::warn!(channel, dropped = *dropped, "listener has room again");
                    *dropped = 0;
                }
                Err(mpsc::error::TrySendError::Full(_)) => {
                    if *dropped == 0 {
                        tracing::warn!(
                            channel,
                            "listener is too slow: its buffer is full, messages are dropped"
                        );
                    }
                    *dropped += 1;
                }
                Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
            }
        }
    }

    /// What to subscribe and what to unsubscribe, given what Redis has now.
    pub(crate) fn difference(&self, have: &HashSet<String>) -> (Vec<String>, Vec<String>) {
        let topics = self.lock();
        let missing = topics.by_channel.keys().filter(|channel| !have.contains(*channel)).cloned().collect();
        let surplus =
            have.iter().filter(|channel| !topics.by_channel.contains_key(*channel)).cloned().collect();
        (missing, surplus)
    }

    /// Redis has exactly these now: wakes those who wait for a confirmation. Empty when the connection is lost.
    pub(crate) fn confirm(&self, have: &HashSet<String>) {
        for (channel, topic) in &self.lock().by_channel {
            let now = have.contains(channel);
            topic.confirmed.send_if_modified(|confirmed| std::mem::replace(confirmed, now) != now);
        }
    }

    /// Waits until a listener was added or removed since the last wait.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Topics> {
        self.topics.lock().expect("no code panics while it holds the topics")
    }
}

impl Subscription {
    /// Waits until Redis has confirmed the subscription on the present connection.
    pub(crate) async fn confirmed(&mut self) {
        // The sender lives in the registry as long as this listener does.
        let _ = self.confirmed.wait_for(|confirmed| *confirmed).await;
    }

    pub(crate) fn channel(&self) -> &str {
        &self.channel
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut topics = self.registry.lock();
        let Some(topic) = topics.by_channel.get_mut(&self.channel) else { return };
        topic.listeners.remove(&self.listener);
        if topic.listeners.is_empty() {
            topics.by_channel.remove(&self.channel);
            drop(topics);
            self.registry.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(channels: &[&str]) -> HashSet<String> {
        channels.iter().map(|channel| (*channel).to_owned()).collect()
    }

    #[test]
    fn difference_is_what_redis_lacks_and_what_nobody_hears() {
        let registry = Arc::new(Registry::default());
        let _a = registry.listen("a".into(), 1);
        let _b = registry.listen("b".into(), 1);
        let (missing, surplus) = registry.difference(&set(&["b", "c"]));
        assert_eq!((missing, surplus), (vec!["a".to_owned()], vec!["c".to_owned()]));
    }

    #[test]
    fn channel_stays_wanted_until_its_last_listener_is_dropped() {
        let registry = Arc::new(Registry::default());
        let one = registry.listen("a".into(), 1);
        let two = registry.listen("a".into(), 1);
        drop(one);
        assert_eq!(registry.difference(&set(&["a"])).1, Vec::<String>::new());
        drop(two);
        assert_eq!(registry.difference(&set(&["a"])).1, vec!["a".to_owned()]);
    }

    #[test]
    fn all_listeners_of_a_channel_hear_a_message_and_a_full_one_only_loses_its_own() {
        let registry = Arc::new(Registry::default());
        let (_slow, mut slow) = registry.listen("a".into(), 1);
        let (_quick, mut quick) = registry.listen("a".into(), 9);
        let (_other, mut other) = registry.listen("b".into(), 9);
        for message in [&b"1"[..], b"2"] {
            registry.deliver("a", &Bytes::from_static(message));
        }
        assert_eq!(slow.try_recv().unwrap(), "1");
        slow.try_recv().unwrap_err();
        assert_eq!((quick.try_recv().unwrap(), quick.try_recv().unwrap()), ("1".into(), "2".into()));
        other.try_recv().unwrap_err();
    }

    #[test]
    fn confirmation_ends_with_the_connection() {
        let registry = Arc::new(Registry::default());
        let (subscription, _messages) = registry.listen("a".into(), 1);
        registry.confirm(&set(&["a"]));
        assert!(*subscription.confirmed.borrow());
        registry.confirm(&set(&[]));
        assert!(!*subscription.confirmed.borrow());
    }
}
