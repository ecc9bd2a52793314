//! URLs that stand for others. livekit-server takes http and https for a URL ingress and nothing else, so the operator says which
//! prefix of an https URL means which RTMP, RTSP or SRT server.

use std::fmt;

use url::{Position, Url};

/// What may stand in for a prefix.
const SCHEMES: [&str; 9] = ["http", "https", "rtmp", "rtmps", "rtsp", "rtsps", "rtspt", "rtspu", "srt"];

/// Prefixes and what they stand for. A target is checked like any other URL: that an operator has named it opens no address.
#[derive(Clone, Default)]
pub struct Aliases(Vec<(Url, Url)>);

/// Why a pair is no alias. The URLs are named without what may be secret in them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("alias {prefix}: {why}")]
pub struct NotAnAlias {
    prefix: String,
    why: &'static str,
}

impl Aliases {
    /// The aliases of a configuration, each a prefix of http or https URLs and what stands in its place:
    /// `https://pull.example/cam/` and `rtsp://10.0.0.5/`.
    pub fn new<S: AsRef<str>>(pairs: impl IntoIterator<Item = (S, S)>) -> Result<Self, NotAnAlias> {
        let alias = |(prefix, target): (S, S)| alias(prefix.as_ref(), target.as_ref());
        let mut all = pairs.into_iter().map(alias).collect::<Result<Vec<_>, _>>()?;
        all.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.as_str().len()));
        Ok(Self(all))
    }

    /// What `url` stands for: the longest prefix counts, and what follows it goes behind the target, query and all. A prefix
    /// ends where an element of the path does. User and password go along where the target has none. `None`: no alias.
    pub fn resolve(&self, url: &Url) -> Option<Url> {
        let mut bare = url.clone();
        bare.set_username("").and_then(|()| bare.set_password(None)).ok()?;
        bare.set_fragment(None);
        let (target, rest) = self.0.iter().find_map(|(prefix, target)| {
            let rest = bare.as_str().strip_prefix(prefix.as_str())?;
            let whole = prefix.as_str().ends_with('/') || rest.is_empty() || rest.starts_with(['/', '?']);
            whole.then_some((target, rest))
        })?;
        // A user may not leave the target's folder, nor name another host.
        let rest = if target.as_str().ends_with('/') { rest.trim_start_matches('/') } else { rest };
        let mut meant = Url::parse(&format!("{target}{rest}")).ok()?;
        let place = |url: &Url| url[Position::BeforeScheme..Position::BeforePath].to_owned();
        if place(&meant) != place(target) {
            return None;
        }
        if meant.username().is_empty() && meant.password().is_none() {
            meant.set_username(url.username()).and_then(|()| meant.set_password(url.password())).ok()?;
        }
        Some(meant)
    }
}

impl fmt::Debug for Aliases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(prefix, target): &(Url, Url)| format!("{prefix} → {}", bare(target));
        f.debug_list().entries(self.0.iter().map(shown)).finish()
    }
}

fn alias(prefix: &str, target: &str) -> Result<(Url, Url), NotAnAlias> {
    let read = Url::parse(prefix).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let named = read.as_ref().map_or_else(|| "(not a URL)".to_owned(), bare);
    let wrong = |why| NotAnAlias { prefix: named.clone(), why };
    let prefix = read.ok_or_else(|| wrong("a prefix is an http or https URL"))?;
    let has_more = prefix.query().is_some() || prefix.fragment().is_some();
    if has_more || !prefix.username().is_empty() || prefix.password().is_some() {
        return Err(wrong("a prefix has no query, fragment, user or password"));
    }
    let target = Url::parse(target).map_err(|_| wrong("what it stands for is no URL"))?;
    if !SCHEMES.contains(&target.scheme()) {
        return Err(wrong("what it stands for is neither http(s), rtmp(s), rtsp(s), rtspt, rtspu nor srt"));
    }
    if target.host_str().is_none_or(str::is_empty) {
        return Err(wrong("what it stands for has no host"));
    }
    // Else what follows the prefix would be a part of the host or of its port.
    let target = if target.path().is_empty() && target.query().is_none() {
        Url::parse(&format!("{target}/")).map_err(|_| wrong("what it stands for is no URL"))?
    } else {
        target
    };
    Ok((prefix, target))
}

