//! Real `redis-server` processes, one or more per test, and the services that the tests call.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use psrpc::{Bus, Config, Error, Metadata, Method, Registration, Server, Status};
use redis::aio::MultiplexedConnection;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Text {
    #[prost(string, tag = "1")]
    pub(crate) text: String,
}

pub(crate) fn text(text: &str) -> Text {
    Text { text: text.to_owned() }
}

/// One server of a queue handles it, after the client's choice.
pub(crate) const QUEUE: Method = Method { queue: true, claim: true, ..Method::new("Echo", "Queue") };
/// The best server handles it.
pub(crate) const BEST: Method = Method { claim: true, affinity: true, ..Method::new("Echo", "Best") };
/// All servers answer it.
pub(crate) const ALL: Method = Method { multi: true, ..Method::new("Echo", "All") };
/// The server that holds the topic handles it.
pub(crate) const TOPIC: Method = Method { topics: true, ..QUEUE };

/// A `redis-server` (or a sentinel) that ends with the test.
pub(crate) struct Redis {
    child: Child,
    log: mpsc::UnboundedReceiver<String>,
    pub(crate) port: u16,
    _dir: TempDir,
    arguments: Vec<String>,
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Redis {
    /// A single node with more settings in redis.conf form.
    pub(crate) async fn start(settings: &str) -> Self {
        // Another process may take the port in between.
        for _ in 0..5 {
            let (dir, port) = (TempDir::new().unwrap(), free_port());
            if let Some(redis) = Self::try_start(dir, port, &format!("port {port}\n{settings}"), &[]).await {
                return redis;
            }
        }
        panic!("redis-server does not start");
    }

    /// One attempt, in a directory and with a port that the settings name. `None` if it ended before it was ready.
    pub(crate) async fn try_start(
        dir: TempDir,
        port: u16,
        settings: &str,
        arguments: &[&str],
    ) -> Option<Self> {
        let path = dir.path().join("redis.conf");
        let common = format!("bind 127.0.0.1\nsave \"\"\ndir {}\n", dir.path().display());
        std::fs::write(&path, format!("{common}{settings}\n")).unwrap();
        let mut all = vec![path.to_str().unwrap().to_owned()];
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let (child, log) = spawn(&all);
        let mut redis = Self { child, log, port, _dir: dir, arguments: all };
        redis.ready().await.then_some(redis)
    }

    async fn ready(&mut self) -> bool {
        self.logs(&["Ready to accept connections", "+monitor master"]).await
    }

    /// Waits for a log line with one of these in it. `false` if the process ends first.
    pub(crate) async fn logs(&mut self, any: &[&str]) -> bool {
        let found = async {
            while let Some(line) = self.log.recv().await {
                if any.iter().any(|text| line.contains(text)) {
                    return true;
                }
            }
            false
        };
        tokio::time::timeout(PATIENCE, found).await.expect("the log line comes")
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) async fn bus(&self) -> Bus {
        Bus::connect(Config::single(self.address())).await.unwrap()
    }

    /// A connection beside psrpc's.
    pub(crate) async fn admin(&self) -> MultiplexedConnection {
        let client = redis::Client::open(format!("redis://{}", self.address())).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends it a signal, such as `-STOP`.
    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Starts it again on the same port after `kill`.
    pub(crate) async fn restart(&mut self) {
        (self.child, self.log) = spawn(&self.arguments);
        assert!(self.ready().await, "redis-server starts again");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(arguments: &[String]) -> (Child, mpsc::UnboundedReceiver<String>) {
    let mut child = Command::new("redis-server")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("redis-server is installed");
    let output = BufReader::new(child.stdout.take().unwrap());
    let (sender, log) = mpsc::unbounded_channel();
    // Ends with the process, whose output it must keep reading.
    std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    (child, log)
}

/// A server of [`QUEUE`] and [`BEST`] that counts what it handles.
pub(crate) struct Echo {
    pub(crate) server: Server,
    handled: Arc<AtomicUsize>,
    _registrations: Vec<Registration>,
}

impl Echo {
    pub(crate) async fn start(bus: &Bus, affinity: f32) -> Self {
        let server = Server::new(bus, "Echo");
        let handled = Arc::new(AtomicUsize::new(0));
        let mut registrations = Vec::new();
        for method in [&QUEUE, &BEST] {
            let (handled, id) = (handled.clone(), server.id().to_owned());
            let handler = move |request: Text, _: Metadata| {
                handled.fetch_add(1, Ordering::SeqCst);
                let reply = format!("{} from {id}", request.text);
                async move { Ok::<_, Error>(text(&reply)) }
            };
            registrations.push(server.register(method, &[], handler, move |_| affinity).await.unwrap());
        }
        Self { server, handled, _registrations: registrations }
    }

    pub(crate) fn handled(&self) -> usize {
        self.handled.load(Ordering::SeqCst)
    }
}

/// Sees a bus lose its connection and find it again, from `watch` on.
pub(crate) struct Reconnect(watch::Receiver<Status>);

impl Reconnect {
    pub(crate) fn watch(bus: &Bus) -> Self {
        let mut status = bus.status();
        assert_eq!(*status.borrow_and_update(), Status::Connected);
        Self(status)
    }

    /// Waits for the loss; a bus that is connected again already has had it.
    pub(crate) async fn lost(&mut self) {
        tokio::time::timeout(PATIENCE, self.0.changed()).await.expect("it is lost").unwrap();
    }

    /// Waits for the new connection, after `lost`.
    pub(crate) async fn back(&mut self) {
        let connected = self.0.wait_for(|status| *status == Status::Connected);
        tokio::time::timeout(PATIENCE, connected).await.expect("it is back").unwrap();
    }
}

/// Certificates of a private CA, as PEM files.
pub(crate) struct Certificates {
    dir: TempDir,
}

impl Certificates {
    /// A CA, and certificates of it for a server named `server_name` and for a client.
    pub(crate) fn new(server_name: &str) -> Self {
        use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
        let this = Self { dir: TempDir::new().unwrap() };
        let key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        // Certificates whose names are all the same pass for self-signed ones.
        ca.distinguished_name.push(rcgen::DnType::CommonName, "psrpc test CA");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        this.write("ca.crt", "CERTIFICATE", ca.self_signed(&key).unwrap().der());
        let issuer = Issuer::new(ca, key);
        for (file, name) in [("server", server_name), ("client", "client.test")] {
            let key = KeyPair::generate().unwrap();
            let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer);
            this.write(&format!("{file}.crt"), "CERTIFICATE", certificate.unwrap().der());
            this.write(&format!("{file}.key"), "PRIVATE KEY", &key.serialize_der());
        }
        this
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    fn write(&self, file: &str, label: &str, der: &[u8]) {
        use base64::Engine as _;
        let body = base64::engine::general_purpose::STANDARD.encode(der);
        let mut pem = format!("-----BEGIN {label}-----\n");
        for line in body.as_bytes().chunks(64) {
            writeln!(pem, "{}", std::str::from_utf8(line).unwrap()).unwrap();
        }
        writeln!(pem, "-----END {label}-----").unwrap();
        std::fs::write(Path::new(&self.path(file)), pem).unwrap();
    }
}
