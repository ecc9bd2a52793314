//! The `rpc.*` messages of LiveKit's ingress services. `livekit-protocol` has only the `livekit.*` package, so these few
//! are written by hand; field numbers from LiveKit's published protocol, checked against captured bytes.
//!
//! A message that carries a stream key or a token has a `Debug` that leaves it out.

use std::{collections::BTreeMap, fmt};

use livekit_protocol::{IngressInfo, IngressState, InputAudioState, InputVideoState};

/// `rpc.GetIngressInfoRequest`. By id when both are set; neither is an error.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct GetIngressInfoRequest {
    /// `IN_…`, or empty.
    #[prost(string, tag = "1")]
    pub ingress_id: String,
    /// The stream key in clear, or empty.
    #[prost(string, tag = "2")]
    pub stream_key: String,
}

impl fmt::Debug for GetIngressInfoRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetIngressInfoRequest").field("ingress_id", &self.ingress_id).finish_non_exhaustive()
    }
}

/// `rpc.GetIngressInfoResponse`. The open-source livekit-server fills `info` only.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct GetIngressInfoResponse {
    /// The record, with its stored state.
    #[prost(message, optional, tag = "1")]
    pub info: Option<IngressInfo>,
    /// A room token, or empty: the worker makes its own.
    #[prost(string, tag = "2")]
    pub token: String,
    /// The room server's URL, or empty: the worker's own configuration.
    #[prost(string, tag = "3")]
    pub ws_url: String,
    /// More fields for the session's log lines.
    #[prost(btree_map = "string, string", tag = "4")]
    pub logging_fields: BTreeMap<String, String>,
    /// Unused by the open-source livekit-server.
    #[prost(btree_map = "string, string", tag = "5")]
    pub feature_flags: BTreeMap<String, String>,
    /// Unused by the open-source livekit-server.
    #[prost(string, tag = "6")]
    pub project_id: String,
}

impl fmt::Debug for GetIngressInfoResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.info.as_ref().map(|info| &info.ingress_id);
        f.debug_struct("GetIngressInfoResponse").field("ingress_id", &id).finish_non_exhaustive()
    }
}

/// `rpc.UpdateIngressStateRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct UpdateIngressStateRequest {
    /// `IN_…`.
    #[prost(string, tag = "1")]
    pub ingress_id: String,
    /// Always set: without it, livekit-server 1.13 dereferences nil and dies as a whole (bus.md §0.10).
    #[prost(message, optional, tag = "2")]
    pub state: Option<IngressState>,
}

/// `rpc.CreateIngressResponse`: empty up to livekit-server 1.13.5.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct CreateIngressResponse {
    /// The record as stored.
    #[prost(message, optional, tag = "1")]
    pub info: Option<IngressInfo>,
}

impl fmt::Debug for CreateIngressResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CreateIngressResponse { .. }")
    }
}

/// `rpc.StartIngressRequest`: pull a URL.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct StartIngressRequest {
    /// The record to start.
    #[prost(message, optional, tag = "1")]
    pub info: Option<IngressInfo>,
    /// As in [`GetIngressInfoResponse::token`].
    #[prost(string, tag = "2")]
    pub token: String,
    /// As in [`GetIngressInfoResponse::ws_url`].
    #[prost(string, tag = "3")]
    pub ws_url: String,
    /// As in [`GetIngressInfoResponse::logging_fields`].
    #[prost(btree_map = "string, string", tag = "4")]
    pub logging_fields: BTreeMap<String, String>,
    /// As in [`GetIngressInfoResponse::feature_flags`].
    #[prost(btree_map = "string, string", tag = "5")]
    pub feature_flags: BTreeMap<String, String>,
}

impl fmt::Debug for StartIngressRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.info.as_ref().map(|info| &info.ingress_id);
        f.debug_struct("StartIngressRequest").field("ingress_id", &id).finish_non_exhaustive()
    }
}

/// `rpc.ListActiveIngressRequest`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct ListActiveIngressRequest {}

/// `rpc.ListActiveIngressResponse`: what one worker runs.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ListActiveIngressResponse {
    /// Deprecated, still filled by the Go worker and so by us.
    #[prost(string, repeated, tag = "1")]
    pub ingress_ids: Vec<String>,
    /// One entry a session.
    #[prost(message, repeated, tag = "2")]
    pub ingress_sessions: Vec<IngressSession>,
}

/// `rpc.IngressSession`.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct IngressSession {
    /// `IN_…`.
    #[prost(string, tag = "1")]
    pub ingress_id: String,
    /// `RT_…`: this session of that ingress.
    #[prost(string, tag = "2")]
    pub resource_id: String,
}

