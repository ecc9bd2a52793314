//! As much of STUN (RFC 8489 section 5) as it takes to see whom a datagram is for, and which address others see us at. What a
//! check says is the peer's to verify.

use std::net::{IpAddr, Ipv6Addr};

const HEADER: usize = 20;
const COOKIE: [u8; 4] = 0x2112_a442_u32.to_be_bytes();
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];
const MAPPED_ADDRESS: u16 = 0x0001;
const USERNAME: u16 = 0x0006;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;

/// What ties an answer to its question.
pub(in crate::whip) type Transaction = [u8; 12];

/// Our part of the USERNAME of a connectivity check (RFC 8445 section 7.2.2); `None` for anything else.
pub(super) fn asked_ufrag(datagram: &[u8]) -> Option<&str> {
    if !is(datagram, BINDING_REQUEST) {
        return None;
    }
    let (_, name) = attributes(datagram).find(|(kind, _)| *kind == USERNAME)?;
    std::str::from_utf8(name).ok()?.split_once(':').map(|(ours, _)| ours)
}

/// A question for the address that we are seen at.
pub(in crate::whip) fn request(transaction: Transaction) -> Vec<u8> {
    [&BINDING_REQUEST[..], &[0, 0], &COOKIE, &transaction].concat()
}

/// The address in the answer to it.
pub(in crate::whip) fn seen_at(datagram: &[u8], transaction: Transaction) -> Option<IpAddr> {
    if !is(datagram, BINDING_SUCCESS) || datagram[8..HEADER] != transaction {
        return None;
    }
    let of = |wanted| attributes(datagram).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let mask = [&COOKIE[..], &transaction].concat();
    // Servers of before RFC 5389 know the plain one only.
    match of(XOR_MAPPED_ADDRESS) {
        Some(value) => address(value, &mask),
        None => address(of(MAPPED_ADDRESS)?, &[0; 16]),
    }
}

/// Family, port and address (RFC 8489 section 14.1), the latter under a mask.
fn address(value: &[u8], mask: &[u8]) -> Option<IpAddr> {
    let plain =
        |bytes: &[u8]| -> Vec<u8> { bytes.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect() };
    match (value.get(1)?, value.get(4..)?) {
        (1, bytes) => <[u8; 4]>::try_from(plain(bytes)).ok().map(IpAddr::from),
        (2, bytes) => <[u8; 16]>::try_from(plain(bytes)).ok().map(|bytes| Ipv6Addr::from(bytes).into()),
        _ => None,
    }
}

/// Kinds and values; ends where the message is malformed.
fn attributes(datagram: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = datagram.get(HEADER..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (head, behind) = rest.split_first_chunk::<4>()?;
        let [kind, length] = [[head[0], head[1]], [head[2], head[3]]].map(u16::from_be_bytes);
        let length = usize::from(length);
        let value = behind.get(..length)?;
        rest = behind.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
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

    /// RFC 5769 sections 2.2 and 2.3: 192.0.2.1 and 2001:db8:1234:5678:11:2233:4455:6677, both at port 32853.
    #[test]
    fn the_address_that_we_are_seen_at_is_in_the_answer() {
        let transaction = [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];
        let v4 = [0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43];
        let v6 = [
            0, 2, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25, 0xf4, 0xb5, 0xbe,
            0xd2, 0xb9, 0xd9,
        ];
        let answer = |kind: u16, value: &[u8]| {
            let head = [&kind.to_be_bytes()[..], &(value.len() as u16).to_be_bytes()].concat();
            let length = (head.len() as u16 + value.len() as u16).to_be_bytes();
            [&BINDING_SUCCESS[..], &length, &COOKIE, &transaction, &head, value].concat()
        };
        let seen = |message: &[u8]| seen_at(message, transaction).map(|ip| ip.to_string());
        assert_eq!(seen(&answer(XOR_MAPPED_ADDRESS, &v4)).as_deref(), Some("192.0.2.1"));
        assert_eq!(
            seen(&answer(XOR_MAPPED_ADDRESS, &v6)).as_deref(),
            Some("2001:db8:1234:5678:11:2233:4455:6677")
        );
        assert_eq!(seen(&answer(MAPPED_ADDRESS, &[0, 1, 0, 9, 192, 0, 2, 7])).as_deref(), Some("192.0.2.7"));
        assert_eq!(seen(&answer(XOR_MAPPED_ADDRESS, &v4[..6])), None);
        assert_eq!(seen_at(&answer(XOR_MAPPED_ADDRESS, &v4), [0; 12]), None);
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
