use std::sync::{Arc, Mutex};

use livekit_protocol::IngressState;
use serde_json::{Value, json};
use sluicegate_livekit::bus::{Error, Handlers, IoInfo, NotStarted, Pull, Puller, Reporters};

use super::lab::{Lab, buffering, unix_ns};

/// A worker that stores the record, posts a state, and plays nothing.
#[derive(Clone)]
struct Worker {
    affinity: Option<f32>,
    refusal: Option<NotStarted>,
    io: IoInfo,
    reporters: Arc<Reporters>,
    started: Arc<Mutex<Vec<String>>>,
}

impl Worker {
    fn new(lab: &Lab, affinity: Option<f32>) -> Self {
        let reporters = Arc::new(Reporters::new(Arc::new(lab.io.clone()), unix_ns));
        Self { affinity, refusal: None, io: lab.io.clone(), reporters, started: Arc::default() }
    }

    fn started(&self) -> Vec<String> {
        self.started.lock().unwrap().clone()
    }
}

impl Puller for Worker {
    fn affinity(&self, _: &str) -> Option<f32> {
        self.affinity
    }

    async fn start(&self, pull: Pull) -> Result<IngressState, NotStarted> {
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        self.io.create(&pull).await.map_err(|error| NotStarted::Unavailable(error.to_string()))?;
        let reporter = self.reporters.open(&pull.record, "UR_1");
        reporter.put(buffering());
        assert!(reporter.flush(super::lab::PATIENCE).await);
        self.started.lock().unwrap().push(pull.url().to_owned());
        // A second start of the same ingress, as after an answer that came too late: somebody has begun.
        assert_eq!(self.io.create(&pull).await, Err(Error::Superseded));
        let state = reporter.state();
        // The session would hold it.
        std::mem::forget(reporter);
        Ok(state)
    }
}

fn request(url: &str) -> Value {
    json!({"input_type": "URL_INPUT", "url": url, "room_name": "room", "participant_identity": "cam"})
}

#[tokio::test]
async fn the_worker_with_the_most_room_starts_and_its_state_is_the_answer() {
    let lab = Lab::start().await;
    let handlers = Handlers::serve(&lab.bus).await.unwrap();
    let (small, large, none) =
        (Worker::new(&lab, Some(0.3)), Worker::new(&lab, Some(0.6)), Worker::new(&lab, None));
    let mut serving = Vec::new();
    for worker in [&small, &large, &none] {
        serving.push(handlers.serve_pulls(worker.clone()).await.unwrap());
    }
    let url = "http://example.org/film.mp4?token=x";
    let (status, info) = lab.api("CreateIngress", request(url)).await;
    assert_eq!(status, 200, "{info}");
    assert_eq!((small.started(), large.started(), none.started()), (vec![], vec![url.to_owned()], vec![]));
    assert_eq!((&info["state"]["status"], &info["reusable"]), (&json!("ENDPOINT_BUFFERING"), &json!(false)));
    assert_eq!(info["state"]["resource_id"], "UR_1");
    let id = info["ingress_id"].as_str().unwrap();
    assert_eq!(lab.state(id).await["status"], "ENDPOINT_BUFFERING");
}

#[tokio::test]
async fn a_refusal_reaches_who_created_the_ingress_and_nothing_is_stored() {
    let lab = Lab::start().await;
    let handlers = Handlers::serve(&lab.bus).await.unwrap();
    let refusals = [
        (NotStarted::Invalid("no such scheme".into()), 400, "invalid_argument", "no such scheme"),
        (NotStarted::Full, 429, "resource_exhausted", "server capacity exceeded"),
    ];
    for (refusal, status, code, text) in refusals {
        let worker = Worker { refusal: Some(refusal), ..Worker::new(&lab, Some(1.0)) };
        let _serving = handlers.serve_pulls(worker).await.unwrap();
        let (answered, error) = lab.api("CreateIngress", request("http://example.org/")).await;
        assert_eq!((answered, error["code"].as_str()), (status, Some(code)), "{error}");
        assert!(error["msg"].as_str().unwrap().contains(text), "{error}");
    }
    assert_eq!(lab.api("ListIngress", json!({})).await.1["items"], json!([]));
}
