//! The engine's own DTLS, that repeats what is lost sooner.

use std::{fmt, sync::Arc, time::Instant};

use dimpl::{Config, Dtls, DtlsCertificate};
use str0m::{
    config::{CryptoProvider, DtlsCert, DtlsVersion},
    crypto::{
        CryptoError,
        dtls::{DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, ProtocolVersion},
    },
};

use super::{engines, link::FIRST_REPEAT};

/// About 0.4, 1.2, 2.8, 6 and 12.4 s after a flight was sent; 12.8 s later it is given up.
const REPEATS: usize = 5;

/// The engine's own provider, whose DTLS waits 400 ms before it repeats a flight for the first time, not 1 s, and twice as long each
/// time. A publisher has 10 s to connect, and where a tenth of all datagrams is lost, every fifth flight goes unanswered.
#[must_use]
pub fn prompt() -> CryptoProvider {
    static PROVIDER: Prompt = Prompt;
    CryptoProvider { dtls_provider: &PROVIDER, ..engines().clone() }
}

#[derive(Debug)]
struct Prompt;

impl DtlsProvider for Prompt {
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
        // ICE has proved the publisher's address: no cookie is needed.
        let mut config =
            Config::builder().use_server_cookie(false).flight_start_rto(FIRST_REPEAT).flight_retries(REPEATS);
        if let Some(mtu) = mtu {
            config = config.mtu(mtu);
        }
        let config = Arc::new(config.build().map_err(|error| CryptoError::Other(error.to_string()))?);
        let cert =
            DtlsCertificate { certificate: cert.certificate.clone(), private_key: cert.private_key.clone() };
        let dtls = match version {
            DtlsVersion::Dtls12 => Dtls::new_12(config, cert, now),
            DtlsVersion::Dtls13 => Dtls::new_13(config, cert, now),
            DtlsVersion::Auto => Dtls::new_auto(config, cert, now),
            other => return Err(CryptoError::Other(format!("no {other} here"))),
        };
        Ok(Box::new(Instance(dtls)))
    }
}

struct Instance(Dtls);

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").finish_non_exhaustive()
    }
}

impl DtlsInstance for Instance {
    fn set_active(&mut self, active: bool) {
        self.0.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.0.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> DtlsOutput<'a> {
        self.0.poll_output(buf)
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.0.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.0.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.0.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.0.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.0.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.0.close()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_lost_hello_is_repeated_before_half_a_second_has_passed() {
        let (began, mut buffer) = (Instant::now(), [0; 2048]);
        let provider = prompt().dtls_provider;
        let cert = provider.generate_certificate().unwrap();
        let mut client = provider.new_dtls(&cert, began, DtlsVersion::Dtls12, None).unwrap();
        client.set_active(true);
        let mut sent = Vec::new();
        for now in (0..13_000).map(|ms| began + Duration::from_millis(ms)) {
            client.handle_timeout(now).unwrap();
            while let DtlsOutput::Packet(_) = client.poll_output(&mut buffer) {
                sent.push(now - began);
            }
        }
        // The engine spreads each by a quarter.
        let due = [0, 400, 1200, 2800, 6000].map(Duration::from_millis);
        let timely = |(sent, due): (&Duration, Duration)| due * 3 / 4 <= *sent && *sent <= due * 5 / 4;
        assert!(sent.iter().zip(due).all(timely) && sent.len() >= due.len(), "{sent:?}");
    }
}
