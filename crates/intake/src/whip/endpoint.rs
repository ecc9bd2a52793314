//! The paths, verbs and statuses of RFC 9725, as the Go worker has them where it has them (bus.md section 6.5).

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Instant,
};

use axum::{
    Extension, Router,
    body::Body,
    extract::Request as HttpRequest,
    http::{HeaderMap, Method, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Response},
};
use media::StreamKey;
use rtc::whip::Offer;
use tokio::{sync::oneshot, time::timeout};

use super::{
    body,
    context::Context,
    http::Seat,
    reply::{self, Problem},
    request::{Action, Call, Decision, Elsewhere, Fragment, Request, Sdp, offer_problem},
    resources::{PatchDone, PatchError, Whereabouts},
};

/// Longest stream key; LiveKit's have a dozen characters.
const KEY: usize = 512;

/// Longest resource id.
const RESOURCE: usize = 64;

/// Text of a publisher's that is shown to people.
const QUOTE: usize = 128;

const AT_APP: &str = "POST, OPTIONS";
const AT_NAME: &str = "POST, PATCH, DELETE, OPTIONS";
const AT_RESOURCE: &str = "PATCH, DELETE, OPTIONS";

/// All of it, behind the server's own routes.
pub(super) fn router(routes: Router, context: Arc<Context>) -> Router {
    routes.fallback(serve_any).layer(Extension(context))
}

async fn serve_any(
    Extension(context): Extension<Arc<Context>>,
    Extension(seat): Extension<Arc<Seat>>,
    request: HttpRequest,
) -> Response {
    let (parts, body) = request.into_parts();
    let answered = serve(&context, &seat, &parts, body).await;
    reply::for_any_origin(answered.unwrap_or_else(Problem::into_response))
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
struct Client {
    peer: SocketAddr,
    /// Whom wrong keys are counted against.
    account: IpAddr,
}

impl Client {
    /// Behind a proxy all publishers have one address, and one with a wrong key would lock out the others: a proxy that is
    /// on this machine or in its private network is believed when it says for whom it asks.
    fn new(peer: SocketAddr, headers: &HeaderMap) -> Self {
        let near = match peer.ip().to_canonical() {
            IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        };
        // The last one is what the nearest proxy has seen; those before it are anybody's claims.
        let last = headers.get_all("x-forwarded-for").iter().next_back().filter(|_| near);
        let last = last.and_then(|list| list.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
        Self { peer, account: last.unwrap_or(peer.ip()) }
    }
}

/// A path, undone.
struct Path {
    /// As it came, for [`reply::created`].
    raw_app: String,
    rest: Vec<String>,
}

async fn serve(context: &Arc<Context>, seat: &Seat, parts: &Parts, body: Body) -> Result<Response, Problem> {
    let client = Client::new(seat.peer, &parts.headers);
    let path = path(&parts.uri).ok_or_else(not_found)?;
    let method = &parts.method;
    let (methods, key, resource) = match path.rest.as_slice() {
        [] => (AT_APP, None, None),
        [name] if method == Method::POST => (AT_NAME, Some(name.clone()), None),
        [name] => (AT_NAME, None, Some(name.clone())),
        [key, resource] => (AT_RESOURCE, Some(key.clone()), Some(resource.clone())),
        _ => return Err(not_found()),
    };
    let key = key.map(StreamKey::new).or_else(|| bearer(&parts.headers));
    match (method, resource) {
        (&Method::OPTIONS, Some(_)) if methods == AT_RESOURCE => Ok(reply::options(StatusCode::OK, methods)),
        (&Method::OPTIONS, _) => Ok(reply::options(StatusCode::NO_CONTENT, methods)),
        (&Method::POST, None) => {
            let text = text(context, seat, parts, body).await?;
            publish(context, client, parts, &path, key, text).await
        }
        (&Method::DELETE, Some(resource)) => {
            // Nothing is in it; a client that sends something anyway is not told off.
            drop(body);
            seat.talks();
            delete(context, client, resource, key).await
        }
        (&Method::PATCH, Some(resource)) => {
            let fragment = text(context, seat, parts, body).await?;
            patch(context, client, parts, resource, key, fragment).await
        }
        _ => Ok(reply::not_allowed(methods)),
    }
}

async fn publish(
    context: &Arc<Context>,
    client: Client,
    parts: &Parts,
    path: &Path,
    key: Option<StreamKey>,
    sdp: String,
) -> Result<Response, Problem> {
    let key = key.filter(|key| !key.is_empty());
    let key = key.ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "missing stream key"))?;
    if key.reveal().len() > KEY {
        return Err(Problem::new(StatusCode::NOT_FOUND, "unknown stream key"));
    }
    let offer = Offer::read(&sdp).map_err(|error| offer_problem(&error.into()))?;
    may_ask(context, client, &key)?;
    let (decision, decided) = oneshot::channel();
    let agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let request = Request {
        key,
        app: quote(&path.raw_app),
        peer: client.peer,
        account: client.account,
        encoder: quote(agent.unwrap_or_default()),
        offer,
        sdp: Sdp(sdp),
        decision,
        context: context.clone(),
    };
    match ask(context, Call::Publish(request), decided).await? {
        Decision::Accept { resource, etag, sdp, links } => {
            let location = format!("/{}/{resource}", path.raw_app);
            Ok(reply::created(&location, &etag, context.links.iter().chain(&links), sdp))
        }
        Decision::Refuse(problem) => Err(problem),
    }
}

