use std::sync::Arc;

use serde_json::json;
use sluicegate_livekit::bus::{IoInfo, Record, Reporter, Reporters, Wills};
use tokio::{task::JoinHandle, time};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::lab::{Lab, PATIENCE, publishing, unix_ns};

/// A server on a bus of its own, until it is killed.
struct Server {
    wills: Arc<Wills>,
    reporters: Arc<Reporters>,
    running: JoinHandle<()>,
    stop: DropGuard,
}

impl Server {
    async fn start(lab: &Lab, id: &str) -> Self {
        let bus = lab.second_bus().await;
        let io = IoInfo::connect(&bus).await.unwrap();
        let reporters = Arc::new(Reporters::new(Arc::new(io.clone()), unix_ns));
        let wills = Arc::new(Wills::new(bus, io, reporters.clone(), id.to_owned(), unix_ns));
        let stop = CancellationToken::new();
        let running = tokio::spawn({
            let (wills, stop) = (wills.clone(), stop.clone());
            async move { wills.run(stop).await }
        });
        Self { wills, reporters, running, stop: stop.drop_guard() }
    }

    async fn publishes(&self, record: &Record, resource: &str) -> Reporter {
        let reporter = self.reporters.open(record, resource);
        reporter.put(publishing());
        assert!(reporter.flush(PATIENCE).await);
        reporter
    }

    async fn written(&self, lab: &Lab, servers: usize) {
        let fields =
            || async { lab.bus.fields("sluicegate:sessions", time::Instant::now() + PATIENCE).await };
        time::timeout(PATIENCE, async {
            while fields().await.unwrap().len() != servers {
                time::sleep(std::time::Duration::from_millis(50)).await;
            }
        })
        .await
        .expect("so many lists in redis");
    }
}

#[tokio::test]
async fn a_dead_servers_sessions_are_reported_by_another() {
    let mut lab = Lab::start().await;
    let (lost, taken, lives) = (lab.ingress().await, lab.ingress().await, lab.ingress().await);
    let dies = Server::start(&lab, "NE_1").await;
    let stays = Server::start(&lab, "NE_2").await;
    let (_lost, _taken) = (dies.publishes(&lost, "RT_1").await, dies.publishes(&taken, "RT_2").await);
    let alive = stays.publishes(&lives, "RT_3").await;
    dies.written(&lab, 2).await;
    for _ in 0..3 {
        lab.webhooks.next().await;
    }
    drop(dies.stop);
    dies.running.await.unwrap();
    // An encoder comes back, to the other server.
    let record = lab.io.ingress_by_id(&taken.ingress_id, PATIENCE).await.unwrap();
    let again = stays.publishes(&record, "RT_4").await;

    assert_eq!(lab.webhooks.next().await, ("ingress_ended".to_owned(), lost.ingress_id.clone()));
    let state = lab.state(&lost.ingress_id).await;
    assert_eq!((&state["status"], &state["room_id"]), (&json!("ENDPOINT_ERROR"), &json!("RM_1")));
    assert_eq!(state["error"], json!("the ingress server that ran this is gone"));
    stays.written(&lab, 1).await;
    for ingress in [&taken, &lives] {
        assert_eq!(lab.state(&ingress.ingress_id).await["status"], json!("ENDPOINT_PUBLISHING"));
    }

    drop((again, alive));
    assert_eq!(stays.reporters.shutdown(PATIENCE).await, 0);
    drop(stays.stop);
    stays.running.await.unwrap();
    stays.wills.withdraw().await;
    let left = lab.bus.fields("sluicegate:sessions", time::Instant::now() + PATIENCE).await.unwrap();
    assert_eq!(left, []);
}
