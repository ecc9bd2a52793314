//! The WHIP listener, as the configuration wants it.

use std::{net::SocketAddr, path::Path, sync::Arc};

use anyhow::{Context, Result, bail};
use futures_util::future::join_all;
use intake::whip::{Address, Call, Limits, Listener, Media, Options, Udp, external_address};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio_util::sync::CancellationToken;

use crate::{
    addresses,
    config::{Config, Rtc, Tls, UdpPorts},
    health::Health,
    supervise::Supervisor,
};

/// Who is asked for our address when the operator names nobody: LiveKit's choice.
const STUN_SERVERS: [&str; 2] = ["global.stun.twilio.com:3478", "stun.l.google.com:19302"];

/// Opens the listener; `None` when WHIP is off.
///
/// # Errors
/// What cannot be opened, and by which keys it can be changed.
pub async fn listen(config: &Config, health: &Health) -> Result<Option<Listener>> {
    let at = |port| SocketAddr::new(config.bind_address, port);
    let https = match (config.whip_tls_port, &config.tls) {
        (Some(port), Some(tls)) => Some((at(port), Arc::new(read_tls(tls)?))),
        _ => None,
    };
    let http = config.whip_port.map(at);
    if http.is_none() && https.is_none() {
        return Ok(None);
    }
    let options = Options {
        http,
        https,
        media: media(config).await?,
        ice_servers: config.whip_ice_servers.clone(),
        limits: Limits::default(),
        routes: health.whip_routes(),
    };
    let listener = Listener::bind(options).await.context(
        "listen for WHIP: is another server there (whip_port, whip_tls_port, rtc_config.udp_port, rtc_config.tcp_port)?",
    )?;
    tracing::info!(
        http = ?listener.http_addr(),
        https = ?listener.https_addr(),
        media = ?listener.udp_addrs(),
        "listening for WHIP"
    );
    Ok(Some(listener))
}

async fn media(config: &Config) -> Result<Media> {
    let own = addresses::own().context("list this machine's addresses")?;
    let mut chosen = addresses::choose(&own, &config.rtc, config.bind_address);
    if config.rtc.use_external_ip {
        chosen = with_external(chosen, &config.rtc).await;
    }
    if chosen.is_empty() {
        bail!(
            "no address for WHIP media: none of this machine's passes rtc_config.interfaces and rtc_config.ips \
             (loopback counts with enable_loopback_candidate only); or turn WHIP off with whip_port: -1"
        );
    }
    Ok(Media {
        udp: match &config.rtc.udp {
            UdpPorts::Shared(ports) => Udp::Shared(*ports.start()),
            UdpPorts::PerSession(ports) => Udp::PerSession(ports.clone()),
        },
        tcp_port: config.rtc.tcp_port,
        addresses: chosen,
        ice_lite: config.rtc.use_ice_lite,
    })
}

/// The addresses that the world sees ours at come first; ours stay for publishers nearby, unless the operator wants them gone.
async fn with_external(own: Vec<Address>, rtc: &Rtc) -> Vec<Address> {
    let servers = match rtc.stun_servers.is_empty() {
        true => STUN_SERVERS.map(str::to_owned).to_vec(),
        false => rtc.stun_servers.clone(),
    };
    let asked =
        own.iter().filter(|own| own.bind == own.advertise && own.bind.is_ipv4() && !own.bind.is_loopback());
    let seen = join_all(asked.map(async |own| {
        let advertise = external_address(&servers, own.bind).await?;
        Some(Address { advertise, ..*own })
    }));
    let mut all: Vec<Address> = seen.await.into_iter().flatten().collect();
    if !rtc.external_ip_only || all.is_empty() {
        let others: Vec<Address> = own.into_iter().filter(|own| !all.contains(own)).collect();
        all.extend(others);
    }
    all
}

fn read_tls(tls: &Tls) -> Result<rustls::ServerConfig> {
    let at = |key: &str, path: &Path| format!("{key}: {}", path.display());
    let chain = CertificateDer::pem_file_iter(&tls.cert_file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| at("tls_cert_file", &tls.cert_file))?;
    let key =
        PrivateKeyDer::from_pem_file(&tls.key_file).with_context(|| at("tls_key_file", &tls.key_file))?;
    rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("tls_cert_file and tls_key_file do not go together")
}

/// Hands publishers to the supervisor; closes the listener and its connections once told to stop.
pub async fn admit(mut listener: Listener, supervisor: Supervisor, stop: CancellationToken) {
    loop {
        tokio::select! {
            call = listener.accept() => match call {
                Some(Call::Publish(request)) => supervisor.admit(request.into()),
                Some(Call::Elsewhere(call)) => supervisor.elsewhere(call),
                None => break,
            },
            () = stop.cancelled() => break,
        }
    }
    listener.shutdown().await;
}