async fn delete(
    context: &Arc<Context>,
    client: Client,
    resource: String,
    key: Option<StreamKey>,
) -> Result<Response, Problem> {
    match whereabouts(context, &resource, key.as_ref())? {
        Whereabouts::Here if context.resources.delete(&resource).await => Ok(reply::deleted()),
        Whereabouts::Elsewhere => {
            elsewhere(context, client, resource, key, Action::Delete).await?;
            Ok(reply::deleted())
        }
        _ => Err(PatchError::Unknown.into()),
    }
}

async fn patch(
    context: &Arc<Context>,
    client: Client,
    parts: &Parts,
    resource: String,
    key: Option<StreamKey>,
    fragment: String,
) -> Result<Response, Problem> {
    let kind = parts.headers.get(header::CONTENT_TYPE).map(|kind| kind.as_bytes());
    if kind.is_some_and(|kind| !kind.to_ascii_lowercase().starts_with(b"application/trickle-ice-sdpfrag")) {
        let reason = "PATCH takes application/trickle-ice-sdpfrag (RFC 9725 section 4.3)";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason));
    }
    let if_match = parts.headers.get(header::IF_MATCH).and_then(|tags| tags.to_str().ok());
    match whereabouts(context, &resource, key.as_ref())? {
        Whereabouts::Here => {
            Ok(reply::patched(context.resources.patch(&resource, if_match, &fragment).await?))
        }
        Whereabouts::Elsewhere => {
            let action =
                Action::Patch { if_match: if_match.map(str::to_owned), fragment: Fragment(fragment) };
            let done = elsewhere(context, client, resource, key, action).await?;
            Ok(reply::patched(done.unwrap_or(PatchDone { fragment: None, etag: String::new() })))
        }
        _ => Err(PatchError::Unknown.into()),
    }
}

fn whereabouts(context: &Context, resource: &str, key: Option<&StreamKey>) -> Result<Whereabouts, Problem> {
    let is_id = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if resource.is_empty() || resource.len() > RESOURCE || !resource.bytes().all(is_id) {
        return Err(PatchError::Unknown.into());
    }
    match context.resources.whereabouts(resource, key) {
        Whereabouts::Forbidden => {
            Err(Problem::new(StatusCode::FORBIDDEN, "the resource was made with another stream key"))
        }
        found => Ok(found),
    }
}

