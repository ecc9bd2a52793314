//! What a whole document turns into.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::node::{self, Node, Value};
use super::*;

const EXAMPLE: &str = include_str!("../../../../config/sluicegate.example.yaml");

/// The least that can be used.
const LEAST: &str =
    "redis: {address: localhost:6379}\napi_key: key\napi_secret: sesame\nws_url: ws://localhost:7880\n";

/// As the Helm chart 1.4.3 puts it into `INGRESS_CONFIG_BODY`: keys sorted, whole numbers as floats where values.yaml has them.
const HELM: &str = "\
api_key: APIxyz
api_secret: sesame
cpu_cost:
  rtmp_cpu_cost: 2
  whip_bypass_transcoding_cpu_cost: 0.1
  whip_cpu_cost: 2
health_port: 7888
http_relay_port: 9090
logging:
  level: info
prometheus_port: 7889
redis:
  address: redis-master.redis.svc.cluster.local:6379
  db: 0
  password: \"0123\"
  use_tls: false
rtc_config:
  udp_port: 7885
  use_external_ip: true
rtmp_port: 1935
serviceType: LoadBalancer
whip_port: 8080
ws_url: ws://livekit-server:80
";

/// As the generator of livekit/deploy writes `/etc/ingress.yaml` for docker-compose.
const COMPOSE: &str = "\
redis:
    address: localhost:6379
    username: \"\"
    password: \"\"
    db: 0
    use_tls: false
    sentinel_master_name: \"\"
    sentinel_username: \"\"
    sentinel_password: \"\"
    sentinel_addresses: []
    cluster_addresses: []
    max_redirects: null
api_key: APIxyz
api_secret: sesame
ws_url: wss://livekit.example.com
health_port: 0
prometheus_port: 0
rtmp_port: 1935
whip_port: 8080
http_relay_port: 9090
logging:
    json: false
    level: \"\"
development: false
rtc_config:
    udp_port: 7885
    use_external_ip: true
    enable_loopback_candidate: false
cpu_cost:
    rtmp_cpu_cost: 0
    whip_cpu_cost: 0
";

fn good(text: &str) -> Config {
    load(text, Env::default()).unwrap_or_else(|invalid| panic!("{invalid}")).config
}

pub(super) fn with(text: &str) -> Config {
    good(&format!("{LEAST}{text}"))
}

/// The problems of the least document with `text` added, one line each.
pub(super) fn problems(text: &str) -> Vec<String> {
    let invalid = load(&format!("{LEAST}{text}"), Env::default()).unwrap_err();
    invalid.problems.iter().map(Problem::to_string).collect()
}

#[test]
fn the_least_document_has_the_go_workers_defaults() {
    let config = good(LEAST);
    assert_eq!(config.rtmp_port, Some(1935));
    assert_eq!(config.whip_port, Some(8080));
    assert_eq!((config.health_port, config.prometheus_port, config.debug_handler_port), (None, None, None));
    assert_eq!(config.rtc.udp, UdpPorts::Shared(7885..=7885));
    assert_eq!(config.logging, Logging { json: false, level: Level::Info, component_levels: vec![] });
    assert_eq!(config.cpu_cost, CpuCost::default());
    assert_eq!(config.cpu_cost.min_idle_ratio, 0.3);
    assert_eq!(config.redis, psrpc::Config::single("localhost:6379"));
}

#[test]
fn a_body_of_the_helm_chart_is_taken_with_what_its_author_should_know() {
    let loaded = load(HELM, Env::default()).unwrap();
    assert_eq!(loaded.config.cpu_cost.rtmp, Some(2.0));
    assert_eq!(loaded.config.cpu_cost.url, None);
    assert_eq!(loaded.config.health_port, Some(7888));
    assert_eq!(loaded.config.redis.password.expose(), "0123");
    assert!(loaded.config.rtc.use_external_ip);
    assert_eq!(loaded.warnings.len(), 1);
    assert!(loaded.warnings[0].ends_with(": http_relay_port, serviceType"), "{:?}", loaded.warnings);
}

#[test]
fn a_compose_file_full_of_empty_values_is_taken() {
    let loaded = load(COMPOSE, Env::default()).unwrap();
    assert_eq!(loaded.config.redis, psrpc::Config::single("localhost:6379"));
    assert_eq!((loaded.config.health_port, loaded.config.logging.level), (None, Level::Info));
    assert_eq!(loaded.config.cpu_cost.rtmp, Some(0.0), "a cost of 0 that is written is honoured");
    assert!(loaded.warnings[0].ends_with(": http_relay_port, development"), "{:?}", loaded.warnings);
}

