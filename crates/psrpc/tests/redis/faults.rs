//! Redis goes away and comes back.

use std::time::Duration;

use psrpc::{Bus, Client, Code, Config, Options};
use tokio::time::Instant;

use crate::support::{Echo, QUEUE, Reconnect, Redis, Text, text};

#[tokio::test]
async fn calls_work_again_after_client_kill_pubsub() {
    let redis = Redis::start("").await;
    let (server_bus, client_bus) = (redis.bus().await, redis.bus().await);
    let _echo = Echo::start(&server_bus, 1.0).await;
    let client = Client::new(&client_bus, "Echo").await.unwrap();
    for kind in ["pubsub", "normal"] {
        let mut reconnects = [&server_bus, &client_bus].map(Reconnect::watch);
        let mut kill = redis::cmd("CLIENT");
        kill.arg("KILL").arg("TYPE").arg(kind).arg("SKIPME").arg("yes");
        let killed: usize = kill.query_async(&mut redis.admin().await).await.unwrap();
        assert_eq!(killed, 2);
        if kind == "normal" {
            // A dead command connection shows when it is used, or at the next health check.
            let _ = client.call::<_, Text>(&QUEUE, &[], &text("probe"), Options::default()).await;
        }
        for reconnect in &mut reconnects {
            reconnect.lost().await;
            reconnect.back().await;
        }
        let reply: Text = client.call(&QUEUE, &[], &text(kind), Options::default()).await.unwrap();
        assert!(reply.text.starts_with(kind));
    }
}

#[tokio::test]
async fn calls_work_again_after_a_restart() {
    let mut redis = Redis::start("").await;
    let (server_bus, client_bus) = (redis.bus().await, redis.bus().await);
    let _echo = Echo::start(&server_bus, 1.0).await;
    let client = Client::new(&client_bus, "Echo").await.unwrap();
    let mut reconnects = [&server_bus, &client_bus].map(Reconnect::watch);
    redis.kill();
    for reconnect in &mut reconnects {
        reconnect.lost().await;
    }
    let options = Options::timeout(Duration::from_millis(200));
    let error = client.call::<_, Text>(&QUEUE, &[], &text("x"), options).await.unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (Code::Unavailable, "not connected to redis"));
    redis.restart().await;
    let back = Instant::now();
    for reconnect in &mut reconnects {
        reconnect.back().await;
    }
    assert!(back.elapsed() < Duration::from_secs(5), "{:?}", back.elapsed());
    let reply: Text = client.call(&QUEUE, &[], &text("back"), Options::default()).await.unwrap();
    assert!(reply.text.starts_with("back"));
}

#[tokio::test]
async fn call_during_an_outage_goes_through_if_redis_is_back_in_time() {
    let mut redis = Redis::start("").await;
    let (server_bus, client_bus) = (redis.bus().await, redis.bus().await);
    let _echo = Echo::start(&server_bus, 1.0).await;
    let client = Client::new(&client_bus, "Echo").await.unwrap();
    let mut reconnect = Reconnect::watch(&client_bus);
    redis.kill();
    reconnect.lost().await;
    let call = tokio::spawn(async move {
        // The server may be back a little later than the client: then nobody hears the first request.
        let options = || Options::timeout(Duration::from_secs(20));
        let first = client.call::<_, Text>(&QUEUE, &[], &text("waits"), options()).await;
        match first {
            Err(error) if error.message == "no response from servers" => {
                client.call::<_, Text>(&QUEUE, &[], &text("waits"), options()).await
            }
            other => other,
        }
    });
    redis.restart().await;
    assert!(call.await.unwrap().unwrap().text.starts_with("waits"));
}

#[tokio::test]
async fn registration_during_an_outage_says_that_it_was_not_confirmed() {
    let mut redis = Redis::start("").await;
    let bus = redis.bus().await;
    let mut reconnect = Reconnect::watch(&bus);
    redis.kill();
    reconnect.lost().await;
    let Err(error) = Client::new(&bus, "Echo").await else { panic!("nobody could confirm that") };
    assert!(error.to_string().contains("did not confirm the subscription to Echo|CLI_"), "{error}");
}

#[tokio::test]
async fn redis_that_hangs_is_noticed_and_used_again() {
    let redis = Redis::start("").await;
    let config = Config { command_timeout: Duration::from_millis(300), ..Config::single(redis.address()) };
    let bus = Bus::connect(config).await.unwrap();
    let _echo = Echo::start(&bus, 1.0).await;
    let client = Client::new(&bus, "Echo").await.unwrap();
    let mut reconnect = Reconnect::watch(&bus);
    redis.signal("-STOP");
    let hung = Instant::now();
    reconnect.lost().await;
    assert!(hung.elapsed() < Duration::from_secs(10), "{:?}", hung.elapsed());
    redis.signal("-CONT");
    reconnect.back().await;
    let reply: Text = client.call(&QUEUE, &[], &text("again"), Options::default()).await.unwrap();
    assert!(reply.text.starts_with("again"));
}
