//! The heads of requests and answers.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http_body_util::Empty;
use hyper::{
    HeaderMap, Request, StatusCode, Uri,
    body::Bytes,
    header::{self, HeaderName, HeaderValue},
};
use percent_encoding::percent_decode_str;
use url::Url;

use super::{Error, Range};

/// URLs with signatures in them are some 2 KB; servers take 8.
const URL_LENGTH: usize = 8192;

const ICY_METADATA: HeaderName = HeaderName::from_static("icy-metadata");

/// What a request asks for.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    pub(super) range: Option<Range>,
    /// `If-Range`: the part only where the resource is still the one that has this.
    pub(super) unchanged: Option<HeaderValue>,
    pub(super) icy: bool,
}

/// Scheme, host and port of `url`, which is what logs and errors may show of it.
pub(super) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Refuses what is not fetched at all; the rest is up to the policy.
pub(super) fn acceptable(url: &Url) -> Result<(), Error> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Error::Url("only http and https are fetched"));
    }
    if url.as_str().len() > URL_LENGTH {
        return Err(Error::Url("it is longer than 8192 bytes"));
    }
    if url.port() == Some(0) {
        return Err(Error::Url("port 0"));
    }
    Ok(())
}

/// The request for `url`. Its user and password become a header, and are in no error or pool key.
pub(super) fn request(
    url: &Url,
    wanted: &Wanted,
    agent: &HeaderValue,
) -> Result<Request<Empty<Bytes>>, Error> {
    acceptable(url)?;
    let mut bare = url.clone();
    bare.set_fragment(None);
    // fails only for URLs without a host, which http URLs always have
    let _ = bare.set_username("").and_then(|()| bare.set_password(None));
    let uri: Uri =
        bare.as_str().parse().map_err(|_| Error::Url("it has characters that HTTP cannot carry"))?;
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.insert(header::USER_AGENT, agent.clone());
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some(Range { first, last }) = wanted.range {
        let last = last.map(|last| last.to_string()).unwrap_or_default();
        let value = HeaderValue::try_from(format!("bytes={first}-{last}"));
        headers.insert(header::RANGE, value.map_err(|_| Error::Url("range"))?);
    }
    if let Some(validator) = &wanted.unchanged {
        headers.insert(header::IF_RANGE, validator.clone());
    }
    if wanted.icy {
        headers.insert(ICY_METADATA, HeaderValue::from_static("1"));
    }
    if let Some(credentials) = credentials(url) {
        headers.insert(header::AUTHORIZATION, credentials);
    }
    Ok(request)
}

/// `user:password@` as RFC 7617 sends it.
fn credentials(url: &Url) -> Option<HeaderValue> {
    let password = url.password().unwrap_or_default();
    if url.username().is_empty() && password.is_empty() {
        return None;
    }
    let mut plain: Vec<u8> = percent_decode_str(url.username()).collect();
    plain.push(b':');
    plain.extend(percent_decode_str(password));
    let mut value = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(plain))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Where an answer sends us, if it does. Credentials stay with their origin (RFC 9110, 15.4).
pub(super) fn redirect(from: &Url, status: StatusCode, headers: &HeaderMap) -> Result<Option<Url>, Error> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let wrong = |why| Error::BadRedirect { origin: origin(from), why };
    let location = headers.get(header::LOCATION).ok_or_else(|| wrong("it names no target"))?;
    let location = std::str::from_utf8(location.as_bytes()).map_err(|_| wrong("its target is not text"))?;
    let mut to = from.join(location).map_err(|_| wrong("its target is no URL"))?;
    if !matches!(to.scheme(), "http" | "https") {
        return Err(wrong("its target is neither http nor https"));
    }
    let named = !to.username().is_empty() || to.password().is_some();
    if !named && to.origin() == from.origin() {
        let _ = to.set_username(from.username()).and_then(|()| to.set_password(from.password()));
    }
    Ok(Some(to))
}

/// What the head of a good answer says about the resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// Of the whole resource.
    pub(super) size: Option<u64>,
    /// The first byte of the body.
    pub(super) first: u64,
    /// The byte after the body's last one.
    pub(super) end: Option<u64>,
    pub(super) ranges: bool,
    pub(super) is_part: bool,
    pub(super) etag: Option<HeaderValue>,
    pub(super) modified: Option<HeaderValue>,
    pub(super) content_type: Option<String>,
    pub(super) icy_interval: Option<u32>,
    pub(super) radio: bool,
}

