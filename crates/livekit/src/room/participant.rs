use std::{sync::Arc, time::Duration};

use media::{Encoded, Kind, Layer, Output, RtpPacket};
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinHandle,
    time::{Instant, sleep},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::Instrument;

use super::{
    AudioTrack, Events, Options, VideoTrack,
    backoff::Backoff,
    link::{Failure, Link},
    messages,
    outbox::{CHANNEL, Outbox},
    shared::Shared,
    task::Task,
};

/// A server that cannot be reached for this long is not coming back soon enough for the publisher that waits.
const JOIN_BUDGET: Duration = Duration::from_secs(10);

/// What a participant cannot do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server does not take this participant: trying again will not help.
    #[error("room join at {url} refused: {reason}")]
    Refused {
        /// The server, without secrets.
        url: String,
        /// Its words.
        reason: String,
    },
    /// The server could not be reached in 10 s.
    #[error("room join at {url} failed: {reason}")]
    Unreachable {
        /// The server, without secrets.
        url: String,
        /// The last attempt's error.
        reason: String,
    },
    /// A second track of a kind.
    #[error("second {0} track: a participant publishes one")]
    TrackTwice(Kind),
    /// Layers that cannot be one track.
    #[error(transparent)]
    Layers(#[from] rtc::room::Error),
    /// Other layers than those published.
    #[error("layers {0:?} are not those of the published track")]
    OtherLayers(Vec<Layer>),
}

/// A handle to a participant; all clones mean the same one. When the last one is dropped, the participant leaves.
#[derive(Debug, Clone)]
pub struct Participant {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    leave: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
    _leave_on_drop: DropGuard,
}

/// Joins a room; returns when the server has let the participant in. Tries for 10 s when the server is not there. Dropping
/// the future gives up.
///
/// Publish within a minute: livekit-server removes a participant that has no media connection by then, and this one would
/// have to join anew. Runs in the caller's tracing span.
pub async fn join(options: Options) -> Result<(Participant, Events), Error> {
    // The signalling client brings a second provider, and rustls panics when it has to choose. The process's choice, if it
    // made one, stands.
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let give_up = Instant::now() + JOIN_BUDGET;
    let mut backoff = Backoff::default();
    let link = loop {
        sleep(backoff.next()).await;
        match Link::connect(&options, rtc::room::Epoch::default()).await {
            Ok(link) => break link,
            Err(Failure::Refused(reason)) => return Err(Error::Refused { url: options.ws_url, reason }),
            Err(Failure::Unreachable(reason)) if Instant::now() >= give_up => {
                return Err(Error::Unreachable { url: options.ws_url, reason });
            }
            Err(Failure::Unreachable(reason)) => tracing::debug!(%reason, "room join failed, trying again"),
        }
    };
    let (sender, receiver) = mpsc::channel(CHANNEL);
    let shared = Arc::new(Shared::new(options.forward));
    let leave = CancellationToken::new();
    let task = Task::new(options, shared.clone(), leave.clone(), Outbox::new(sender));
    let task = tokio::spawn(task.run(link).in_current_span());
    let leave_on_drop = leave.clone().drop_guard();
    let inner = Inner { shared, leave, task: Mutex::new(Some(task)), _leave_on_drop: leave_on_drop };
    Ok((Participant { inner: Arc::new(inner) }, Events { receiver }))
}

impl Participant {
    /// Publishes the picture track, now or as soon as the room can be reached; again by itself after a full rejoin.
    pub fn publish_video(&self, track: VideoTrack) -> Result<(), Error> {
        rtc::room::check_layers(&track.layers)?;
        let wanted = self.inner.shared.want_video(track);
        wanted.then_some(()).ok_or(Error::TrackTwice(Kind::Video))
    }

    /// Publishes the sound track; see [`Participant::publish_video`].
    pub fn publish_audio(&self, track: AudioTrack) -> Result<(), Error> {
        let wanted = self.inner.shared.want_audio(track);
        wanted.then_some(()).ok_or(Error::TrackTwice(Kind::Audio))
    }

    /// The source changed its size, and with it the layers theirs: same qualities, other numbers. The tracks stay.
    pub fn update_layers(&self, layers: Vec<Layer>) -> Result<(), Error> {
        let known = self.inner.shared.resize(layers.clone());
        known.then_some(()).ok_or(Error::OtherLayers(layers))
    }

    /// Sends a frame. Never waits: frames that the room does not take in time are dropped up to the next keyframe, which is
    /// asked for with [`Event::KeyframeNeeded`](super::Event::KeyframeNeeded). Returns false when this one was dropped.
    pub fn write(&self, frame: Encoded) -> bool {
        self.inner.shared.write(frame)
    }

    /// Sends a publisher's packet, where [`Options::forward`] says so. Never waits, and drops as [`Participant::write`] does;
    /// packets of a picture in its middle go with it. Returns false when this one was dropped.
    ///
    /// Packets of one stream keep their distances; another stream goes on after the last one (see [`rtc::Room::forward`]).
    /// What is dropped here, or not handed over before [`Participant::pause`], is no loss to the room.
    pub fn forward(&self, output: Output, packet: RtpPacket) -> bool {
        self.inner.shared.forward(output, packet)
    }

    /// Packets of this output were not handed over, or will not be for a while: the next one, which had better be a
    /// keyframe's first, follows the last one without a gap.
    pub fn pause(&self, output: Output) {
        self.inner.shared.packets.cut(output);
    }

    /// Sets an attribute of this participant, now or as soon as the room can be reached; again by itself after a full rejoin. An empty value
    /// removes it.
    pub fn set_attribute(&self, name: &str, value: &str) {
        self.inner.shared.set_attribute(name, value);
    }

    /// Sends a message to all who are in the room, on the reliable channel. Never waits: some wait for the room, and then the oldest is lost.
    /// `payload`: LiveKit's clients expect at most some 15 000 bytes.
    pub fn send_data(&self, topic: &str, payload: &[u8]) {
        self.inner.shared.send(messages::data(topic, payload));
    }

    /// Frames or packets that were dropped because the room did not take them in time.
    pub fn dropped(&self) -> u64 {
        self.inner.shared.dropped()
    }

    /// Leaves the room and ends the task; returns when both are done, within 5 s.
    pub async fn leave(&self) {
        self.inner.leave.cancel();
        if let Some(task) = self.inner.task.lock().await.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "participant task failed");
        }
    }
}
