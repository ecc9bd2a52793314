//! WHIP over HTTPS, and what its clients are told.

use std::path::PathBuf;

use super::section::Section;

/// Files for HTTPS, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The server's certificate, then those that signed it.
    pub cert_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
}

/// `tls_cert_file` and `tls_key_file`; a port that needs them asks for both.
pub(super) fn tls(s: &mut Section<'_>, port: Option<u16>) -> Option<Tls> {
    let (cert, key) = (s.text("tls_cert_file"), s.text("tls_key_file"));
    match (cert, key) {
        (Some(cert), Some(key)) => Some(Tls { cert_file: cert.into(), key_file: key.into() }),
        (None, None) if port.is_none() => None,
        (cert, _) => {
            let missing = if cert.is_none() { "tls_cert_file" } else { "tls_key_file" };
            s.wrong(missing, 0, "is required for HTTPS: the path of a PEM file".to_owned());
            None
        }
    }
}

/// A URL of a STUN or TURN server (RFC 7064, RFC 7065).
pub(super) fn ice_server(text: &str) -> Result<String, String> {
    let known = ["stun:", "stuns:", "turn:", "turns:"].iter().any(|scheme| text.starts_with(scheme));
    if known && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"".contains(&byte)) {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}`: expected a STUN or TURN server, such as stun:stun.example.org:3478"))
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{problems, with};

    #[test]
    fn https_needs_a_certificate_and_its_key() {
        let files = "tls_cert_file: c.pem\ntls_key_file: k.pem\n";
        let config = with(&format!("whip_tls_port: 8443\n{files}"));
        assert_eq!(config.whip_tls_port, Some(8443));
        assert_eq!(config.tls.unwrap().key_file.to_str(), Some("k.pem"));
        assert!(with(files).tls.is_some() && with("").tls.is_none());
        let missing = |key: &str| [format!("{key}: is required for HTTPS: the path of a PEM file")];
        assert_eq!(problems("whip_tls_port: 8443\n"), missing("tls_cert_file"));
        assert_eq!(problems("whip_tls_port: 8443\ntls_cert_file: c.pem\n"), missing("tls_key_file"));
    }

    #[test]
    fn ice_servers_are_stun_or_turn_urls() {
        let servers = with("whip_ice_servers: [\"stun:stun.example.org:3478\"]\n").whip_ice_servers;
        assert_eq!(servers, ["stun:stun.example.org:3478"]);
        for bad in ["http://x", "stun:a>b", "stun.example.org"] {
            assert_eq!(problems(&format!("whip_ice_servers: [\"{bad}\"]\n")).len(), 1, "{bad}");
        }
    }
}
