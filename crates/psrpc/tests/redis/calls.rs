//! What callers get from servers that work.

use std::time::Duration;

use psrpc::{Client, Code, Error, Metadata, Options, Server};
use tokio::time::Instant;

use crate::support::{ALL, BEST, Echo, QUEUE, Redis, TOPIC, Text, text};

#[tokio::test]
async fn a_queue_call_is_answered() {
    let redis = Redis::start("").await;
    let echo = Echo::start(&redis.bus().await, 1.0).await;
    let client = Client::new(&redis.bus().await, "Echo").await.unwrap();
    let reply: Text = client.call(&QUEUE, &[], &text("hello"), Options::default()).await.unwrap();
    assert_eq!(reply.text, format!("hello from {}", echo.server.id()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_of_a_queue_handle_forty_calls_once_each() {
    let redis = Redis::start("").await;
    let servers = [Echo::start(&redis.bus().await, 1.0).await, Echo::start(&redis.bus().await, 1.0).await];
    let client = Client::new(&redis.bus().await, "Echo").await.unwrap();
    let calls = (0..40).map(|i| {
        let client = client.clone();
        async move { client.call::<_, Text>(&QUEUE, &[], &text(&i.to_string()), Options::default()).await }
    });
    for (i, reply) in futures_util::future::join_all(calls).await.into_iter().enumerate() {
        assert_eq!(reply.unwrap().text.split(' ').next().unwrap(), i.to_string());
    }
    assert_eq!(servers[0].handled() + servers[1].handled(), 40);
}

#[tokio::test]
async fn best_affinity_wins_and_negative_is_silent() {
    let redis = Redis::start("").await;
    let bus = redis.bus().await;
    let half = Echo::start(&bus, 0.5).await;
    let full = Echo::start(&bus, 1.0).await;
    let silent = Echo::start(&bus, -1.0).await;
    let client = Client::new(&bus, "Echo").await.unwrap();
    let reply: Text = client.call(&BEST, &[], &text("x"), Options::default()).await.unwrap();
    assert_eq!(reply.text, format!("x from {}", full.server.id()));
    assert_eq!((half.handled(), full.handled(), silent.handled()), (0, 1, 0));
}

#[tokio::test]
async fn zero_affinity_is_counted_and_never_chosen() {
    let redis = Redis::start("").await;
    let bus = redis.bus().await;
    let _zero = Echo::start(&bus, 0.0).await;
    let _silent = Echo::start(&bus, -1.0).await;
    let client = Client::new(&bus, "Echo").await.unwrap();
    let error = client.call::<_, Text>(&BEST, &[], &text("x"), Options::default()).await.unwrap_err();
    assert_eq!(error, Error::new(Code::Unavailable, "no servers available (received 1 responses)"));
}

#[tokio::test]
async fn nobody_there_is_unavailable_after_a_second() {
    let redis = Redis::start("").await;
    let client = Client::new(&redis.bus().await, "Echo").await.unwrap();
    let start = Instant::now();
    let error = client.call::<_, Text>(&QUEUE, &[], &text("x"), Options::default()).await.unwrap_err();
    assert_eq!(error, Error::new(Code::Unavailable, "no response from servers"));
    let waited = start.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_secs(3)).contains(&waited), "{waited:?}");
}

#[tokio::test]
async fn server_that_never_answers_is_a_deadline_error() {
    let redis = Redis::start("").await;
    let bus = redis.bus().await;
    let server = Server::new(&bus, "Echo");
    let never = |_: Text, _: Metadata| std::future::pending::<Result<Text, Error>>();
    let _registration = server.register(&QUEUE, &[], never, |_| 1.0).await.unwrap();
    let client = Client::new(&bus, "Echo").await.unwrap();
    let options = Options::timeout(Duration::from_millis(300));
    let error = client.call::<_, Text>(&QUEUE, &[], &text("x"), options).await.unwrap_err();
    assert_eq!(error.code, Code::DeadlineExceeded, "{error}");
}

#[tokio::test]
async fn topic_reaches_only_its_server() {
    let redis = Redis::start("").await;
    let bus = redis.bus().await;
    let mut kept = Vec::new();
    for topic in ["ID_one", "ID-två"] {
        let server = Server::new(&bus, "Echo");
        let handler = move |_: Text, _: Metadata| async move { Ok(text(topic)) };
        kept.push((server.register(&TOPIC, &[topic], handler, |_| 1.0).await.unwrap(), server));
    }
    let client = Client::new(&bus, "Echo").await.unwrap();
    for topic in ["ID-två", "ID_one"] {
        let reply: Text = client.call(&TOPIC, &[topic], &text(""), Options::default()).await.unwrap();
        assert_eq!(reply.text, topic);
    }
    let error =
        client.call::<_, Text>(&TOPIC, &["ID_other"], &text(""), Options::default()).await.unwrap_err();
    assert_eq!(error.code, Code::Unavailable);
}

#[tokio::test]
async fn every_server_answers_a_multi_call() {
    let redis = Redis::start("").await;
    let bus = redis.bus().await;
    let mut kept = Vec::new();
    let mut expected = Vec::new();
    for i in 0..3 {
        let server = Server::new(&bus, "Echo");
        let handler = move |_: Text, _: Metadata| async move { Ok(text(&i.to_string())) };
        kept.push(server.register(&ALL, &[], handler, |_| 1.0).await.unwrap());
        expected.push((server.id().to_owned(), Ok(text(&i.to_string()))));
    }
    let client = Client::new(&bus, "Echo").await.unwrap();
    let options = Options::timeout(Duration::from_millis(500));
    let mut replies =
        client.call_multi::<_, Text>(&ALL, &[], &text(""), options).await.unwrap().collect().await;
    replies.sort_by_key(|(id, _)| id.clone());
    expected.sort_by_key(|(id, _)| id.clone());
    assert_eq!(replies, expected);
}

#[tokio::test]
async fn error_of_the_handler_reaches_the_caller_as_it_is() {
    let redis = Redis::start("").await;
    let bus = redis.bus().await;
    let server = Server::new(&bus, "Echo");
    let gone = |_: Text, _: Metadata| async { Err::<Text, _>(Error::new(Code::NotFound, "no such thing")) };
    let _registration = server.register(&QUEUE, &[], gone, |_| 1.0).await.unwrap();
    let client = Client::new(&bus, "Echo").await.unwrap();
    let error = client.call::<_, Text>(&QUEUE, &[], &text("x"), Options::default()).await.unwrap_err();
    assert_eq!(error, Error::new(Code::NotFound, "no such thing"));
}

#[tokio::test]
async fn panic_of_the_handler_is_an_internal_error_and_the_next_call_works() {
    let redis = Redis::start("").await;
    let bus = redis.bus().await;
    let server = Server::new(&bus, "Echo");
    let handler = |request: Text, _: Metadata| async move {
        assert!(request.text != "panic", "asked to panic");
        Ok::<_, Error>(request)
    };
    let _registration = server.register(&QUEUE, &[], handler, |_| 1.0).await.unwrap();
    let client = Client::new(&bus, "Echo").await.unwrap();
    let error = client.call::<_, Text>(&QUEUE, &[], &text("panic"), Options::default()).await.unwrap_err();
    assert_eq!(error.code, Code::Internal);
    let reply: Text = client.call(&QUEUE, &[], &text("fine"), Options::default()).await.unwrap();
    assert_eq!(reply.text, "fine");
}

#[tokio::test]
async fn handler_sees_metadata_and_deadline() {
    let redis = Redis::start("").await;
    let bus = redis.bus().await;
    let server = Server::new(&bus, "Echo");
    let handler = |_: Text, metadata: Metadata| async move {
        let left = metadata.deadline - Instant::now();
        assert!(left <= Duration::from_secs(7) && left > Duration::from_secs(5), "{left:?}");
        assert!(metadata.request_id.starts_with("REQ_") && metadata.client_id.starts_with("CLI_"));
        Ok::<_, Error>(text(&metadata.entries["traceparent"]))
    };
    let _registration = server.register(&QUEUE, &[], handler, |_| 1.0).await.unwrap();
    let client = Client::new(&bus, "Echo").await.unwrap();
    let metadata = [("traceparent".to_owned(), "00-af-b7-01".to_owned())].into();
    let options = Options { timeout: Duration::from_secs(7), metadata };
    let reply: Text = client.call(&QUEUE, &[], &text(""), options).await.unwrap();
    assert_eq!(reply.text, "00-af-b7-01");
}

#[tokio::test]
async fn calls_that_do_not_fit_their_method_are_refused_here() {
    let redis = Redis::start("").await;
    let client = Client::new(&redis.bus().await, "Other").await.unwrap();
    let error = client.call::<_, Text>(&QUEUE, &[], &text(""), Options::default()).await.unwrap_err();
    assert!(error.message.contains("Echo.Queue: it belongs to another service"), "{error}");
}
