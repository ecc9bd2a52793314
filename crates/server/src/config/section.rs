//! Reads values out of a [`Node`] tree and collects what is wrong with them, instead of stopping at the first.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::node::{Node, Value};

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key with its sections, `redis.tls.enabled`; empty for the whole document.
    pub key: String,
    /// The line of the value, from 1; 0 when the key is not there at all.
    pub line: u64,
    /// What was found and what was expected. Never the value of a secret.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.key.as_str(), self.line) {
            ("", _) => f.write_str(&self.text),
            (key, 0) => write!(f, "{key}: {}", self.text),
            (key, line) => write!(f, "{key} (line {line}): {}", self.text),
        }
    }
}

/// What reading has found so far.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) problems: Vec<Problem>,
    /// Keys that the Go worker has and this server does without, as they were met.
    pub(super) unneeded: Vec<String>,
    /// Every key that the readers asked for, with its sections: the list of known keys, whatever the document holds.
    pub(super) known: Vec<String>,
}

impl Findings {
    pub(super) fn problem(&mut self, key: impl Into<String>, line: u64, text: impl Into<String>) {
        self.problems.push(Problem { key: key.into(), line, text: text.into() });
    }
}

/// One level of keys. Each `take…` removes its key; what is left at the end is unknown.
pub(super) struct Section<'a> {
    path: String,
    entries: Vec<(String, Node)>,
    names: Vec<&'static str>,
    findings: &'a mut Findings,
}

impl<'a> Section<'a> {
    /// Reads the whole document with `read`, and reports the keys that it did not ask for.
    pub(super) fn root<T>(
        node: Node,
        findings: &mut Findings,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> T {
        let entries = match node.value {
            Value::Map(entries) => entries,
            Value::Null => Vec::new(),
            other => {
                let text = format!("the document is {}: expected keys such as `redis:`", other.kind());
                findings.problem("", node.line, text);
                Vec::new()
            }
        };
        let mut section = Section { path: String::new(), entries, names: Vec::new(), findings };
        let out = read(&mut section);
        section.finish();
        out
    }

    /// Reads the section at `key` with `read`; an absent one reads as empty, so that defaults have one place.
    pub(super) fn section<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        let path = self.path_of(key);
        let entries = match self.take(key) {
            None | Some(Node { value: Value::Null, .. }) => Vec::new(),
            Some(Node { value: Value::Map(entries), .. }) => entries,
            Some(Node { value, line }) => {
                let text = format!("found {}: expected a section of keys", value.kind());
                self.findings.problem(path.clone(), line, text);
                Vec::new()
            }
        };
        let mut section = Section { path, entries, names: Vec::new(), findings: self.findings };
        let out = read(&mut section);
        section.finish();
        out
    }

