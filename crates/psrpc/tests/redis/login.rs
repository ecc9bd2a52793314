//! Passwords, ACL users and TLS.

use psrpc::{Bus, BusError, Client, Config, Mode, Options, Tls};

use crate::support::{Certificates, Echo, QUEUE, Redis, Text, free_port, text};
use tempfile::TempDir;

const ACL: &str = "user default off\nuser worker on >secret ~* &Echo|* +@all\n";

fn worker(address: String) -> Config {
    Config { username: "worker".into(), password: "secret".into(), ..Config::single(address) }
}

async fn exchange(config: &Config) {
    let (servers, clients) =
        (Bus::connect(config.clone()).await.unwrap(), Bus::connect(config.clone()).await.unwrap());
    let _echo = Echo::start(&servers, 1.0).await;
    let client = Client::new(&clients, "Echo").await.unwrap();
    let reply: Text = client.call(&QUEUE, &[], &text("hello"), Options::default()).await.unwrap();
    assert!(reply.text.starts_with("hello"));
}

async fn refusal(config: Config) -> BusError {
    match Bus::connect(config).await {
        Ok(_) => panic!("this login must be refused"),
        Err(error) => error,
    }
}

/// A Redis that speaks TLS only, with the ACL above.
async fn tls_redis(certificates: &Certificates, more: &str) -> Redis {
    let path = |file| certificates.path(file).display().to_string();
    for _ in 0..5 {
        let port = free_port();
        let settings = format!(
            "port 0\ntls-port {port}\ntls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}\n{ACL}{more}",
            path("server.crt"),
            path("server.key"),
            path("ca.crt"),
        );
        if let Some(redis) = Redis::try_start(TempDir::new().unwrap(), port, &settings, &[]).await {
            return redis;
        }
    }
    panic!("redis-server with TLS does not start");
}

#[tokio::test]
async fn acl_user_is_logged_in() {
    let redis = Redis::start(ACL).await;
    exchange(&worker(redis.address())).await;
}

#[tokio::test]
async fn wrong_password_is_refused_at_start_and_not_shown() {
    let redis = Redis::start(ACL).await;
    let error = refusal(Config { password: "hunter2".into(), ..worker(redis.address()) }).await;
    assert!(matches!(error, BusError::Command { command: "login", .. }), "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
    let error = refusal(Config::single(redis.address())).await;
    assert!(error.to_string().contains("NOAUTH"), "{error}");
}

#[tokio::test]
async fn channel_that_the_acl_forbids_does_not_harm_the_others() {
    let redis = Redis::start(ACL).await;
    let bus = Bus::connect(worker(redis.address())).await.unwrap();
    let (forbidden, _echo) = tokio::join!(Client::new(&bus, "Other"), Echo::start(&bus, 1.0));
    assert!(matches!(forbidden, Err(BusError::NotSubscribed { .. })));
    let client = Client::new(&bus, "Echo").await.unwrap();
    let reply: Text = client.call(&QUEUE, &[], &text("fine"), Options::default()).await.unwrap();
    assert!(reply.text.starts_with("fine"));
}

#[tokio::test]
async fn nobody_listening_is_an_error_with_the_address() {
    let address = format!("127.0.0.1:{}", free_port());
    let error = refusal(Config::single(address.as_str())).await.to_string();
    assert!(error.contains(&format!("unable to connect to redis {address}")), "{error}");
}

#[tokio::test]
async fn empty_lists_of_addresses_are_not_configured() {
    let sentinel = Mode::Sentinel {
        master: "main".into(),
        addresses: vec![],
        username: String::new(),
        password: "".into(),
    };
    for mode in [Mode::Cluster { addresses: vec![] }, sentinel] {
        assert!(matches!(refusal(Config::new(mode)).await, BusError::NotConfigured));
    }
}

#[tokio::test]
async fn tls_with_a_private_ca_and_an_acl_user() {
    let certificates = Certificates::new("127.0.0.1");
    let redis = tls_redis(&certificates, "tls-auth-clients no").await;
    let tls = Tls { ca_cert_file: Some(certificates.path("ca.crt")), ..Tls::default() };
    exchange(&Config { tls: Some(tls), ..worker(redis.address()) }).await;
}

#[tokio::test]
async fn certificate_is_checked_for_the_configured_name() {
    let certificates = Certificates::new("redis.test");
    let redis = tls_redis(&certificates, "tls-auth-clients no").await;
    let ca_cert_file = Some(certificates.path("ca.crt"));
    let by_host = Tls { ca_cert_file: ca_cert_file.clone(), ..Tls::default() };
    let error = refusal(Config { tls: Some(by_host), ..worker(redis.address()) }).await;
    assert!(error.to_string().contains("certificate"), "{error}");
    let by_name = Tls { server_name: Some("redis.test".into()), ca_cert_file, ..Tls::default() };
    exchange(&Config { tls: Some(by_name), ..worker(redis.address()) }).await;
}

#[tokio::test]
async fn unknown_ca_is_refused_unless_insecure() {
    let certificates = Certificates::new("127.0.0.1");
    let redis = tls_redis(&certificates, "tls-auth-clients no").await;
    let other = Certificates::new("127.0.0.1");
    let strict = Tls { ca_cert_file: Some(other.path("ca.crt")), ..Tls::default() };
    let error = refusal(Config { tls: Some(strict), ..worker(redis.address()) }).await;
    assert!(error.to_string().contains("certificate"), "{error}");
    let lenient = Tls { insecure: true, ..Tls::default() };
    exchange(&Config { tls: Some(lenient), ..worker(redis.address()) }).await;
}

#[tokio::test]
async fn client_certificate_is_shown_to_a_redis_that_asks_for_one() {
    let certificates = Certificates::new("127.0.0.1");
    let redis = tls_redis(&certificates, "tls-auth-clients yes").await;
    let without = Tls { ca_cert_file: Some(certificates.path("ca.crt")), ..Tls::default() };
    let _ = refusal(Config { tls: Some(without.clone()), ..worker(redis.address()) }).await;
    let with = Tls {
        client_cert_file: Some(certificates.path("client.crt")),
        client_key_file: Some(certificates.path("client.key")),
        ..without
    };
    exchange(&Config { tls: Some(with), ..worker(redis.address()) }).await;
}

#[tokio::test]
async fn missing_certificate_files_are_named() {
    let missing = Tls { ca_cert_file: Some("/nowhere/ca.crt".into()), ..Tls::default() };
    let error = refusal(Config { tls: Some(missing), ..Config::single("127.0.0.1:1") }).await.to_string();
    assert!(error.contains("ca_cert_file /nowhere/ca.crt"), "{error}");
    let half = Tls { client_cert_file: Some("/nowhere/c.crt".into()), insecure: true, ..Tls::default() };
    let error = refusal(Config { tls: Some(half), ..Config::single("127.0.0.1:1") }).await.to_string();
    assert!(error.contains("need each other"), "{error}");
}
