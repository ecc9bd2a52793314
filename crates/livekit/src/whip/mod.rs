//! livekit-server's own WHIP endpoint (`/whip/v1`), for publishers whose media goes to the SFU directly: bus.md §3. What becomes
//! of them is told over the bus ([`Notices`](crate::bus::Notices)).

mod fragment;

use std::{fmt, time::Duration};

use reqwest::{
    Client, Method, RequestBuilder, Response, StatusCode,
    header::{
        AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, IF_MATCH, LINK, LOCATION, USER_AGENT,
    },
    redirect,
};
use url::Url;

/// For a connection to livekit-server.
const CONNECT: Duration = Duration::from_secs(2);

/// For a whole exchange: its nodes ask each other for 3 s at most.
const EXCHANGE: Duration = Duration::from_secs(4);

/// Longest answer that is read. Answers of 20 m-lines with all candidates have some 30 KiB.
const BODY: usize = 128 << 10;

/// Longest participant id; LiveKit's have 15 characters.
const SID: usize = 64;

/// `Link` headers that are handed on, and the longest.
const LINKS: (usize, usize) = (16, 1024);

/// Longest text of an error.
const TEXT: usize = 200;

/// By it livekit-server knows that somebody listens for notices.
const FROM_INGRESS: HeaderName = HeaderName::from_static("x-livekit-ingress");
const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// Why livekit-server did not do it. `Display` is for people, and holds no secret of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It cannot be reached, or answers too late.
    #[error("livekit-server does not answer: {0}")]
    Unreachable(&'static str),
    /// It says no.
    #[error("livekit-server answers {status}: {text}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Its words, bounded, printable.
        text: String,
    },
    /// What it answers makes no sense.
    #[error("livekit-server's answer is of no use: {0}")]
    Malformed(&'static str),
}

/// A publisher that livekit-server has taken.
#[derive(Clone, PartialEq, Eq)]
pub struct Published {
    /// The participant, `PA_…`; it names the resource, too.
    pub participant_sid: String,
    /// The SDP answer. It holds an ice-pwd.
    pub answer: String,
    /// The ICE session's entity tag, as it came: without quotes.
    pub ice_session: String,
    /// `Link` headers with ICE servers. They may hold a credential for TURN.
    pub links: Vec<String>,
}

impl fmt::Debug for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Published({}, {} bytes)", self.participant_sid, self.answer.len())
    }
}

/// What a PATCH asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patch<'a> {
    /// More candidates, for this ICE session.
    Trickle(&'a str),
    /// Another ICE session.
    Restart,
}

/// What a PATCH has brought about.
#[derive(Clone, PartialEq, Eq)]
pub struct Patched {
    /// After a restart: its fragment. It holds an ice-pwd.
    pub fragment: Option<String>,
    /// After a restart: the new ICE session's entity tag, as it came.
    pub ice_session: Option<String>,
}

impl fmt::Debug for Patched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Patched(restarted: {})", self.fragment.is_some())
    }
}

/// The endpoint. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Endpoint {
    client: Client,
    url: Url,
}

impl Endpoint {
    /// Of the server with this WebSocket URL. Nothing is asked yet.
    ///
    /// # Errors
    /// The URL is none, or the system's certificates cannot be read.
    pub fn new(ws_url: &str) -> Result<Self, Error> {
        let http = match ws_url.split_once("://") {
            Some(("ws" | "http", rest)) => format!("http://{rest}"),
            Some(("wss" | "https", rest)) => format!("https://{rest}"),
            _ => return Err(Error::Malformed("its URL is neither ws:// nor wss://")),
        };
        let mut url = Url::parse(&http).map_err(|_| Error::Malformed("its URL cannot be read"))?;
        url.set_query(None);
        url.set_fragment(None);
        let path = format!("{}/whip/v1", url.path().trim_end_matches('/'));
        url.set_path(&path);
        let client = Client::builder()
            // The token is for this server alone.
            .redirect(redirect::Policy::none())
            // Exchanges are rare: a connection that was kept would often be one that has died meanwhile.
            .pool_max_idle_per_host(0)
            .connect_timeout(CONNECT)
            .timeout(EXCHANGE)
            .build()
            .map_err(|_| Error::Malformed("TLS cannot be set up"))?;
        Ok(Self { client, url })
    }

    /// Hands an offer over. `token` says who publishes, and where; `agent` is the publisher's own program, of which livekit-server
    /// knows some.
    ///
    /// # Errors
    /// Nothing was published, unless the answer made no sense.
    pub async fn publish(&self, token: &str, agent: &str, offer: String) -> Result<Published, Error> {
        let mut request = self
            .request(Method::POST, self.url.clone(), token)
            .header(FROM_INGRESS, "true")
            .header(CONTENT_TYPE, SDP)
            .body(offer);
        if !agent.is_empty() {
            request = request.header(USER_AGENT, agent);
        }
        let response = send(request).await?;
        if response.status() != StatusCode::CREATED {
            return Err(refusal(response).await);
        }
        let headers = response.headers();
        let participant_sid = text(headers, &LOCATION).and_then(|location| sid(&location));
        let participant_sid = participant_sid.ok_or(Error::Malformed("no participant in its Location"))?;
        let ice_session = text(headers, &ETAG).unwrap_or_default();
        let links = headers.get_all(LINK).iter().filter_map(|link| link.to_str().ok());
        let links = links.filter(|link| link.len() <= LINKS.1).take(LINKS.0).map(str::to_owned).collect();
        Ok(Published { participant_sid, ice_session, links, answer: body(response).await? })
    }

