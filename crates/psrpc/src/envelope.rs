//! The messages of psrpc's own protobuf package `internal`, as PUBLISH payloads carry them.
//!
//! A payload is a `Msg` (wire-compatible with `google.protobuf.Any`) around one of four messages. Fields that no peer
//! fills (the `Any` fields 6 of Request and 4 of Response) or that say nothing to us (`Response.error_details` 8,
//! `Msg.channel` 3) are skipped when read and not written.

use std::collections::BTreeMap;
use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use prost::Message as _;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use sha2::{Digest as _, Sha256};

/// The longest payload that is looked at, and the longest that gzip may unfold to. Requests are a few KiB; a thousand
/// times that is a mistake or an attack, and must not cost memory per message in flight.
pub const MAX_PAYLOAD: usize = 4 << 20;

/// What a payload holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Envelope {
    /// Client to servers, on the `REQ` channel.
    Request(Request),
    /// Server to client, on the client's `RES` channel.
    Response(Response),
    /// Server to client, on the client's `CLAIM` channel: "I could do it".
    ClaimRequest(ClaimRequest),
    /// Client to servers, on the `RCLAIM` channel: "you do it".
    ClaimResponse(ClaimResponse),
}

/// One call.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Request {
    /// `REQ_…`, new for every attempt.
    #[prost(string, tag = "1")]
    pub request_id: String,
    /// `CLI_…`, where the answers go.
    #[prost(string, tag = "2")]
    pub client_id: String,
    /// Unix nanoseconds by the client's clock.
    #[prost(int64, tag = "3")]
    pub sent_at: i64,
    /// Unix nanoseconds by the client's clock; from then on nobody waits for an answer.
    #[prost(int64, tag = "4")]
    pub expiry: i64,
    /// Whether the client collects several answers. Routing follows the method's definition, not this.
    #[prost(bool, tag = "5")]
    pub multi: bool,
    /// Free pairs, such as a trace context.
    #[prost(btree_map = "string, string", tag = "7")]
    pub metadata: BTreeMap<String, String>,
    /// The request of the service, serialised.
    #[prost(bytes = "bytes", tag = "8")]
    pub raw_request: Bytes,
}

/// The answer to a call; with an empty `error` and `code` it is a success.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Response {
    /// Of the request.
    #[prost(string, tag = "1")]
    pub request_id: String,
    /// `SRV_…`, who answers.
    #[prost(string, tag = "2")]
    pub server_id: String,
    /// Unix nanoseconds by the server's clock.
    #[prost(int64, tag = "3")]
    pub sent_at: i64,
    /// For people.
    #[prost(string, tag = "5")]
    pub error: String,
    /// A wire string of [`Code`](crate::Code).
    #[prost(string, tag = "6")]
    pub code: String,
    /// The reply of the service, serialised.
    #[prost(bytes = "bytes", tag = "7")]
    pub raw_response: Bytes,
}

/// A server's offer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ClaimRequest {
    /// Of the request.
    #[prost(string, tag = "1")]
    pub request_id: String,
    /// Who offers.
    #[prost(string, tag = "2")]
    pub server_id: String,
    /// How well it fits; only above 0 can it win.
    #[prost(float, tag = "3")]
    pub affinity: f32,
}

/// The client's choice, heard by all servers of the method and topic.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ClaimResponse {
    /// Of the request.
    #[prost(string, tag = "1")]
    pub request_id: String,
    /// Who won.
    #[prost(string, tag = "2")]
    pub server_id: String,
}

/// The outer message.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Msg {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

const REQUEST: &str = "type.googleapis.com/internal.Request";
const RESPONSE: &str = "type.googleapis.com/internal.Response";
const CLAIM_REQUEST: &str = "type.googleapis.com/internal.ClaimRequest";
const CLAIM_RESPONSE: &str = "type.googleapis.com/internal.ClaimResponse";

