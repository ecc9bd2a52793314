use std::time::{Duration, Instant};

use rtc::rtp::Receiver;

use super::{
    Error, formats,
    formats::Taken,
    link::Link,
    message::Response,
    play::Play,
    sdp::Description,
    target::{Target, control},
    transport::{self, Pair, Way},
};
use crate::{
    rtmp::{Publisher, channel},
    socket,
    url::{self, Fetcher},
};

/// Redirects that are followed, as with HTTP.
const REDIRECTS: usize = 5;

/// RFC 2326 section 12.37.
const SESSION_TIMEOUT: Duration = Duration::from_secs(60);

/// Signs of life are this far apart at most, whatever the server allows, and at least.
const ALIVE_MOST: Duration = Duration::from_secs(30);
const ALIVE_LEAST: Duration = Duration::from_secs(2);

/// Asks a server for the stream of an `rtsp://` or `rtsps://` URL, and returns when it plays. `rtspt://` and `rtspu://` insist on TCP and UDP;
/// else it is TCP, unless the server has only UDP. A user and password in the URL answer a challenge.
///
/// The publisher's last event is [`Why::Unpublished`](crate::rtmp::Why::Unpublished) only where the server said goodbye. Dropping the future or
/// the publisher ends the session and closes the connection.
///
/// # Errors
/// See [`Error`].
pub async fn pull(fetcher: &Fetcher, url: &str) -> Result<Publisher, Error> {
    let mut target = Target::parse(url)?;
    for _ in 0..=REDIRECTS {
        match open(fetcher, &target).await? {
            Opened::Plays(play) => {
                let (feed, publisher) = channel();
                // Ends with the publisher, which holds the feed's other end.
                tokio::spawn(play.run(feed));
                return Ok(publisher);
            }
            Opened::Elsewhere(location) => target = redirected(&target, &location)?,
        }
    }
    Err(Error::TooManyRedirects { limit: REDIRECTS })
}

enum Opened {
    Plays(Box<Play>),
    /// A `Location`.
    Elsewhere(String),
}

/// A user and password go along to the same host only.
fn redirected(from: &Target, location: &str) -> Result<Target, Error> {
    let wrong = || Error::Protocol { origin: from.origin(), why: "a redirect to what is no RTSP URL" };
    let mut to = Target::parse(location).map_err(|_| wrong())?;
    if to.login.is_none() && to.host == from.host && to.tls >= from.tls {
        to.login = from.login.clone();
    }
    if to.way == Way::Any {
        to.way = from.way;
    }
    Ok(to)
}

async fn open(fetcher: &Fetcher, target: &Target) -> Result<Opened, Error> {
    let origin = target.origin();
    let place =
        url::Target { host: target.host.clone(), port: target.port, tls: target.tls, origin: origin.clone() };
    let stream = fetcher.connect(&place).await?;
    let broken = |error: std::io::Error| Error::Broken { origin: origin.clone(), kind: error.kind() };
    socket::prepare(stream.tcp()).map_err(broken)?;
    let (local, peer) =
        (stream.tcp().local_addr().map_err(broken)?.ip(), stream.tcp().peer_addr().map_err(broken)?.ip());
    let mut link = Link::new(stream, origin.clone(), target.login.clone());

    let options = link.ask("OPTIONS", &target.uri, &[]).await?;
    let described = link.ask("DESCRIBE", &target.uri, &[("Accept", "application/sdp")]).await?;
    if let (300..=399, Some(location)) = (described.status, described.header("Location")) {
        return Ok(Opened::Elsewhere(location.to_owned()));
    }
    link.check("DESCRIBE", &described)?;
    let base = base(&target.uri, &described);
    let description = Description::read(&String::from_utf8_lossy(&described.body));
    let taken = formats::choose(&description).map_err(|codec| Error::Unsupported { codec })?;
    if taken.is_empty() {
        return Err(Error::NoMedia { origin });
    }
    let whole = control(&base, description.control.as_deref().unwrap_or("*"));
    let whole = whole.ok_or_else(|| link.wrong("a control URL with spaces in it"))?;

    let mut setup =
        Setup { way: target.way, timeout: SESSION_TIMEOUT, channels: Vec::new(), pairs: Vec::new() };
    for medium in &taken {
        let uri = control(&base, medium.control.as_deref().unwrap_or("*"));
        let uri = uri.ok_or_else(|| link.wrong("a control URL with spaces in it"))?;
        setup.track(&mut link, &uri, (local, peer.to_canonical())).await?;
    }
    link.demand("PLAY", &whole, &[("Range", "npt=0.000-")]).await?;

    let public = options.header("Public").unwrap_or("");
    let asks = public.split(',').any(|method| method.trim().eq_ignore_ascii_case("GET_PARAMETER"));
    let receiver = Receiver::new(Instant::now(), taken.iter().map(|medium: &Taken| medium.track.clone()));
    Ok(Opened::Plays(Box::new(Play {
        link,
        receiver,
        taken,
        channels: setup.channels,
        pairs: setup.pairs,
        uri: whole,
        alive: if asks { "GET_PARAMETER" } else { "OPTIONS" },
        alive_every: (setup.timeout / 2).clamp(ALIVE_LEAST, ALIVE_MOST),
    })))
}