impl Head {
    /// Reads an answer with status 200 or 206 to a request for `range`; anything else is an error.
    pub(super) fn read(
        origin: &str,
        range: Option<Range>,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<Self, Error> {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let wrong = |why: &str| Error::Protocol { origin: origin.to_owned(), why: why.to_owned() };
        if text(header::CONTENT_ENCODING).is_some_and(|coding| !coding.eq_ignore_ascii_case("identity")) {
            return Err(Error::Compressed { origin: origin.to_owned() });
        }
        let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        let mut head = Self {
            size: length,
            first: 0,
            end: length,
            ranges: false,
            is_part: false,
            etag: headers.get(header::ETAG).cloned(),
            modified: headers.get(header::LAST_MODIFIED).cloned(),
            content_type: text(header::CONTENT_TYPE).map(str::to_owned),
            icy_interval: text(HeaderName::from_static("icy-metaint")).and_then(|text| text.parse().ok()),
            radio: is_radio(headers),
        };
        match (status, range) {
            (StatusCode::OK, Some(range)) if range.first > 0 => {
                Err(Error::NoRanges { origin: origin.to_owned() })
            }
            (StatusCode::OK, range) => {
                head.ranges = length.is_some() && text(header::ACCEPT_RANGES) == Some("bytes");
                let wanted = range.and_then(|range| range.last).map(|last| last.saturating_add(1));
                head.end = [head.end, wanted].into_iter().flatten().min();
                Ok(head)
            }
            (StatusCode::PARTIAL_CONTENT, Some(range)) => {
                let part = text(header::CONTENT_RANGE).and_then(content_range);
                let (first, end, size) = part.ok_or_else(|| wrong("a part without a valid Content-Range"))?;
                if first != range.first || length.is_some_and(|length| length != end - first) {
                    return Err(wrong("another part than was asked for"));
                }
                // some servers give less than was asked for (RFC 9110, 15.3.7 lets them); the rest is asked for later
                let all = size.unwrap_or(end);
                let wanted = range.last.map_or(all, |last| all.min(last.saturating_add(1)));
                Ok(Self { size, first, end: Some(wanted), ranges: true, is_part: true, ..head })
            }
            (StatusCode::PARTIAL_CONTENT, None) => Err(wrong("a part, and the whole was asked for")),
            (StatusCode::RANGE_NOT_SATISFIABLE, _) => Err(Error::PastEnd { origin: origin.to_owned() }),
            (status, _) => Err(Error::Status { origin: origin.to_owned(), status: status.as_u16() }),
        }
    }

    /// What `If-Range` may carry: a strong ETag, else the date (RFC 9110, 13.1.5).
    pub(super) fn validator(&self) -> Option<HeaderValue> {
        let strong = self.etag.as_ref().filter(|etag| !etag.as_bytes().starts_with(b"W/"));
        strong.or(self.modified.as_ref()).cloned()
    }

    /// Whether `later`, a part, is of the resource that this is of.
    pub(super) fn continues_in(&self, later: &Self) -> bool {
        let same = |a: &Option<HeaderValue>, b: &Option<HeaderValue>| a.is_none() || b.is_none() || a == b;
        let sizes = self.size.is_none() || later.size.is_none() || self.size == later.size;
        sizes && same(&self.etag, &later.etag)
    }
}

/// Whether the answer has what Icecast and SHOUTcast put into theirs. Both serve files, too.
fn is_radio(headers: &HeaderMap) -> bool {
    let server = headers.get(header::SERVER).and_then(|server| server.to_str().ok()).unwrap_or_default();
    let server = server.to_ascii_lowercase();
    ["icecast", "shoutcast"].iter().any(|name| server.contains(name))
        || headers.keys().any(|name| name.as_str().starts_with("icy-") || name == "ice-audio-info")
}

/// `bytes 0-99/100` as first byte, byte after the last, and size of the whole.
fn content_range(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let (part, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = part.split_once('-')?;
    let (first, last) = (first.trim().parse::<u64>().ok()?, last.trim().parse::<u64>().ok()?);
    let size = match size.trim() {
        "*" => None,
        size => Some(size.parse::<u64>().ok()?),
    };
    let end = last.checked_add(1)?;
    (first < end && size.is_none_or(|size| end <= size)).then_some((first, end, size))
}

/// The wait that a server asks for, in its seconds form; the dated one is hardly used by media servers.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
