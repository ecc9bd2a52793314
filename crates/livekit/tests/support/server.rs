use std::{
    env,
    net::{TcpListener, UdpSocket},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use media::Codec;
use sluicegate_livekit::{
    room::{Network, Options, TokenSource},
    token::{Claims, Keys},
};
use tokio::{
    net::TcpStream,
    time::{Duration, sleep},
};

use super::within;

pub const ROOM: &str = "studio";

/// livekit-server on loopback, on ports of its own; killed when dropped.
pub struct Server {
    child: Child,
    config: String,
    pub port: u16,
    pub keys: Keys,
}

impl Server {
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// `extra`: further lines of YAML.
    pub async fn start_with(extra: &str) -> Self {
        Self::configured(extra, "").await
    }

    /// `extra`: one more line of the section `rtc`.
    pub async fn start_with_rtc(extra: &str) -> Self {
        Self::configured("", extra).await
    }

    async fn configured(extra: &str, extra_rtc: &str) -> Self {
        let tcp = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (port, ice_tcp) = (tcp(), tcp());
        let keys = Keys { api_key: "devkey".into(), api_secret: "a secret of thirty-two characters".into() };
        let config = format!(
            "port: {port}\nbind_addresses: [127.0.0.1]\nkeys:\n  {}: {}\nrtc:\n  udp_port: {udp}\n  tcp_port: \
             {ice_tcp}\n  {extra_rtc}\n  use_external_ip: false\n  node_ip: 127.0.0.1\n  enable_loopback_candidate: true\n\
             logging:\n  level: error\n{extra}\n",
            keys.api_key, keys.api_secret,
        );
        let server = Self { child: spawn(&config), config, port, keys };
        server.ready().await;
        server
    }

    /// Kills the server; [`Server::restart`] brings it back on the same ports.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops the server in its tracks (SIGSTOP), or lets it go on (SIGCONT).
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status().unwrap();
        assert!(status.success(), "kill -s {name}: {status}");
    }

    pub async fn restart(&mut self) {
        self.child = spawn(&self.config);
        self.ready().await;
    }

    async fn ready(&self) {
        let listening = async {
            while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
                sleep(Duration::from_millis(20)).await; // another process: there is nothing to wait on
            }
        };
        within("livekit-server listens", listening).await;
    }

    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }

    pub fn options(&self) -> Options {
        let claims = Claims {
            identity: "obs".into(),
            name: "The stage".into(),
            metadata: "about".into(),
            room: ROOM.into(),
            ingress_id: "IN_1".into(),
        };
        Options {
            ws_url: self.url(),
            token: TokenSource::minted(self.keys.clone(), claims),
            attributes: [("ingress.resourceID".to_owned(), "RS_1".to_owned())].into(),
            video_codec: Codec::H264,
            red: false,
            forward: false,
            stream: "ingress".into(),
            network: Network::default(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn spawn(config: &str) -> Child {
    let program = env::var_os("LIVEKIT_SERVER").map_or_else(|| "livekit-server".into(), PathBuf::from);
    let mut command = Command::new(&program);
    command.args(["--config-body", config]).stdin(Stdio::null());
    // It logs every client that goes away as an error.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap_or_else(|error| {
        panic!("{}: {error}: set LIVEKIT_SERVER, or put livekit-server on PATH", program.display())
    })
}
