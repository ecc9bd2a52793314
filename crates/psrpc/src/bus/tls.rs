use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::BusError;
use crate::Tls;

/// TLS settings, files read and checked.
#[derive(Clone)]
pub(crate) struct Connector {
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

impl Connector {
    pub(crate) fn new(tls: &Tls) -> Result<Self, BusError> {
        let wrong = |reason: String| BusError::Tls { reason };
        let server_name = tls.server_name.clone().map(ServerName::try_from).transpose();
        let server_name = server_name.map_err(|error| wrong(format!("server_name: {error}")))?;
        // Named here, and not taken from the process: two providers may be compiled in, and then there is no default.
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(error.to_string()))?;
        let builder = if tls.insecure {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        } else {
            builder.with_root_certificates(roots(tls.ca_cert_file.as_deref())?)
        };
        let config = match (&tls.client_cert_file, &tls.client_key_file) {
            (None, None) => builder.with_no_client_auth(),
            (Some(cert), Some(key)) => builder
                .with_client_auth_cert(certificates("client_cert_file", cert)?, private_key(key)?)
                .map_err(|error| wrong(format!("client_cert_file with client_key_file: {error}")))?,
            _ => return Err(wrong("client_cert_file and client_key_file need each other".to_owned())),
        };
        Ok(Self { config: Arc::new(config), server_name })
    }

    /// The handshake over `tcp`; the certificate must be for `host` or for the configured name.
    pub(crate) async fn connect(&self, host: &str, tcp: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_owned())
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?,
        };
        TlsConnector::from(self.config.clone()).connect(name, tcp).await
    }
}

fn roots(ca_cert_file: Option<&Path>) -> Result<RootCertStore, BusError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca_cert_file {
        for certificate in certificates("ca_cert_file", path)? {
            roots.add(certificate).map_err(|error| file_error("ca_cert_file", path, error))?;
        }
        return Ok(roots);
    }
    // A broken file among the system's roots must not take the good ones away.
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        return Err(BusError::Tls {
            reason: "the system has no root certificates; set ca_cert_file".to_owned(),
        });
    }
    Ok(roots)
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, BusError> {
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(|error| file_error(what, path, error))?.collect();
    let certificates = certificates.map_err(|error| file_error(what, path, error))?;
    if certificates.is_empty() {
        return Err(file_error(what, path, "no PEM certificate in it"));
    }
    Ok(certificates)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, BusError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| file_error("client_key_file", path, error))
}

fn file_error(what: &'static str, path: &Path, reason: impl ToString) -> BusError {
    BusError::TlsFile { what, path: path.to_owned(), reason: reason.to_string() }
}

/// `Tls::insecure`: any certificate will do. Signatures are still checked, so that the session's keys belong to it.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
