//! The configuration: one YAML document with the Go worker's keys (`spec/bus.md` §6.1), checked as a whole at start.
//!
//! `config/sluicegate.example.yaml` explains every key; a test keeps the two equal.

mod cost;
mod encoders;
mod logging;
mod node;
mod redis;
mod rtc;
mod secret;
mod section;
mod srt;
#[cfg(test)]
mod tests;
mod url;
mod whip;

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

pub use cost::CpuCost;
pub use logging::{Level, Logging};
pub use pipeline::trial::Wish;
pub use rtc::{Filter, Network, NodeIp, Rtc, UdpPorts};
pub use secret::Secret;
pub use section::Problem;
pub use srt::Srt;
pub use url::{Alias, Proxy, Url};
pub use whip::Tls;

use section::{Findings, Section};

/// Everything that can be set. Every value is checked; `Debug` shows no secret.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The bus that livekit-server is on.
    pub redis: psrpc::Config,
    /// Key that tokens are signed with. Never empty.
    pub api_key: String,
    /// Its secret. Never empty.
    pub api_secret: Secret,
    /// livekit-server, `ws://…` or `wss://…` (an `http` URL given is turned into that).
    pub ws_url: String,
    /// The address that all listeners bind. `::` means all addresses, IPv4 included.
    pub bind_address: IpAddr,
    /// HTTP for health checks; `None`: off.
    pub health_port: Option<u16>,
    /// HTTP for metrics; `None`: off.
    pub prometheus_port: Option<u16>,
    /// HTTP for the list of sessions; `None`: off.
    pub debug_handler_port: Option<u16>,
    /// RTMP; `None`: off.
    pub rtmp_port: Option<u16>,
    /// WHIP over HTTP; `None`: off.
    pub whip_port: Option<u16>,
    /// WHIP over HTTPS; `None`: off.
    pub whip_tls_port: Option<u16>,
    /// SRT, over UDP; `None`: off.
    pub srt_port: Option<u16>,
    /// SRT.
    pub srt: Srt,
    /// Always there with `whip_tls_port`.
    pub tls: Option<Tls>,
    /// STUN and TURN servers that WHIP clients are told.
    pub whip_ice_servers: Vec<String>,
    /// Publishers of WHIP that is not transcoded are handed over to the SFU: their media does not come here.
    pub whip_proxy_enabled: bool,
    /// Logs.
    pub logging: Logging,
    /// WebRTC that comes in.
    pub rtc: Rtc,
    /// What sessions cost, for admission.
    pub cpu_cost: CpuCost,
    /// What URL inputs may reach.
    pub url: Url,
    /// Which encoders sessions use.
    pub encoders: Wish,
    /// A publisher's own pictures may be the top layer, untouched, where they fit it.
    pub passthrough: bool,
}

/// A configuration that can be used, with what its author should know.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// One line each, to be logged once the log is set up.
    pub warnings: Vec<String>,
}

/// A configuration that cannot be used. `Display` has one line a problem, in the order of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Invalid {
    /// All that was found; never empty.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        write!(f, "the configuration has {count} problem{}:", if count == 1 { "" } else { "s" })?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for Invalid {}

/// What the environment says where the document is silent.
#[derive(Debug, Clone, Default)]
pub struct Env {
    /// `LIVEKIT_API_KEY`.
    pub api_key: Option<String>,
    /// `LIVEKIT_API_SECRET`.
    pub api_secret: Option<Secret>,
    /// `LIVEKIT_WS_URL`.
    pub ws_url: Option<String>,
}

impl Env {
    /// The environment of this process; an empty variable counts as not set.
    pub fn of_process() -> Self {
        let var = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            api_key: var("LIVEKIT_API_KEY"),
            api_secret: var("LIVEKIT_API_SECRET").map(Secret::new),
            ws_url: var("LIVEKIT_WS_URL"),
        }
    }
}

/// Reads and checks the document. All problems come back together; every one names its key and its line.
pub fn load(text: &str, env: Env) -> Result<Loaded, Invalid> {
    let (config, findings) = read(text, env);
    let mut warnings = Vec::new();
    if !findings.unneeded.is_empty() {
        let keys = findings.unneeded.join(", ");
        warnings.push(format!("these keys of the Go worker are not needed here and change nothing: {keys}"));
    }
    match config {
        Some(config) if findings.problems.is_empty() => Ok(Loaded { config, warnings }),
        _ => {
            let mut problems = findings.problems;
            problems.sort_by_key(|problem| problem.line);
            Err(Invalid { problems })
        }
    }
}

fn read(text: &str, env: Env) -> (Option<Config>, Findings) {
    let mut findings = Findings::default();
    let config = match node::parse(text) {
        Ok(node) => Section::root(node, &mut findings, |s| root(s, env)),
        Err(error) => {
            findings.problem("", 0, format!("the document is not YAML that can be read: {error}"));
            None
        }
    };
    (config, findings)
}