/// What relative control URLs are relative to (RFC 2326 section C.1.1). It is a word in requests, and leads nowhere else.
fn base(uri: &str, described: &Response) -> String {
    let told = described.header("Content-Base").or_else(|| described.header("Content-Location"));
    let told = told.filter(|base| ::url::Url::parse(base).is_ok_and(|url| url.scheme().starts_with("rtsp")));
    told.filter(|base| !base.contains(char::is_whitespace)).unwrap_or(uri).to_owned()
}

struct Setup {
    way: Way,
    timeout: Duration,
    channels: Vec<(u8, u8)>,
    pairs: Vec<Pair>,
}

impl Setup {
    async fn track(
        &mut self,
        link: &mut Link,
        uri: &str,
        (local, peer): (std::net::IpAddr, std::net::IpAddr),
    ) -> Result<(), Error> {
        if self.way != Way::Udp {
            let first = u8::try_from(2 * self.channels.len()).unwrap_or(u8::MAX - 1);
            let transport = format!("RTP/AVP/TCP;unicast;interleaved={first}-{}", first + 1);
            let response = link.ask("SETUP", uri, &[("Transport", &transport)]).await?;
            // 461 Unsupported Transport; some cameras have other words for it.
            let refused = matches!(response.status, 461 | 400 | 451 | 500 | 501 | 503);
            if !(refused && self.way == Way::Any && self.channels.is_empty()) {
                link.check("SETUP", &response)?;
                self.session(link, &response)?;
                let channels =
                    response.header("Transport").and_then(|it| transport::numbers(it, "interleaved"));
                let (rtp, rtcp) = channels.unwrap_or((first.into(), u16::from(first) + 1));
                let channels = u8::try_from(rtp).ok().zip(u8::try_from(rtcp).ok());
                self.channels.push(channels.ok_or_else(|| link.wrong("channels over 255"))?);
                self.way = Way::Tcp;
                return Ok(());
            }
            self.way = Way::Udp;
        }
        let bound = Pair::bind(local, peer);
        let mut pair = bound.map_err(|error| Error::Broken { origin: link.origin(), kind: error.kind() })?;
        let port = pair.port();
        let transport = format!("RTP/AVP;unicast;client_port={port}-{}", port + 1);
        let response = link.demand("SETUP", uri, &[("Transport", &transport)]).await?;
        self.session(link, &response)?;
        pair.told(response.header("Transport").and_then(|it| transport::numbers(it, "server_port")));
        self.pairs.push(pair);
        Ok(())
    }

    /// `Session: 12345678;timeout=60`.
    fn session(&mut self, link: &mut Link, response: &Response) -> Result<(), Error> {
        let header = response.header("Session").ok_or_else(|| link.wrong("a session without an id"))?;
        let mut parts = header.split(';').map(str::trim);
        let id = parts.next().filter(|id| !id.is_empty() && id.chars().all(|c| c.is_ascii_graphic()));
        let id = id.ok_or_else(|| link.wrong("a session without an id"))?.to_owned();
        let seconds = parts.find_map(|part| part.strip_prefix("timeout=")?.trim().parse().ok());
        self.timeout = seconds.map_or(self.timeout, |seconds: u32| Duration::from_secs(seconds.into()));
        link.session.get_or_insert(id);
        Ok(())
    }
}
