//! HTTP's Basic and Digest authentication (RFC 7617, RFC 7616, RFC 2617) as RTSP servers use them.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use md5::Md5;
use sha2::{Digest, Sha256};

/// Of a URL.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(..)")
    }
}

/// How a server wants to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Digest(Box<DigestChallenge>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DigestChallenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    sha256: bool,
    /// As the server wrote it.
    algorithm: Option<String>,
    qop: bool,
}

/// The best of the challenges in `WWW-Authenticate` headers; `None` if none is understood.
pub(super) fn best<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Challenge> {
    let rank = |challenge: &Challenge| match challenge {
        Challenge::Basic => 0,
        Challenge::Digest(digest) => 1 + u8::from(digest.sha256),
    };
    headers.filter_map(read).max_by_key(rank)
}

fn read(header: &str) -> Option<Challenge> {
    let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
    if scheme.eq_ignore_ascii_case("Basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("Digest") {
        return None;
    }
    let fields = fields(rest);
    let field = |name: &str| {
        let found = fields.iter().find(|(of, _)| of.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    };
    let algorithm = field("algorithm");
    let sha256 = match algorithm.as_deref().map(str::to_ascii_uppercase).as_deref() {
        None | Some("MD5") => false,
        Some("SHA-256") => true,
        Some(_) => return None,
    };
    // Other qualities (auth-int) are not asked for alone by any server.
    let qop = field("qop").is_some_and(|qop| qop.split(',').any(|one| one.trim() == "auth"));
    let (realm, nonce, opaque) = (field("realm")?, field("nonce")?, field("opaque"));
    Some(Challenge::Digest(Box::new(DigestChallenge { realm, nonce, opaque, sha256, algorithm, qop })))
}

/// `name=value` and `name="value"`, separated by commas. Quotes inside a value would break ours: such a value ends there.
fn fields(text: &str) -> Vec<(String, String)> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some((name, after)) = rest.split_once('=') {
        let (value, next) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_at(after.find(',').unwrap_or(after.len())),
        };
        let name = name.trim_start_matches([',', ' ']).trim().to_owned();
        found.push((name, value.trim().to_owned()));
        rest = next;
    }
    found
}

impl Challenge {
    /// The `Authorization` header of a request. `count`: how many have been made with this challenge, from 1.
    pub(super) fn answer(&self, login: &Login, method: &str, uri: &str, count: u32, cnonce: &str) -> String {
        let Login { user, password } = login;
        match self {
            Challenge::Basic => format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))),
            Challenge::Digest(digest) => digest.answer(login, method, uri, count, cnonce),
        }
    }
}

impl DigestChallenge {
    fn hash(&self, text: &str) -> String {
        if self.sha256 { hex(&Sha256::digest(text)) } else { hex(&Md5::digest(text)) }
    }

    fn answer(&self, login: &Login, method: &str, uri: &str, count: u32, cnonce: &str) -> String {
        let Self { realm, nonce, .. } = self;
        let secret = self.hash(&format!("{}:{realm}:{}", login.user, login.password));
        let asked = self.hash(&format!("{method}:{uri}"));
        let user = login.user.replace(['"', '\\', '\r', '\n'], "");
        let mut answer =
            format!(r#"Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}""#);
        let response = if self.qop {
            answer.push_str(&format!(r#", qop=auth, nc={count:08x}, cnonce="{cnonce}""#));
            self.hash(&format!("{secret}:{nonce}:{count:08x}:{cnonce}:auth:{asked}"))
        } else {
            self.hash(&format!("{secret}:{nonce}:{asked}"))
        };
        answer.push_str(&format!(r#", response="{response}""#));
        if let Some(opaque) = &self.opaque {
            answer.push_str(&format!(r#", opaque="{opaque}""#));
        }
        if let Some(algorithm) = &self.algorithm {
            answer.push_str(&format!(", algorithm={algorithm}"));
        }
        answer
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login() -> Login {
        Login { user: "Mufasa".into(), password: "Circle Of Life".into() }
    }

    /// RFC 2617 section 3.5.
    #[test]
    fn the_example_of_the_rfc() {
        let header = r#"Digest realm="testrealm@host.com", qop="auth,auth-int",
            nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41""#;
        let challenge = best([header].into_iter()).unwrap();
        let answer = challenge.answer(&login(), "GET", "/dir/index.html", 1, "0a4f113b");
        assert!(answer.contains(r#"response="6629fae49393a05397450978507c4ef1""#), "{answer}");
        assert!(answer.contains(r#"opaque="5ccc069c403ebaf9f0171e9517f40e41""#), "{answer}");
    }

    /// RFC 7616 section 3.9.1, with its user and password.
    #[test]
    fn sha_256_of_the_newer_rfc_is_preferred() {
        let with = |algorithm| {
            format!(
                r#"Digest realm="http-auth@example.org", qop="auth", algorithm={algorithm},
                nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v""#
            )
        };
        let headers = ["Basic realm=\"x\"".to_owned(), with("SHA-256"), with("MD5"), with("TOKEN")];
        let challenge = best(headers.iter().map(String::as_str)).unwrap();
        let login = Login { user: "Mufasa".into(), password: "Circle of Life".into() };
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        let answer = challenge.answer(&login, "GET", "/dir/index.html", 1, cnonce);
        let response = "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1";
        assert!(answer.contains(response), "{answer}");
    }

    /// RFC 2069's form, which most cameras ask for.
    #[test]
    fn without_a_quality_nothing_is_counted() {
        let challenge = best([r#"digest realm="cam", nonce="abc", stale="FALSE""#].into_iter()).unwrap();
        let answer = challenge.answer(&login(), "DESCRIBE", "rtsp://h/a", 7, "unused");
        let secret = hex(&Md5::digest("Mufasa:cam:Circle Of Life"));
        let asked = hex(&Md5::digest("DESCRIBE:rtsp://h/a"));
        let response = hex(&Md5::digest(format!("{secret}:abc:{asked}")));
        assert!(
            answer.ends_with(&format!(r#"response="{response}""#)) && !answer.contains("cnonce"),
            "{answer}"
        );
    }

    #[test]
    fn basic_is_the_last_resort_and_others_are_none() {
        let basic = best(["Basic realm=\"x\"", "Negotiate"].into_iter()).unwrap();
        assert_eq!(basic.answer(&login(), "", "", 1, ""), "Basic TXVmYXNhOkNpcmNsZSBPZiBMaWZl");
        assert_eq!(best(["Negotiate", "Digest nonce=\"x\""].into_iter()), None);
        assert_eq!(format!("{:?}", login()), "Login(..)");
    }

    proptest::proptest! {
        #[test]
        fn no_header_panics(header in "(Digest )?[a-z=\", ]{0,60}") {
            if let Some(challenge) = best([header.as_str()].into_iter()) {
                challenge.answer(&login(), "A", "b", 1, "c");
            }
        }
    }
}
