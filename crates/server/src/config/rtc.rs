//! The `rtc_config` section: how publishers that come over WebRTC (WHIP) reach this server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use super::section::Section;

/// Addresses and ports for WebRTC that comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rtc {
    /// Ports for media over UDP.
    pub udp: UdpPorts,
    /// Port for ICE over TCP; `None`: no TCP.
    pub tcp_port: Option<u16>,
    /// Address to advertise; empty: found at start.
    pub node_ip: NodeIp,
    /// Ask a STUN server for the address to advertise, at start.
    pub use_external_ip: bool,
    /// With `use_external_ip`: advertise that address only.
    pub external_ip_only: bool,
    /// STUN servers, `host:port`; empty: the defaults.
    pub stun_servers: Vec<String>,
    /// Answer connectivity checks only.
    pub use_ice_lite: bool,
    /// Network interfaces to use, by name.
    pub interfaces: Filter<String>,
    /// Networks to use.
    pub ips: Filter<Network>,
    /// Offer 127.0.0.1 too, for tests on one machine.
    pub enable_loopback_candidate: bool,
}

/// Which UDP ports carry media.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UdpPorts {
    /// All sessions share these (one, or a few).
    Shared(RangeInclusive<u16>),
    /// Each session takes one of these.
    PerSession(RangeInclusive<u16>),
}

/// At most one address of each family.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeIp {
    /// IPv4.
    pub v4: Option<Ipv4Addr>,
    /// IPv6.
    pub v6: Option<Ipv6Addr>,
}

/// What to use: all but `excludes` when `includes` is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter<T> {
    /// Use only these.
    pub includes: Vec<T>,
    /// Never use these.
    pub excludes: Vec<T>,
}

/// An IP network, `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Any address in it.
    pub address: IpAddr,
    /// Leading bits that count.
    pub prefix: u8,
}

/// What the Go worker listens on when nothing is said.
const UDP_PORT: u16 = 7885;

/// Knobs of the Go WebRTC stack. SCTP and batching have no use here: ingress has no data channels, and
/// the sockets are ours.
const GO_ONLY: [&str; 16] = [
    "use_mdns",
    "use_stun_port_as_ice",
    "advertise_internal_ip",
    "skip_external_ip_validation",
    "require_ipv4",
    "batch_io",
    "force_tcp",
    "host_acceptance_min_wait",
    "srflx_acceptance_min_wait",
    "prflx_acceptance_min_wait",
    "relay_acceptance_min_wait",
    "sctp_min_cwnd",
    "sctp_fast_rtx_wnd",
    "sctp_cwnd_ca_step",
    "sctp_max_receive_buffer_size",
    "sctp_rto_max",
];

pub(super) fn read(s: &mut Section<'_>) -> Rtc {
    let udp = udp_ports(s);
    let tcp = s.integer("tcp_port", 0..=65535, "a port from 1 to 65535, or 0 for none");
    let rtc = Rtc {
        udp,
        tcp_port: tcp.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0),
        node_ip: s.parsed("node_ip", node_ip).unwrap_or_default(),
        use_external_ip: s.flag("use_external_ip", false),
        external_ip_only: s.flag("external_ip_only", false),
        stun_servers: s.list("stun_servers", |text| Ok(text.to_owned())),
        use_ice_lite: s.flag("use_ice_lite", false),
        interfaces: s.section("interfaces", |s| filter(s, |text| Ok(text.to_owned()))),
        ips: s.section("ips", |s| filter(s, network)),
        enable_loopback_candidate: s.flag("enable_loopback_candidate", false),
    };
    s.unneeded(&GO_ONLY);
    rtc
}

fn udp_ports(s: &mut Section<'_>) -> UdpPorts {
    let shared = s.parsed("udp_port", port_range).flatten();
    let mut edge = |key| {
        let port = s.integer(key, 0..=65535, "a port from 1 to 65535, or 0 for none")?;
        u16::try_from(port).ok().filter(|port| *port > 0)
    };
    let (start, end) = (edge("port_range_start"), edge("port_range_end"));
    match (shared, start, end) {
        (Some(ports), _, _) => UdpPorts::Shared(ports),
        (None, Some(start), Some(end)) if start < end => UdpPorts::PerSession(start..=end),
        (None, None, None) => UdpPorts::Shared(UDP_PORT..=UDP_PORT),
        (None, start, end) => {
            let shown = |port: Option<u16>| port.map_or("none".to_owned(), |port| port.to_string());
            let text =
                format!("from {} to {}: expected both, the end above the start", shown(start), shown(end));
            s.wrong("port_range_start", 0, text);
            UdpPorts::Shared(UDP_PORT..=UDP_PORT)
        }
    }
}

/// `7885` or `7885-7890`; `None` for 0.
fn port_range(text: &str) -> Result<Option<RangeInclusive<u16>>, String> {
    let wrong = || format!("`{text}`: expected a port such as 7885, or a range such as 7885-7890");
    let port = |text: &str| text.trim().parse::<u16>().map_err(|_| wrong());
    match text.split_once('-') {
        None => Ok(Some(port(text)?).filter(|port| *port > 0).map(|port| port..=port)),
        Some((start, end)) => {
            let (start, end) = (port(start)?, port(end)?);
            if start == 0 || end <= start { Err(wrong()) } else { Ok(Some(start..=end)) }
        }
    }
}

/// `192.0.2.1`, `2001:db8::1`, or one of each with a comma.
fn node_ip(text: &str) -> Result<NodeIp, String> {
    let wrong = || format!("`{text}`: expected an IP address, or one IPv4 and one IPv6 address with a comma");
    let mut out = NodeIp::default();
    for part in text.split(',') {
        let taken = match part.trim().parse::<IpAddr>().map_err(|_| wrong())? {
            IpAddr::V4(v4) => out.v4.replace(v4).is_some(),
            IpAddr::V6(v6) => out.v6.replace(v6).is_some(),
        };
        if taken {
            return Err(wrong());
        }
    }
    Ok(out)
}

fn network(text: &str) -> Result<Network, String> {
    let wrong = || format!("`{text}`: expected a network such as 10.0.0.0/8");
    let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    if prefix > bits { Err(wrong()) } else { Ok(Network { address, prefix }) }
}

fn filter<T>(s: &mut Section<'_>, parse: impl Fn(&str) -> Result<T, String>) -> Filter<T> {
    Filter { includes: s.list("includes", &parse), excludes: s.list("excludes", &parse) }
}
