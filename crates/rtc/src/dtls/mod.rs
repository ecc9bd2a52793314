//! DTLS 1.2 for peers with RSA certificates, which the engine's own implementation does not take (docs/adr/0015); and that one, for
//! all others, with another clock ([`prompt`]).
//!
//! As server and as client, with mutual certificates, extended master secret and DTLS-SRTP; one cipher, AES-128-GCM, after ECDHE in
//! X25519 or P-256. Our own certificate is ECDSA P-256. No sessions are resumed, nothing is renegotiated. Primitives are aws-lc's.

mod certificate;
mod client;
mod fault;
mod hello;
mod inbox;
mod instance;
mod link;
#[cfg(test)]
mod openssl_tests;
mod prompt;
mod record;
mod schedule;
mod server;
#[cfg(test)]
mod tests;
mod wire;

use std::{sync::OnceLock, time::Instant};

use str0m::{
    config::{CryptoProvider, DtlsCert, DtlsVersion},
    crypto::{
        CryptoError,
        dtls::{DtlsInstance, DtlsProvider},
        from_feature_flags,
    },
};

pub use prompt::prompt;

use fault::Fault;

/// The engine's own provider with this module's DTLS in place of its own, for `RtcConfig::set_crypto_provider`.
#[must_use]
pub fn provider() -> CryptoProvider {
    static PROVIDER: Provider = Provider;
    CryptoProvider { dtls_provider: &PROVIDER, ..engines().clone() }
}

fn engines() -> &'static CryptoProvider {
    static ENGINES: OnceLock<CryptoProvider> = OnceLock::new();
    ENGINES.get_or_init(from_feature_flags)
}

#[derive(Debug)]
struct Provider;

impl DtlsProvider for Provider {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        engines().dtls_provider.generate_certificate()
    }

    fn new_dtls(
        &self,
        cert: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        if version == DtlsVersion::Dtls13 {
            return Err(CryptoError::Other("no DTLS 1.3 here".to_owned()));
        }
        let instance =
            instance::Instance::new(cert, now, mtu).map_err(|fault| CryptoError::Other(fault.to_string()))?;
        Ok(Box::new(instance))
    }
}