    /// True when the document has the key with something in it.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(name, node)| name == key && !matches!(node.value, Value::Null))
    }

    /// Text; `None` when absent, null or empty.
    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        self.scalar(key).map(|(text, _)| text)
    }

    /// `true` or `false`, also as YAML 1.1 spells them, which the Go worker takes too.
    pub(super) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        let Some((text, line)) = self.scalar(key) else { return default };
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => true,
            "false" | "no" | "off" | "n" => false,
            _ => {
                self.wrong(key, line, format!("`{text}` is neither true nor false"));
                default
            }
        }
    }

    /// A whole number within `range`. `what` ends the sentence "expected …".
    pub(super) fn integer(
        &mut self,
        key: &'static str,
        range: RangeInclusive<i64>,
        what: &str,
    ) -> Option<i64> {
        let (text, line) = self.scalar(key)?;
        match text.parse::<i64>() {
            Ok(value) if range.contains(&value) => Some(value),
            _ => {
                self.wrong(key, line, format!("`{text}`: expected {what}"));
                None
            }
        }
    }

    /// A finite number within `range`. `what` ends the sentence "expected …".
    pub(super) fn number(
        &mut self,
        key: &'static str,
        range: RangeInclusive<f64>,
        what: &str,
    ) -> Option<f64> {
        let (text, line) = self.scalar(key)?;
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() && range.contains(&value) => Some(value),
            _ => {
                self.wrong(key, line, format!("`{text}`: expected {what}"));
                None
            }
        }
    }

    /// Whole milliseconds, from 1 to an hour.
    pub(super) fn millis(&mut self, key: &'static str) -> Option<Duration> {
        let value =
            self.integer(key, 0..=3_600_000, "milliseconds from 1 to 3600000, or 0 for the default")?;
        // Go's zero value: as if the key were not there.
        (value > 0).then(|| Duration::from_millis(value.unsigned_abs()))
    }

    /// Whatever `parse` makes of the text; its error is the problem's text.
    pub(super) fn parsed<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let (text, line) = self.scalar(key)?;
        parse(&text).map_err(|problem| self.wrong(key, line, problem)).ok()
    }

    /// A list of texts, each through `parse`. A single value counts as a list of one.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        mut parse: impl FnMut(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let Some(node) = self.take(key) else { return Vec::new() };
        let items = match node.value {
            Value::Null => Vec::new(),
            Value::List(items) => items,
            Value::Scalar(_) => vec![node],
            Value::Map(_) => {
                self.wrong(key, node.line, "found a section of keys: expected a list".to_owned());
                Vec::new()
            }
        };
        let mut out = Vec::new();
        for (at, item) in items.into_iter().enumerate() {
            let parsed = match &item.value {
                Value::Scalar(text) => parse(text),
                other => Err(format!("found {}: expected a single value", other.kind())),
            };
            match parsed {
                Ok(value) => out.push(value),
                Err(text) => {
                    let key = format!("{}[{at}]", self.path_of(key));
                    self.findings.problem(key, item.line, text);
                }
            }
        }
        out
    }

    /// A section whose keys are the user's own names, each with a single value.
    pub(super) fn table(&mut self, key: &'static str) -> Vec<(String, String, u64)> {
        let Some(node) = self.take(key) else { return Vec::new() };
        let entries = match node.value {
            Value::Null => Vec::new(),
            Value::Map(entries) => entries,
            other => {
                let text = format!("found {}: expected a section of names and values", other.kind());
                self.wrong(key, node.line, text);
                Vec::new()
            }
        };
        let mut out = Vec::new();
        for (name, item) in entries {
            match item.value {
                Value::Scalar(text) => out.push((name, text, item.line)),
                other => {
                    let text = format!("found {}: expected a single value", other.kind());
                    self.findings.problem(format!("{}.{name}", self.path_of(key)), item.line, text);
                }
            }
        }
        out
    }

    /// Keys of the Go worker that this server does without: any value will do, and all of them share one warning.
    pub(super) fn unneeded(&mut self, keys: &[&'static str]) {
        for key in keys {
            if self.take(key).is_some_and(|node| !matches!(node.value, Value::Null)) {
                let path = self.path_of(key);
                self.findings.unneeded.push(path);
            }
        }
    }

    /// Reports a value of this section that is well formed but cannot be used.
    pub(super) fn wrong(&mut self, key: &str, line: u64, text: String) {
        let path = self.path_of(key);
        self.findings.problem(path, line, text);
    }

    /// Reports that this section as a whole is not there.
    pub(super) fn missing(&mut self, text: &str) {
        self.findings.problem(self.path.clone(), 0, text);
    }

    fn scalar(&mut self, key: &'static str) -> Option<(String, u64)> {
        let node = self.take(key)?;
        match node.value {
            Value::Null => None,
            Value::Scalar(text) if text.is_empty() => None,
            Value::Scalar(text) => Some((text, node.line)),
            other => {
                self.wrong(key, node.line, format!("found {}: expected a single value", other.kind()));
                None
            }
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Node> {
        self.names.push(key);
        let path = self.path_of(key);
        self.findings.known.push(path);
        let at = self.entries.iter().position(|(name, _)| name == key)?;
        Some(self.entries.swap_remove(at).1)
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn finish(mut self) {
        for (name, node) in std::mem::take(&mut self.entries) {
            let text = match nearest(&name, &self.names) {
                Some(known) => format!("unknown key: did you mean `{}`?", self.path_of(known)),
                None => "unknown key".to_owned(),
            };
            self.wrong(&name, node.line, text);
        }
    }
}

/// The known name that is most like `name`, if any is like it at all.
fn nearest<'n>(name: &str, known: &[&'n str]) -> Option<&'n str> {
    /// Jaro-Winkler: a letter left out, doubled or swapped stays above, another word falls below.
    const ALIKE: f64 = 0.8;

    known
        .iter()
        .map(|known| (strsim::jaro_winkler(name, known), *known))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}
