//! Commands (RTMP 7.2) as encoders really send them.

use super::{Session, State};
use crate::{
    Ended, Error, Event, Publish, amf0::Value, event::printable, key, limits::MESSAGE_STREAMS,
    message::Message, wire::decode,
};

/// What `connect` said.
#[derive(Debug)]
pub(super) struct Client {
    app: String,
    tc_url: String,
    encoder: String,
}

/// A command as it lies in its message.
struct Call<'a> {
    message: &'a Message,
    name: &'a str,
    transaction: f64,
    /// Behind the command object.
    arguments: &'a [Value],
    object: Option<&'a Value>,
}

impl Call<'_> {
    /// The first argument as text: a stream name.
    fn stream_name(&self) -> &str {
        self.arguments.first().and_then(Value::as_str).unwrap_or("")
    }

    fn unexpected(&self, stage: &'static str, expected: &'static str) -> Error {
        let Message { csid, at, .. } = *self.message;
        Error::Command { csid, at, name: printable(self.name), stage, expected }
    }
}

impl Session {
    pub(super) fn command(&mut self, message: &Message) -> Result<(), Error> {
        let values = decode(message)?;
        let [Value::String(name), rest @ ..] = &values[..] else {
            let nameless = Call { message, name: "", transaction: 0.0, arguments: &[], object: None };
            return Err(nameless.unexpected(self.stage(), "a name"));
        };
        let call = Call {
            message,
            name,
            transaction: rest.first().and_then(Value::as_number).unwrap_or(0.0),
            object: rest.get(1),
            arguments: rest.get(2..).unwrap_or(&[]),
        };
        self.call(&call)
    }

    fn call(&mut self, call: &Call<'_>) -> Result<(), Error> {
        match call.name {
            "connect" => return self.connect(call),
            // Flash Media Live Encoder's calls. Nobody waits for the answers; they come all the same.
            "releaseStream" | "_checkbw" => self.say_result(call.transaction, Value::Undefined),
            "FCPublish" => {
                self.say_fc("onFCPublish", "NetStream.Publish.Start", call.stream_name());
                self.say_result(call.transaction, Value::Undefined);
            }
            "createStream" => self.create_stream(call),
            "getStreamLength" => self.say_result(call.transaction, Value::Number(0.0)),
            "publish" => return self.publish(call),
            "FCUnpublish" => {
                self.say_fc("onFCUnpublish", "NetStream.Unpublish.Success", call.stream_name());
                self.say_result(call.transaction, Value::Undefined);
                self.unpublish(Ended::Unpublished);
            }
            "closeStream" => self.unpublish(Ended::Unpublished),
            "deleteStream" => self.delete_stream(call),
            "play" | "play2" => {
                return Err(call.unexpected(self.stage(), "publish: this server has no playback"));
            }
            // Answers to what we never ask, and notices.
            "_result" | "_error" | "onStatus" => {}
            other => {
                let text = format!("no such call: {}", printable(other));
                self.say_error(call.transaction, &text);
            }
        }
        Ok(())
    }

    fn connect(&mut self, call: &Call<'_>) -> Result<(), Error> {
        let stage = self.stage();
        let State::Greeting { client: client @ None, .. } = &mut self.state else {
            return Err(call.unexpected(stage, "one connect, at the beginning"));
        };
        let field =
            |name| call.object.and_then(|object| object.get(name)).and_then(Value::as_str).unwrap_or("");
        *client = Some(Client {
            app: field("app").to_owned(),
            tc_url: printable(key::without_query(field("tcUrl"))),
            encoder: printable(field("flashVer")),
        });
        let encoding = call.object.and_then(|object| object.get("objectEncoding")).and_then(Value::as_number);
        self.say_limits();
        self.say_connected(call.transaction, encoding.unwrap_or(0.0));
        Ok(())
    }

    fn create_stream(&mut self, call: &Call<'_>) {
        if self.streams == MESSAGE_STREAMS {
            self.say_error(call.transaction, "too many streams on one connection");
            return;
        }
        self.streams += 1;
        self.say_result(call.transaction, Value::Number(f64::from(self.streams)));
    }

    fn publish(&mut self, call: &Call<'_>) -> Result<(), Error> {
        let stage = self.stage();
        let State::Greeting { client: Some(client), .. } = &mut self.state else {
            return Err(call.unexpected(stage, "one publish, after connect"));
        };
        let publish = Publish {
            app: printable(key::without_query(&client.app)),
            tc_url: std::mem::take(&mut client.tc_url),
            key: key::find(&client.app, call.stream_name()),
            encoder: std::mem::take(&mut client.encoder),
        };
        self.events.push_back(Event::Publish(publish));
        self.state = State::Asked { stream: call.message.stream, received: self.wire.received() };
        Ok(())
    }

    /// GStreamer's rtmp2sink writes the stream's number as text; one that names another stream than ours ends nothing.
    fn delete_stream(&mut self, call: &Call<'_>) {
        let named = call.arguments.first().and_then(Value::as_number);
        let ours = match self.state {
            State::Asked { stream, .. } | State::Publishing { stream, .. } => f64::from(stream),
            _ => return,
        };
        if named.is_none_or(|named| named == ours) {
            self.unpublish(Ended::DeletedStream);
        }
    }

    fn unpublish(&mut self, why: Ended) {
        if let State::Asked { stream, .. } | State::Publishing { stream, .. } = self.state {
            self.say_status(stream, "status", "NetStream.Unpublish.Success", "Unpublished.");
            self.events.push_back(Event::Ended(why));
            self.state = State::Over;
        }
    }
}
