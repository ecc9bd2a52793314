//! Names of Redis channels: parts joined with `|`, each part escaped, empty parts left out.
//!
//! LiveKit uses these "legacy" names on Redis in all versions; names with dots are for NATS.

use std::fmt::Write as _;

use crate::Method;

/// Where requests of `method` go.
pub(crate) fn request(method: &Method, topic: &[&str]) -> String {
    of_method(method, topic, "REQ")
}

/// Where the client tells the servers whom it chose.
pub(crate) fn verdict(method: &Method, topic: &[&str]) -> String {
    of_method(method, topic, "RCLAIM")
}

/// Where servers offer themselves to one client.
pub(crate) fn claim(service: &str, client_id: &str) -> String {
    join(&[service, client_id, "CLAIM"])
}

/// Where one client gets its replies.
pub(crate) fn reply(service: &str, client_id: &str) -> String {
    join(&[service, client_id, "RES"])
}

fn of_method(method: &Method, topic: &[&str], kind: &str) -> String {
    let mut parts = vec![method.service, method.name];
    parts.extend(topic);
    parts.push(kind);
    join(&parts)
}

fn join(parts: &[&str]) -> String {
    let escaped: Vec<String> =
        parts.iter().filter(|part| !part.is_empty()).map(|part| escape(part)).collect();
    escaped.join("|")
}

/// `[0-9A-Za-z_]` stay; other code points become `u+` and 4 hex digits, or `U+` and 8 from 0x10000 on.
fn escape(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    for c in part.chars() {
        let written = match u32::from(c) {
            _ if c.is_ascii_alphanumeric() || c == '_' => write!(out, "{c}"),
            code @ ..0x10000 => write!(out, "u+{code:04x}"),
            code => write!(out, "U+{code:08x}"),
        };
        written.expect("writing to a String cannot fail");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: Method = Method::new("Store", "Get");

    #[test]
    fn names_are_joined_with_bars() {
        assert_eq!(request(&GET, &[]), "Store|Get|REQ");
        assert_eq!(request(&GET, &["ID_1", "eu"]), "Store|Get|ID_1|eu|REQ");
        assert_eq!(verdict(&GET, &["ID_1"]), "Store|Get|ID_1|RCLAIM");
        assert_eq!(claim("Store", "CLI_a"), "Store|CLI_a|CLAIM");
        assert_eq!(reply("Store", "CLI_a"), "Store|CLI_a|RES");
    }

    #[test]
    fn empty_parts_vanish() {
        assert_eq!(request(&GET, &["", "x", ""]), "Store|Get|x|REQ");
        assert_eq!(request(&GET, &[""]), "Store|Get|REQ");
    }

    #[test]
    fn other_code_points_are_escaped() {
        assert_eq!(request(&GET, &["a-b"]), "Store|Get|au+002db|REQ");
        assert_eq!(request(&GET, &["é|世"]), "Store|Get|u+00e9u+007cu+4e16|REQ");
        assert_eq!(request(&GET, &["\u{ffff}\u{10000}😀"]), "Store|Get|u+ffffU+00010000U+0001f600|REQ");
        assert_eq!(request(&GET, &["٣"]), "Store|Get|u+0663|REQ", "only ASCII digits stay");
    }
}
