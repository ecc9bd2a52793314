//! `srt://` addresses to call.

use std::{fmt, time::Duration};

use srt_wire::Secret;
use url::Url;

/// Both sides' latency must be below it: nobody holds a live stream back for longer, and libsrt's buffers have an end.
const LATENCY_MOST: Duration = Duration::from_secs(8);

/// A listener somewhere, and what it is to be shown. `Debug` has no secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// A name or an address, not resolved.
    pub host: String,
    /// Its UDP port.
    pub port: u16,
    /// May be empty.
    pub stream_id: Secret,
    /// 10 to 79 bytes.
    pub passphrase: Option<Secret>,
    /// How long media is held back, at least.
    pub latency: Duration,
}

/// A URL that names no listener.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("srt:// URL: {0}")]
pub struct TargetError(String);

impl Target {
    /// Of `srt://host:port?streamid=…&passphrase=…&latency=…&mode=caller`, all but host and port optional; `latency` in ms,
    /// as libsrt's own tools have it. Other keys are taken to be another program's.
    ///
    /// # Errors
    /// No host or port, another mode, values out of range. The text holds no value of a key that may be secret.
    pub fn of(url: &Url, latency: Duration) -> Result<Self, TargetError> {
        let wrong = |text: &str| TargetError(text.to_owned());
        if url.scheme() != "srt" {
            return Err(wrong("expected srt://host:port"));
        }
        let host = url.host().ok_or_else(|| wrong("expected a host"))?;
        let host = match host {
            url::Host::Ipv6(address) => address.to_string(),
            host => fmt::format(format_args!("{host}")),
        };
        let port = url.port().ok_or_else(|| wrong("expected a port"))?;
        let mut target = Self { host, port, stream_id: Secret::new(""), passphrase: None, latency };
        for (key, value) in url.query_pairs() {
            match &*key {
                "streamid" if value.len() > 512 => return Err(wrong("streamid: expected at most 512 bytes")),
                "streamid" => target.stream_id = Secret::new(value),
                "passphrase" if value.is_empty() => {}
                "passphrase" if !(10..=79).contains(&value.len()) => {
                    return Err(wrong("passphrase: expected 10 to 79 characters"));
                }
                "passphrase" => target.passphrase = Some(Secret::new(value)),
                "latency" => {
                    let millis = value.parse().map(Duration::from_millis);
                    let latency = millis.ok().filter(|latency| *latency <= LATENCY_MOST);
                    target.latency =
                        latency.ok_or_else(|| wrong("latency: expected milliseconds, at most 8000"))?;
                }
                "mode" if value != "caller" => return Err(wrong("mode: this server is the caller")),
                _ => {}
            }
        }
        Ok(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATENCY: Duration = Duration::from_millis(200);

    fn target(url: &str) -> Result<Target, TargetError> {
        Target::of(&Url::parse(url).unwrap(), LATENCY)
    }

    #[test]
    fn a_url_says_whom_to_call_and_what_to_show() {
        let plain = target("srt://example.org:9000").unwrap();
        assert_eq!((plain.host.as_str(), plain.port, plain.latency), ("example.org", 9000, LATENCY));
        assert!(plain.passphrase.is_none() && plain.stream_id.reveal().is_empty());
        let all = "srt://[::1]:9?mode=caller&streamid=%23!::r=a%20b,m=request&passphrase=0123456789&latency=500&pkt_size=1316";
        let all = target(all).unwrap();
        assert_eq!((all.host.as_str(), all.stream_id.reveal()), ("::1", "#!::r=a b,m=request"));
        assert_eq!(all.latency, Duration::from_millis(500));
        assert!(!format!("{all:?}").contains("0123456789") && !format!("{all:?}").contains("r=a"));
    }

    #[test]
    fn what_cannot_be_called_is_said_without_secrets() {
        for url in [
            "http://example.org:1",
            "srt://example.org",
            "srt://:1",
            "srt://h:1?mode=listener",
            "srt://h:1?passphrase=hunter2",
            "srt://h:1?latency=-1",
            "srt://h:1?latency=9000",
        ] {
            let Ok(parsed) = Url::parse(url) else { continue };
            let error = Target::of(&parsed, LATENCY).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
