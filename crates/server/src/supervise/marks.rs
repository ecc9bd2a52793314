//! What a stream carries beside pictures and sound, on its way to those in the room.

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
};

use livekit::room::Participant;
use media::MediaTime;
use pipeline::demux::What;

/// The topic of a title: its text, UTF-8.
const TITLE: &str = "sluicegate.title";

/// The topic of timed metadata: a whole ID3v2 tag.
const ID3: &str = "sluicegate.id3";

/// As the Go worker names it: the event of an advertisement that is on, in decimal digits.
const OUT_OF_NETWORK: &str = "ingress.outOfNetwork.eventID";

/// LiveKit's clients take messages of up to 15 kB; a tag with a picture in it can be larger.
const MAX_BYTES: usize = 15_000;

/// So many wait for their time at most; the oldest makes room.
const MAX_WAITING: usize = 64;

/// Titles and tags as messages, splices as an attribute of the participant.
pub(super) struct Marks {
    room: Arc<OnceLock<Participant>>,
    title: String,
    /// The event of the advertisement that is on.
    out: Option<u32>,
    /// In the order in which they came.
    waiting: VecDeque<(MediaTime, What)>,
}

/// What is said in the room.
#[derive(Debug, PartialEq)]
enum Said {
    Message(&'static str, Vec<u8>),
    Attribute(&'static str, String),
}

impl Marks {
    pub(super) fn new(room: Arc<OnceLock<Participant>>) -> Self {
        Self { room, title: String::new(), out: None, waiting: VecDeque::new() }
    }

    /// Keeps what is due at this time of the source.
    pub(super) fn note(&mut self, at: MediaTime, what: What) {
        if self.waiting.len() >= MAX_WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back((at, what));
    }

    /// The source is played up to this time: says what is due. It waits for a room.
    pub(super) fn reach(&mut self, now: MediaTime) {
        let Some(room) = self.room.get().cloned() else { return };
        while self.waiting.front().is_some_and(|(at, _)| *at <= now)
            && let Some((_, what)) = self.waiting.pop_front()
        {
            match self.say(what) {
                Some(Said::Message(topic, payload)) => room.send_data(topic, &payload),
                Some(Said::Attribute(name, value)) => room.set_attribute(name, &value),
                None => {}
            }
        }
    }

    fn say(&mut self, what: What) -> Option<Said> {
        match what {
            What::Title(title) if title == self.title => None,
            What::Title(title) => {
                self.title.clone_from(&title);
                let end = title.floor_char_boundary(MAX_BYTES);
                Some(Said::Message(TITLE, title.as_bytes()[..end].to_vec()))
            }
            What::Id3(tag) if tag.len() > MAX_BYTES => {
                tracing::debug!(bytes = tag.len(), "an ID3 tag is too large for a message");
                None
            }
            What::Id3(tag) => Some(Said::Message(ID3, tag.to_vec())),
            What::Splice { event_id, out_of_network, cancelled, .. } => {
                self.splice(event_id, out_of_network, cancelled)
            }
        }
    }

    fn splice(&mut self, event_id: u32, out_of_network: bool, cancelled: bool) -> Option<Said> {
        let out = match (out_of_network && !cancelled).then_some(event_id) {
            // Another event's end or withdrawal does not end this one.
            None if cancelled && self.out != Some(event_id) => self.out,
            out => out,
        };
        if out == self.out {
            return None;
        }
        tracing::info!(event_id, out_of_network, cancelled, "splice");
        self.out = out;
        let value = out.map(|event| event.to_string()).unwrap_or_default();
        Some(Said::Attribute(OUT_OF_NETWORK, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks() -> Marks {
        Marks::new(Arc::default())
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut marks = marks();
        (0..100).for_each(|number| marks.note(MediaTime::from_millis(number), What::Title(String::new())));
        assert_eq!((marks.waiting.len(), marks.waiting[0].0), (MAX_WAITING, MediaTime::from_millis(36)));
    }

    #[test]
    fn a_title_is_said_once() {
        let mut marks = marks();
        let said = |text: &str| Some(Said::Message("sluicegate.title", text.as_bytes().to_vec()));
        assert_eq!(marks.say(What::Title("one".into())), said("one"));
        assert_eq!(marks.say(What::Title("one".into())), None);
        assert_eq!(marks.say(What::Title("two".into())), said("two"));
        let long = "ü".repeat(8000);
        assert_eq!(marks.say(What::Title(long.clone())), said(&long[..15_000]));
    }

    #[test]
    fn a_tag_is_said_whole_or_not_at_all() {
        let mut marks = marks();
        let said = Some(Said::Message("sluicegate.id3", b"ID3".to_vec()));
        assert_eq!(marks.say(What::Id3(b"ID3"[..].into())), said);
        assert_eq!(marks.say(What::Id3(vec![0; MAX_BYTES + 1].into())), None);
    }

    #[test]
    fn a_splice_is_an_attribute_until_it_is_over_or_taken_back() {
        let mut marks = marks();
        let mut splice = |event_id, out_of_network, cancelled| {
            let what = What::Splice { event_id, out_of_network, cancelled, duration: None };
            match marks.say(what) {
                Some(Said::Attribute("ingress.outOfNetwork.eventID", value)) => Some(value),
                None => None,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(splice(7, true, false).as_deref(), Some("7"));
        assert_eq!(splice(7, true, false), None);
        assert_eq!(splice(9, false, true), None, "another event is taken back");
        assert_eq!(splice(7, false, true).as_deref(), Some(""));
        assert_eq!(splice(8, true, false).as_deref(), Some("8"));
        assert_eq!(splice(8, false, false).as_deref(), Some(""));
    }
}
