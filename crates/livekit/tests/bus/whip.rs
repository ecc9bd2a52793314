use std::sync::Arc;

use media::StreamKey;
use psrpc::{Client, Code, Options};
use sluicegate_livekit::bus::{
    Handlers,
    messages::DeleteWhipResourceRequest,
    methods::DELETE_WHIP_RESOURCE,
    whip::{Error, Patched, Peers, Resource},
};
use tokio::sync::mpsc;

use super::lab::Lab;

/// A session that tells what it is asked.
#[derive(Clone)]
struct Session {
    asked: mpsc::Sender<String>,
    answer: Arc<Result<Patched, Error>>,
}

impl Session {
    fn new(answer: Result<Patched, Error>) -> (Self, mpsc::Receiver<String>) {
        let (asked, receiver) = mpsc::channel(16);
        (Self { asked, answer: Arc::new(answer) }, receiver)
    }
}

impl Resource for Session {
    async fn delete(&self) -> Result<(), Error> {
        self.asked.send("delete".into()).await.unwrap();
        self.answer.as_ref().clone().map(|_| ())
    }

    async fn patch(&self, if_match: Option<String>, fragment: String) -> Result<Patched, Error> {
        self.asked.send(format!("{if_match:?} {fragment}")).await.unwrap();
        self.answer.as_ref().clone()
    }
}

fn key() -> StreamKey {
    StreamKey::new("the-stream-key")
}

#[tokio::test]
async fn another_node_deletes_and_restarts_a_session() {
    let lab = Lab::start().await;
    let handlers = Handlers::serve(&lab.bus).await.unwrap();
    let patched = Patched { fragment: Some("a=ice-ufrag:ours".into()), etag: "\"2\"".into() };
    let (session, mut asked) = Session::new(Ok(patched.clone()));
    let registration = handlers.register_whip("WH_1", key(), session).await.unwrap();
    let (other, mut other_asked) = Session::new(Err(Error::Unsupported("no trickle".into())));
    let _other = handlers.register_whip("WH_2", key(), other).await.unwrap();
    let peers = Peers::connect(&lab.second_bus().await).await.unwrap();

    let fragment = "a=ice-ufrag:u\r\na=ice-pwd:p\r\n";
    let answer = peers.restart_whip("WH_1", Some(&key()), Some("*"), fragment).await;
    assert_eq!(answer, Ok(patched));
    assert_eq!(asked.recv().await.unwrap(), format!("Some(\"*\") {fragment}"));
    let refused = peers.restart_whip("WH_2", Some(&key()), None, "a=candidate:1").await;
    assert_eq!(refused, Err(Error::Unsupported("no trickle".into())));
    assert_eq!(other_asked.recv().await.unwrap(), "None a=candidate:1");
    assert_eq!(peers.delete_whip("WH_1", Some(&key())).await, Ok(()));
    assert_eq!(asked.recv().await.unwrap(), "delete");

    drop(registration);
    assert_eq!(peers.delete_whip("WH_1", Some(&key())).await, Err(Error::Unknown), "it is over");
    assert!(asked.recv().await.is_none());
    assert_eq!(peers.delete_whip("", Some(&key())).await, Err(Error::Unknown));
}

#[tokio::test]
async fn without_the_stream_key_a_session_is_left_alone() {
    let lab = Lab::start().await;
    let handlers = Handlers::serve(&lab.bus).await.unwrap();
    let (session, mut asked) = Session::new(Ok(Patched { fragment: None, etag: String::new() }));
    let registration = handlers.register_whip("WH_1", key(), session).await.unwrap();
    let peers = Peers::connect(&lab.bus).await.unwrap();
    for wrong in [None, Some(StreamKey::new("another-key")), Some(StreamKey::new(""))] {
        assert_eq!(peers.delete_whip("WH_1", wrong.as_ref()).await, Err(Error::WrongKey));
        let patched = peers.restart_whip("WH_1", wrong.as_ref(), None, "a=ice-ufrag:u").await;
        assert_eq!(patched, Err(Error::WrongKey));
    }
    // As a node in Go asks.
    let client = Client::new(&lab.bus, DELETE_WHIP_RESOURCE.service).await.unwrap();
    let request = DeleteWhipResourceRequest { resource_id: "WH_1".into(), stream_key: "guessed".into() };
    let answer: Result<(), _> =
        client.call(&DELETE_WHIP_RESOURCE, &["WH_1"], &request, Options::default()).await;
    assert_eq!(answer.unwrap_err().code, Code::PermissionDenied);
    drop(registration);
    assert!(asked.recv().await.is_none(), "nothing has reached it");
}

#[tokio::test]
async fn while_redis_is_away_nobody_says_that_a_session_is_unknown() {
    let mut lab = Lab::start().await;
    let peers = Peers::connect(&lab.bus).await.unwrap();
    let mut status = lab.bus.status();
    lab.kill_redis();
    status.wait_for(|status| *status == psrpc::Status::Lost).await.unwrap();
    let answer = peers.delete_whip("WH_1", Some(&key())).await;
    assert!(matches!(answer, Err(Error::Unavailable(_))), "{answer:?}");
}
