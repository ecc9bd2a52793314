//! RTMP over TCP: publishers that connect to us, and streams that we pull from servers.
//!
//! ```no_run
//! # use sluicegate_intake as intake;
//! # async fn run() -> std::io::Result<()> {
//! use intake::rtmp::{Limits, Listener};
//! let mut listener = Listener::bind("[::]:1935".parse().unwrap(), Limits::default())?;
//! while let Some(request) = listener.accept().await {
//!     println!("{} wants to publish {}", request.peer, request.key);
//!     request.reject("nobody is at home").await;
//! }
//! # Ok(()) }
//! ```

mod connection;
mod listener;
mod pipe;
mod publisher;
mod pull;
mod request;

pub use crate::wrong_keys::{WrongKeyLimits, WrongKeys};
pub use listener::{Limits, Listener};
pub use publisher::{Closer, Event, Publisher, Why};
pub(crate) use publisher::{Feed, channel};
pub use pull::{PullError, pull};
pub use request::{Error, Request};

pub use ::rtmp::{CodecId, Error as ProtocolError, Metadata};
