//! What both hellos are made of: numbers of handshake messages, suites and extensions.

use str0m::crypto::dtls::SrtpProfile;

use super::{
    Fault,
    record::VERSION,
    schedule::{Random, Secrets},
    wire::{self, Reader},
};

pub(super) const CLIENT_HELLO: u8 = 1;
pub(super) const SERVER_HELLO: u8 = 2;
pub(super) const HELLO_VERIFY_REQUEST: u8 = 3;
pub(super) const CERTIFICATE: u8 = 11;
pub(super) const SERVER_KEY_EXCHANGE: u8 = 12;
pub(super) const CERTIFICATE_REQUEST: u8 = 13;
pub(super) const SERVER_HELLO_DONE: u8 = 14;
pub(super) const CERTIFICATE_VERIFY: u8 = 15;
pub(super) const CLIENT_KEY_EXCHANGE: u8 = 16;
pub(super) const FINISHED: u8 = 20;

/// TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: the server's certificate is ECDSA, as ours is.
pub(super) const ECDSA_SUITE: u16 = 0xc02b;
/// TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: the server's certificate is RSA.
pub(super) const RSA_SUITE: u16 = 0xc02f;
/// Says the same as an empty renegotiation_info (RFC 5746 §3.3).
pub(super) const RENEGOTIATION_SCSV: u16 = 0x00ff;

pub(super) const SUPPORTED_GROUPS: u16 = 10;
pub(super) const POINT_FORMATS: u16 = 11;
pub(super) const SIGNATURE_ALGORITHMS: u16 = 13;
pub(super) const USE_SRTP: u16 = 14;
pub(super) const EXTENDED_MASTER_SECRET: u16 = 23;
pub(super) const RENEGOTIATION_INFO: u16 = 0xff01;

/// ECCurveType named_curve.
pub(super) const NAMED_CURVE: u8 = 3;
/// ClientCertificateType
pub(super) const RSA_SIGN: u8 = 1;
pub(super) const ECDSA_SIGN: u8 = 64;
/// A list with the one point format that there still is.
pub(super) const UNCOMPRESSED: [u8; 2] = [1, 0];

/// The SRTP profiles that the engine has, the better first (RFC 5764 §4.1.2, RFC 7714 §14.2).
const PROFILES: [(u16, SrtpProfile); 3] = [
    (0x0007, SrtpProfile::AEAD_AES_128_GCM),
    (0x0008, SrtpProfile::AEAD_AES_256_GCM),
    (0x0001, SrtpProfile::AES128_CM_SHA1_80),
];

/// The best profile that the peer names, and its number.
pub(super) fn choose_profile(use_srtp: Option<&[u8]>) -> Result<(u16, SrtpProfile), Fault> {
    let mut reader = Reader::new(use_srtp.ok_or(Fault::NoSrtp)?);
    let theirs = reader.numbers()?;
    reader.vector(1)?;
    PROFILES.into_iter().find(|(number, _)| theirs.contains(number)).ok_or(Fault::NoSrtp)
}

/// The body of use_srtp with these profiles and no MKI.
pub(super) fn use_srtp(profiles: &[u16]) -> Vec<u8> {
    let mut body = Vec::new();
    wire::numbers(&mut body, profiles);
    body.push(0);
    body
}

pub(super) fn all_profiles() -> Vec<u16> {
    PROFILES.iter().map(|(number, _)| *number).collect()
}

/// DTLS counts versions downwards. A peer that also speaks 1.3 says 1.2 here.
pub(super) fn check_version(version: u16) -> Result<(), Fault> {
    if version >> 8 == VERSION >> 8 && version <= VERSION { Ok(()) } else { Err(Fault::Version(version)) }
}

pub(super) fn random(bytes: &[u8]) -> Result<Random, Fault> {
    bytes.try_into().map_err(|_| Fault::Malformed)
}

/// The first certificate of the list, which is the peer's own. `None` if it sent none.
pub(super) fn leaf<'a>(body: &mut Reader<'a>) -> Result<Option<&'a [u8]>, Fault> {
    let mut list = Reader::new(body.vector(3)?);
    body.end()?;
    if list.is_empty() {
        return Ok(None);
    }
    Ok(Some(list.vector(3)?))
}

/// The body of a Certificate message with that one.
pub(super) fn certificate(der: &[u8]) -> Vec<u8> {
    let (mut list, mut body) = (Vec::new(), Vec::new());
    wire::vector(&mut list, 3, der);
    wire::vector(&mut body, 3, &list);
    body
}

/// The peer's Finished, after that transcript.
pub(super) fn check_finished(
    body: Reader<'_>,
    secrets: &Secrets,
    client: bool,
    transcript: &[u8],
) -> Result<(), Fault> {
    let expected = secrets.finished(client, transcript)?;
    aws_lc_rs::constant_time::verify_slices_are_equal(body.rest(), &expected).map_err(|_| Fault::Finished)
}