#[test]
fn the_document_wins_over_the_environment_and_an_empty_value_does_not() {
    let env = Env {
        api_key: Some("env-key".to_owned()),
        api_secret: Some(Secret::new("env-secret")),
        ws_url: Some("https://env.example.com".to_owned()),
    };
    let config = load(LEAST, env.clone()).unwrap().config;
    assert_eq!((config.api_key.as_str(), config.ws_url.as_str()), ("key", "ws://localhost:7880"));

    let config = load("redis: {address: r:1}\napi_key: \"\"\n", env).unwrap().config;
    assert_eq!((config.api_key.as_str(), config.api_secret.reveal()), ("env-key", "env-secret"));
    assert_eq!(config.ws_url, "wss://env.example.com");
}

#[test]
fn all_problems_come_together_with_key_and_line() {
    let expected = [
        "api_secret: is required: set it here, or in the environment as LIVEKIT_API_SECRET",
        "redis.address (line 2): `localhost`: expected host:port, such as localhost:6379",
        "redis.db (line 3): `many`: expected the number of a database, 0 or more",
        "redis.sentinel_adresses (line 4): unknown key: did you mean `redis.sentinel_addresses`?",
        "rtmp_port (line 6): `70000`: expected a port from 1 to 65535, 0 for the default, or -1 for off",
        "ws_url (line 7): `localhost:7880`: expected livekit-server's URL, such as ws://localhost:7880",
        "logging.level (line 8): `loud`: expected trace, debug, info, warn or error",
        "logging.json (line 8): `maybe` is neither true nor false",
        "wat (line 9): unknown key",
        "cpu_cost (line 10): found a single value: expected a section of keys",
        "rtc_config.ips.includes[1] (line 11): `10.0.0.0/33`: expected a network such as 10.0.0.0/8",
    ];
    let document = "redis:\n  address: localhost\n  db: many\n  sentinel_adresses: [a:1]\napi_key: k\nrtmp_port: 70000\n\
        ws_url: localhost:7880\nlogging: {level: loud, json: maybe}\nwat: 1\ncpu_cost: 2\n\
        rtc_config: {ips: {includes: [10.0.0.0/8, 10.0.0.0/33]}}\n";
    let invalid = load(document, Env::default()).unwrap_err();
    let mut found: Vec<String> = invalid.problems.iter().map(Problem::to_string).collect();
    assert_eq!(invalid.to_string().lines().next().unwrap(), "the configuration has 11 problems:");
    let mut expected = expected.map(str::to_owned);
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    assert!(invalid.problems.is_sorted_by_key(|problem| problem.line));
}

#[test]
fn passthrough_is_on_unless_it_is_off() {
    let on = |text| with(text).passthrough;
    assert!(on("") && on("passthrough: auto\n") && !on("passthrough: off\n"));
    assert_eq!(problems("passthrough: never\n"), ["passthrough (line 5): `never`: expected auto or off"]);
}

#[test]
fn without_redis_the_text_says_what_to_do() {
    for document in ["", "api_key: k\n", "redis: {}\n", "redis:\n"] {
        let invalid = load(document, Env::default()).unwrap_err();
        let redis = invalid.problems.iter().find(|problem| problem.key == "redis").unwrap();
        assert!(redis.text.starts_with("redis configuration is required"), "{redis}");
        assert!(redis.text.contains("redis.address"), "{redis}");
    }
}

#[test]
fn a_document_that_is_no_yaml_is_one_problem_with_its_place() {
    let invalid = load("redis: {address: [\n", Env::default()).unwrap_err();
    assert_eq!(invalid.problems.len(), 1);
    assert!(invalid.to_string().contains("line"), "{invalid}");
    for document in ["api_secret: \"sesame\n", "api_secret: sesame\n\tx: 1\n", "api_secret: sesame: 1\n"] {
        let invalid = load(document, Env::default()).unwrap_err();
        assert!(!invalid.to_string().contains("sesame"), "{invalid}");
    }
    let invalid = load("- a\n- b\n", Env::default()).unwrap_err();
    assert!(invalid.to_string().contains("the document is a list"), "{invalid}");
}

