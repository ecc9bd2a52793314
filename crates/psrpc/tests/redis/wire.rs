//! What servers do with messages that our own client would not send, and what they leave in Redis.

use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::StreamExt as _;
use prost::Message as _;
use psrpc::envelope::{Envelope, Request, lock_key};
use psrpc::{Client, Code, Options};
use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;

use crate::support::{BEST, Echo, PATIENCE, QUEUE, Redis, Text, text};

/// A client by hand, with the subscriptions of `CLI_hand`.
struct Hand {
    admin: MultiplexedConnection,
    messages: redis::aio::PubSub,
}

impl Hand {
    async fn new(redis: &Redis) -> Self {
        let client = redis::Client::open(format!("redis://{}", redis.address())).unwrap();
        let mut messages = client.get_async_pubsub().await.unwrap();
        messages.subscribe(&["Echo|CLI_hand|RES", "Echo|CLI_hand|CLAIM"]).await.unwrap();
        Self { admin: redis.admin().await, messages }
    }

    /// Publishes to all servers of a method; how many there were.
    async fn publish(&mut self, channel: &str, payload: &[u8]) -> usize {
        self.admin.publish(channel, payload).await.unwrap()
    }

    async fn next(&mut self) -> Envelope {
        let mut messages = self.messages.on_message();
        let message =
            tokio::time::timeout(PATIENCE, messages.next()).await.expect("a message comes").unwrap();
        Envelope::decode(message.get_payload_bytes()).unwrap()
    }
}

fn request(id: &str, expires_in_ms: i64) -> Request {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64;
    Request {
        request_id: id.to_owned(),
        client_id: "CLI_hand".to_owned(),
        sent_at: now,
        expiry: now + expires_in_ms * 1_000_000,
        raw_request: text(id).encode_to_vec().into(),
        ..Request::default()
    }
}

/// Of a claim or a reply.
fn request_id(envelope: &Envelope) -> &str {
    match envelope {
        Envelope::ClaimRequest(claim) => &claim.request_id,
        Envelope::Response(response) => &response.request_id,
        Envelope::Request(_) | Envelope::ClaimResponse(_) => panic!("not for a client: {envelope:?}"),
    }
}

#[tokio::test]
async fn expired_request_is_dropped_without_a_reply() {
    let redis = Redis::start("").await;
    let _echo = Echo::start(&redis.bus().await, 1.0).await;
    let mut hand = Hand::new(&redis).await;
    for (id, expires_in_ms) in [("late", -1), ("in time", 5000)] {
        let payload = Envelope::Request(request(id, expires_in_ms)).encode();
        assert_eq!(hand.publish("Echo|Queue|REQ", &payload).await, 1);
    }
    assert_eq!(request_id(&hand.next().await), "in time");
}

#[tokio::test]
async fn same_payload_again_is_left_to_the_first() {
    let redis = Redis::start("").await;
    let _echo = Echo::start(&redis.bus().await, 1.0).await;
    let mut hand = Hand::new(&redis).await;
    let once = Envelope::Request(request("once", 5000)).encode();
    let other = Envelope::Request(request("other", 5000)).encode();
    for payload in [&once, &once, &other] {
        hand.publish("Echo|Queue|REQ", payload).await;
    }
    let mut ids = [hand.next().await, hand.next().await].map(|envelope| request_id(&envelope).to_owned());
    ids.sort();
    assert_eq!(ids, ["once", "other"]);
}

#[tokio::test]
async fn queue_lock_is_the_hash_of_the_payload_for_five_seconds() {
    let redis = Redis::start("").await;
    let _echo = Echo::start(&redis.bus().await, 1.0).await;
    let mut hand = Hand::new(&redis).await;
    let payload = Envelope::Request(request("REQ_1", 5000)).encode();
    hand.publish("Echo|Queue|REQ", &payload).await;
    hand.next().await;
    let keys: Vec<String> = hand.admin.keys("*").await.unwrap();
    assert_eq!(keys, [lock_key(&payload)]);
    let (value, ttl_ms): (String, i64) =
        (hand.admin.get(&keys[0]).await.unwrap(), hand.admin.pttl(&keys[0]).await.unwrap());
    assert!(value.parse::<u64>().is_ok(), "{value}");
    assert!((1..=5000).contains(&ttl_ms), "{ttl_ms}");
}