/// Why a payload is not an [`Envelope`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Too long to look at.
    #[error("payload of {len} bytes, limit {MAX_PAYLOAD}")]
    TooLong {
        /// Its length.
        len: usize,
    },
    /// The outer message is not protobuf.
    #[error("envelope: {0}")]
    Envelope(prost::DecodeError),
    /// Another type than the four (streams exist, and are not spoken here).
    #[error("envelope holds {type_url:?}, expected one of psrpc's four internal messages")]
    Type {
        /// The type it names.
        type_url: String,
    },
    /// The inner message is not protobuf of that type.
    #[error("{type_url}: {source}")]
    Message {
        /// The type it names.
        type_url: &'static str,
        /// Where decoding stopped.
        source: prost::DecodeError,
    },
    /// Marked as gzip, and broken or longer than the limit when unfolded.
    #[error("gzip of {len} bytes does not unfold to at most {MAX_PAYLOAD} bytes: {reason}")]
    Gzip {
        /// Length as received.
        len: usize,
        /// What the decoder said.
        reason: String,
    },
}

impl Envelope {
    /// Reads a PUBLISH payload, plain or gzip.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        if payload.len() > MAX_PAYLOAD {
            return Err(DecodeError::TooLong { len: payload.len() });
        }
        let Msg { type_url, mut value } = Msg::decode(payload).map_err(DecodeError::Envelope)?;
        if is_gzip(payload, &value) {
            value = gunzip(&value)?;
        }
        match type_url.as_str() {
            REQUEST => inner(REQUEST, value).map(Self::Request),
            RESPONSE => inner(RESPONSE, value).map(Self::Response),
            CLAIM_REQUEST => inner(CLAIM_REQUEST, value).map(Self::ClaimRequest),
            CLAIM_RESPONSE => inner(CLAIM_RESPONSE, value).map(Self::ClaimResponse),
            _ => Err(DecodeError::Type { type_url }),
        }
    }

    /// The PUBLISH payload, never compressed: peers before psrpc 0.8 drop gzip without a word.
    pub fn encode(&self) -> Bytes {
        let (type_url, value) = match self {
            Self::Request(message) => (REQUEST, message.encode_to_vec()),
            Self::Response(message) => (RESPONSE, message.encode_to_vec()),
            Self::ClaimRequest(message) => (CLAIM_REQUEST, message.encode_to_vec()),
            Self::ClaimResponse(message) => (CLAIM_RESPONSE, message.encode_to_vec()),
        };
        Msg { type_url: type_url.to_owned(), value: value.into() }.encode_to_vec().into()
    }
}

fn inner<M: prost::Message + Default>(type_url: &'static str, value: Bytes) -> Result<M, DecodeError> {
    M::decode(value).map_err(|source| DecodeError::Message { type_url, source })
}

/// The key of the queue lock: all servers that heard the same payload compute the same key.
pub fn lock_key(payload: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(payload))
}

/// psrpc 0.8 marks gzip in a field whose number no capture shows, so: gzip's magic, and any field past the known three
/// that holds the enum value 1.
fn is_gzip(payload: &[u8], value: &[u8]) -> bool {
    value.starts_with(&[0x1f, 0x8b]) && has_unknown_one(payload).unwrap_or(false)
}

fn has_unknown_one(mut payload: &[u8]) -> Result<bool, prost::DecodeError> {
    const LAST_KNOWN_FIELD: u32 = 3;
    while !payload.is_empty() {
        let (field, wire) = decode_key(&mut payload)?;
        if wire == WireType::Varint {
            if decode_varint(&mut payload)? == 1 && field > LAST_KNOWN_FIELD {
                return Ok(true);
            }
        } else {
            skip_field(wire, field, &mut payload, DecodeContext::default())?;
        }
    }
    Ok(false)
}

fn gunzip(value: &[u8]) -> Result<Bytes, DecodeError> {
    let fail = |reason: String| DecodeError::Gzip { len: value.len(), reason };
    let mut out = Vec::new();
    let mut limited = flate2::read::GzDecoder::new(value).take(MAX_PAYLOAD as u64 + 1);
    limited.read_to_end(&mut out).map_err(|error| fail(error.to_string()))?;
    if out.len() > MAX_PAYLOAD {
        return Err(fail("it is longer".to_owned()));
    }
    Ok(out.into())
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
