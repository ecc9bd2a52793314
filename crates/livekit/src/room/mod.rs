//! A participant in a LiveKit room that publishes what an ingress has encoded, or a publisher's packets as they are, and
//! stays there: it resumes when signalling is lost, and joins again when the server has forgotten it.
//!
//! [`join`] gives a [`Participant`] to say things to and the [`Events`] that it answers with. One task drives both: the
//! signalling (`livekit-signaling`), the media (`rtc::Room`), and the UDP sockets.

mod backoff;
mod event;
mod feed;
mod hold;
mod lanes;
mod link;
mod loss;
mod messages;
mod negotiation;
mod options;
mod outbox;
mod participant;
mod resume;
mod shared;
mod signals;
mod sockets;
mod task;
mod tcp;
mod verdict;

pub use event::{Event, Events, Joined, Reason};
pub use livekit_protocol::TrackSource;
pub use options::{AudioTrack, Network, Options, TokenSource, VideoTrack};
pub use participant::{Error, Participant, join};
pub use rtc::room::OutputStats;
