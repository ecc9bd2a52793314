use std::fmt;

/// A password or key from the configuration. `Debug` says only whether there is one; [`Secret::reveal`] is the way to it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret as it was given.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret in clear, for the peer that asks for it. Never for a log, a page or an error.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// True when none was given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "Secret(none)" } else { "Secret(set)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_tells_only_whether_there_is_one() {
        assert_eq!(
            format!("{:?} {:?}", Secret::new("hunter2"), Secret::default()),
            "Secret(set) Secret(none)"
        );
    }
}
