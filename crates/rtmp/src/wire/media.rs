use std::collections::VecDeque;

use super::{clock::Unwrap, decode};
use crate::{
    Error, Event, Metadata,
    flv::{self, Tracks},
    message::{Message, kind},
};

/// Media and data messages to events.
#[derive(Debug, Default)]
pub(crate) struct Media {
    clock: Unwrap,
    tracks: Tracks,
    metadata: Option<Metadata>,
}

impl Media {
    /// Media bodies that were left out because they could not be read or had no format before them.
    pub(crate) fn skipped(&self) -> u64 {
        self.tracks.skipped()
    }

    /// An audio or video message.
    pub(crate) fn media(&mut self, message: Message, events: &mut VecDeque<Event>) -> Result<(), Error> {
        let time = self.clock.unwrap(message.timestamp);
        if message.kind == kind::VIDEO {
            let unit = self.tracks.video(message.at, time, message.payload)?;
            events.extend(unit.map(Event::Unit));
        } else {
            let units = self.tracks.audio(message.at, time, message.payload)?;
            events.extend(units.into_iter().map(Event::Unit));
        }
        Ok(())
    }

    /// A data message: `onMetaData`, if it says something new.
    pub(crate) fn data(&mut self, message: &Message, events: &mut VecDeque<Event>) -> Result<(), Error> {
        let values = decode(message)?;
        if let Some(metadata) = flv::metadata::read(&values)
            && self.metadata.as_ref() != Some(&metadata)
        {
            self.metadata = Some(metadata.clone());
            events.push_back(Event::Metadata(metadata));
        }
        Ok(())
    }
}
