//! As much of STUN (RFC 8489 section 5) as it takes to see whom a datagram is for. What it says is the peer's to check.

const HEADER: usize = 20;
const COOKIE: [u8; 4] = 0x2112_a442_u32.to_be_bytes();
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];
const USERNAME: u16 = 0x0006;

/// Our part of the USERNAME of a connectivity check (RFC 8445 section 7.2.2); `None` for anything else.
pub(super) fn asked_ufrag(datagram: &[u8]) -> Option<&str> {
    if !is(datagram, BINDING_REQUEST) {
        return None;
    }
    let mut rest = datagram.get(HEADER..)?;
    loop {
        let (head, behind) = rest.split_first_chunk::<4>()?;
        let [kind, length] = [[head[0], head[1]], [head[2], head[3]]].map(u16::from_be_bytes);
        let length = usize::from(length);
        if kind == USERNAME {
            let name = std::str::from_utf8(behind.get(..length)?).ok()?;
            return name.split_once(':').map(|(ours, _)| ours);
        }
        rest = behind.get(length.next_multiple_of(4)..)?;
    }
}

/// We say it to whoever has shown that they know the ice-pwd.
pub(super) fn is_success(datagram: &[u8]) -> bool {
    is(datagram, BINDING_SUCCESS)
}

fn is(datagram: &[u8], kind: [u8; 2]) -> bool {
    datagram.len() >= HEADER && datagram[..2] == kind && datagram[4..8] == COOKIE
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A check without MESSAGE-INTEGRITY.
    pub(crate) fn check(username: &str) -> Vec<u8> {
        let padded = username.len().next_multiple_of(4);
        let attributes = [(0x8022, "x"), (USERNAME, username)];
        let mut message =
            [&BINDING_REQUEST[..], &((8 + padded + 4) as u16).to_be_bytes(), &COOKIE, &[7; 12]].concat();
        for (kind, text) in attributes {
            message.extend(u16::to_be_bytes(kind));
            message.extend((text.len() as u16).to_be_bytes());
            message.extend(text.as_bytes());
            message.resize(message.len().next_multiple_of(4), 0);
        }
        message
    }

    #[test]
    fn a_check_says_whom_it_is_for() {
        assert_eq!(asked_ufrag(&check("ours:theirs")), Some("ours"));
        assert_eq!(asked_ufrag(&check("nobody")), None);
    }

    #[test]
    fn whatever_is_cut_off_or_no_check_is_for_nobody() {
        let whole = check("ours:theirs");
        for length in 0..whole.len() - 1 {
            assert_eq!(asked_ufrag(&whole[..length]), None, "{length} bytes");
        }
        let mut answer = whole;
        answer[..2].copy_from_slice(&BINDING_SUCCESS);
        assert_eq!(asked_ufrag(&answer), None);
        assert!(is_success(&answer));
    }
}
