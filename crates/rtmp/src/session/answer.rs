//! What a session says.

use super::Session;
use crate::{
    amf0::Value,
    flv::{AUDIO_CODES, VIDEO_CODES},
    wire::{event, object, text},
};

/// The chunk stream of a message stream's status.
const STATUS: u8 = 5;

/// What may be done with a codec, as enhanced RTMP counts it (FourCcInfoMask): it is decoded.
const CAN_DECODE: f64 = 1.0;

/// What is understood of enhanced RTMP besides codecs (CapsExMask): modifiers (4). Of several tracks (2) one is taken, which is
/// nothing to ask for.
const CAPS_EX: f64 = 4.0;

fn decodable(codes: &[&str]) -> Value {
    Value::Object(codes.iter().map(|code| ((*code).to_owned(), Value::Number(CAN_DECODE))).collect())
}

impl Session {
    /// The limits of both sides, before `connect` is answered, in the order of RTMP 7.2.1.1's figure.
    pub(super) fn say_limits(&mut self) {
        self.wire.say_window();
        self.wire.say_peer_bandwidth();
        self.say_begin(0);
        self.wire.say_chunk_size();
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
        self.wire.say_command(&[text("_result"), Value::Number(transaction), server, status]);
    }

    /// The answer to a call. A transaction of 0 asks for none (RTMP 7.2.1.1).
    pub(super) fn say_result(&mut self, transaction: f64, value: Value) {
        if transaction != 0.0 {
            self.wire.say_command(&[text("_result"), Value::Number(transaction), Value::Null, value]);
        }
    }

    pub(super) fn say_error(&mut self, transaction: f64, description: &str) {
        if transaction != 0.0 {
            let info = info("error", "NetConnection.Call.Failed", description);
            self.wire.say_command(&[text("_error"), Value::Number(transaction), Value::Null, info]);
        }
    }

    /// `onFCPublish` and `onFCUnpublish`.
    pub(super) fn say_fc(&mut self, name: &str, code: &str, stream_name: &str) {
        let info = info("status", code, stream_name);
        self.wire.say_command(&[text(name), Value::Number(0.0), Value::Null, info]);
    }

    pub(super) fn say_accepted(&mut self, stream: u32) {
        self.say_begin(stream);
        self.say_status(stream, "status", "NetStream.Publish.Start", "Publishing.");
    }

    pub(super) fn say_status(&mut self, stream: u32, level: &str, code: &str, description: &str) {
        let values = [text("onStatus"), Value::Number(0.0), Value::Null, info(level, code, description)];
        self.wire.say_values(STATUS, stream, &values);
    }

    pub(super) fn say_closed(&mut self, description: &str) {
        let info = info("error", "NetConnection.Connect.Closed", description);
        self.wire.say_command(&[text("onStatus"), Value::Number(0.0), Value::Null, info]);
    }

    fn say_begin(&mut self, stream: u32) {
        self.wire.say_user_control(event::STREAM_BEGIN, &stream.to_be_bytes());
    }
}

fn info(level: &str, code: &str, description: &str) -> Value {
    object(&[("level", text(level)), ("code", text(code)), ("description", text(description))])
}