/// `rpc.DeleteWHIPResourceRequest`: end a WHIP session; asked of the worker that has the resource (the topic).
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct DeleteWhipResourceRequest {
    /// As in the Location of the session.
    #[prost(string, tag = "1")]
    pub resource_id: String,
    /// The stream key in clear that the request showed.
    #[prost(string, tag = "2")]
    pub stream_key: String,
}

impl fmt::Debug for DeleteWhipResourceRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeleteWhipResourceRequest")
            .field("resource_id", &self.resource_id)
            .finish_non_exhaustive()
    }
}

/// `rpc.ICERestartWHIPResourceRequest`: a PATCH of a WHIP session (RFC 9725 section 4.3).
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct IceRestartWhipResourceRequest {
    /// As in the Location of the session.
    #[prost(string, tag = "1")]
    pub resource_id: String,
    /// The stream key in clear that the request showed.
    #[prost(string, tag = "2")]
    pub stream_key: String,
    /// The fragment's `ice-ufrag`.
    #[prost(string, tag = "3")]
    pub user_fragment: String,
    /// The fragment's `ice-pwd`.
    #[prost(string, tag = "4")]
    pub password: String,
    /// The fragment's candidates, each `candidate:…`.
    #[prost(string, repeated, tag = "5")]
    pub candidates: Vec<String>,
    /// The body of the PATCH.
    #[prost(string, tag = "6")]
    pub raw_trickle_ice_sdpfrag: String,
    /// `*`, an ETag, or empty.
    #[prost(string, tag = "7")]
    pub if_match: String,
}

impl IceRestartWhipResourceRequest {
    /// All that a PATCH's body says.
    pub fn of(fragment: &str) -> Self {
        let values = |name: &'static str| {
            fragment.lines().filter_map(move |line| line.trim_end().strip_prefix(name)).map(str::to_owned)
        };
        Self {
            user_fragment: values("a=ice-ufrag:").next().unwrap_or_default(),
            password: values("a=ice-pwd:").next().unwrap_or_default(),
            candidates: values("a=").filter(|value| value.starts_with("candidate:")).collect(),
            raw_trickle_ice_sdpfrag: fragment.into(),
            ..Self::default()
        }
    }
}

impl fmt::Debug for IceRestartWhipResourceRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceRestartWhipResourceRequest")
            .field("resource_id", &self.resource_id)
            .field("if_match", &self.if_match)
            .finish_non_exhaustive()
    }
}

/// `rpc.ICERestartWHIPResourceResponse`.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct IceRestartWhipResourceResponse {
    /// The answer's body, with our new ice-pwd; empty when ICE was not restarted.
    #[prost(string, tag = "1")]
    pub trickle_ice_sdpfrag: String,
    /// The ICE session that there is now.
    #[prost(string, tag = "2")]
    pub etag: String,
}

impl fmt::Debug for IceRestartWhipResourceResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceRestartWhipResourceResponse").field("etag", &self.etag).finish_non_exhaustive()
    }
}

/// `rpc.WHIPRTCConnectionNotifyRequest`: the SFU tells about a WHIP session that it terminates itself.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WhipRtcConnectionNotifyRequest {
    /// `PA_…`.
    #[prost(string, tag = "1")]
    pub participant_id: String,
    /// The last one.
    #[prost(bool, tag = "2")]
    pub closed: bool,
    /// What arrives, every 10 s.
    #[prost(message, optional, tag = "3")]
    pub video: Option<InputVideoState>,
    /// What arrives, every 10 s.
    #[prost(message, optional, tag = "4")]
    pub audio: Option<InputAudioState>,
}

#[cfg(test)]
mod tests {
    use base64::{Engine, prelude::BASE64_STANDARD};
    use livekit_protocol::{DeleteIngressRequest, UpdateIngressRequest};
    use prost::Message;
    use serde_json::Value;

    use super::*;

    fn again<M: Message + Default>(bytes: &[u8]) -> Vec<u8> {
        M::decode(bytes).unwrap().encode_to_vec()
    }

    fn round_trip(kind: &str, bytes: &[u8]) -> Vec<u8> {
        match kind {
            "rpc.GetIngressInfoRequest" => again::<GetIngressInfoRequest>(bytes),
            "rpc.GetIngressInfoResponse" => again::<GetIngressInfoResponse>(bytes),
            "rpc.UpdateIngressStateRequest" => again::<UpdateIngressStateRequest>(bytes),
            "rpc.CreateIngressResponse" => again::<CreateIngressResponse>(bytes),
            "rpc.StartIngressRequest" => again::<StartIngressRequest>(bytes),
            "rpc.WHIPRTCConnectionNotifyRequest" => again::<WhipRtcConnectionNotifyRequest>(bytes),
            "livekit.IngressInfo" => again::<IngressInfo>(bytes),
            "livekit.IngressState" => again::<IngressState>(bytes),
            "livekit.UpdateIngressRequest" => again::<UpdateIngressRequest>(bytes),
            "livekit.DeleteIngressRequest" => again::<DeleteIngressRequest>(bytes),
            "google.protobuf.Empty" => again::<()>(bytes),
            other => panic!("vector of unknown type {other}"),
        }
    }

