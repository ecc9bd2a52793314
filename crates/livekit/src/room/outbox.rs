use std::{collections::VecDeque, mem::discriminant};

use tokio::sync::mpsc;

use super::Event;

/// Events under way to a receiver that keeps up. One that does not gets folded events, from [`Outbox`].
pub(super) const CHANNEL: usize = 64;

/// Events that wait for room in the channel. Bounded because equal ones fold: what a newer event says replaces the older.
#[derive(Debug)]
pub(super) struct Outbox {
    sender: mpsc::Sender<Event>,
    waiting: VecDeque<Event>,
}

impl Outbox {
    pub(super) fn new(sender: mpsc::Sender<Event>) -> Self {
        Self { sender, waiting: VecDeque::new() }
    }

    /// Sends, or keeps for the next [`Outbox::flush`]. Never waits.
    pub(super) fn push(&mut self, event: Event) {
        self.flush();
        if !self.waiting.is_empty() {
            self.waiting.retain(|old| !replaces(&event, old));
        }
        self.waiting.push_back(event);
        self.flush();
    }

    pub(super) fn flush(&mut self) {
        while let Some(event) = self.waiting.pop_front() {
            match self.sender.try_send(event) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(event)) => {
                    self.waiting.push_front(event);
                    return;
                }
                // Nobody listens: the participant goes on without.
                Err(mpsc::error::TrySendError::Closed(_)) => self.waiting.clear(),
            }
        }
    }

    /// Sends all that waits, for as long as the receiver takes it.
    pub(super) async fn finish(mut self, last: Event) {
        self.waiting.push_back(last);
        for event in self.waiting {
            if self.sender.send(event).await.is_err() {
                return;
            }
        }
    }
}

fn replaces(new: &Event, old: &Event) -> bool {
    match (new, old) {
        (Event::KeyframeNeeded(new), Event::KeyframeNeeded(old)) => new == old,
        (Event::Stats(new), Event::Stats(old)) => new.output == old.output,
        (Event::Published { kind: new, .. }, Event::Published { kind: old, .. }) => new == old,
        (new, old) => discriminant(new) == discriminant(old),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::Quality;

    #[test]
    fn a_receiver_that_sleeps_gets_each_thing_once_and_the_newest_of_it() {
        let (sender, mut receiver) = mpsc::channel(1);
        let mut outbox = Outbox::new(sender);
        outbox.push(Event::Connected);
        for i in 0..1000 {
            outbox.push(Event::KeyframeNeeded(Quality::High));
            outbox.push(Event::KeyframeNeeded(Quality::Low));
            outbox.push(Event::Reconnecting(i.to_string()));
        }
        assert_eq!(outbox.waiting.len(), 3);
        let mut got = vec![];
        while let Ok(event) = receiver.try_recv() {
            got.push(event);
            outbox.flush();
        }
        use Event::*;
        let expected = [
            Connected,
            KeyframeNeeded(Quality::High),
            KeyframeNeeded(Quality::Low),
            Reconnecting("999".into()),
        ];
        assert_eq!(got, expected);
    }

    #[tokio::test]
    async fn the_last_event_arrives_behind_what_waits() {
        let (sender, mut receiver) = mpsc::channel(1);
        let mut outbox = Outbox::new(sender);
        outbox.push(Event::Connected);
        outbox.push(Event::Resumed);
        let finish = outbox.finish(Event::Ended(crate::room::Reason::Left));
        let collect = async {
            let mut got = vec![];
            while let Some(event) = receiver.recv().await {
                got.push(event);
            }
            got
        };
        let ((), got) = tokio::join!(finish, collect);
        assert_eq!(got, [Event::Connected, Event::Resumed, Event::Ended(crate::room::Reason::Left)]);
    }
}
