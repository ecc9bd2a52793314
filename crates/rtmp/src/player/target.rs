use std::fmt;

/// What is played and from where, as a URL says it: `rtmp://host[:port]/app[/instance]/name`, or `rtmps://`.
///
/// A path of three and more elements has an instance of the app, as FFmpeg reads it; a query belongs to the part that it stands
/// in. Users and passwords of a URL are left out: only the logins of Adobe's and Limelight's servers had a use for them, and those
/// are not supported.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// A name, or an address without brackets.
    pub host: String,
    /// 1935, and 443 with TLS, where the URL has none.
    pub port: u16,
    /// `rtmps`.
    pub tls: bool,
    pub(super) app: String,
    /// Often a key, so it is in no log.
    pub(super) name: String,
    pub(super) tc_url: String,
}

/// Why a text is no URL of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no RTMP URL: {0}")]
pub struct NotATarget(&'static str);

/// Longer URLs are refused: an AMF0 string and its message have to hold them.
const LONGEST: usize = 4096;

impl Target {
    /// Reads a URL.
    ///
    /// # Errors
    /// Says what is missing; the URL is not repeated.
    pub fn parse(url: &str) -> Result<Target, NotATarget> {
        if url.len() > LONGEST || url.chars().any(char::is_control) {
            return Err(NotATarget("it is too long or has control characters"));
        }
        let (scheme, rest) = url.split_once("://").ok_or(NotATarget("it has no scheme"))?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "rtmp" => false,
            "rtmps" => true,
            _ => return Err(NotATarget("the scheme is neither rtmp nor rtmps")),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
        let (host, port) = split_port(place, if tls { 443 } else { 1935 })?;
        let (app, name) = split_path(path.split('#').next().unwrap_or(""));
        if app.is_empty() {
            return Err(NotATarget("it has no app"));
        }
        let scheme = if tls { "rtmps" } else { "rtmp" };
        let tc_url = format!("{scheme}://{place}/{app}");
        Ok(Target { host: host.to_owned(), port, tls, app, name, tc_url })
    }

    /// `text` of the server without what a log must not have.
    pub(super) fn redact(&self, text: &str) -> String {
        let query = self.tc_url.split_once('?').map_or("", |(_, query)| query);
        let mut text = text.to_owned();
        for secret in [self.name.as_str(), self.name.split('?').next().unwrap_or(""), query] {
            // A name such as "a" would take every word apart, and is no secret.
            if secret.len() > 3 {
                text = text.replace(secret, "***");
            }
        }
        text
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({}:{}, tls: {})", self.host, self.port, self.tls)
    }
}

fn split_port(place: &str, default: u16) -> Result<(&str, u16), NotATarget> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or(NotATarget("its address has no end"))?;
            (host, rest.strip_prefix(':'))
        }
        None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return Err(NotATarget("it has no host"));
    }
    let port = match port {
        None | Some("") => default,
        Some(port) => port.parse().map_err(|_| NotATarget("its port is no number below 65536"))?,
    };
    Ok((host, port))
}

/// App and name.
fn split_path(path: &str) -> (String, String) {
    let elements: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let app = if elements.len() > 2 { 2 } else { 1 };
    (elements[..app].join("/"), elements[app..].join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart_as_players_do() {
        for (url, host, port, app, name) in [
            ("rtmp://h/live/key", "h", 1935, "live", "key"),
            ("RTMP://h:1936/live/key?token=a", "h", 1936, "live", "key?token=a"),
            ("rtmps://h/live/key", "h", 443, "live", "key"),
            ("rtmp://[2001:db8::1]:19/live/key", "2001:db8::1", 19, "live", "key"),
            ("rtmp://u:p@h/live/key", "h", 1935, "live", "key"),
            ("rtmp://h/app/instance/key/more", "h", 1935, "app/instance", "key/more"),
            ("rtmp://h/app?auth=1/key", "h", 1935, "app?auth=1", "key"),
            ("rtmp://h/only", "h", 1935, "only", ""),
        ] {
            let target = Target::parse(url).unwrap();
            let seen = (&target.host[..], target.port, &target.app[..], &target.name[..]);
            assert_eq!(seen, (host, port, app, name), "{url}");
            assert!(!target.tc_url.contains("u:p") && !format!("{target:?}").contains("key"), "{target:?}");
        }
    }

    #[test]
    fn what_is_no_url_of_a_stream_is_refused() {
        for url in
            ["", "h/live/key", "http://h/live/key", "rtmp://", "rtmp:///live/k", "rtmp://h", "rtmp://h:x/a/b"]
        {
            assert!(Target::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn names_and_tokens_are_taken_out_of_a_servers_words() {
        let target = Target::parse("rtmp://h/app?sig=12345/secret?t=1").unwrap();
        assert_eq!(target.redact("no secret?t=1 or secret in app?sig=12345"), "no *** or *** in app?***");
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(url in "(rtmp://)?[a-z0-9:/@?#\\[\\]]{0,40}") {
            let _ = Target::parse(&url);
        }
    }
}
