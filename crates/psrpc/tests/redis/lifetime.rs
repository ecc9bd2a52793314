//! How registrations, clients and the bus end.

use std::sync::Arc;
use std::time::Duration;

use psrpc::{BusError, Client, Code, Error, Metadata, Options, Server, Status};
use tokio::sync::Notify;

use crate::support::{Echo, PATIENCE, QUEUE, Redis, Text, text};

/// Asks Redis until it says so.
async fn eventually(redis: &Redis, what: &str, command: &[&str], expected: impl Fn(&str) -> bool) {
    let mut admin = redis.admin().await;
    let mut cmd = redis::cmd(command[0]);
    command[1..].iter().for_each(|argument| {
        cmd.arg(*argument);
    });
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    let ask = async {
        loop {
            ticks.tick().await;
            let answer: redis::Value = cmd.query_async(&mut admin).await.unwrap();
            if expected(&format!("{answer:?}")) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, ask).await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn dropped_registration_unsubscribes() {
    let redis = Redis::start("").await;
    let bus = redis.bus().await;
    let echo = Echo::start(&bus, 1.0).await;
    drop(echo);
    eventually(&redis, "no channel is left", &["PUBSUB", "CHANNELS"], |answer| !answer.contains("Echo"))
        .await;
}

#[tokio::test]
async fn method_has_one_handler_per_server_and_can_be_registered_again() {
    let redis = Redis::start("").await;
    let bus = redis.bus().await;
    let server = Server::new(&bus, "Echo");
    let handler = |request: Text, _: Metadata| async move { Ok::<_, Error>(request) };
    for _ in 0..3 {
        let first = server.register(&QUEUE, &[], handler, |_| 1.0).await.unwrap();
        let second = server.register(&QUEUE, &[], handler, |_| 1.0).await;
        assert!(matches!(second, Err(BusError::AlreadyRegistered { .. })));
        drop(first);
    }
    let _registration = server.register(&QUEUE, &[], handler, |_| 1.0).await.unwrap();
    let client = Client::new(&bus, "Echo").await.unwrap();
    let reply: Text = client.call(&QUEUE, &[], &text("again"), Options::default()).await.unwrap();
    assert_eq!(reply.text, "again");
}

#[tokio::test]
async fn closing_a_registration_waits_for_its_handler_which_still_answers() {
    let redis = Redis::start("").await;
    let bus = redis.bus().await;
    let server = Server::new(&bus, "Echo");
    let (started, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (handler_started, handler_go) = (started.clone(), go.clone());
    let handler = move |request: Text, _: Metadata| {
        let (started, go) = (handler_started.clone(), handler_go.clone());
        async move {
            started.notify_one();
            go.notified().await;
            Ok::<_, Error>(request)
        }
    };
    let registration = server.register(&QUEUE, &[], handler, |_| 1.0).await.unwrap();
    let client = Client::new(&bus, "Echo").await.unwrap();
    let call =
        tokio::spawn(
            async move { client.call::<_, Text>(&QUEUE, &[], &text("x"), Options::default()).await },
        );
    started.notified().await;
    let mut closing = Box::pin(registration.close());
    assert!(futures_util::poll!(&mut closing).is_pending(), "the handler still runs");
    go.notify_one();
    closing.await;
    assert_eq!(call.await.unwrap().unwrap().text, "x");
}

#[tokio::test]
async fn closed_bus_leaves_no_connection_and_refuses_calls() {
    let redis = Redis::start("").await;
    let bus = redis.bus().await;
    let _echo = Echo::start(&bus, 1.0).await;
    let client = Client::new(&bus, "Echo").await.unwrap();
    let status = bus.status();
    tokio::time::timeout(PATIENCE, bus.close()).await.expect("it closes");
    assert_eq!(*status.borrow(), Status::Closed);
    let error = client.call::<_, Text>(&QUEUE, &[], &text("x"), Options::default()).await.unwrap_err();
    assert_eq!(error, Error::new(Code::Unavailable, "the bus is closed"));
    let alone = |answer: &str| !answer.contains("lib-name=psrpc") && answer.matches("addr=127").count() <= 2;
    eventually(&redis, "only the test is connected", &["CLIENT", "LIST"], alone).await;
}

#[tokio::test]
async fn closing_the_bus_ends_calls_and_handlers_that_wait() {
    let redis = Redis::start("").await;
    let bus = redis.bus().await;
    let server = Server::new(&bus, "Echo");
    let started = Arc::new(Notify::new());
    let handler_started = started.clone();
    let handler = move |_: Text, _: Metadata| {
        handler_started.notify_one();
        std::future::pending::<Result<Text, Error>>()
    };
    let registration = server.register(&QUEUE, &[], handler, |_| 1.0).await.unwrap();
    let client = Client::new(&bus, "Echo").await.unwrap();
    let options = Options::timeout(2 * PATIENCE);
    let call = tokio::spawn(async move { client.call::<_, Text>(&QUEUE, &[], &text("x"), options).await });
    started.notified().await;
    tokio::time::timeout(PATIENCE, bus.close()).await.expect("it closes");
    let error = call.await.unwrap().unwrap_err();
    assert_eq!(error, Error::new(Code::Unavailable, "the bus is closed"));
    tokio::time::timeout(PATIENCE, registration.close()).await.expect("its handler was ended");
}

#[tokio::test]
async fn last_clone_dropped_closes_the_bus() {
    let redis = Redis::start("").await;
    let bus = redis.bus().await;
    let mut status = bus.status();
    let client = Client::new(&bus, "Echo").await.unwrap();
    drop(bus);
    assert_eq!(*status.borrow(), Status::Connected, "the client holds it");
    drop(client);
    let closed = status.wait_for(|status| *status == Status::Closed);
    tokio::time::timeout(PATIENCE, closed).await.expect("it closes").unwrap();
}
