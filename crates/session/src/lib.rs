//! The one state machine of an ingress session, and who may start one.
//!
//! Everything here is a value: [`Ingress::handle`] takes the time and one [`Input`] and gives back [`Output`]s, in order,
//! for the caller to carry out. Nothing opens a socket, spawns, sleeps or reads a clock, so a day of faults runs in a test
//! in milliseconds.
//!
//! ```text
//! Asked ─► Admitted ─► Joining ─► Buffering ─► Live ─► Draining ─► Over
//!   └► refused            └───────────┴──────────┴──────────▲  any failure or request
//! ```
//!
//! [`Admission`] decides whether the machine has room for one more session, [`Registry`] whether a connection is a new session
//! or takes over a running one, [`Governor`] what each session has to do without when the machine has too little CPU.
#![forbid(unsafe_code)]

mod admission;
mod budget;
mod cost;
mod degradation;
mod drain;
mod forward;
mod governor;
mod id;
mod ingress;
mod input;
mod layers;
mod meter;
mod output;
mod passing;
mod proxied;
mod pull;
mod qualities;
mod reason;
mod registry;
mod reports;
mod room;
mod running;
mod sources;
mod status;
mod tracks;
mod worker;

pub use admission::{Admission, Claim};
pub use budget::Budget;
pub use cost::{Costs, Demand, Work};
pub use degradation::{Cause, Degradation, SessionId, Step, Top, Vitals};
pub use governor::Governor;
pub use id::{SourceId, Token, WorkerId};
pub use ingress::{Ingress, Settings, Stage};
pub use input::{Admitted, Input, RoomEnd, Shutdown, SoundWay, SourceEnd, SourceInfo, StateRefusal};
pub use output::{Answer, Outcome, Output};
pub use qualities::Qualities;
pub use reason::{Reason, Why};
pub use registry::{Entry, Hold, Registry};
pub use status::{AudioState, Phase, Status, VideoState};