#[test]
fn redis_modes_have_the_go_clients_order() {
    let sentinel = "redis: {address: a:1, cluster_addresses: [c:1], sentinel_addresses: [s:1, s:2], \
        sentinel_master_name: main, sentinel_username: u, sentinel_password: p, read_timeout: 300}\n";
    let keys = "api_key: k\napi_secret: s\nws_url: ws://l\n";
    let redis = good(&format!("{sentinel}{keys}")).redis;
    let psrpc::Mode::Sentinel { master, addresses, username, password } = &redis.mode else {
        panic!("{redis:?}")
    };
    assert_eq!((master.as_str(), username.as_str(), password.expose()), ("main", "u", "p"));
    assert_eq!(addresses, &["s:1", "s:2"]);
    assert_eq!(
        (redis.dial_timeout, redis.command_timeout),
        (Duration::from_secs(2), Duration::from_millis(500))
    );

    let redis =
        good(&format!("redis: {{address: a:1, cluster_addresses: [c:1], read_timeout: 300}}\n{keys}")).redis;
    assert_eq!(redis.mode, psrpc::Mode::Cluster { addresses: vec!["c:1".to_owned()] });
    assert_eq!(redis.command_timeout, psrpc::Config::single("a:1").command_timeout, "only sentinels have it");

    let unnamed = load(&format!("redis: {{sentinel_addresses: [s:1]}}\n{keys}"), Env::default()).unwrap_err();
    assert_eq!(unnamed.problems[0].key, "redis.sentinel_master_name");
}

#[test]
fn redis_tls_has_an_old_and_a_new_switch() {
    let tls =
        |text: &str| good(&LEAST.replace("localhost:6379", &format!("localhost:6379, {text}"))).redis.tls;
    assert_eq!(tls("use_tls: true"), Some(psrpc::Tls::default()));
    assert_eq!(tls("tls: {enabled: false, insecure: true}"), None);
    let new =
        tls("use_tls: true, tls: {enabled: true, insecure: true, server_name: r, ca_cert_file: /ca.pem}")
            .unwrap();
    assert!(new.insecure);
    assert_eq!((new.server_name.as_deref(), new.ca_cert_file), (Some("r"), Some("/ca.pem".into())));
}

#[test]
fn secrets_are_neither_in_debug_nor_in_problems() {
    let config = good(&LEAST.replace("localhost:6379", "localhost:6379, password: sesame"));
    assert!(!format!("{config:?}").contains("sesame"));
    let invalid = load(
        "redis: {address: \"redis://u:sesame@r:1\", password: [sesame]}\napi_secret: {sesame: 1}\n",
        Env::default(),
    );
    assert!(!invalid.unwrap_err().to_string().contains("sesame"));
}

#[test]
fn ports_are_off_at_minus_one_and_default_at_zero() {
    let config = with("rtmp_port: 0\nwhip_port: -1\nhealth_port: -1\nprometheus_port: \"9100\"\n");
    assert_eq!((config.rtmp_port, config.whip_port), (Some(1935), None));
    assert_eq!((config.health_port, config.prometheus_port), (None, Some(9100)));
}

#[test]
fn publishers_are_handed_over_to_the_sfu_only_where_it_is_asked_for() {
    let loaded = |text: &str| load(&format!("{LEAST}{text}"), Env::default()).unwrap();
    assert!(!loaded("").config.whip_proxy_enabled);
    let asked = loaded("whip_proxy_enabled: true\n");
    assert!(asked.config.whip_proxy_enabled && asked.warnings.is_empty());
}

#[test]
fn two_listeners_on_one_port_are_refused() {
    let problem = "health_port: port 8080 is also whip_port's: expected a port of its own";
    assert_eq!(problems("health_port: 8080\n"), [problem]);
    assert_eq!(with("health_port: 8080\nwhip_port: -1\n").health_port, Some(8080));
}

#[test]
fn rtc_ports_are_shared_or_a_range() {
    assert_eq!(with("rtc_config: {udp_port: 7000}\n").rtc.udp, UdpPorts::Shared(7000..=7000));
    assert_eq!(with("rtc_config: {udp_port: 7000-7003}\n").rtc.udp, UdpPorts::Shared(7000..=7003));
    let range = with("rtc_config: {port_range_start: 50000, port_range_end: 60000}\n").rtc.udp;
    assert_eq!(range, UdpPorts::PerSession(50000..=60000));
    assert_eq!(problems("rtc_config: {udp_port: 7003-7000}\n").len(), 1);
    assert_eq!(problems("rtc_config: {port_range_start: 50000}\n").len(), 1);
}

#[test]
fn node_ip_is_one_address_of_each_family_at_most() {
    let ip = with("rtc_config: {node_ip: \"192.0.2.1, 2001:db8::1\"}\n").rtc.node_ip;
    assert_eq!((ip.v4, ip.v6), (Some(Ipv4Addr::new(192, 0, 2, 1)), "2001:db8::1".parse().ok()));
    assert_eq!(problems("rtc_config: {node_ip: \"192.0.2.1,192.0.2.2\"}\n").len(), 1);
    assert_eq!(with("bind_address: 127.0.0.1\n").bind_address, IpAddr::V4(Ipv4Addr::LOCALHOST));
}

