use super::{PROTOCOL, Wire};
use crate::{
    Error,
    limits::{OUR_CHUNK_SIZE, WINDOW},
    message::{Message, kind},
};

/// User control events (RTMP 7.1.7).
pub(crate) mod event {
    pub(crate) const STREAM_BEGIN: u16 = 0;
    pub(crate) const STREAM_EOF: u16 = 1;
    pub(crate) const SET_BUFFER_LENGTH: u16 = 3;
    pub(crate) const PING_REQUEST: u16 = 6;
    pub(crate) const PING_RESPONSE: u16 = 7;
}

/// Set Peer Bandwidth's "dynamic" limit (RTMP 5.4.5), which every server sends.
const DYNAMIC: u8 = 2;

impl Wire {
    /// Protocol control messages (RTMP 5.4) and user control (RTMP 6.2); the latter's event and number are given on.
    pub(crate) fn control(&mut self, message: &Message) -> Result<Option<(u16, u32)>, Error> {
        match message.kind {
            kind::SET_CHUNK_SIZE => {
                let declared = number(message, "Set Chunk Size")?;
                self.reader.set_chunk_size(message, declared)?;
            }
            kind::ABORT => self.reader.abort(number(message, "Abort Message")?),
            kind::WINDOW_SIZE => self.ear.set_window(number(message, "Window Acknowledgement Size")?),
            // Our window does not change with what the peer wants to limit: what we send is too little to matter.
            kind::PEER_BANDWIDTH => self.say_window(),
            kind::USER_CONTROL => return Ok(self.user_control(&message.payload)),
            // Acknowledgements of the little that we send.
            _ => {}
        }
        Ok(None)
    }

    fn user_control(&mut self, payload: &[u8]) -> Option<(u16, u32)> {
        // A short one says nothing.
        let &[a, b, c, d, e, f] = payload.first_chunk::<6>()?;
        let (event, value) = (u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f]));
        if event == event::PING_REQUEST {
            self.say_user_control(event::PING_RESPONSE, &value.to_be_bytes());
        }
        Some((event, value))
    }

    pub(crate) fn say_window(&mut self) {
        self.say_protocol(kind::WINDOW_SIZE, &WINDOW.to_be_bytes());
    }

    pub(crate) fn say_peer_bandwidth(&mut self) {
        let [a, b, c, d] = WINDOW.to_be_bytes();
        self.say_protocol(kind::PEER_BANDWIDTH, &[a, b, c, d, DYNAMIC]);
    }

    pub(crate) fn say_chunk_size(&mut self) {
        let size = u32::try_from(OUR_CHUNK_SIZE).unwrap_or(u32::MAX);
        self.say_protocol(kind::SET_CHUNK_SIZE, &size.to_be_bytes());
        self.writer.set_chunk_size(OUR_CHUNK_SIZE);
    }

    /// `numbers`: one of 32 bits, or two (Set Buffer Length).
    pub(crate) fn say_user_control(&mut self, event: u16, numbers: &[u8]) {
        self.say_protocol(kind::USER_CONTROL, &[&event.to_be_bytes(), numbers].concat());
    }

    /// Its time is not used: only that an answer comes counts.
    pub(crate) fn ping(&mut self) {
        self.say_user_control(event::PING_REQUEST, &[0; 4]);
    }

    pub(super) fn say_protocol(&mut self, kind: u8, payload: &[u8]) {
        self.say(PROTOCOL, kind, 0, payload);
    }
}

/// The 32-bit number that such a message begins with.
fn number(message: &Message, what: &'static str) -> Result<u32, Error> {
    let Message { csid, at, payload, .. } = message;
    match payload.first_chunk::<4>() {
        Some(bytes) => Ok(u32::from_be_bytes(*bytes)),
        None => Err(Error::Short { csid: *csid, at: *at, what, got: payload.len(), expected: 4 }),
    }
}
