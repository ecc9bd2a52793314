//! What the endpoint answers.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::resources::{PatchDone, PatchError};

const SDP: HeaderValue = HeaderValue::from_static("application/sdp");
const FRAGMENT: HeaderValue = HeaderValue::from_static("application/trickle-ice-sdpfrag");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
const ANY: HeaderValue = HeaderValue::from_static("*");

/// RFC 5789 section 3.1; http has no name for it.
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
/// W3C Linked Data Platform section 7.1, used by RFC 9725.
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");

/// What a page may read of an answer, beyond its body.
const EXPOSED: HeaderValue = HeaderValue::from_static("Location, ETag, Link, Accept-Patch, Retry-After");
/// What a page may send.
const ALLOWED_HEADERS: HeaderValue = HeaderValue::from_static("Authorization, Content-Type, If-Match");
/// Browsers ask again after this, in seconds; they allow two hours or a day at most.
const MAX_AGE: HeaderValue = HeaderValue::from_static("86400");

/// A refusal for a person at the encoder (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    /// In seconds.
    retry_after: Option<u16>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), retry_after: None }
    }

    /// It is worth trying again after so many seconds.
    pub(super) fn later(mut self, seconds: u16) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}

impl From<PatchError> for Problem {
    fn from(error: PatchError) -> Self {
        let status = match &error {
            PatchError::Unknown => StatusCode::NOT_FOUND,
            PatchError::Stale => StatusCode::PRECONDITION_FAILED,
            PatchError::Unconditional => StatusCode::PRECONDITION_REQUIRED,
            PatchError::Invalid(_) => StatusCode::BAD_REQUEST,
            PatchError::Unsupported(_) => StatusCode::UNPROCESSABLE_ENTITY,
            PatchError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let status = self.status.as_u16();
        let body = serde_json::json!({ "type": "about:blank", "title": title, "status": status, "detail": self.detail });
        let mut response = (self.status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, PROBLEM);
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// 201, with the SDP answer.
pub(super) fn created<'a>(
    location: &str,
    etag: &str,
    links: impl Iterator<Item = &'a HeaderValue>,
    sdp: String,
) -> Response {
    let mut response = (StatusCode::CREATED, sdp).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, SDP);
    headers.insert(ACCEPT_PATCH, FRAGMENT);
    text(headers, header::LOCATION, location);
    text(headers, header::ETAG, etag);
    for link in links {
        headers.append(header::LINK, link.clone());
    }
    response
}

/// 204 for candidates, 200 with ours for a restart.
pub(super) fn patched(done: PatchDone) -> Response {
    let mut response = match done.fragment {
        Some(fragment) => {
            let mut response = (StatusCode::OK, fragment).into_response();
            response.headers_mut().insert(header::CONTENT_TYPE, FRAGMENT);
            response
        }
        None => StatusCode::NO_CONTENT.into_response(),
    };
    text(response.headers_mut(), header::ETAG, &done.etag);
    response
}

/// 200: libdatachannel takes no other.
pub(super) fn deleted() -> Response {
    (StatusCode::OK, Body::empty()).into_response()
}

/// What may be done here; a browser asks before it does it.
pub(super) fn options(status: StatusCode, methods: &'static str) -> Response {
    let mut response = status.into_response();
    let headers = response.headers_mut();
    let methods = HeaderValue::from_static(methods);
    headers.insert(header::ALLOW, methods.clone());
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    headers.insert(ACCEPT_POST, SDP);
    headers.insert(ACCEPT_PATCH, FRAGMENT);
    response
}

/// 405.
pub(super) fn not_allowed(methods: &'static str) -> Response {
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("this takes {methods}"));
    let mut response = problem.into_response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
    response
}

/// Pages of any origin may publish: what lets them is the stream key, not a cookie.
pub(super) fn for_any_origin(mut response: Response) -> Response {
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    response.headers_mut().insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    response
}

/// `<stun:…>; rel="ice-server"`; nothing for what is no header.
pub(super) fn link(url: &str) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("<{url}>; rel=\"ice-server\"")).ok()
}

fn text(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}
