use std::fmt;

use percent_encoding::percent_decode_str;
use url::Url;

use super::{Error, auth::Login, transport::Way};

/// RFC 2326 section 12; RFC 7826 section 20.
const PORT: u16 = 554;
const TLS_PORT: u16 = 322;

/// What is asked for, and where.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// A name, or an address without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
    pub(super) way: Way,
    /// The URL as requests have it: without user and password.
    pub(super) uri: String,
    pub(super) login: Option<Login>,
}

impl Target {
    /// Reads `rtsp://`, `rtsps://`, and the two that other players know: `rtspt://` and `rtspu://`, over TCP or UDP and nothing else.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let url = Url::parse(text).map_err(|_| Error::Url("it cannot be read"))?;
        let (tls, way) = match url.scheme() {
            "rtsp" => (false, Way::Any),
            "rtsps" => (true, Way::Tcp),
            "rtspt" => (false, Way::Tcp),
            "rtspu" => (false, Way::Udp),
            _ => return Err(Error::Url("the scheme is none of rtsp, rtsps, rtspt, rtspu")),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(Error::Url("it has no host"))?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).to_owned();
        let port = url.port().unwrap_or(if tls { TLS_PORT } else { PORT });
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let login = (!url.username().is_empty()).then(|| Login {
            user: decoded(url.username()),
            password: decoded(url.password().unwrap_or("")),
        });
        let scheme = if tls { "rtsps" } else { "rtsp" };
        let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
        let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
        Ok(Self { host, port, tls, way, uri: format!("{scheme}://{authority}{path}"), login })
    }

    /// Scheme, host and port.
    pub(super) fn origin(&self) -> String {
        let scheme = if self.tls { "rtsps" } else { "rtsp" };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{scheme}://{host}:{}", self.port)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.origin())
    }
}

/// The URL of a control attribute (RFC 2326 section C.1.1): one of its own, or a part of its base. Cameras' bases have queries, which stay
/// where they are, as FFmpeg has it. `None`: it would break a request line.
pub(super) fn control(base: &str, attribute: &str) -> Option<String> {
    let attribute = attribute.trim();
    if attribute.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return None;
    }
    if attribute.is_empty() || attribute == "*" {
        return Some(base.to_owned());
    }
    if let Some((scheme, _)) = attribute.split_once("://")
        && scheme.starts_with("rtsp")
    {
        return Some(attribute.to_owned());
    }
    Some(format!("{}/{}", base.trim_end_matches('/'), attribute.trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_their_logins_kept_apart() {
        let target = Target::parse("rtsp://us%40er:p%3Ass@cam.test/axis/media.amp?videocodec=h264").unwrap();
        assert_eq!(
            (target.host.as_str(), target.port, target.tls, target.way),
            ("cam.test", 554, false, Way::Any)
        );
        assert_eq!(target.uri, "rtsp://cam.test/axis/media.amp?videocodec=h264");
        assert_eq!(target.login, Some(Login { user: "us@er".into(), password: "p:ss".into() }));
        assert_eq!(format!("{target:?}"), "Target(rtsp://cam.test:554)");

        let target = Target::parse("rtspu://[2001:db8::1]:8554/").unwrap();
        assert_eq!((target.host.as_str(), target.port, target.way), ("2001:db8::1", 8554, Way::Udp));
        assert_eq!(target.uri, "rtsp://[2001:db8::1]:8554/");
        let target = Target::parse("rtsps://cam.test/x").unwrap();
        assert_eq!((target.port, target.tls, target.way), (322, true, Way::Tcp));
        for url in ["http://cam.test/", "rtsp:///x", "rtsp:x", "cam.test"] {
            assert!(Target::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn controls_are_joined_as_servers_mean_them() {
        for (base, attribute, joined) in [
            ("rtsp://h/a/", "trackID=1", "rtsp://h/a/trackID=1"),
            ("rtsp://h/a", "trackID=1", "rtsp://h/a/trackID=1"),
            ("rtsp://h/a?x=1", "trackID=1", "rtsp://h/a?x=1/trackID=1"),
            ("rtsp://h/a", "*", "rtsp://h/a"),
            ("rtsp://h/a", "rtsp://other/b", "rtsp://other/b"),
        ] {
            assert_eq!(control(base, attribute).as_deref(), Some(joined));
        }
        assert_eq!(control("rtsp://h/a", "x HTTP/1.1\r\nHost: y"), None);
    }
}