    /// Hands a fragment on to a publisher's resource.
    ///
    /// # Errors
    /// The publisher is as before.
    pub async fn patch(
        &self,
        token: &str,
        sid: &str,
        patch: Patch<'_>,
        fragment: &str,
    ) -> Result<Patched, Error> {
        let tag = match patch {
            Patch::Trickle(ice_session) => ice_session,
            Patch::Restart => "*",
        };
        let request = self
            .request(Method::PATCH, self.resource(sid), token)
            .header(CONTENT_TYPE, FRAGMENT)
            .header(IF_MATCH, tag)
            .body(fragment::written_anew(fragment));
        let response = send(request).await?;
        match response.status() {
            StatusCode::NO_CONTENT => Ok(Patched { fragment: None, ice_session: None }),
            StatusCode::OK => {
                let ice_session = text(response.headers(), &ETAG);
                let fragment = Some(body(response).await?).filter(|fragment| !fragment.is_empty());
                Ok(Patched { fragment, ice_session })
            }
            _ => Err(refusal(response).await),
        }
    }

    /// Removes a publisher's participant; one that is gone is no error.
    ///
    /// # Errors
    /// It may still be there.
    pub async fn delete(&self, token: &str, sid: &str) -> Result<(), Error> {
        let response = send(self.request(Method::DELETE, self.resource(sid), token)).await?;
        match response.status() {
            status if status.is_success() => Ok(()),
            // The room is gone with all that were in it.
            StatusCode::NOT_FOUND => Ok(()),
            _ => Err(refusal(response).await),
        }
    }

    fn request(&self, method: Method, url: Url, token: &str) -> RequestBuilder {
        self.client.request(method, url).header(AUTHORIZATION, bearer(token))
    }

    /// Of its answer's `Location` only the last part is used: a token goes nowhere else.
    fn resource(&self, sid: &str) -> Url {
        let mut url = self.url.clone();
        let path = format!("{}/{sid}", url.path());
        url.set_path(&path);
        url
    }
}

/// Marked, so that no log of the client's shows it.
fn bearer(token: &str) -> reqwest::header::HeaderValue {
    let value = reqwest::header::HeaderValue::try_from(format!("Bearer {token}"));
    let mut value = value.unwrap_or_else(|_| reqwest::header::HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

async fn send(request: RequestBuilder) -> Result<Response, Error> {
    request.send().await.map_err(|error| unreachable(&error))
}

/// The client's own text may name addresses, which are not the publisher's business.
fn unreachable(error: &reqwest::Error) -> Error {
    tracing::debug!(%error, "livekit-server's WHIP endpoint");
    Error::Unreachable(match () {
        () if error.is_timeout() => "too slow",
        () if error.is_connect() => "no connection",
        () => "the exchange broke off",
    })
}

async fn body(mut response: Response) -> Result<String, Error> {
    let mut bytes = Vec::new();
    while let Some(part) = response.chunk().await.map_err(|error| unreachable(&error))? {
        if bytes.len() + part.len() > BODY {
            return Err(Error::Malformed("too long"));
        }
        bytes.extend_from_slice(&part);
    }
    String::from_utf8(bytes).map_err(|_| Error::Malformed("not text"))
}

/// Its errors are `{"error": "…"}`.
async fn refusal(response: Response) -> Error {
    let status = response.status().as_u16();
    let whole = body(response).await.unwrap_or_default();
    let said = serde_json::from_str::<serde_json::Value>(&whole).ok();
    let said = said.and_then(|said| Some(said["error"].as_str()?.to_owned())).unwrap_or(whole);
    let text = said.trim().chars().filter(|c| !c.is_control()).take(TEXT).collect();
    Error::Refused { status, text }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// The end of `/whip/v1/PA_…`, relative or absolute.
fn sid(location: &str) -> Option<String> {
    let last = location.split(['?', '#']).next()?.trim_end_matches('/').rsplit('/').next()?;
    let is_id = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let fits = !last.is_empty() && last.len() <= SID && last.bytes().all(is_id);
    fits.then(|| last.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_the_http_form_of_the_websocket_url() {
        let url = |ws_url| Endpoint::new(ws_url).map(|endpoint| endpoint.url.to_string());
        assert_eq!(url("ws://h:7880").as_deref(), Ok("http://h:7880/whip/v1"));
        assert_eq!(url("wss://h/lk/?x=1").as_deref(), Ok("https://h/lk/whip/v1"));
        assert!(url("rtmp://h").is_err());
    }

    #[test]
    fn a_resource_is_on_the_same_server_wherever_its_location_says() {
        for location in
            ["/whip/v1/PA_1", "http://evil.example/whip/v1/PA_1", "PA_1", "/whip/v1/PA_1/?x", "x/PA_1#y"]
        {
            assert_eq!(sid(location).as_deref(), Some("PA_1"), "{location}");
        }
        for location in ["", "/", "/whip/v1/a b", "/whip/v1/..", "/whip/v1/%2e"] {
            assert_eq!(sid(location), None, "{location}");
        }
        let endpoint = Endpoint::new("ws://h:7880").unwrap();
        assert_eq!(endpoint.resource("PA_1").as_str(), "http://h:7880/whip/v1/PA_1");
    }

    #[test]
    fn debug_shows_no_token_and_no_password() {
        assert_eq!(format!("{:?}", bearer("secret")), "Sensitive");
        let published = Published {
            participant_sid: "PA_1".into(),
            answer: "a=ice-pwd:secret".into(),
            ice_session: "u".into(),
            links: vec!["<turn:h>; credential=secret".into()],
        };
        assert!(!format!("{published:?}").contains("secret"));
        let patched = Patched { fragment: Some("a=ice-pwd:secret".into()), ice_session: None };
        assert!(!format!("{patched:?}").contains("secret"));
    }
}