/// Keys that make no difference: `http_relay_port` joined the Go worker's processes (ours share a socketpair),
/// `log_level` is in its README but was never read (`logging.level` is), `node_id` it overwrites itself,
/// `serviceType` is the Helm chart's own, which it copies into the document; the others switch behaviour that this
/// server has always or not at all.
const UNNEEDED: [&str; 7] = [
    "http_relay_port",
    "log_level",
    "node_id",
    "serviceType",
    "service_name",
    "development",
    "enable_stream_latency_reduction",
];

fn root(s: &mut Section<'_>, env: Env) -> Option<Config> {
    let redis = s.section("redis", redis::read);
    let api_key = required(s, "api_key", "LIVEKIT_API_KEY", env.api_key);
    let api_secret =
        required(s, "api_secret", "LIVEKIT_API_SECRET", env.api_secret.map(|s| s.reveal().to_owned()));
    let ws_url = ws_url(s, env.ws_url);
    let all = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let ports = Ports::read(s);
    let bind_address = s.parsed("bind_address", ip_address).unwrap_or(all);
    let srt_port =
        s.integer("srt_port", -1..=65535, "a UDP port from 1 to 65535, such as 10080, or 0 for off");
    let srt = s.section("srt", srt::read);
    let tls = whip::tls(s, ports.whip_tls);
    let whip_ice_servers = s.list("whip_ice_servers", whip::ice_server);
    let whip_proxy_enabled = s.flag("whip_proxy_enabled", false);
    let logging = s.section("logging", logging::read);
    let rtc = s.section("rtc_config", rtc::read);
    let cpu_cost = s.section("cpu_cost", cost::read);
    let url = s.section("url", url::read);
    let encoders = encoders::read(s);
    let passthrough = s.parsed("passthrough", auto_or_off).unwrap_or(true);
    s.unneeded(&UNNEEDED);
    Some(Config {
        redis: redis?,
        api_key: api_key?,
        api_secret: Secret::new(api_secret?),
        ws_url: ws_url?,
        bind_address,
        health_port: ports.health,
        prometheus_port: ports.prometheus,
        debug_handler_port: ports.debug,
        rtmp_port: ports.rtmp,
        whip_port: ports.whip,
        whip_tls_port: ports.whip_tls,
        srt_port: srt_port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0),
        srt,
        tls,
        whip_ice_servers,
        whip_proxy_enabled,
        logging,
        rtc,
        cpu_cost,
        url,
        encoders,
        passthrough,
    })
}

fn required(s: &mut Section<'_>, key: &'static str, var: &str, env: Option<String>) -> Option<String> {
    let value = s.text(key).or(env);
    if value.is_none() {
        s.wrong(key, 0, format!("is required: set it here, or in the environment as {var}"));
    }
    value
}

fn ws_url(s: &mut Section<'_>, env: Option<String>) -> Option<String> {
    if s.has("ws_url") {
        return s.parsed("ws_url", websocket_url);
    }
    let env = required(s, "ws_url", "LIVEKIT_WS_URL", env)?;
    websocket_url(&env)
        .map_err(|problem| s.wrong("ws_url", 0, format!("from LIVEKIT_WS_URL: {problem}")))
        .ok()
}

/// `http` counts as `ws`, as in LiveKit's SDKs.
fn websocket_url(text: &str) -> Result<String, String> {
    let wrong = || format!("`{text}`: expected livekit-server's URL, such as ws://localhost:7880");
    let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "ws" | "http" => "ws",
        "wss" | "https" => "wss",
        _ => return Err(wrong()),
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.is_empty()
        || host.starts_with(':')
        || rest.contains(char::is_whitespace)
        || host.contains(['<', '>'])
    {
        return Err(wrong());
    }
    Ok(format!("{scheme}://{rest}"))
}

fn ip_address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("`{text}`: expected an IP address, such as 127.0.0.1"))
}

fn auto_or_off(text: &str) -> Result<bool, String> {
    match text {
        "auto" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("`{text}`: expected auto or off")),
    }
}

/// The TCP ports of the document.
struct Ports {
    health: Option<u16>,
    prometheus: Option<u16>,
    debug: Option<u16>,
    rtmp: Option<u16>,
    whip: Option<u16>,
    whip_tls: Option<u16>,
}

impl Ports {
    fn read(s: &mut Section<'_>) -> Self {
        let mut used: Vec<(u16, &'static str)> = Vec::new();
        let mut port = |key, default: Option<u16>| {
            let what = "a port from 1 to 65535, 0 for the default, or -1 for off";
            let port = match s.integer(key, -1..=65535, what) {
                None | Some(0) => default,
                Some(port) => u16::try_from(port).ok(),
            };
            let taken = port.and_then(|port| used.iter().find(|(other, _)| *other == port));
            if let Some((port, other)) = taken {
                s.wrong(key, 0, format!("port {port} is also {other}'s: expected a port of its own"));
            }
            used.extend(port.map(|port| (port, key)));
            port
        };
        Self {
            rtmp: port("rtmp_port", Some(1935)),
            whip: port("whip_port", Some(8080)),
            whip_tls: port("whip_tls_port", None),
            health: port("health_port", None),
            prometheus: port("prometheus_port", None),
            debug: port("debug_handler_port", None),
        }
    }
}
