use super::{
    Session,
    answer::control::{PING_REQUEST, PING_RESPONSE},
};
use crate::{
    Error,
    limits::WINDOW,
    message::{Message, kind},
};

impl Session {
    /// Protocol control messages (RTMP 5.4) and user control (RTMP 6.2).
    pub(super) fn control(&mut self, message: &Message) -> Result<(), Error> {
        match message.kind {
            kind::SET_CHUNK_SIZE => {
                let declared = number(message, "Set Chunk Size")?;
                self.reader.set_chunk_size(message, declared)?;
            }
            kind::ABORT => self.reader.abort(number(message, "Abort Message")?),
            kind::WINDOW_SIZE => self.ear.set_window(number(message, "Window Acknowledgement Size")?),
            // Our window does not change with what the peer wants to limit: what we send is too little to matter.
            kind::PEER_BANDWIDTH => self.say_window(),
            kind::USER_CONTROL => self.user_control(&message.payload),
            // Acknowledgements of the little that we send.
            _ => {}
        }
        Ok(())
    }

    fn user_control(&mut self, payload: &[u8]) {
        // StreamBegin, SetBufferLength and the like are for players; a short one says nothing.
        if let Some(&[a, b, c, d, e, f]) = payload.first_chunk::<6>()
            && u16::from_be_bytes([a, b]) == PING_REQUEST
        {
            self.say_user_control(PING_RESPONSE, u32::from_be_bytes([c, d, e, f]));
        }
    }

    fn say_window(&mut self) {
        self.say(super::answer::PROTOCOL, kind::WINDOW_SIZE, 0, &WINDOW.to_be_bytes());
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
