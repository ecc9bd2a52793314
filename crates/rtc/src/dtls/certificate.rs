//! Certificates as WebRTC uses them: a key to check a signature with. Who it belongs to, the fingerprint in the SDP says, which
//! the engine compares; names, dates and issuers mean nothing here.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{self as algorithm, EcdsaKeyPair, UnparsedPublicKey, VerificationAlgorithm},
};
use str0m::config::DtlsCert;

use super::Fault;

const ECDSA_SHA256: u16 = 0x0403;
const ECDSA_SHA384: u16 = 0x0503;
const RSA_SHA256: u16 = 0x0401;
const RSA_SHA384: u16 = 0x0501;
const RSA_SHA512: u16 = 0x0601;
const PSS_SHA256: u16 = 0x0804;
const PSS_SHA384: u16 = 0x0805;
const PSS_SHA512: u16 = 0x0806;

/// What a peer may sign with, as SignatureAndHashAlgorithm (RFC 5246 §7.4.1.4.1, RFC 8446 §4.2.3), the better first.
pub(super) const SCHEMES: [u16; 8] =
    [ECDSA_SHA256, ECDSA_SHA384, RSA_SHA256, RSA_SHA384, RSA_SHA512, PSS_SHA256, PSS_SHA384, PSS_SHA512];
/// What we sign with.
pub(super) const OUR_SCHEME: u16 = ECDSA_SHA256;

/// Our own certificate, ECDSA with P-256.
pub(super) struct Identity {
    pub(super) certificate: Vec<u8>,
    key: EcdsaKeyPair,
}

impl Identity {
    pub(super) fn new(own: &DtlsCert) -> Result<Self, Fault> {
        let key = EcdsaKeyPair::from_pkcs8(&algorithm::ECDSA_P256_SHA256_ASN1_SIGNING, &own.private_key)
            .map_err(|_| Fault::OwnKey)?;
        Ok(Self { certificate: own.certificate.clone(), key })
    }

    /// A signature in [`OUR_SCHEME`].
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Fault> {
        Ok(self.key.sign(&SystemRandom::new(), message)?.as_ref().to_vec())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
}

/// A peer's certificate and what its key is.
#[derive(Debug)]
pub(super) struct PeerCertificate {
    pub(super) der: Vec<u8>,
    kind: Kind,
    key: Vec<u8>,
}

impl PeerCertificate {
    pub(super) fn read(der: &[u8]) -> Result<Self, Fault> {
        let (kind, key) = public_key(der).ok_or(Fault::Certificate)?;
        Ok(Self { der: der.to_vec(), kind, key: key.to_vec() })
    }

    pub(super) fn is_rsa(&self) -> bool {
        self.kind == Kind::Rsa
    }

    /// # Errors
    ///
    /// [`Fault::Signature`] if the holder of the key did not write this, or in a way that was not on offer.
    pub(super) fn verify(&self, scheme: u16, message: &[u8], signature: &[u8]) -> Result<(), Fault> {
        let how: &'static dyn VerificationAlgorithm = match (self.kind, scheme) {
            (Kind::Rsa, RSA_SHA256) => &algorithm::RSA_PKCS1_2048_8192_SHA256,
            (Kind::Rsa, RSA_SHA384) => &algorithm::RSA_PKCS1_2048_8192_SHA384,
            (Kind::Rsa, RSA_SHA512) => &algorithm::RSA_PKCS1_2048_8192_SHA512,
            (Kind::Rsa, PSS_SHA256) => &algorithm::RSA_PSS_2048_8192_SHA256,
            (Kind::Rsa, PSS_SHA384) => &algorithm::RSA_PSS_2048_8192_SHA384,
            (Kind::Rsa, PSS_SHA512) => &algorithm::RSA_PSS_2048_8192_SHA512,
            (Kind::P256, ECDSA_SHA256) => &algorithm::ECDSA_P256_SHA256_ASN1,
            (Kind::P256, ECDSA_SHA384) => &algorithm::ECDSA_P256_SHA384_ASN1,
            (Kind::P384, ECDSA_SHA256) => &algorithm::ECDSA_P384_SHA256_ASN1,
            (Kind::P384, ECDSA_SHA384) => &algorithm::ECDSA_P384_SHA384_ASN1,
            _ => return Err(Fault::Signature),
        };
        UnparsedPublicKey::new(how, &self.key).verify(message, signature).map_err(|_| Fault::Signature)
    }
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const EXPLICIT_0: u8 = 0xa0;

const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const PRIME256V1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const SECP384R1: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];

/// The subjectPublicKeyInfo of an X.509 certificate (RFC 5280 §4.1).
fn public_key(der: &[u8]) -> Option<(Kind, &[u8])> {
    let mut certificate = Der(der).enter(SEQUENCE)?;
    let mut body = certificate.enter(SEQUENCE)?;
    if body.peek() == Some(EXPLICIT_0) {
        body.enter(EXPLICIT_0)?;
    }
    body.enter(INTEGER)?;
    // signature, issuer, validity, subject
    for _ in 0..4 {
        body.enter(SEQUENCE)?;
    }
    let mut info = body.enter(SEQUENCE)?;
    let mut algorithm = info.enter(SEQUENCE)?;
    let kind = match algorithm.enter(OBJECT)?.0 {
        RSA_ENCRYPTION => Kind::Rsa,
        EC_PUBLIC_KEY => match algorithm.enter(OBJECT)?.0 {
            PRIME256V1 => Kind::P256,
            SECP384R1 => Kind::P384,
            _ => return None,
        },
        _ => return None,
    };
    match info.enter(BIT_STRING)?.0 {
        // no bits left over in the last byte
        [0, key @ ..] => Some((kind, key)),
        _ => None,
    }
}

/// DER as far as it is needed: one element after the other.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// What is inside the next element, which has to be of that kind; goes past it.
    fn enter(&mut self, tag: u8) -> Option<Der<'a>> {
        let [first, length, rest @ ..] = self.0 else { return None };
        let (length, rest) = match length {
            0..=0x7f => (usize::from(*length), rest),
            0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
                (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (inside, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        (*first == tag).then_some(Der(inside))
    }
}
