//! The `url` section: what URL inputs may reach, and how.

use intake::url::address::Policy;

use super::{secret::Secret, section::Section};

/// Where a file from a server without ranges is kept while it plays, at most.
const MAX_SPOOL: u64 = 1 << 30;

/// What URL inputs may reach. `Debug` shows no password of a proxy or a camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Addresses that may be reached although they are not public, each an address or a CIDR.
    pub allow: Vec<String>,
    /// Addresses that may not be reached although they are public or allowed.
    pub deny: Vec<String>,
    /// The way out.
    pub proxy: Proxy,
    /// Bytes that a file may have which has to be kept because its server has no ranges.
    pub max_spool: u64,
    /// What a URL is to begin with instead, by what it begins with.
    pub alias: Vec<Alias>,
}

/// The HTTP proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proxy {
    /// `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, as curl reads them.
    Environment,
    /// None, whatever the environment has.
    Off,
    /// This one, for all.
    All(Secret),
}

/// URLs that begin with `from` are taken to begin with `to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// `http://…` or `https://…`: what livekit-server lets through.
    pub from: String,
    /// Any scheme that is pulled; may have a password in it.
    pub to: Secret,
}

impl Default for Url {
    fn default() -> Self {
        let proxy = Proxy::Environment;
        Self { allow: Vec::new(), deny: Vec::new(), proxy, max_spool: MAX_SPOOL, alias: Vec::new() }
    }
}

pub(super) fn read(s: &mut Section<'_>) -> Url {
    let allow = s.list("allow", range);
    let deny = s.list("deny", range);
    let proxy = s.parsed("proxy", proxy).unwrap_or(Proxy::Environment);
    let max_spool = s.parsed("max_spool", bytes).unwrap_or(MAX_SPOOL);
    let mut alias = Vec::new();
    for (from, to, line) in s.table("alias") {
        match self::alias(&from, &to) {
            Ok(entry) => alias.push(entry),
            Err(problem) => s.wrong("alias", line, problem),
        }
    }
    Url { allow, deny, proxy, max_spool, alias }
}

fn range(text: &str) -> Result<String, String> {
    match Policy::new(&[text], &[]) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(format!("`{text}`: expected an address or a network such as 10.0.0.0/8")),
    }
}

fn proxy(text: &str) -> Result<Proxy, String> {
    match text {
        "env" => Ok(Proxy::Environment),
        "off" => Ok(Proxy::Off),
        url if url.starts_with("http://") && url.len() > "http://".len() => Ok(Proxy::All(Secret::new(url))),
        // What was found may have a password in it.
        _ => Err("expected env, off, or a proxy such as http://proxy.example.org:3128".to_owned()),
    }
}

fn bytes(text: &str) -> Result<u64, String> {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("", 1)];
    let read = |(unit, size): (&str, u64)| {
        text.strip_suffix(unit)?.trim_end().parse::<u64>().ok()?.checked_mul(size)
    };
    let wrong = || format!("`{text}`: expected a number of bytes, such as 500MiB or 2GiB");
    units.into_iter().find_map(read).ok_or_else(wrong)
}

/// Schemes that an alias may lead to.
const SCHEMES: [&str; 7] = ["http", "https", "srt", "rtmp", "rtmps", "rtsp", "rtsps"];

fn alias(from: &str, to: &str) -> Result<Alias, String> {
    if !["http://", "https://"].iter().any(|scheme| from.len() > scheme.len() && from.starts_with(scheme)) {
        return Err(format!("`{from}`: expected the beginning of an http or https URL"));
    }
    let known =
        to.split_once("://").is_some_and(|(scheme, rest)| SCHEMES.contains(&scheme) && !rest.is_empty());
    match known {
        true => Ok(Alias { from: from.to_owned(), to: Secret::new(to) }),
        false => Err(format!(
            "what `{from}` stands for: expected the beginning of a URL with one of the schemes {}",
            SCHEMES.join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{problems, with};

    #[test]
    fn networks_are_checked() {
        let url = with("url: {allow: [127.0.0.0/8, \"::1\"], deny: 192.0.2.0/24}\n").url;
        assert_eq!(
            (url.allow, url.deny),
            (vec!["127.0.0.0/8".into(), "::1".into()], vec!["192.0.2.0/24".into()])
        );
        let problem =
            "url.allow[0] (line 5): `10.0.0.0/33`: expected an address or a network such as 10.0.0.0/8";
        assert_eq!(problems("url: {allow: [10.0.0.0/33]}\n"), [problem]);
    }

    #[test]
    fn the_proxy_is_the_environments_unless_another_or_none_is_named() {
        assert_eq!(with("").url.proxy, Proxy::Environment);
        assert_eq!(with("url: {proxy: off}\n").url.proxy, Proxy::Off);
        let url = with("url: {proxy: \"http://me:sesame@proxy:3128\"}\n").url;
        assert!(matches!(&url.proxy, Proxy::All(_)) && !format!("{url:?}").contains("sesame"));
        let problem = &problems("url: {proxy: \"socks5://me:sesame@proxy\"}\n")[0];
        assert!(problem.contains("expected env, off") && !problem.contains("sesame"), "{problem}");
    }

    #[test]
    fn sizes_have_units() {
        let spool = |text: &str| with(&format!("url: {{max_spool: {text}}}\n")).url.max_spool;
        assert_eq!((spool("4096"), spool("500MiB"), spool("2 GiB")), (4096, 500 << 20, 2 << 30));
        assert_eq!(problems("url: {max_spool: lots}\n").len(), 1);
    }

    #[test]
    fn an_alias_leads_from_http_to_any_scheme_that_is_pulled() {
        let url = with("url: {alias: {\"https://cams.example.org/\": \"rtsp://u:sesame@10.0.0.7/\"}}\n").url;
        assert_eq!(url.alias[0].from, "https://cams.example.org/");
        assert_eq!(url.alias[0].to.reveal(), "rtsp://u:sesame@10.0.0.7/");
        assert!(!format!("{url:?}").contains("sesame"));
        assert_eq!(problems("url: {alias: {\"rtsp://x/\": \"rtsp://y/\"}}\n").len(), 1);
        let problem = &problems("url: {alias: {\"http://x/\": \"file:///sesame\"}}\n")[0];
        assert!(problem.contains("srt, rtmp") && !problem.contains("sesame"), "{problem}");
    }
}
