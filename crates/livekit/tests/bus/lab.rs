//! A livekit-server with its Redis, and our side of the bus.

use std::{
    net::{TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use livekit_token::{AccessToken, VideoGrants};
use media::StreamKey;
use serde_json::{Value, json};
use sluicegate_livekit::bus::{IoInfo, Phase, Record, Reporters, Status};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time,
};

use super::http::{self, Webhooks};

/// How long anything may take that takes a moment; servers start slowly on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at something outside that cannot be waited for.
const LOOK: Duration = Duration::from_millis(20);
const KEY: &str = "devkey";
const SECRET: &str = "a-secret-of-32-characters-or-more";

/// A child process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) struct Lab {
    pub(crate) webhooks: Webhooks,
    pub(crate) bus: psrpc::Bus,
    pub(crate) io: IoInfo,
    pub(crate) reporters: Reporters,
    livekit: Option<Process>,
    redis: Option<Process>,
    port: u16,
    redis_port: u16,
    dir: tempfile::TempDir,
}

impl Lab {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let webhooks = Webhooks::listen().await;
        let [port, redis_port, rtc_port, udp_port] = std::array::from_fn(|_| free_port());
        let config = format!(
            "port: {port}\nbind_addresses: [127.0.0.1]\nredis: {{address: '127.0.0.1:{redis_port}'}}\n\
             keys: {{{KEY}: {SECRET}}}\nrtc: {{tcp_port: {rtc_port}, udp_port: {udp_port}, node_ip: 127.0.0.1}}\n\
             webhook: {{api_key: {KEY}, urls: ['http://127.0.0.1:{}/']}}\n\
             ingress: {{rtmp_base_url: 'rtmp://127.0.0.1/live'}}\n",
            webhooks.port
        );
        std::fs::write(dir.path().join("livekit.yaml"), config).unwrap();
        let redis = start_redis(dir.path(), redis_port).await;
        let livekit = start_livekit(dir.path(), port).await;
        let bus =
            psrpc::Bus::connect(psrpc::Config::single(format!("127.0.0.1:{redis_port}"))).await.unwrap();
        let io = IoInfo::connect(&bus).await.unwrap();
        let reporters = Reporters::new(Arc::new(io.clone()), unix_ns);
        Self {
            webhooks,
            bus,
            io,
            reporters,
            livekit: Some(livekit),
            redis: Some(redis),
            port,
            redis_port,
            dir,
        }
    }

    pub(crate) fn kill_livekit(&mut self) {
        self.livekit = None;
    }

    pub(crate) async fn restart_livekit(&mut self) {
        self.livekit = Some(start_livekit(self.dir.path(), self.port).await);
    }

    pub(crate) fn kill_redis(&mut self) {
        self.redis = None;
    }

    pub(crate) async fn restart_redis(&mut self) {
        self.redis = Some(start_redis(self.dir.path(), self.redis_port).await);
    }

    /// The bus as another node sees it.
    pub(crate) async fn second_bus(&self) -> psrpc::Bus {
        psrpc::Bus::connect(psrpc::Config::single(format!("127.0.0.1:{}", self.redis_port))).await.unwrap()
    }

    /// Calls LiveKit's API.
    pub(crate) async fn api(&self, method: &str, body: Value) -> (u16, Value) {
        let api = Api { port: self.port };
        api.call(method, body).await
    }

    /// The same, for a task that runs beside the test.
    pub(crate) fn apart(&self) -> Api {
        Api { port: self.port }
    }

    /// Creates an RTMP ingress through LiveKit's API and finds it by its key.
    pub(crate) async fn ingress(&self) -> Record {
        let request = json!({"input_type": "RTMP_INPUT", "name": "cam", "room_name": "room", "participant_identity": "cam"});
        let (status, info) = self.api("CreateIngress", request).await;
        assert_eq!(status, 200, "{info}");
        let key = StreamKey::new(info["stream_key"].as_str().unwrap());
        self.io.ingress_by_key(&key, PATIENCE).await.unwrap()
    }

    /// The stored state, as users of the API see it; `null` when there is no such ingress.
    pub(crate) async fn state(&self, ingress_id: &str) -> Value {
        let (_, list) = self.api("ListIngress", json!({"ingress_id": ingress_id})).await;
        list["items"][0]["state"].clone()
    }

    /// Sends one command to Redis, without reading more than the first line of the answer.
    pub(crate) async fn redis(&self, command: &str) -> String {
        redis(self.redis_port, command).await.unwrap()
    }
}

