//! What a session says. Chunk streams as everybody uses them: 2 for the protocol's own messages, 3 for commands, 5 for the
//! status of a stream.

use super::Session;
use crate::{
    amf0::{Value, encode},
    flv::{AUDIO_CODES, VIDEO_CODES},
    limits::{OUR_CHUNK_SIZE, WINDOW},
    message::kind,
};

pub(super) const PROTOCOL: u8 = 2;
const COMMANDS: u8 = 3;
const STATUS: u8 = 5;

/// User control events (RTMP 7.1.7).
pub(super) mod control {
    pub(in crate::session) const STREAM_BEGIN: u16 = 0;
    pub(in crate::session) const PING_REQUEST: u16 = 6;
    pub(in crate::session) const PING_RESPONSE: u16 = 7;
}

/// Set Peer Bandwidth's "dynamic" limit (RTMP 5.4.5), which every server sends.
const DYNAMIC: u8 = 2;

/// What may be done with a codec, as enhanced RTMP counts it (FourCcInfoMask): it is decoded.
const CAN_DECODE: f64 = 1.0;

/// What is understood of enhanced RTMP besides codecs (CapsExMask): modifiers (4). Of several tracks (2) one is taken, which is
/// nothing to ask for.
const CAPS_EX: f64 = 4.0;

pub(super) fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn object(fields: &[(&str, Value)]) -> Value {
    Value::Object(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

fn decodable(codes: &[&str]) -> Value {
    Value::Object(codes.iter().map(|code| ((*code).to_owned(), Value::Number(CAN_DECODE))).collect())
}

impl Session {
    /// The limits of both sides, before `connect` is answered, in the order of RTMP 7.2.1.1's figure.
    pub(super) fn say_limits(&mut self) {
        self.say(PROTOCOL, kind::WINDOW_SIZE, 0, &WINDOW.to_be_bytes());
        let [a, b, c, d] = WINDOW.to_be_bytes();
        self.say(PROTOCOL, kind::PEER_BANDWIDTH, 0, &[a, b, c, d, DYNAMIC]);
        self.say_user_control(control::STREAM_BEGIN, 0);
        let size = u32::try_from(OUR_CHUNK_SIZE).unwrap_or(u32::MAX);
        self.say(PROTOCOL, kind::SET_CHUNK_SIZE, 0, &size.to_be_bytes());
        self.writer.set_chunk_size(OUR_CHUNK_SIZE);
    }

    /// The answer to `connect`. `fmsVer` is what clients look at to see a server that takes FCPublish; behind it stands what
    /// is taken in enhanced RTMP's form ("Enhancing NetConnection connect Command"), unasked: no encoder asks by default.
    pub(super) fn say_connected(&mut self, transaction: f64, encoding: f64) {
        let codes = AUDIO_CODES.iter().chain(&VIDEO_CODES).map(|code| text(code)).collect();
        let server = object(&[
            ("fmsVer", text("FMS/3,5,7,7009")),
            ("capabilities", Value::Number(31.0)),
            ("mode", Value::Number(1.0)),
            ("fourCcList", Value::Array(codes)),
            ("audioFourCcInfoMap", decodable(&AUDIO_CODES)),
            ("videoFourCcInfoMap", decodable(&VIDEO_CODES)),
            ("capsEx", Value::Number(CAPS_EX)),
        ]);
        let status = object(&[
            ("level", text("status")),
            ("code", text("NetConnection.Connect.Success")),
            ("description", text("Connection succeeded.")),
            ("objectEncoding", Value::Number(encoding)),
        ]);
        self.say_command(0, &[text("_result"), Value::Number(transaction), server, status]);
    }

    /// The answer to a call. A transaction of 0 asks for none (RTMP 7.2.1.1).
    pub(super) fn say_result(&mut self, transaction: f64, value: Value) {
        if transaction != 0.0 {
            self.say_command(0, &[text("_result"), Value::Number(transaction), Value::Null, value]);
        }
    }

    pub(super) fn say_error(&mut self, transaction: f64, description: &str) {
        if transaction != 0.0 {
            let info = info("error", "NetConnection.Call.Failed", description);
            self.say_command(0, &[text("_error"), Value::Number(transaction), Value::Null, info]);
        }
    }

    /// `onFCPublish` and `onFCUnpublish`.
    pub(super) fn say_fc(&mut self, name: &str, code: &str, stream_name: &str) {
        let info = info("status", code, stream_name);
        self.say_command(0, &[text(name), Value::Number(0.0), Value::Null, info]);
    }

    pub(super) fn say_accepted(&mut self, stream: u32) {
        self.say_user_control(control::STREAM_BEGIN, stream);
        self.say_status(stream, "status", "NetStream.Publish.Start", "Publishing.");
    }

    pub(super) fn say_status(&mut self, stream: u32, level: &str, code: &str, description: &str) {
        let values = [text("onStatus"), Value::Number(0.0), Value::Null, info(level, code, description)];
        self.say(STATUS, kind::COMMAND_AMF0, stream, &encoded(&values));
    }

    pub(super) fn say_closed(&mut self, description: &str) {
        let info = info("error", "NetConnection.Connect.Closed", description);
        self.say_command(0, &[text("onStatus"), Value::Number(0.0), Value::Null, info]);
    }

    pub(super) fn say_user_control(&mut self, event: u16, value: u32) {
        let ([a, b], [c, d, e, f]) = (event.to_be_bytes(), value.to_be_bytes());
        self.say(PROTOCOL, kind::USER_CONTROL, 0, &[a, b, c, d, e, f]);
    }

    pub(super) fn acknowledge(&mut self) {
        if let Some(sequence) = self.ear.due(self.received) {
            self.say(PROTOCOL, kind::ACKNOWLEDGEMENT, 0, &sequence.to_be_bytes());
        }
    }

    /// Its time is not used: only that an answer comes counts.
    pub(super) fn ping(&mut self) {
        self.say_user_control(control::PING_REQUEST, 0);
    }

    fn say_command(&mut self, stream: u32, values: &[Value]) {
        self.say(COMMANDS, kind::COMMAND_AMF0, stream, &encoded(values));
    }

    pub(super) fn say(&mut self, csid: u8, kind: u8, stream: u32, payload: &[u8]) {
        self.writer.write(csid, kind, stream, payload, &mut self.output);
    }
}

fn info(level: &str, code: &str, description: &str) -> Value {
    object(&[("level", text(level)), ("code", text(code)), ("description", text(description))])
}

fn encoded(values: &[Value]) -> Vec<u8> {
    let mut bytes = Vec::new();
    values.iter().for_each(|value| encode(value, &mut bytes));
    bytes
}