#[tokio::test]
async fn lock_held_by_another_server_means_silence() {
    let redis = Redis::start("").await;
    let echo = Echo::start(&redis.bus().await, 1.0).await;
    let mut hand = Hand::new(&redis).await;
    let taken = Envelope::Request(request("taken", 5000)).encode();
    let () = hand.admin.set(lock_key(&taken), "17").await.unwrap();
    hand.publish("Echo|Queue|REQ", &taken).await;
    hand.publish("Echo|Queue|REQ", &Envelope::Request(request("free", 5000)).encode()).await;
    assert_eq!(request_id(&hand.next().await), "free");
    assert_eq!(echo.handled(), 0, "no claim was confirmed");
}

#[tokio::test]
async fn gzip_request_is_served_and_answered_plainly() {
    let redis = Redis::start("").await;
    let _echo = Echo::start(&redis.bus().await, 1.0).await;
    let mut hand = Hand::new(&redis).await;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&request("zipped", 5000).encode_to_vec()).unwrap();
    let mut payload = Vec::new();
    prost::encoding::string::encode(1, &"type.googleapis.com/internal.Request".to_owned(), &mut payload);
    prost::encoding::bytes::encode(2, &gzip.finish().unwrap(), &mut payload);
    prost::encoding::int32::encode(4, &1, &mut payload);
    hand.publish("Echo|Queue|REQ", &payload).await;
    assert_eq!(request_id(&hand.next().await), "zipped");
}

#[tokio::test]
async fn verdict_for_another_server_ends_the_claim() {
    let redis = Redis::start("").await;
    let echo = Echo::start(&redis.bus().await, 1.0).await;
    let mut hand = Hand::new(&redis).await;
    let choose = |id: &str, server: &str| {
        let choice =
            psrpc::envelope::ClaimResponse { request_id: id.to_owned(), server_id: server.to_owned() };
        Envelope::ClaimResponse(choice).encode()
    };
    for id in ["lost", "won"] {
        hand.publish("Echo|Best|REQ", &Envelope::Request(request(id, 5000)).encode()).await;
        assert_eq!(request_id(&hand.next().await), id);
    }
    for (id, server) in [("lost", "SRV_other"), ("lost", echo.server.id()), ("won", echo.server.id())] {
        hand.publish("Echo|Best|RCLAIM", &choose(id, server)).await;
    }
    let reply = hand.next().await;
    assert!(matches!(&reply, Envelope::Response(response) if response.request_id == "won"), "{reply:?}");
    assert_eq!(echo.handled(), 1);
}

#[tokio::test]
async fn request_that_cannot_be_read_is_answered_at_once() {
    #[derive(Clone, PartialEq, prost::Message)]
    struct Bytes {
        #[prost(bytes = "vec", tag = "1")]
        text: Vec<u8>,
    }
    let redis = Redis::start("").await;
    let bus = redis.bus().await;
    let echo = Echo::start(&bus, 1.0).await;
    let client = Client::new(&bus, "Echo").await.unwrap();
    let not_utf8 = Bytes { text: vec![0xff] };
    let error = client.call::<_, Text>(&QUEUE, &[], &not_utf8, Options::default()).await.unwrap_err();
    assert_eq!(error.code, Code::MalformedRequest, "{error}");
    assert_eq!(echo.handled(), 0);
}

#[tokio::test]
async fn reply_that_cannot_be_read_is_a_malformed_result() {
    #[derive(Clone, PartialEq, prost::Message)]
    struct Number {
        #[prost(int32, tag = "1")]
        number: i32,
    }
    let redis = Redis::start("").await;
    let bus = redis.bus().await;
    let _echo = Echo::start(&bus, 1.0).await;
    let client = Client::new(&bus, "Echo").await.unwrap();
    let error = client.call::<_, Number>(&QUEUE, &[], &text("x"), Options::default()).await.unwrap_err();
    assert_eq!(error.code, Code::MalformedResult, "{error}");
}

#[tokio::test]
async fn garbage_on_any_channel_is_ignored() {
    let redis = Redis::start("").await;
    let bus = redis.bus().await;
    let _echo = Echo::start(&bus, 1.0).await;
    let client = Client::new(&bus, "Echo").await.unwrap();
    let mut admin = redis.admin().await;
    let channels: Vec<String> = redis::cmd("PUBSUB").arg("CHANNELS").query_async(&mut admin).await.unwrap();
    assert_eq!(channels.len(), 6, "{channels:?}");
    for channel in &channels {
        for garbage in [&b""[..], b"\xff\xff\xff", &Envelope::Request(Request::default()).encode()] {
            let () = admin.publish(channel, garbage).await.unwrap();
        }
    }
    for method in [&QUEUE, &BEST] {
        let reply: Text = client.call(method, &[], &text("still"), Options::default()).await.unwrap();
        assert!(reply.text.starts_with("still"));
    }
}
