//! Three masters that share the slots.

use std::fmt::Write as _;

use psrpc::{Bus, Client, Config, Mode, Options};
use tempfile::TempDir;

use crate::support::{Echo, QUEUE, Reconnect, Redis, Text, free_port, text};

const SLOTS: [&str; 3] = ["0-5460", "5461-10922", "10923-16383"];

/// The nodes know each other from their nodes.conf, so that nobody has to wait for gossip to spread the slots.
async fn start() -> Vec<Redis> {
    'attempt: for _ in 0..5 {
        let ports: Vec<(u16, u16)> = (0..3).map(|_| (free_port(), free_port())).collect();
        let mut nodes = Vec::new();
        for (me, (port, bus_port)) in ports.iter().enumerate() {
            let dir = TempDir::new().unwrap();
            std::fs::write(dir.path().join("nodes.conf"), nodes_conf(&ports, me)).unwrap();
            let settings = format!("port {port}\ncluster-port {bus_port}\ncluster-enabled yes");
            match Redis::try_start(dir, *port, &settings, &[]).await {
                Some(node) => nodes.push(node),
                None => continue 'attempt,
            }
        }
        for node in &mut nodes {
            assert!(node.logs(&["Cluster state changed: ok"]).await);
        }
        return nodes;
    }
    panic!("the cluster does not start");
}

fn nodes_conf(ports: &[(u16, u16)], me: usize) -> String {
    let mut text = String::new();
    for (node, ((port, bus_port), slots)) in ports.iter().zip(SLOTS).enumerate() {
        let flags = if node == me { "myself,master" } else { "master" };
        let id = format!("{:040x}", node + 1);
        let epoch = node + 1;
        writeln!(text, "{id} 127.0.0.1:{port}@{bus_port} {flags} - 0 0 {epoch} connected {slots}").unwrap();
    }
    text + "vars currentEpoch 3 lastVoteEpoch 0\n"
}

async fn bus(addresses: Vec<String>) -> Bus {
    // The database is left out in a cluster, which has only one.
    Bus::connect(Config { db: 5, ..Config::new(Mode::Cluster { addresses }) }).await.unwrap()
}

#[tokio::test]
async fn calls_cross_nodes_and_locks_follow_their_slots() {
    let nodes = start().await;
    let one = Echo::start(&bus(vec![nodes[0].address()]).await, 1.0).await;
    let two = Echo::start(&bus(vec![nodes[1].address()]).await, 1.0).await;
    let client = Client::new(&bus(vec![nodes[2].address()]).await, "Echo").await.unwrap();
    for i in 0..40 {
        let reply: Text = client.call(&QUEUE, &[], &text(&i.to_string()), Options::default()).await.unwrap();
        assert_eq!(reply.text.split(' ').next().unwrap(), i.to_string());
    }
    assert_eq!(one.handled() + two.handled(), 40, "once each");
    for node in &nodes {
        let locks: usize = redis::cmd("DBSIZE").query_async(&mut node.admin().await).await.unwrap();
        assert!(locks > 0, "no lock on the node at {}", node.address());
    }
}

#[tokio::test]
async fn slot_that_moves_is_followed() {
    let nodes = start().await;
    let echo = Echo::start(&bus(vec![nodes[0].address()]).await, 1.0).await;
    let client = Client::new(&bus(vec![nodes[0].address()]).await, "Echo").await.unwrap();
    let first: Text = client.call(&QUEUE, &[], &text("first"), Options::default()).await.unwrap();
    assert!(first.text.starts_with("first"), "the table of slots is learned");
    // All nodes are told at once that the third one owns the slots of the second.
    let owner = format!("{:040x}", 3);
    for node in nodes.iter().rev() {
        let mut pipe = redis::pipe();
        (5461..=10922).for_each(|slot| {
            pipe.cmd("CLUSTER").arg("SETSLOT").arg(slot).arg("NODE").arg(&owner).ignore();
        });
        // The locks of the first call would keep their slots from moving.
        let mut admin = node.admin().await;
        let () = redis::cmd("FLUSHALL").query_async(&mut admin).await.unwrap();
        let () = pipe.query_async(&mut admin).await.unwrap();
    }
    for i in 0..20 {
        let reply: Text = client.call(&QUEUE, &[], &text(&i.to_string()), Options::default()).await.unwrap();
        assert_eq!(reply.text.split(' ').next().unwrap(), i.to_string());
    }
    assert_eq!(echo.handled(), 21);
    let left: usize = redis::cmd("DBSIZE").query_async(&mut nodes[1].admin().await).await.unwrap();
    assert_eq!(left, 0, "the second node owns nothing any more");
}

#[tokio::test]
async fn bus_moves_to_a_node_that_it_has_learned_when_its_own_dies() {
    let mut nodes = start().await;
    let bus = bus(vec![nodes[0].address()]).await;
    let mut reconnect = Reconnect::watch(&bus);
    nodes[0].kill();
    reconnect.lost().await;
    reconnect.back().await;
}
