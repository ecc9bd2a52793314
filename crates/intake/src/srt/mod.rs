//! SRT, spoken by a process of its own (`sluicegate-srt`), which is started, restarted and asked here.
//!
//! ```no_run
//! # use sluicegate_intake as intake;
//! # async fn run() -> std::io::Result<()> {
//! use intake::srt::{Listener, Options, Refusal};
//! let options = Options::new("target/debug/sluicegate-srt", "[::]:10080".parse().unwrap());
//! let mut listener = Listener::bind(options)?;
//! while let Some(request) = listener.accept().await {
//!     println!("{} wants to publish {}", request.peer, request.key);
//!     request.reject(Refusal::Down).await;
//! }
//! # Ok(()) }
//! ```

mod call;
mod caller;
mod listener;
mod process;
mod publisher;
mod queue;
mod request;
mod stream_id;
mod table;
mod target;

pub use call::{Call, CallError, call};
pub use listener::{Listener, Options};
pub use publisher::{Closer, Meter, Publisher, Why};
pub use request::{Error, Request};
pub use srt_wire::{Refusal, Secret, Stats};
pub use target::{Target, TargetError};
