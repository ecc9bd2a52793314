//! What is asked of a server, and its answers (RTMP 7.2).

use super::{Player, State, Step};
use crate::{
    Ended, Error,
    amf0::Value,
    event::printable,
    flv::{AUDIO_CODES, VIDEO_CODES},
    message::Message,
    wire::{decode, event, object, text},
};

/// The chunk stream of `play`, as FFmpeg and librtmp have it.
const PLAY: u8 = 8;

/// Transactions.
const CONNECT: f64 = 1.0;
const CREATE_STREAM: f64 = 2.0;
const PLAY_CALL: f64 = 3.0;

/// How far a server may send ahead of us, in milliseconds: as players say it. Live streams have nothing to send ahead.
const BUFFER_MS: u32 = 3000;

/// Live if there is such a stream, else a recording. RTMP 7.2.2.1 says -2, in seconds; every server has been tried with FFmpeg,
/// which writes milliseconds.
const LIVE_OR_RECORDED: f64 = -2000.0;

/// The name that servers know from FFmpeg's players.
const FLASH_VERSION: &str = "LNX 9,0,124,2";

/// RTMP 7.2.1.1: AAC and MP3; H.264.
const SOUNDS: f64 = 1028.0;
const PICTURES: f64 = 128.0;

impl Player {
    pub(super) fn say_connect(&mut self) {
        self.wire.say_chunk_size();
        let codes = AUDIO_CODES.iter().chain(&VIDEO_CODES).map(|code| text(code)).collect();
        let fields = object(&[
            ("app", text(&self.target.app)),
            ("flashVer", text(FLASH_VERSION)),
            ("tcUrl", text(&self.target.tc_url)),
            ("fpad", Value::Boolean(false)),
            ("capabilities", Value::Number(15.0)),
            ("audioCodecs", Value::Number(SOUNDS)),
            ("videoCodecs", Value::Number(PICTURES)),
            ("videoFunction", Value::Number(1.0)),
            ("objectEncoding", Value::Number(0.0)),
            ("fourCcList", Value::Array(codes)),
        ]);
        self.wire.say_command(&[text("connect"), Value::Number(CONNECT), fields]);
    }

    fn say_create_stream(&mut self) {
        self.wire.say_window();
        self.wire.say_command(&[text("createStream"), Value::Number(CREATE_STREAM), Value::Null]);
    }

    fn say_play(&mut self, stream: u32) {
        let name = text(&self.target.name);
        let values =
            [text("play"), Value::Number(PLAY_CALL), Value::Null, name, Value::Number(LIVE_OR_RECORDED)];
        self.wire.say_values(PLAY, stream, &values);
        let buffer = [stream.to_be_bytes(), BUFFER_MS.to_be_bytes()].concat();
        self.wire.say_user_control(event::SET_BUFFER_LENGTH, &buffer);
    }

    pub(super) fn say_delete_stream(&mut self, stream: u32) {
        let number = Value::Number(stream.into());
        self.wire.say_command(&[text("deleteStream"), Value::Number(0.0), Value::Null, number]);
    }

    pub(super) fn command(&mut self, message: &Message) -> Result<(), Error> {
        let values = decode(message)?;
        let [Value::String(name), rest @ ..] = &values[..] else {
            return Err(self.unexpected(message, "", "a name"));
        };
        let transaction = rest.first().and_then(Value::as_number).unwrap_or(0.0);
        let info = rest.get(2).unwrap_or(&Value::Null);
        match name.as_str() {
            "_result" => self.result(message, transaction, info),
            "_error" => self.refused(transaction, info),
            "onStatus" => self.status(info),
            "close" => Err(self.refusal("the stream", info)),
            // Bandwidth tests and notices that no player needs an answer to.
            _ => Ok(()),
        }
    }

    fn result(&mut self, message: &Message, transaction: f64, value: &Value) -> Result<(), Error> {
        let State::Asking { step, .. } = &mut self.state else { return Ok(()) };
        match *step {
            Step::Connect if transaction == CONNECT => {
                *step = Step::CreateStream;
                self.say_create_stream();
            }
            Step::CreateStream if transaction == CREATE_STREAM => {
                let number = value.as_number().filter(|n| (0.0..=f64::from(u32::MAX)).contains(n));
                let Some(number) = number else {
                    return Err(self.unexpected(message, "_result", "the number of a stream"));
                };
                let stream = number as u32;
                *step = Step::Play { stream };
                self.say_play(stream);
            }
            // Of calls that were not made, or answered before.
            _ => {}
        }
        Ok(())
    }

    fn refused(&mut self, transaction: f64, info: &Value) -> Result<(), Error> {
        let State::Asking { step, .. } = self.state else { return Ok(()) };
        let call = match step {
            Step::Connect if transaction == CONNECT => "connect",
            Step::CreateStream if transaction == CREATE_STREAM => "createStream",
            // rml_rtmp's server answers `play` as if it had no number.
            Step::Play { .. } if transaction == PLAY_CALL || transaction == 0.0 => "play",
            _ => return Ok(()),
        };
        Err(self.refusal(call, info))
    }

    /// Codes as ActionScript's NetStream and NetConnection have them; the level is not always right.
    fn status(&mut self, info: &Value) -> Result<(), Error> {
        let field = |name| info.get(name).and_then(Value::as_str).unwrap_or("");
        match field("code") {
            "NetStream.Play.Start" => self.start(),
            "NetStream.Play.Stop" | "NetStream.Play.Complete" | "NetStream.Play.UnpublishNotify"
                if matches!(self.state, State::Playing { .. }) =>
            {
                self.end(Ended::Stopped);
            }
            "NetStream.Play.StreamNotFound" | "NetStream.Play.Failed" | "NetConnection.Connect.Closed" => {
                return Err(self.refusal(self.asked(), info));
            }
            _ if field("level") == "error" => return Err(self.refusal(self.asked(), info)),
            _ => {}
        }
        Ok(())
    }

    fn asked(&self) -> &'static str {
        match self.state {
            State::Asking { step: Step::Handshake | Step::Connect, .. } => "connect",
            State::Asking { step: Step::CreateStream, .. } => "createStream",
            State::Asking { step: Step::Play { .. }, .. } => "play",
            State::Playing { .. } | State::Over => "the stream",
        }
    }

    fn refusal(&self, call: &'static str, info: &Value) -> Error {
        let field = |name| info.get(name).and_then(Value::as_str).unwrap_or("");
        let shown = |name| printable(&self.target.redact(field(name)));
        Error::Refused { call, code: shown("code"), text: shown("description") }
    }

    fn unexpected(&self, message: &Message, name: &str, expected: &'static str) -> Error {
        let Message { csid, at, .. } = *message;
        Error::Command { csid, at, name: name.to_owned(), stage: self.stage(), expected }
    }
}

/// `onPlayStatus` in a data message: a recording is over.
pub(super) fn is_complete(values: &[Value]) -> bool {
    let [Value::String(name), rest @ ..] = values else { return false };
    let code = |value: &Value| value.get("code").and_then(Value::as_str) == Some("NetStream.Play.Complete");
    name == "onPlayStatus" && rest.iter().any(code)
}
