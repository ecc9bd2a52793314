//! The control plane over LiveKit's bus: records are looked up and states posted at livekit-server's IOInfo, and
//! livekit-server asks for sessions to end through IngressHandler.
//!
//! ```text
//! IoInfo ── ingress_by_key ─► Record ── admit ─► Media, or a Refusal
//!   ▲                            │
//!   └── one state at a time ── Reporters ── open ─► Reporter ◄── Status   (one per session)
//!   └── Wills, for servers that died ◄── open_sessions ── Reporters         (one per process)
//! Handlers ── register ─► Registration ── recv ─► Request{reply}          (one per session)
//!          ├─ serve_pulls ─► Puller ◄── Pull                                 (one per process; URLs to play)
//!          ├─ notices ─► Notices ── changed ─► Notice                       (one per WHIP publisher that the SFU has itself)
//!          └─ register_whip ─► whip::Resource ◄── whip::Peers             (any node, one per WHIP session)
//! ```

mod error;
mod handlers;
mod io_info;
pub mod messages;
pub mod methods;
mod notices;
mod pulls;
mod record;
mod report;
mod status;
pub mod whip;
mod wills;

pub use error::Error;
pub use handlers::{Handlers, Registration, Reply, Request};
pub use io_info::IoInfo;
pub use livekit_protocol::IngressState;
pub use notices::{Notice, Notices};
pub use pulls::{NotStarted, Pull, Puller, Pulls};
pub use record::{AudioOptions, Encoding, Input, Invalid, Media, Record, Refusal, TrackSource, VideoOptions};
pub use report::{Gone, Post, Reporter, Reporters};
pub use status::{Audio, Outcome, Phase, Status, Video};
pub use wills::Wills;
