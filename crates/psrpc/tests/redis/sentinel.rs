//! A master with a replica, watched by a sentinel.

use psrpc::{Bus, BusError, Client, Config, Mode, Options};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{Echo, QUEUE, Reconnect, Redis, Text, free_port, text};

struct Trio {
    master: Redis,
    replica: Redis,
    sentinel: Redis,
}

impl Trio {
    async fn start() -> Self {
        let master = Redis::start("requirepass secret\nmasterauth secret\nrepl-diskless-sync-delay 0").await;
        let follow = format!("replicaof 127.0.0.1 {}\nrequirepass secret\nmasterauth secret", master.port);
        let mut replica = Redis::start(&follow).await;
        assert!(replica.logs(&["MASTER <-> REPLICA sync: Finished with success"]).await);
        let mut sentinel = start_sentinel(master.port).await;
        assert!(sentinel.logs(&["+slave slave"]).await, "the sentinel learns of the replica");
        Self { master, replica, sentinel }
    }

    fn config(&self, name: &str) -> Config {
        let mode = Mode::Sentinel {
            master: name.to_owned(),
            // The first one does not answer: the next is asked.
            addresses: vec![format!("127.0.0.1:{}", free_port()), self.sentinel.address()],
            username: String::new(),
            password: "watch".into(),
        };
        Config { password: "secret".into(), ..Config::new(mode) }
    }
}

async fn start_sentinel(master: u16) -> Redis {
    for _ in 0..5 {
        let port = free_port();
        let settings = format!(
            "port {port}\nrequirepass watch\n\
             sentinel monitor main 127.0.0.1 {master} 1\nsentinel auth-pass main secret\n\
             sentinel down-after-milliseconds main 300\nsentinel failover-timeout main 5000",
        );
        if let Some(redis) = Redis::try_start(TempDir::new().unwrap(), port, &settings, &["--sentinel"]).await
        {
            return redis;
        }
    }
    panic!("the sentinel does not start");
}

#[tokio::test]
async fn calls_follow_a_failover() {
    let mut trio = Trio::start().await;
    let (server_bus, client_bus) =
        (Bus::connect(trio.config("main")).await.unwrap(), Bus::connect(trio.config("main")).await.unwrap());
    let _echo = Echo::start(&server_bus, 1.0).await;
    let client = Client::new(&client_bus, "Echo").await.unwrap();
    let reply: Text = client.call(&QUEUE, &[], &text("before"), Options::default()).await.unwrap();
    assert!(reply.text.starts_with("before"));

    let mut reconnects = [&server_bus, &client_bus].map(Reconnect::watch);
    trio.master.kill();
    for reconnect in &mut reconnects {
        reconnect.lost().await;
        reconnect.back().await;
    }
    assert!(trio.replica.logs(&["MASTER MODE enabled"]).await, "the replica was promoted");
    let reply: Text = client.call(&QUEUE, &[], &text("after"), Options::default()).await.unwrap();
    assert!(reply.text.starts_with("after"));
}

#[tokio::test]
async fn bus_leaves_a_node_that_the_sentinels_replaced_while_it_still_answers() {
    let trio = Trio::start().await;
    let other = Redis::start("requirepass secret").await;
    let bus = Bus::connect(trio.config("main")).await.unwrap();
    let client = redis::Client::open(format!("redis://:watch@{}", trio.sentinel.address())).unwrap();
    let mut sentinel = client.get_multiplexed_async_connection().await.unwrap();
    let mut reconnect = Reconnect::watch(&bus);
    let mut replace = redis::pipe();
    replace.cmd("SENTINEL").arg("REMOVE").arg("main");
    replace.cmd("SENTINEL").arg("MONITOR").arg("main").arg("127.0.0.1").arg(other.port).arg(1);
    let () = replace.ignore().query_async(&mut sentinel).await.unwrap();
    reconnect.lost().await;
    reconnect.back().await;
    let _echo = Echo::start(&bus, 1.0).await;
    let client = Client::new(&bus, "Echo").await.unwrap();
    let _: Text = client.call(&QUEUE, &[], &text("x"), Options::default()).await.unwrap();
    let admin = redis::Client::open(format!("redis://:secret@{}", other.address())).unwrap();
    let mut admin = admin.get_multiplexed_async_connection().await.unwrap();
    let locks: usize = redis::cmd("DBSIZE").query_async(&mut admin).await.unwrap();
    assert_eq!(locks, 1, "the lock is at the new master");
}

#[tokio::test]
async fn replica_is_refused_where_a_master_was_named() {
    let trio = Trio::start().await;
    let mode = Mode::Sentinel {
        master: "main".to_owned(),
        addresses: vec![stale_sentinel(trio.replica.port).await],
        username: String::new(),
        password: "".into(),
    };
    let config = Config { password: "secret".into(), ..Config::new(mode) };
    let Err(error) = Bus::connect(config).await else { panic!("a replica is no place to publish") };
    assert!(matches!(&error, BusError::NotMaster { role, .. } if role == "slave"), "{error}");
}

/// Says that the master is at `port`, as a sentinel does that has not heard of a failover yet. Its address.
async fn stale_sentinel(port: u16) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = vec![0; 4096];
        while let Ok(len @ 1..) = stream.read(&mut buffer).await {
            let commands = String::from_utf8_lossy(&buffer[..len]);
            for _ in commands.matches("SETINFO") {
                stream.write_all(b"+OK\r\n").await.unwrap();
            }
            if commands.contains("get-master-addr-by-name") {
                let port = port.to_string();
                let answer = format!("*2\r\n$9\r\n127.0.0.1\r\n${}\r\n{port}\r\n", port.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    });
    address
}

#[tokio::test]
async fn unknown_master_is_named() {
    let trio = Trio::start().await;
    let Err(error) = Bus::connect(trio.config("other")).await else { panic!("there is no such master") };
    assert!(matches!(&error, BusError::NoMaster { master, asked: 2, .. } if master == "other"), "{error}");
}
