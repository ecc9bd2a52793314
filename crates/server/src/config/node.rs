//! A YAML document as a tree that still knows what was written, and on which line.
//!
//! A derived `Deserialize` stops at the first wrong value. This tree lets [`super::section`] go on and report all of them.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

/// One value of the document.
#[derive(Clone)]
pub(super) struct Node {
    /// The line it stands on, from 1; 0 when the parser could not tell.
    pub(super) line: u64,
    pub(super) value: Value,
}

/// What a [`Node`] holds. A number is kept as it was written: a password `0123` is not 123.
#[derive(Clone)]
pub(super) enum Value {
    Null,
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Value {
    /// What an error calls it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Scalar(_) => "a single value",
            Self::List(_) => "a list",
            Self::Map(_) => "a section of keys",
        }
    }
}

/// Reads one document. The error is the parser's own text with line and column; it is told not to show the lines
/// around them, which may hold a secret.
pub(super) fn parse(text: &str) -> Result<Node, serde_saphyr::Error> {
    let options = serde_saphyr::options! { with_snippet: false };
    let raw: Option<Spanned<Raw>> = serde_saphyr::from_str_with_options(text, options)?;
    Ok(match raw {
        Some(raw) => node(raw, text),
        None => Node { line: 0, value: Value::Null },
    })
}

/// The tree as serde sees it: plain numbers and booleans have lost their spelling, which [`node`] gets back by their span.
enum Raw {
    Null,
    Text(String),
    /// Not quoted, and read as a number or a boolean: its spelling is in the document. Holds what serde made of it.
    Plain(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(String, Spanned<Raw>)>),
}

fn node(raw: Spanned<Raw>, text: &str) -> Node {
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Text(text) => Value::Scalar(text),
        Raw::Plain(read) => Value::Scalar(spelling(&raw.defined, text).unwrap_or(read)),
        Raw::List(items) => Value::List(items.into_iter().map(|item| node(item, text)).collect()),
        Raw::Map(entries) => {
            Value::Map(entries.into_iter().map(|(key, value)| (key, node(value, text))).collect())
        }
    };
    Node { line: raw.referenced.line(), value }
}

/// The characters that the location covers.
fn spelling(location: &Location, text: &str) -> Option<String> {
    let span = location.span();
    let start = usize::try_from(span.byte_offset()?).ok()?;
    let len = usize::try_from(span.byte_len()?).ok()?;
    Some(text.get(start..start.checked_add(len)?)?.trim().to_owned())
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(Spanned { value: key, .. }) = map.next_key::<Spanned<Raw>>()? {
            let (Raw::Text(key) | Raw::Plain(key)) = key else {
                return Err(A::Error::custom("a key that is a list, a section or null: expected a name"));
            };
            entries.push((key, map.next_value()?));
        }
        Ok(Raw::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get<'a>(node: &'a Node, key: &str) -> &'a Node {
        let Value::Map(entries) = &node.value else { panic!("{} is no section", node.value.kind()) };
        &entries.iter().find(|(name, _)| name == key).unwrap().1
    }

    fn scalar(node: &Node) -> &str {
        let Value::Scalar(text) = &node.value else { panic!("{}", node.value.kind()) };
        text
    }

    #[test]
    fn plain_numbers_and_booleans_keep_their_spelling_and_line() {
        let root = parse(
            "a: 0123\nb:\n  c: 1e3 # comment\n  d: yes\n  e: \"07\"\n  f: 'on'\ng: {h: TRUE, i: 1.50}\n",
        )
        .unwrap();
        assert_eq!(scalar(get(&root, "a")), "0123");
        let b = get(&root, "b");
        assert_eq!(scalar(get(b, "c")), "1e3");
        assert_eq!(get(b, "c").line, 3);
        assert_eq!(scalar(get(b, "d")), "yes");
        assert_eq!(scalar(get(b, "e")), "07");
        assert_eq!(scalar(get(b, "f")), "on");
        assert_eq!(scalar(get(get(&root, "g"), "h")), "TRUE");
        assert_eq!(scalar(get(get(&root, "g"), "i")), "1.50");
    }

    #[test]
    fn an_alias_has_the_spelling_of_its_anchor() {
        let root = parse("a: &port 01935\nb: *port\n").unwrap();
        assert_eq!(scalar(get(&root, "b")), "01935");
        assert_eq!(get(&root, "b").line, 2);
    }

    #[test]
    fn an_empty_document_and_an_empty_key_are_null() {
        assert!(matches!(parse("").unwrap().value, Value::Null));
        assert!(matches!(parse("# only a comment\n").unwrap().value, Value::Null));
        assert!(matches!(get(&parse("redis:\n").unwrap(), "redis").value, Value::Null));
    }

    #[test]
    fn a_key_given_twice_is_refused() {
        assert!(parse("a: 1\na: 2\n").is_err());
    }
}