    fn vectors() -> Vec<Value> {
        serde_json::from_str(include_str!("../../testdata/bus-vectors.json")).unwrap()
    }

    /// The ingress message inside a vector: its type and bytes. Claims and error replies have none.
    fn inner(vector: &Value) -> Option<(String, Vec<u8>)> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        for (kind, field) in [("raw_request_type", "raw_request"), ("raw_response_type", "raw_response")] {
            if let Some(kind) = text(&vector[kind]) {
                let bytes = vector["message"][field].as_str().unwrap_or("");
                return Some((kind, BASE64_STANDARD.decode(bytes).unwrap()));
            }
        }
        let hex = vector["value_hex"].as_str()?;
        let bytes =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        Some((text(&vector["type"])?, bytes))
    }

    #[test]
    fn every_captured_ingress_message_encodes_again_byte_for_byte() {
        let messages: Vec<_> = vectors().iter().filter_map(inner).collect();
        assert_eq!(messages.len(), 16, "ingress messages in bus-vectors.json");
        for (kind, bytes) in messages {
            assert_eq!(round_trip(&kind, &bytes), bytes, "{kind}");
        }
    }

    #[test]
    fn a_captured_look_up_reply_has_a_present_state() {
        let vector =
            vectors().into_iter().find(|v| v["name"] == "Response/IOInfo/GetIngressInfo/in/ok").unwrap();
        let reply = GetIngressInfoResponse::decode(&inner(&vector).unwrap().1[..]).unwrap();
        let info = reply.info.unwrap();
        assert_eq!((info.ingress_id.as_str(), info.enable_transcoding), ("IN_FdG7W4ouCjMg", Some(true)));
        assert_eq!(info.state, Some(IngressState::default()));
    }

    #[test]
    fn debug_shows_neither_key_nor_token() {
        let key = "f6ppLh4KZxPG".to_owned();
        let info = IngressInfo { stream_key: key.clone(), ..IngressInfo::default() };
        let shown = [
            format!("{:?}", GetIngressInfoRequest { stream_key: key.clone(), ..Default::default() }),
            format!(
                "{:?}",
                GetIngressInfoResponse { info: Some(info.clone()), token: key.clone(), ..Default::default() }
            ),
            format!("{:?}", CreateIngressResponse { info: Some(info.clone()) }),
            format!("{:?}", DeleteWhipResourceRequest { stream_key: key.clone(), ..Default::default() }),
            format!(
                "{:?}",
                IceRestartWhipResourceRequest {
                    stream_key: key.clone(),
                    ..IceRestartWhipResourceRequest::of(&format!("a=ice-pwd:{key}"))
                }
            ),
            format!(
                "{:?}",
                IceRestartWhipResourceResponse { trickle_ice_sdpfrag: key.clone(), ..Default::default() }
            ),
            format!(
                "{:?}",
                StartIngressRequest { info: Some(info), token: key.clone(), ..Default::default() }
            ),
        ];
        for text in shown {
            assert!(!text.contains(&key), "{text}");
        }
    }

    #[test]
    fn a_restart_carries_the_fragment_and_what_it_says() {
        let fragment = "a=ice-ufrag:uf\r\na=ice-pwd:pw\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 ::1 9 \
                        typ host\r\na=end-of-candidates\r\n";
        let request = IceRestartWhipResourceRequest::of(fragment);
        assert_eq!((request.user_fragment.as_str(), request.password.as_str()), ("uf", "pw"));
        assert_eq!(request.candidates, ["candidate:1 1 udp 1 ::1 9 typ host"]);
        let request = IceRestartWhipResourceRequest {
            resource_id: "r".into(),
            stream_key: "k".into(),
            if_match: "*".into(),
            ..IceRestartWhipResourceRequest::of("f")
        };
        assert_eq!(request.encode_to_vec(), b"\x0a\x01r\x12\x01k\x32\x01f\x3a\x01*");
    }

    #[test]
    fn active_sessions_are_listed_in_both_fields() {
        let session = IngressSession { ingress_id: "IN_1".into(), resource_id: "RT_1".into() };
        let reply = ListActiveIngressResponse {
            ingress_ids: vec!["IN_1".into()],
            ingress_sessions: vec![session.clone()],
        };
        let bytes = reply.encode_to_vec();
        assert_eq!(bytes, b"\x0a\x04IN_1\x12\x0c\x0a\x04IN_1\x12\x04RT_1");
    }
}
