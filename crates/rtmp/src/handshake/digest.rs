//! The digest handshake: C1 and S1 hold an HMAC-SHA256 of themselves, S2 one of the peer's. It is not in Adobe's
//! document; the keys and both places of the digest are as Flash Player 9, librtmp and FFmpeg use them.

use sha2::{Digest, Sha256};

use super::BLOCK;

/// An HMAC-SHA256.
const DIGEST: usize = 32;

/// Signs what clients send (the whole key signs C2, its text alone C1).
const PLAYER_KEY: &[u8] = b"Genuine Adobe Flash Player 001";

/// Signs S1.
const SERVER_KEY: &[u8] = b"Genuine Adobe Flash Media Server 001";

/// Behind [`SERVER_KEY`] for S2.
const SERVER_KEY_TAIL: [u8; 32] = [
    0xf0, 0xee, 0xc2, 0x4a, 0x80, 0x68, 0xbe, 0xe8, 0x2e, 0x00, 0xd0, 0xd1, 0x02, 0x9e, 0x7e, 0x57, 0x6e,
    0xec, 0x5d, 0x2d, 0x29, 0x80, 0x6f, 0xab, 0x93, 0xb8, 0xe6, 0x36, 0xcf, 0xeb, 0x31, 0xae,
];

/// The version that a server with digests writes into S1, so that clients look for one.
const SERVER_VERSION: [u8; 4] = [4, 5, 0, 1];

/// A part of 764 bytes holds a digest behind 4 bytes that say where: 764 - 32 - 4 places.
const PLACES: usize = 728;

/// Where C1 and S1 hold their digest; the other part holds a key for RTMPE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// In the first part, behind time and version.
    First,
    /// In the second part, behind the RTMPE key.
    Second,
}

impl Scheme {
    fn digest_at(self, block: &[u8; BLOCK]) -> usize {
        let part = match self {
            Scheme::First => 8,
            Scheme::Second => 8 + 764,
        };
        let sum: usize = block[part..part + 4].iter().copied().map(usize::from).sum();
        part + 4 + sum % PLACES
    }
}

/// The digest in a C1, if one is there.
pub(super) fn find(c1: &[u8; BLOCK]) -> Option<(Scheme, [u8; DIGEST])> {
    find_signed(c1, PLAYER_KEY)
}

fn find_signed(block: &[u8; BLOCK], key: &[u8]) -> Option<(Scheme, [u8; DIGEST])> {
    [Scheme::First, Scheme::Second].into_iter().find_map(|scheme| {
        let at = scheme.digest_at(block);
        let digest = sign_around(block, at, key);
        (block[at..at + DIGEST] == digest).then_some((scheme, digest))
    })
}

/// S1: `filler` signed where the peer's scheme looks for it.
pub(super) fn s1(scheme: Scheme, filler: &[u8; BLOCK]) -> [u8; BLOCK] {
    signed(scheme, filler, SERVER_KEY)
}

fn signed(scheme: Scheme, filler: &[u8; BLOCK], key: &[u8]) -> [u8; BLOCK] {
    let mut block = *filler;
    block[4..8].copy_from_slice(&SERVER_VERSION);
    let at = scheme.digest_at(&block);
    let digest = sign_around(&block, at, key);
    block[at..at + DIGEST].copy_from_slice(&digest);
    block
}

/// S2: `filler` with, at its end, a signature by a key that is made from the peer's digest.
pub(super) fn s2(client: &[u8; DIGEST], filler: &[u8; BLOCK]) -> [u8; BLOCK] {
    let mut block = *filler;
    let key = hmac(&[SERVER_KEY, &SERVER_KEY_TAIL].concat(), &[client]);
    let (text, signature) = block.split_at_mut(BLOCK - DIGEST);
    signature.copy_from_slice(&hmac(&key, &[text]));
    block
}

/// The signature of a block without the 32 bytes at `at`.
fn sign_around(block: &[u8; BLOCK], at: usize, key: &[u8]) -> [u8; DIGEST] {
    hmac(key, &[&block[..at], &block[at + DIGEST..]])
}

/// HMAC-SHA256 (RFC 2104) of the parts put together.
fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; DIGEST] {
    /// SHA-256's block.
    const WIDTH: usize = 64;
    let mut pad = [0; WIDTH];
    if key.len() > WIDTH {
        pad[..DIGEST].copy_from_slice(&Sha256::digest(key));
    } else {
        pad[..key.len()].copy_from_slice(key);
    }
    let mut inner = Sha256::new_with_prefix(pad.map(|b| b ^ 0x36));
    parts.iter().for_each(|part| inner.update(part));
    Sha256::new_with_prefix(pad.map(|b| b ^ 0x5c)).chain_update(inner.finalize()).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn hmac_agrees_with_rfc_4231() {
        let short = hmac(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(hex(&short), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        let long = hmac(&[0xaa; 131], &[b"Test Using Larger Than Block-Size Key - Hash Key First"]);
        assert_eq!(hex(&long), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    }

    #[test]
    fn a_signed_hello_is_found_in_both_schemes() {
        for scheme in [Scheme::First, Scheme::Second] {
            let c1 = signed(scheme, &super::super::filler(), PLAYER_KEY);
            let (found, digest) = find(&c1).unwrap();
            assert_eq!(found, scheme);
            assert!(c1.windows(DIGEST).any(|w| w == digest));
        }
    }

    #[test]
    fn a_broken_signature_is_no_digest() {
        let mut c1 = signed(Scheme::First, &super::super::filler(), PLAYER_KEY);
        c1[1535] ^= 1;
        assert_eq!(find(&c1), None);
    }

    #[test]
    fn s1_is_signed_in_the_peers_scheme_and_s2_with_the_peers_digest() {
        let filler = super::super::filler();
        for scheme in [Scheme::First, Scheme::Second] {
            assert_eq!(find_signed(&s1(scheme, &filler), SERVER_KEY).unwrap().0, scheme);
        }
        let block = s2(&[7; DIGEST], &filler);
        let key = hmac(&[SERVER_KEY, &SERVER_KEY_TAIL].concat(), &[&[7; DIGEST]]);
        assert_eq!(block[BLOCK - DIGEST..], hmac(&key, &[&block[..BLOCK - DIGEST]]));
    }
}
