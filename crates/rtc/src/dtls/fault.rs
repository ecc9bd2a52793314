//! Why a handshake cannot go on.

use dimpl::{
    CertificateError, CryptoError, CryptoOperation, SecurityError, TimeoutError, UnexpectedMessageError,
};
use str0m::crypto::dtls::{DtlsImplError, ProtocolVersion};

/// The end of a handshake. What is merely not for us, forged or late is passed over instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("a handshake message cannot be read")]
    Malformed,
    #[error("a handshake message came out of turn")]
    Unexpected,
    #[error("the peer speaks DTLS version {0:#06x} only")]
    Version(u16),
    #[error("no cipher suite, group or signature in common")]
    NothingInCommon,
    #[error("the peer has no extended master secret")]
    NoExtendedMasterSecret,
    #[error("no SRTP profile in common")]
    NoSrtp,
    #[error("the peer has no certificate")]
    NoCertificate,
    #[error("the peer's certificate has a key of a kind that is not known")]
    Certificate,
    #[error("the peer's signature is wrong")]
    Signature,
    #[error("the peer's Finished is wrong")]
    Finished,
    #[error("the peer gave up, alert {0}")]
    Alert(u8),
    #[error("the handshake took too long")]
    Timeout,
    #[error("our own certificate's key cannot be used")]
    OwnKey,
    #[error("a primitive failed")]
    Crypto,
}

/// The engine knows the errors of its own implementation only: the nearest.
impl From<Fault> for DtlsImplError {
    fn from(fault: Fault) -> Self {
        let security = match fault {
            // decode_error: what the peer would be told
            Fault::Malformed => SecurityError::FatalAlert { description: 50 },
            Fault::Unexpected => return Self::UnexpectedMessage(UnexpectedMessageError::UnexpectedEpoch),
            Fault::Alert(description) => SecurityError::FatalAlert { description },
            Fault::Version(version) => {
                SecurityError::UnsupportedClientVersion(ProtocolVersion::from_u16(version))
            }
            Fault::NothingInCommon => SecurityError::NoCommonCipherSuite,
            Fault::NoSrtp => SecurityError::UnsupportedKeyExchangeAlgorithm,
            Fault::NoExtendedMasterSecret => SecurityError::ExtendedMasterSecretNotNegotiated,
            Fault::Finished => SecurityError::ClientFinishedVerificationFailed,
            Fault::NoCertificate => return CertificateError::NoClientCertificateReceived.into(),
            Fault::Certificate => return CertificateError::ParseFailed.into(),
            Fault::Signature => return CryptoError::InvalidSignatureFormat.into(),
            Fault::Timeout => return Self::Timeout(TimeoutError::Handshake),
            Fault::OwnKey => return CryptoError::InvalidPrivateKey.into(),
            Fault::Crypto => return CryptoError::OperationFailed(CryptoOperation::DeriveKey).into(),
        };
        Self::SecurityError(security)
    }
}

impl From<aws_lc_rs::error::Unspecified> for Fault {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self::Crypto
    }
}
