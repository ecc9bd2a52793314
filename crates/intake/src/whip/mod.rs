//! WHIP: WebRTC publishers over HTTP (RFC 9725).
//!
//! ```no_run
//! # use sluicegate_intake as intake;
//! # async fn run() -> Result<(), intake::whip::Error> {
//! use intake::whip::{Address, Call, Event, Listener, Media, Mode, Options};
//! let ip = "192.0.2.1".parse().unwrap();
//! let media = Media { addresses: vec![Address { bind: ip, advertise: ip }], ..Media::default() };
//! let http = "[::]:8080".parse().ok();
//! let mut listener = Listener::bind(Options { http, media, ..Options::default() }).await?;
//! while let Some(call) = listener.accept().await {
//!     let Call::Publish(request) = call else { continue };
//!     let mut publisher = request.accept("WH_unguessable".to_owned(), Mode::Packets).await?;
//!     while let Some(event) = publisher.recv().await {
//!         if let Event::Packet(track, packet) = event {
//!             println!("{track:?}: {packet:?}");
//!         }
//!     }
//! }
//! # Ok(()) }
//! ```

mod body;
mod context;
mod endpoint;
mod error;
mod external;
mod http;
mod listener;
mod net;
mod options;
mod publisher;
mod relay;
mod reply;
mod request;
mod resources;
mod task;

pub use error::Error;
pub use external::external_address;
pub use listener::Listener;
pub use options::{Address, Limits, Media, Options, Udp};
pub use publisher::{Closer, Control, Event, Publisher, Why};
pub use relay::{Passed, Patches, Relay, RelayAnswer, RelayEnd};
pub use request::{Action, Call, Elsewhere, Fragment, Request, Sdp, Status};
pub use resources::{PatchDone, PatchError, Resources};

pub use crate::wrong_keys::{WrongKeyLimits, WrongKeys};
pub use rtc::whip::{Mode, Offer, RESENDABLE, Stats, Track};
