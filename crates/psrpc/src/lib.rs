//! LiveKit's RPC over Redis pub/sub ([psrpc](https://github.com/livekit/psrpc)), client and server.
//!
//! Wire-compatible with the Go implementation as livekit-server uses it on Redis: the same channel names, protobuf
//! envelope, queue locks and claims. Messages are [prost] structs; no code generator is needed.
//!
//! # A service
//!
//! ```no_run
//! use psrpc::{Bus, Client, Config, Error, Metadata, Method, Options, Server};
//!
//! #[derive(Clone, PartialEq, prost::Message)]
//! struct Text {
//!     #[prost(string, tag = "1")]
//!     text: String,
//! }
//!
//! // Both sides must agree on the flags: they are the method's routing.
//! const SAY: Method = Method { queue: true, claim: true, ..Method::new("Echo", "Say") };
//!
//! async fn say(request: Text, _: Metadata) -> Result<Text, Error> {
//!     Ok(request)
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let bus = Bus::connect(Config::single("127.0.0.1:6379")).await?;
//!
//! let server = Server::new(&bus, "Echo");
//! let registration = server.register(&SAY, &[], say, |_| 1.0).await?; // served until it is dropped
//!
//! let client = Client::new(&bus, "Echo").await?;
//! let reply: Text = client.call(&SAY, &[], &Text { text: "hello".into() }, Options::default()).await?;
//! # drop((registration, reply));
//! # Ok(())
//! # }
//! ```
//!
//! `examples/echo.rs` is the same as two programs.
//!
//! # How a call finds its server
//!
//! | flags of [`Method`] | who handles a request |
//! |---|---|
//! | none | every server that hears it; the client takes the first reply |
//! | `queue` | the server that gets a lock in Redis |
//! | `queue`, `claim` | the same, after it has offered itself and the client has agreed |
//! | `claim`, `affinity` | of all servers that offer themselves, the one with the highest affinity |
//! | `multi` | every server; the client collects the replies with [`Client::call_multi`] |
//!
//! `topics` goes with each of them: the request then reaches only the servers that registered for the same topic.
//!
//! # What to expect when things go wrong
//!
//! * Every call ends by its timeout, with an [`Error`] whose [`Code`] says what to do. Nothing is retried here:
//!   `unavailable` and `deadline_exceeded` are worth another attempt, if the method may run twice.
//! * Redis forgets what it publishes. While the [`Bus`] reconnects ([`Bus::status`] tells) calls wait for it, and requests
//!   to us are lost. It reconnects by itself, through the sentinels or over the other nodes of a cluster.
//! * A request carries its expiry by the client's wall clock, and late ones are dropped without a reply: hosts whose
//!   clocks differ by seconds do not hear each other. Servers log that.
//! * A handler that takes longer than its caller waits is dropped at the expiry. Work that must be finished belongs in a
//!   task of its own.
//! * All queues, waits and numbers of handlers are bounded; the constants are next to the code that they bound.
//!
//! # What is not here
//!
//! Streams, NATS, and sending gzip (which is read, as psrpc 0.8 sends it).
#![forbid(unsafe_code)]

mod bus;
mod channel;
mod claims;
mod client;
mod clock;
mod code;
mod config;
pub mod envelope;
mod method;
mod select;
mod server;

pub use bus::{Bus, BusError, Status};
pub use client::{Client, Options, Replies};
pub use code::{Code, Error};
pub use config::{Config, Mode, Secret, Tls};
pub use method::Method;
pub use server::{Metadata, Registration, Server};
