use std::time::Duration;

use media::StreamKey;

use sluicegate_livekit::bus::{Outcome, Phase, Status};

use super::lab::{Lab, PATIENCE, buffering, publishing};

/// Longer than one failed attempt takes (1 s without an offer), so that the state is lost unless it is kept.
const ATTEMPT: Duration = Duration::from_millis(1500);

#[tokio::test]
async fn a_state_posted_while_livekit_server_is_dead_arrives_after_its_restart() {
    let mut lab = Lab::start().await;
    let record = lab.ingress().await;
    let reporter = lab.reporters.open(&record, "RT_1");
    reporter.put(buffering());
    assert!(reporter.flush(PATIENCE).await);
    lab.kill_livekit();
    reporter.put(publishing());
    assert!(!reporter.flush(ATTEMPT).await);
    lab.restart_livekit().await;
    assert!(reporter.flush(PATIENCE).await);
    assert_eq!(lab.state(&record.ingress_id).await["status"], "ENDPOINT_PUBLISHING");
    assert_eq!(lab.webhooks.next().await.0, "ingress_started");
}

#[tokio::test]
async fn a_final_state_outlives_its_session_and_a_redis_restart() {
    let mut lab = Lab::start().await;
    let record = lab.ingress().await;
    let reporter = lab.reporters.open(&record, "RT_1");
    reporter.put(publishing());
    assert!(reporter.flush(PATIENCE).await);
    assert_eq!(lab.webhooks.next().await.0, "ingress_started");
    lab.kill_redis();
    reporter.put(Status { phase: Phase::Ended(Outcome::Stopped), ..publishing() });
    drop(reporter);
    lab.restart_redis().await;
    assert_eq!(lab.webhooks.next().await.0, "ingress_ended");
    assert_eq!(lab.state(&record.ingress_id).await["status"], "ENDPOINT_INACTIVE");
}

#[tokio::test]
async fn a_look_up_waits_for_livekit_server_to_come_back_and_not_longer_than_it_may() {
    let mut lab = Lab::start().await;
    let id = lab.ingress().await.ingress_id;
    lab.kill_livekit();
    let error = lab.io.ingress_by_id(&id, ATTEMPT).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    let io = lab.io.clone();
    let looking = tokio::spawn(async move { io.ingress_by_id(&id, PATIENCE).await });
    lab.restart_livekit().await;
    assert_eq!(looking.await.unwrap().unwrap().room, "room");
    let key = StreamKey::new("nobody");
    assert!(!lab.io.ingress_by_key(&key, PATIENCE).await.unwrap_err().is_transient());
}
