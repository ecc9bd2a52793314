use std::fmt;

/// Lines of a fragment: clients send a handful; a host with dozens of addresses stays far below.
const MAX_LINES: usize = 512;

/// The body of a WHIP PATCH: `application/trickle-ice-sdpfrag` (RFC 8840 section 9, RFC 9725 section 4.3).
///
/// Clients write it in two ways: with `a=ice-ufrag` at its head, or below the `m=` and `a=mid` lines of each medium. Both mean
/// the same here, since everything of a WHIP session is bundled.
#[derive(Clone, PartialEq, Eq)]
pub struct Fragment {
    /// Names the generation of ICE credentials; the publisher's current one means trickle, another one a restart.
    pub ufrag: Option<String>,
    /// The secret that goes with it.
    pub pwd: Option<String>,
    /// `candidate:…`, without `a=`, in their order.
    pub candidates: Vec<String>,
    /// No more will come.
    pub complete: bool,
}

/// Why a text is no fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FragmentError {
    /// A line that is not `<letter>=<value>`.
    #[error("line {line}: expected `a=…` or `m=…`, as in RFC 8840 section 9")]
    Line {
        /// Counted from 1.
        line: usize,
    },
    /// Far more than a client has to say.
    #[error("more than {MAX_LINES} lines")]
    TooLong,
    /// Two generations in one fragment.
    #[error("line {line}: another ice-ufrag or ice-pwd than before")]
    TwoGenerations {
        /// Counted from 1.
        line: usize,
    },
    /// A ufrag without its pwd says which generation is meant, but a pwd alone says nothing.
    #[error("ice-pwd without ice-ufrag")]
    PwdAlone,
}

impl Fragment {
    /// Reads a fragment. Lines that say nothing about ICE are passed over.
    ///
    /// # Errors
    /// What is no fragment, or contradicts itself.
    pub fn read(text: &str) -> Result<Self, FragmentError> {
        let mut read = Self { ufrag: None, pwd: None, candidates: Vec::new(), complete: false };
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            if index >= MAX_LINES {
                return Err(FragmentError::TooLong);
            }
            if line.is_empty() {
                continue;
            }
            let Some((kind, value)) = line.split_once('=').filter(|(kind, _)| kind.len() == 1) else {
                return Err(FragmentError::Line { line: number });
            };
            if kind == "a" && !read.attribute(value) {
                return Err(FragmentError::TwoGenerations { line: number });
            }
        }
        if read.pwd.is_some() && read.ufrag.is_none() { Err(FragmentError::PwdAlone) } else { Ok(read) }
    }

    /// False when it contradicts what was there before.
    fn attribute(&mut self, text: &str) -> bool {
        let (name, value) = text.split_once(':').unwrap_or((text, ""));
        let slot = match name {
            "ice-ufrag" => &mut self.ufrag,
            "ice-pwd" => &mut self.pwd,
            "candidate" => {
                self.candidates.push(text.to_owned());
                return true;
            }
            "end-of-candidates" => {
                self.complete = true;
                return true;
            }
            _ => return true,
        };
        slot.get_or_insert_with(|| value.to_owned()) == value
    }
}

impl fmt::Debug for Fragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ufrag, candidates, complete, .. } = self;
        f.debug_struct("Fragment")
            .field("ufrag", ufrag)
            .field("candidates", candidates)
            .field("complete", complete)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UDP: &str = "candidate:1 1 udp 2122 192.0.2.1 61665 typ host";
    const TCP: &str = "candidate:2 1 tcp 1518 192.0.2.1 9 typ host tcptype active";

    #[test]
    fn the_credentials_may_stand_at_the_head_or_below_each_medium() {
        let head = format!(
            "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na={UDP}\r\na={TCP}\r\na=end-of-candidates\r\n"
        );
        let below = format!(
            "m=audio 9 RTP/AVP 0\na=mid:0\na=ice-ufrag:EsAw\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\na={UDP}\nm=video 9 RTP/AVP 0\na=mid:1\na=ice-ufrag:EsAw\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\na={TCP}\na=end-of-candidates"
        );
        let read = Fragment::read(&head).unwrap();
        assert_eq!(read.ufrag.as_deref(), Some("EsAw"));
        assert_eq!(read.pwd.as_deref(), Some("P2uYro0UCOQ4zxjKXaWCBui1"));
        assert_eq!(read.candidates, [UDP, TCP]);
        assert!(read.complete);
        assert_eq!(Fragment::read(&below).unwrap(), read);
    }

    #[test]
    fn the_end_of_candidates_may_come_alone() {
        let read = Fragment::read("a=ice-ufrag:EsAw\r\na=end-of-candidates\r\n").unwrap();
        assert!(read.complete && read.candidates.is_empty() && read.pwd.is_none());
    }

    #[test]
    fn what_is_no_fragment_is_said_by_line() {
        assert_eq!(Fragment::read("a=mid:0\nhello"), Err(FragmentError::Line { line: 2 }));
        assert_eq!(Fragment::read("{\"candidate\":\"=\"}"), Err(FragmentError::Line { line: 1 }));
        let two = "a=ice-ufrag:one\na=ice-ufrag:two\n";
        assert_eq!(Fragment::read(two), Err(FragmentError::TwoGenerations { line: 2 }));
        assert_eq!(Fragment::read("a=ice-pwd:x"), Err(FragmentError::PwdAlone));
        assert_eq!(Fragment::read(&"a=x\n".repeat(MAX_LINES + 1)), Err(FragmentError::TooLong));
    }

    #[test]
    fn the_password_is_in_no_log() {
        let read = Fragment::read("a=ice-ufrag:EsAw\na=ice-pwd:hush").unwrap();
        assert!(!format!("{read:?}").contains("hush"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[ -~\r\n]{0,400}") {
            if let Ok(read) = Fragment::read(&text) {
                prop_assert!(read.candidates.len() <= text.lines().count());
            }
        }
    }
}
