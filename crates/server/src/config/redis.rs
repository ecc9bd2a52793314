//! The `redis` section: the same keys, with the same meaning, as in livekit-server's own configuration
//! (`spec/bus.md` §1.1).

use std::time::Duration;

use psrpc::{Config, Mode, Tls};

use super::section::Section;

/// What a configuration without a Redis gets to read.
const REQUIRED: &str = "redis configuration is required: set `redis.address` to the host:port of the Redis that \
    livekit-server uses (or `redis.sentinel_addresses`, or `redis.cluster_addresses`)";

/// What livekit-server waits for a sentinel or the master it names, unless it is told otherwise.
const DIAL_TIMEOUT: Duration = Duration::from_millis(2000);
const READ_TIMEOUT: Duration = Duration::from_millis(200);
const WRITE_TIMEOUT: Duration = Duration::from_millis(200);

/// Keys of the Go client's connection pool, and of its way through a cluster: ours has one connection for each purpose.
const GO_ONLY: [&str; 3] = ["pool_size", "pool_timeout", "max_redirects"];

/// `None` when nothing usable says where Redis is; the problem is then reported.
pub(super) fn read(s: &mut Section<'_>) -> Option<Config> {
    let mode = mode(s);
    let timeouts = timeouts(s);
    let username = s.text("username").unwrap_or_default();
    let password = s.text("password").unwrap_or_default();
    let db = s.integer("db", 0..=i64::from(u32::MAX), "the number of a database, 0 or more");
    let tls = tls(s);
    s.unneeded(&GO_ONLY);

    let sentinel = matches!(mode, Some(Mode::Sentinel { .. }));
    let mut config = Config::new(mode?);
    config.username = username;
    config.password = password.into();
    config.db = db.and_then(|db| u32::try_from(db).ok()).unwrap_or(0);
    config.tls = tls;
    if sentinel {
        (config.dial_timeout, config.command_timeout) = timeouts;
    }
    Some(config)
}

/// `sentinel_addresses` wins over `cluster_addresses`, and both over `address`.
fn mode(s: &mut Section<'_>) -> Option<Mode> {
    let any = ["address", "sentinel_addresses", "cluster_addresses"].iter().any(|key| s.has(key));
    let address = s.parsed("address", host_port);
    let sentinels = s.list("sentinel_addresses", host_port);
    let nodes = s.list("cluster_addresses", host_port);
    let master = s.text("sentinel_master_name");
    let username = s.text("sentinel_username").unwrap_or_default();
    let password = s.text("sentinel_password").unwrap_or_default().into();

    if !sentinels.is_empty() {
        let Some(master) = master else {
            let text = "sentinel_addresses needs the name that the sentinels know the master by";
            s.wrong("sentinel_master_name", 0, text.to_owned());
            return None;
        };
        return Some(Mode::Sentinel { master, addresses: sentinels, username, password });
    }
    if !nodes.is_empty() {
        return Some(Mode::Cluster { addresses: nodes });
    }
    if !any {
        s.missing(REQUIRED);
    }
    address.map(|address| Mode::Single { address })
}

/// Time to connect, and time for a command; sentinel mode is the only one that has them.
fn timeouts(s: &mut Section<'_>) -> (Duration, Duration) {
    let dial = s.millis("dial_timeout").unwrap_or(DIAL_TIMEOUT);
    let read = s.millis("read_timeout").unwrap_or(READ_TIMEOUT);
    let write = s.millis("write_timeout").unwrap_or(WRITE_TIMEOUT);
    (dial, write + read)
}

fn tls(s: &mut Section<'_>) -> Option<Tls> {
    let old = s.flag("use_tls", false);
    s.section("tls", |s| {
        let enabled = s.flag("enabled", false);
        let tls = Tls {
            insecure: s.flag("insecure", false),
            server_name: s.text("server_name"),
            ca_cert_file: s.text("ca_cert_file").map(Into::into),
            client_cert_file: s.text("client_cert_file").map(Into::into),
            client_key_file: s.text("client_key_file").map(Into::into),
        };
        match (&tls.client_cert_file, &tls.client_key_file) {
            (Some(_), None) => {
                s.wrong("client_key_file", 0, "client_cert_file needs its private key".to_owned())
            }
            (None, Some(_)) => {
                s.wrong("client_cert_file", 0, "client_key_file needs its certificate".to_owned())
            }
            _ => {}
        }
        match (enabled, old) {
            (true, _) => Some(tls),
            // The deprecated switch: TLS with the system's authorities and nothing else.
            (false, true) => Some(Tls::default()),
            (false, false) => None,
        }
    })
}

fn host_port(text: &str) -> Result<String, String> {
    let wrong = || format!("`{text}`: expected host:port, such as localhost:6379");
    // `redis://user:password@…` must not show its password: say what is wrong without quoting it.
    if text.contains('@') {
        return Err("found a URL: expected host:port, such as localhost:6379".to_owned());
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let bare_v6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
    let host_is_odd = host.is_empty() || bare_v6 || host.contains(['/', ' ', '<', '>']);
    match port.parse::<u16>() {
        Ok(port) if port > 0 && !host_is_odd => Ok(text.to_owned()),
        _ => Err(wrong()),
    }
}
