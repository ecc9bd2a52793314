//! Every payload of `testdata/bus-vectors.json`, which was captured between livekit-server 1.13.5 and a worker.

use serde_json::{Map, Value, json};

use super::*;
use crate::{Method, channel};

fn vectors() -> Vec<Value> {
    let all: Vec<Value> = serde_json::from_str(include_str!("../../testdata/bus-vectors.json")).unwrap();
    let payloads: Vec<_> = all.into_iter().filter(|vector| vector.get("payload_b64").is_some()).collect();
    assert_eq!(payloads.len(), 31, "captured payloads");
    payloads
}

fn text<'a>(vector: &'a Value, key: &str) -> &'a str {
    vector[key].as_str().unwrap_or_else(|| panic!("{key} in {vector}"))
}

fn payload(vector: &Value) -> Vec<u8> {
    STANDARD.decode(text(vector, "payload_b64")).unwrap()
}

/// The fields that are not at their default, as protobuf's JSON writes them.
fn fields(envelope: &Envelope) -> Value {
    let all = match envelope {
        Envelope::Request(m) => json!({
            "request_id": m.request_id, "client_id": m.client_id, "sent_at": m.sent_at.to_string(),
            "expiry": m.expiry.to_string(), "multi": m.multi, "metadata": m.metadata,
            "raw_request": STANDARD.encode(&m.raw_request),
        }),
        Envelope::Response(m) => json!({
            "request_id": m.request_id, "server_id": m.server_id, "sent_at": m.sent_at.to_string(),
            "error": m.error, "code": m.code, "raw_response": STANDARD.encode(&m.raw_response),
        }),
        Envelope::ClaimRequest(m) => {
            json!({ "request_id": m.request_id, "server_id": m.server_id, "affinity": f64::from(m.affinity) })
        }
        Envelope::ClaimResponse(m) => json!({ "request_id": m.request_id, "server_id": m.server_id }),
    };
    let set = |value: &Value| *value != json!("") && *value != json!(false) && *value != json!({});
    let all: Map<String, Value> = all.as_object().unwrap().clone();
    Value::Object(all.into_iter().filter(|(_, value)| set(value)).collect())
}

#[test]
fn every_vector_decodes_to_its_fields() {
    for vector in vectors() {
        let envelope = Envelope::decode(&payload(&vector)).unwrap();
        assert_eq!(fields(&envelope), vector["message"], "{}", vector["name"]);
    }
}

#[test]
fn every_vector_encodes_to_its_bytes() {
    for vector in vectors() {
        let payload = payload(&vector);
        let outer = Msg::decode(payload.as_slice()).unwrap();
        assert_eq!(outer.type_url, text(&vector["envelope"], "type_url"), "{}", vector["name"]);
        assert_eq!(outer.encode_to_vec(), payload, "envelope of {}", vector["name"]);
        assert_eq!(Envelope::decode(&payload).unwrap().encode(), payload, "{}", vector["name"]);
    }
}

#[test]
fn every_vector_has_its_lock_key() {
    for vector in vectors() {
        assert_eq!(lock_key(&payload(&vector)), text(&vector, "sha256_lock_key"), "{}", vector["name"]);
    }
}

#[test]
fn every_vector_went_over_the_channel_that_we_would_use() {
    for vector in vectors() {
        let name: &'static str = text(&vector, "channel").to_owned().leak();
        let parts: Vec<&'static str> = name.split('|').collect();
        let method = Method::new(parts[0], parts[1]);
        let topic = &parts[2..parts.len() - 1];
        let ours = match Envelope::decode(&payload(&vector)).unwrap() {
            Envelope::Request(_) => channel::request(&method, topic),
            Envelope::ClaimResponse(_) => channel::verdict(&method, topic),
            Envelope::ClaimRequest(_) => channel::claim(parts[0], parts[1]),
            Envelope::Response(_) => channel::reply(parts[0], parts[1]),
        };
        assert_eq!(ours, name, "{}", vector["name"]);
    }
}