#[test]
fn an_idle_ratio_of_zero_means_the_default_as_in_go() {
    assert_eq!(with("cpu_cost: {min_idle_ratio: 0}\n").cpu_cost.min_idle_ratio, 0.3);
    assert_eq!(with("cpu_cost: {min_idle_ratio: 0.1}\n").cpu_cost.min_idle_ratio, 0.1);
    assert_eq!(problems("cpu_cost: {min_idle_ratio: 1, rtmp_cpu_cost: -1}\n").len(), 2);
}

#[test]
fn encoders_are_a_policy_or_names() {
    let names = |names: &[&str]| Wish::Only(names.iter().map(|name| (*name).to_owned()).collect());
    assert_eq!(with("").encoders, Wish::Auto);
    assert_eq!(with("encoders: auto\n").encoders, Wish::Auto);
    assert_eq!(with("encoders: [software]\n").encoders, Wish::Software);
    assert_eq!(with("encoders: openh264\n").encoders, names(&["openh264"]));
    assert_eq!(with("encoders: [vaapi, x264]\n").encoders, names(&["vaapi", "x264"]));
    let problem = &problems("encoders: [x264, x265]\n")[0];
    assert!(problem.contains("`x265`: expected auto, software, or names out of: nvenc, "), "{problem}");
    assert!(problems("encoders: [auto, x264]\n")[0].contains("stand alone"));
}

#[test]
fn component_levels_are_the_users_own_names() {
    let levels = with("logging: {component_levels: {rtmp: debug, str0m: ERROR}}\n").logging.component_levels;
    assert_eq!(levels, [("rtmp".to_owned(), Level::Debug), ("str0m".to_owned(), Level::Error)]);
    let problem = "logging.component_levels.rtmp (line 5): `x`: expected trace, debug, info, warn or error";
    assert_eq!(problems("logging: {component_levels: {rtmp: x}}\n"), [problem]);
}

#[test]
fn the_example_can_be_used_as_it_is() {
    let loaded = load(EXAMPLE, Env::default()).unwrap_or_else(|invalid| panic!("{invalid}"));
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

/// The example with its commented keys taken in: `#key:` without a space.
fn uncommented() -> String {
    let take = |line: &str| {
        let text = line.trim_start();
        let key = text.strip_prefix('#').filter(|key| key.starts_with(|c: char| c.is_ascii_lowercase()));
        key.map_or(line.to_owned(), |key| format!("{}{key}", &line[..line.len() - text.len()]))
    };
    EXAMPLE.lines().map(|line| take(line) + "\n").collect()
}

fn keys(node: &Node, path: &str, found: &mut BTreeSet<String>) {
    let Value::Map(entries) = &node.value else { return };
    for (key, value) in entries {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        if !["logging.component_levels.", "url.alias."].iter().any(|own| path.starts_with(own)) {
            found.insert(path.clone());
        }
        keys(value, &path, found);
    }
}

/// The keys in the example's last part, which change nothing.
fn listed_as_unneeded() -> BTreeSet<String> {
    let (_, list) = EXAMPLE.split_once("# Top level:").unwrap();
    let mut found = BTreeSet::new();
    let mut section = "";
    for word in list.split_ascii_whitespace().filter(|word| *word != "#") {
        match word.strip_suffix(':') {
            Some(name) => section = name,
            None if section.is_empty() => _ = found.insert(word.to_owned()),
            None => _ = found.insert(format!("{section}.{word}")),
        }
    }
    found
}

#[test]
fn the_example_has_every_known_key_and_no_other() {
    let mut shown = BTreeSet::new();
    keys(&node::parse(&uncommented()).unwrap(), "", &mut shown);
    let unneeded = listed_as_unneeded();
    assert!(shown.is_disjoint(&unneeded), "both used and listed as unneeded");
    shown.extend(unneeded);
    let known: BTreeSet<String> = read(LEAST, Env::default()).1.known.into_iter().collect();
    assert_eq!(shown, known);
}

#[test]
fn every_value_in_the_example_is_a_good_one() {
    // The range and the one port exclude each other: with both, the port counts.
    let loaded = load(&uncommented(), Env::default()).unwrap_or_else(|invalid| panic!("{invalid}"));
    assert!(loaded.warnings.iter().all(|warning| warning.contains("WHIP")), "{:?}", loaded.warnings);
}

#[test]
fn the_defaults_that_the_example_shows_are_the_defaults() {
    let shown = good(&uncommented());
    let real = good(EXAMPLE);
    let only_examples = |config: Config| Config {
        cpu_cost: CpuCost::default(),
        url: Url { alias: vec![], ..config.url },
        logging: Logging { component_levels: vec![], ..config.logging },
        ..config
    };
    assert_eq!(only_examples(shown), only_examples(real));
}
