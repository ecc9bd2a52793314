use std::time::Instant;

use str0m::{change::SdpApi, channel::ChannelId};

use super::{Error, Room};

/// What LiveKit's servers and clients call the channel of which nothing is lost.
const LABEL: &str = "_reliable";

/// The channel for messages, from the moment that somebody has one to send.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum DataChannel {
    #[default]
    None,
    Wanted,
    Offered(ChannelId),
    Open(ChannelId),
}

impl DataChannel {
    /// Adds the channel to an offer, if it is wanted and in none yet.
    pub(super) fn offer(&mut self, changes: &mut SdpApi<'_>) {
        if *self == DataChannel::Wanted {
            *self = DataChannel::Offered(changes.add_channel(LABEL.to_owned()));
        }
    }

    pub(super) fn opened(&mut self, id: ChannelId) {
        if *self == DataChannel::Offered(id) {
            *self = DataChannel::Open(id);
        }
    }
}

/// Messages beside the media.
impl Room {
    /// Adds a channel of which nothing is lost and whose order is kept, to be in the next offer. Again: nothing happens.
    pub fn add_data(&mut self) {
        if self.data == DataChannel::None {
            self.data = DataChannel::Wanted;
        }
    }

    /// True when [`Room::send_data`] would send.
    pub fn is_data_open(&self) -> bool {
        matches!(self.data, DataChannel::Open(_))
    }

    /// Sends one message. False when the channel is not open, or takes no more for now: keep the message.
    pub fn send_data(&mut self, now: Instant, message: &[u8]) -> Result<bool, Error> {
        let DataChannel::Open(id) = self.data else { return Ok(false) };
        let Some(mut channel) = self.rtc.channel(id) else { return Ok(false) };
        let sent = channel.write(true, message).map_err(Error::Engine)?;
        self.settle(now)?;
        Ok(sent)
    }
}