impl Drop for Lab {
    /// A test that fails shows what livekit-server had to say.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.dir.path().join("livekit.log")).unwrap_or_default();
            eprintln!("livekit-server on port {}, Redis on port {}:\n{log}", self.port, self.redis_port);
        }
    }
}

pub(crate) struct Api {
    port: u16,
}

impl Api {
    pub(crate) async fn call(&self, method: &str, body: Value) -> (u16, Value) {
        let grants = VideoGrants { ingress_admin: true, ..VideoGrants::default() };
        let token = AccessToken::with_api_key(KEY, SECRET).with_grants(grants).to_jwt().unwrap();
        let path = format!("/twirp/livekit.Ingress/{method}");
        let (status, body) = http::post(self.port, &path, &token, &body).await.unwrap();
        (status, serde_json::from_str(&body).unwrap())
    }
}

pub(crate) fn buffering() -> Status {
    Status::new(Phase::Buffering)
}

pub(crate) fn publishing() -> Status {
    Status { room_sid: "RM_1".into(), ..Status::new(Phase::Publishing) }
}

pub(crate) fn unix_ns() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

/// The path of livekit-server: `$LIVEKIT_SERVER`, else as found on `$PATH`.
fn livekit_server() -> PathBuf {
    if let Some(path) = std::env::var_os("LIVEKIT_SERVER").filter(|path| !path.is_empty()) {
        return path.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join("livekit-server")).find(|file| file.is_file()).expect(
        "no livekit-server: run `make test`, or set LIVEKIT_SERVER to the path of a livekit-server 1.13.5 binary",
    )
}

async fn start_redis(dir: &Path, port: u16) -> Process {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--appendonly", "yes", "--save", ""]);
    let process = spawn(command.arg("--dir").arg(dir), dir, "redis");
    until(&dir.join("redis.log"), || async { redis(port, "PING").await.is_ok_and(|pong| pong == "+PONG") })
        .await;
    process
}

async fn start_livekit(dir: &Path, port: u16) -> Process {
    let mut command = Command::new(livekit_server());
    let process = spawn(command.arg("--config").arg(dir.join("livekit.yaml")), dir, "livekit");
    until(&dir.join("livekit.log"), || async { http::post(port, "/", "", &Value::Null).await.is_ok() }).await;
    process
}

fn spawn(command: &mut Command, dir: &Path, name: &str) -> Process {
    let log = std::fs::File::create(dir.join(format!("{name}.log"))).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    Process(command.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}")))
}

/// Looks until it is so; shows the log of who should have made it so otherwise.
async fn until<F: Future<Output = bool>>(log: &Path, so: impl Fn() -> F) {
    let looking = async {
        let mut looks = time::interval(LOOK);
        while !so().await {
            looks.tick().await;
        }
    };
    if time::timeout(PATIENCE, looking).await.is_err() {
        panic!("did not start:\n{}", std::fs::read_to_string(log).unwrap_or_default());
    }
}

async fn redis(port: u16, command: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(format!("{command}\r\n").as_bytes()).await?;
    let mut answer = vec![0; 512];
    let length = stream.read(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer[..length]).lines().next().unwrap_or_default().to_owned())
}

/// A port that nobody has now, nor gets by chance between two starts of a server: outside the range from which systems
/// hand out ports (32768 and up on Linux, 49152 and up elsewhere), in an order of this process's own.
fn free_port() -> u16 {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(61);
    loop {
        let at = first.wrapping_add(TRIED.fetch_add(1, Relaxed)) % 10_000;
        let port = 20_000 + u16::try_from(at).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
