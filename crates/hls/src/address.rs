//! An address in a playlist → one that may be fetched.

use url::Url;

use crate::{Reason, Shown, What};

/// Resolves against the playlist's own address after redirects. Anything but http and https ends here: GStreamer's demuxer read
/// `file://` segments (urls.md), and no fetcher should have to know better.
pub(crate) fn resolve(base: &Url, address: &str, what: What) -> Result<Url, Reason> {
    let error =
        |error: url::ParseError| Reason::Address { url: Shown::of(base), what, error: error.to_string() };
    let url = base.join(address).map_err(error)?;
    web(base, url, what)
}

/// Whether an address may be fetched at all. `base` is named in the reason.
pub(crate) fn web(base: &Url, url: Url, what: What) -> Result<Url, Reason> {
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        return Ok(url);
    }
    let scheme = url.scheme().chars().take(20).collect();
    Err(Reason::Scheme { url: Shown::of(base), what, scheme })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_and_https_come_out() {
        let base = Url::parse("https://a.example/live/x/index.m3u8?token=1").unwrap();
        for (address, expected) in [
            ("seg.ts", Ok("https://a.example/live/x/seg.ts")),
            ("../seg.ts?t=2", Ok("https://a.example/live/seg.ts?t=2")),
            ("/seg.ts", Ok("https://a.example/seg.ts")),
            ("//b.example/seg.ts", Ok("https://b.example/seg.ts")),
            ("http://b.example/seg.ts", Ok("http://b.example/seg.ts")),
            ("HTTP://b.example/seg.ts", Ok("http://b.example/seg.ts")),
            ("file:///etc/passwd", Err("file")),
            ("data:text/plain,x", Err("data")),
            ("gio:///etc/passwd", Err("gio")),
            ("skd://key", Err("skd")),
            ("concat:a|b", Err("concat")),
        ] {
            let got = resolve(&base, address, What::Segment);
            match (got, expected) {
                (Ok(url), Ok(expected)) => assert_eq!(url.as_str(), expected),
                (Err(Reason::Scheme { scheme, .. }), Err(expected)) => assert_eq!(scheme, expected),
                (got, expected) => panic!("{address}: {got:?}, expected {expected:?}"),
            }
        }
        assert!(matches!(resolve(&base, "http://[", What::Key), Err(Reason::Address { .. })));
    }

    #[test]
    fn what_is_shown_of_an_address_has_no_token() {
        let url = Url::parse("https://user:secret@a.example:8443/x.m3u8?token=secret#secret").unwrap();
        assert_eq!(Shown::of(&url).to_string(), "https://a.example:8443/x.m3u8");
    }
}