/// Lets the owner of the listener ask the other nodes.
async fn elsewhere(
    context: &Arc<Context>,
    client: Client,
    resource: String,
    key: Option<StreamKey>,
    action: Action,
) -> Result<Option<PatchDone>, Problem> {
    may_ask(context, client, &StreamKey::new(resource.as_str()))?;
    let (answer, answered) = oneshot::channel();
    let Client { peer, account } = client;
    let call = Elsewhere { resource, key, peer, account, action, answer, context: context.clone() };
    Ok(ask(context, Call::Elsewhere(call), answered).await??)
}

/// Questions that reach the control plane are bounded for each address.
fn may_ask(context: &Context, client: Client, key: &StreamKey) -> Result<(), Problem> {
    if context.wrong_keys().may_ask(Instant::now(), client.account, key) {
        return Ok(());
    }
    let reason = "too many wrong stream keys from this address: try again in a minute";
    Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, reason).later(60))
}

/// Asks the owner of the listener.
async fn ask<T>(context: &Context, call: Call, answered: oneshot::Receiver<T>) -> Result<T, Problem> {
    let answered = async {
        if context.calls.send(call).await.is_err() {
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server takes no streams now");
            return Err(problem.later(5));
        }
        let dropped = || Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the request was not answered");
        answered.await.map_err(|_| dropped())
    };
    let busy = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server is busy").later(5);
    timeout(context.limits.decision, answered).await.map_err(|_| busy())?
}

/// The body; from here on the connection is one that has something to say.
async fn text(context: &Context, seat: &Seat, parts: &Parts, body: Body) -> Result<String, Problem> {
    let text = body::read(&parts.headers, body, context.limits.read).await?;
    seat.talks();
    Ok(text)
}

fn path(uri: &Uri) -> Option<Path> {
    let mut parts = uri.path().trim_matches('/').split('/');
    let raw_app = parts.next().filter(|app| !app.is_empty())?.to_owned();
    let decode = |part: &str| {
        let decoded = percent_encoding::percent_decode_str(part).decode_utf8().ok()?;
        (!decoded.is_empty()).then(|| decoded.into_owned())
    };
    Some(Path { raw_app, rest: parts.map(decode).collect::<Option<_>>()? })
}

/// `Authorization: Bearer <key>`, or the key alone, which the Go worker takes too.
fn bearer(headers: &HeaderMap) -> Option<StreamKey> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim();
    let key = match text.split_once(' ') {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => key.trim(),
        Some(_) => return None,
        None if text.eq_ignore_ascii_case("bearer") => return None,
        None => text,
    };
    (!key.is_empty()).then(|| StreamKey::new(key))
}

fn quote(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(QUOTE).collect()
}

fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "nothing is here: publish at /{app} or /{app}/{stream key}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_proxy_nearby_is_believed_and_only_what_it_has_seen() {
        let account = |peer: &str, forwarded: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", forwarded.parse().unwrap());
            Client::new(SocketAddr::new(peer.parse().unwrap(), 1), &headers).account.to_string()
        };
        assert_eq!(account("10.1.2.3", "198.51.100.9, 203.0.113.1"), "203.0.113.1");
        assert_eq!(account("::ffff:127.0.0.1", "2001:db8::1"), "2001:db8::1");
        assert_eq!(account("fd00::1", "unknown"), "fd00::1");
        assert_eq!(account("192.0.2.1", "203.0.113.1"), "192.0.2.1");
    }

    #[test]
    fn a_key_comes_as_a_bearer_token_or_alone() {
        let key = |text: &'static str| {
            let headers =
                HeaderMap::from_iter([(header::AUTHORIZATION, axum::http::HeaderValue::from_static(text))]);
            bearer(&headers).map(|key| key.reveal().to_owned())
        };
        for text in ["Bearer k", "bearer  k ", "k"] {
            assert_eq!(key(text).as_deref(), Some("k"), "{text:?}");
        }
        assert_eq!([key("Basic k"), key("Bearer "), key("")], [const { None }; 3]);
    }
}