fn bare(url: &Url) -> String {
    format!("{}://{}", url.scheme(), &url[Position::BeforeHost..Position::AfterPort])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aliases() -> Aliases {
        Aliases::new([
            ("https://pull.example/cam/", "rtsp://10.0.0.5:554/"),
            ("https://pull.example/cam/door", "rtsp://viewer:secret@10.0.0.6/axis?channel=1"),
            ("https://pull.example/live", "rtmp://10.0.0.7/live"),
            ("http://pull.example/srt", "srt://10.0.0.8:9000"),
        ])
        .unwrap()
    }

    fn resolved(url: &str) -> Option<String> {
        aliases().resolve(&Url::parse(url).unwrap()).map(String::from)
    }

    #[test]
    fn the_longest_prefix_counts_and_the_rest_goes_behind() {
        for (url, meant) in [
            ("https://pull.example/cam/1", "rtsp://10.0.0.5:554/1"),
            ("https://PULL.example:443/cam/a/b?x=1#there", "rtsp://10.0.0.5:554/a/b?x=1"),
            ("https://pull.example/cam/door", "rtsp://viewer:secret@10.0.0.6/axis?channel=1"),
            ("https://pull.example/cam/doors", "rtsp://10.0.0.5:554/doors"),
            ("https://pull.example/live/key", "rtmp://10.0.0.7/live/key"),
            ("https://u:p@pull.example/live/key", "rtmp://u:p@10.0.0.7/live/key"),
            ("https://u:p@pull.example/cam/door", "rtsp://viewer:secret@10.0.0.6/axis?channel=1"),
            ("http://pull.example/srt?streamid=a", "srt://10.0.0.8:9000/?streamid=a"),
        ] {
            assert_eq!(resolved(url).as_deref(), Some(meant), "{url}");
        }
    }

    #[test]
    fn other_urls_stay_what_they_are() {
        for url in [
            "http://pull.example/cam/1",
            "https://pull.example:444/cam/1",
            "https://pull.example/camera",
            "https://pull.example/cam/../etc",
            "https://pull.example/cam/%2e%2e/etc",
            "https://pull.example.evil/cam/1",
            "https://pull.example/lively",
            "rtsp://10.0.0.5/1",
        ] {
            assert_eq!(resolved(url), None, "{url}");
        }
    }

    #[test]
    fn nothing_behind_a_prefix_leads_to_another_host() {
        let of = |url: &str| resolved(url).map(|url| Url::parse(&url).unwrap());
        for rest in ["//evil.example/x", "@evil.example/", ":80/", "/\\evil.example", "?@evil", "%2f%2fevil"]
        {
            let url = of(&format!("https://pull.example/cam/{rest}")).unwrap();
            assert_eq!((url.host_str(), url.port()), (Some("10.0.0.5"), Some(554)), "{rest}: {url}");
            if let Some(url) = of(&format!("http://pull.example/srt{rest}")) {
                assert_eq!((url.host_str(), url.port()), (Some("10.0.0.8"), Some(9000)), "{rest}: {url}");
            }
        }
    }

    #[test]
    fn what_is_no_alias_is_refused_without_its_secrets() {
        for (prefix, target, word) in [
            ("rtsp://a/", "rtsp://b/", "http or https"),
            ("https://a/?x", "rtsp://b/", "no query"),
            ("https://a/", "file:///etc/passwd", "neither"),
            ("https://a/", "b", "no URL"),
            ("https://a/", "rtsp:///x", "no host"),
        ] {
            let error = Aliases::new([(prefix, target)]).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        assert!(!format!("{:?}", aliases()).contains("secret"));
    }
}
