use std::fmt;

/// The secret that a publisher proves itself with. `Debug` and `Display` show its first four characters at most;
/// [`StreamKey::reveal`] is the only way to the whole.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct StreamKey(String);

impl StreamKey {
    /// Wraps a key as it came in.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The key in clear, for the control plane's look-up. Never for a log, a page or a URL.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// True when the publisher gave no key at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for StreamKey {
    /// Four characters and an ellipsis; nothing of a key so short that four would give it away.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.chars().count() >= 8 {
            for c in self.0.chars().take(4) {
                // A key is the publisher's text: keep control characters out of logs.
                write!(f, "{}", if c.is_control() { '?' } else { c })?;
            }
        }
        f.write_str("…")
    }
}

impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_and_display_show_four_characters_at_most() {
        let key = StreamKey::new("f6ppLh4KZxPG");
        assert_eq!(format!("{key:?} {key}"), "StreamKey(f6pp…) f6pp…");
        assert_eq!(format!("{}", StreamKey::new("short")), "…");
        assert_eq!(format!("{}", StreamKey::new("\n\x1b[31mevil")), "??[3…");
    }
}
