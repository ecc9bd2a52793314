use std::time::Duration;

use livekit_protocol::{DeleteIngressRequest, IngressState, UpdateIngressRequest};
use psrpc::{Client, Code, Options};
use serde_json::json;
use sluicegate_livekit::bus::{
    Handlers, Outcome, Phase, Registration, Request, Status,
    messages::{ListActiveIngressRequest, ListActiveIngressResponse},
    methods::{DELETE_INGRESS, LIST_ACTIVE_INGRESS, UPDATE_INGRESS},
};

use super::lab::{Lab, PATIENCE, publishing};

async fn next(registration: &mut Registration) -> Request {
    tokio::time::timeout(PATIENCE, registration.recv()).await.expect("a request in time")
}

#[tokio::test]
async fn delete_while_publishing_gets_the_final_state_out_before_its_answer() {
    let mut lab = Lab::start().await;
    let record = lab.ingress().await;
    let id = record.ingress_id.clone();
    let handlers = Handlers::serve(&lab.bus).await.unwrap();
    let mut registration = handlers.register(&id, "RT_1").await.unwrap();
    let reporter = lab.reporters.open(&record, "RT_1");
    reporter.put(publishing());
    assert!(reporter.flush(PATIENCE).await);
    let api = lab.apart();
    let request = json!({"ingress_id": id});
    let deleted = tokio::spawn(async move { api.call("DeleteIngress", request).await });
    let Request::Delete { reply } = next(&mut registration).await else { panic!("not a delete") };
    reporter.put(Status { phase: Phase::Ended(Outcome::Stopped), ..publishing() });
    assert!(reporter.flush(PATIENCE).await);
    reply.send(reporter.state());
    assert_eq!(deleted.await.unwrap().0, 200);
    for event in ["ingress_started", "ingress_ended"] {
        assert_eq!(lab.webhooks.next().await, (event.to_owned(), id.clone()));
    }
    assert_eq!(lab.api("ListIngress", json!({"ingress_id": id})).await.0, 404);
}

#[tokio::test]
async fn update_while_publishing_reaches_the_session_with_its_changes() {
    let mut lab = Lab::start().await;
    let record = lab.ingress().await;
    let id = record.ingress_id.clone();
    let handlers = Handlers::serve(&lab.bus).await.unwrap();
    let mut registration = handlers.register(&id, "RT_1").await.unwrap();
    let reporter = lab.reporters.open(&record, "RT_1");
    reporter.put(publishing());
    assert!(reporter.flush(PATIENCE).await);
    let api = lab.apart();
    let request = json!({"ingress_id": id, "name": "renamed", "enabled": false});
    let updated = tokio::spawn(async move { api.call("UpdateIngress", request).await });
    let Request::Update { change, reply } = next(&mut registration).await else { panic!("not an update") };
    assert_eq!((change.name.as_str(), change.enabled), ("renamed", Some(false)));
    reporter.put(Status { phase: Phase::Ended(Outcome::Stopped), ..publishing() });
    assert!(reporter.flush(PATIENCE).await);
    reply.send(reporter.state());
    assert_eq!(updated.await.unwrap().0, 200);
    for event in ["ingress_started", "ingress_ended"] {
        assert_eq!(lab.webhooks.next().await, (event.to_owned(), id.clone()));
    }
    let record = lab.io.ingress_by_id(&id, PATIENCE).await.unwrap();
    assert_eq!((record.name.as_str(), record.enabled), ("renamed", Some(false)));
    assert_eq!(lab.state(&id).await["status"], "ENDPOINT_INACTIVE");
}

#[tokio::test]
async fn the_newest_session_of_an_ingress_gets_its_requests_and_all_are_listed() {
    let lab = Lab::start().await;
    let handlers = Handlers::serve(&lab.bus).await.unwrap();
    let mut old = handlers.register("IN_1", "RT_1").await.unwrap();
    let mut new = handlers.register("IN_1", "RT_2").await.unwrap();
    let other = handlers.register("IN_2", "RT_3").await.unwrap();
    assert_eq!(listed(&lab).await, ["RT_1", "RT_2", "RT_3"]);
    let client = Client::new(&lab.bus, UPDATE_INGRESS.service).await.unwrap();
    let call = tokio::spawn(async move {
        let request = UpdateIngressRequest { ingress_id: "IN_1".into(), ..Default::default() };
        client.call::<_, IngressState>(&UPDATE_INGRESS, &["IN_1"], &request, Options::default()).await
    });
    let Request::Update { reply, .. } = next(&mut new).await else { panic!("not an update") };
    let answer = IngressState { resource_id: "RT_2".into(), ..IngressState::default() };
    reply.send(answer.clone());
    assert_eq!(call.await.unwrap(), Ok(answer));
    assert!(tokio::time::timeout(Duration::from_millis(1), old.recv()).await.is_err());
    drop((new, other));
    assert_eq!(listed(&lab).await, ["RT_1"]);
}

/// The resource ids that ListActiveIngress gives, sorted.
async fn listed(lab: &Lab) -> Vec<String> {
    let client = Client::new(&lab.bus, LIST_ACTIVE_INGRESS.service).await.unwrap();
    let request = ListActiveIngressRequest {};
    let replies = client.call_multi(&LIST_ACTIVE_INGRESS, &[""], &request, Options::default()).await;
    let (_, answer) = replies.unwrap().next().await.expect("an answer");
    let answer: ListActiveIngressResponse = answer.unwrap();
    let mut resources: Vec<_> = answer.ingress_sessions.into_iter().map(|s| s.resource_id).collect();
    resources.sort();
    resources
}

#[tokio::test]
async fn a_session_that_answers_nothing_is_unavailable_at_once_when_its_mailbox_is_full() {
    let lab = Lab::start().await;
    let handlers = Handlers::serve(&lab.bus).await.unwrap();
    let mut registration = handlers.register("IN_1", "RT_1").await.unwrap();
    let client = Client::new(&lab.bus, DELETE_INGRESS.service).await.unwrap();
    let call = || {
        let client = client.clone();
        async move {
            let request = DeleteIngressRequest { ingress_id: "IN_1".into() };
            let patient = Options::timeout(PATIENCE);
            client.call::<_, IngressState>(&DELETE_INGRESS, &["IN_1"], &request, patient).await.unwrap_err()
        }
    };
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..5 {
        waiting.spawn(call());
    }
    let refused = waiting.join_next().await.unwrap().unwrap();
    assert_eq!((refused.code, waiting.len()), (Code::Unavailable, 4));
    // A reply that is dropped says that the session is over.
    for _ in 0..4 {
        drop(next(&mut registration).await);
    }
    while let Some(error) = waiting.join_next().await {
        assert_eq!(error.unwrap().code, Code::NotFound);
    }
}

#[tokio::test]
async fn a_dropped_registration_hears_nothing() {
    let lab = Lab::start().await;
    let handlers = Handlers::serve(&lab.bus).await.unwrap();
    drop(handlers.register("IN_1", "RT_1").await.unwrap());
    let client = Client::new(&lab.bus, DELETE_INGRESS.service).await.unwrap();
    let request = DeleteIngressRequest { ingress_id: "IN_1".into() };
    let answer: Result<IngressState, _> =
        client.call(&DELETE_INGRESS, &["IN_1"], &request, Options::default()).await;
    assert_eq!(answer.unwrap_err().code, Code::Unavailable);
    // And the same ingress can be registered again.
    drop(handlers.register("IN_1", "RT_2").await.unwrap());
}
