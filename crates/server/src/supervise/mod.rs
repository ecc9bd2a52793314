//! Where publishers, sessions, workers, rooms and the control plane meet. Nothing is decided here that `session` can decide.

mod actor;
mod door;
mod feed;
mod forward;
mod govern;
mod mail;
mod marks;
mod over;
mod passage;
mod processes;
mod proxy;
mod publisher;
mod pull;
mod report;
mod resource;
mod room;
mod sound;
mod source;
mod srt;
mod whip;
mod worker;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use intake::{
    url::{Aliases, Fetcher},
    whip::Resources,
};
use livekit::{bus, room::Network, token::Keys};
use pipeline::{Audio, Launch, Plan, ladder};
use session::{Admission, Reason, Registry, Shutdown};
use tokio_util::task::TaskTracker;

use crate::metrics::{self, Metrics, Publication};
pub use govern::Govern;
use mail::Mail;
pub use processes::Processes;
pub use publisher::Request;
pub use pull::SrtCaller;
pub use report::Counted;

/// What all sessions of this process share.
pub struct Shared {
    /// Look-ups at livekit-server.
    pub io: bus::IoInfo,
    /// Requests from livekit-server.
    pub handlers: bus::Handlers,
    /// Other nodes' WHIP sessions.
    pub peers: bus::whip::Peers,
    /// Our own; `None` when WHIP is off.
    pub whip: Option<Resources>,
    /// States for livekit-server.
    pub reporters: Arc<bus::Reporters<Counted>>,
    /// How workers are started.
    pub launch: Launch,
    /// The encoders that sessions use, best first; none: software.
    pub encoders: Vec<String>,
    /// Signs the participants' tokens.
    pub keys: Keys,
    /// livekit-server's own WHIP endpoint, when it is to have publishers of untranscoded WHIP itself.
    pub sfu: Option<livekit::whip::Endpoint>,
    /// livekit-server's WebSocket URL.
    pub ws_url: String,
    /// Where participants' media leaves from.
    pub network: Network,
    /// What is counted.
    pub metrics: Metrics,
    /// A publisher's own pictures may be the top layer.
    pub passthrough: bool,
    /// Who may start.
    pub admission: Mutex<Admission>,
    /// Who does without what when the machine has too little CPU.
    pub govern: Arc<Govern>,
    /// The workers.
    pub processes: Arc<Processes>,
    /// The one way of URL inputs to the network.
    pub fetcher: Fetcher,
    /// The way to SRT streams of other servers.
    pub srt: SrtCaller,
    /// URLs that stand for others.
    pub aliases: Aliases,
}

impl Shared {
    fn admission(&self) -> MutexGuard<'_, Admission> {
        // Admission is arithmetic on its own fields: a panic elsewhere leaves it whole.
        self.admission.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self, input: metrics::Input, reason: &Reason) {
        self.metrics.refused(reason.label());
        let how = match reason {
            Reason::ControlUnavailable => Publication::Internal,
            _ => Publication::Refused,
        };
        self.metrics.published(input, how);
    }
}

/// The sessions of this process. Clones share them.
#[derive(Clone)]
pub struct Supervisor {
    shared: Arc<Shared>,
    sessions: Registry<Mail>,
    tasks: TaskTracker,
}

impl Supervisor {
    /// No sessions yet.
    pub fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared), sessions: Registry::new(), tasks: TaskTracker::new() }
    }

    /// Takes the machine's idle cores into account, once a second: takes from the sessions what it lacks, or gives it back.
    /// True when there is room for another session of any kind.
    pub fn observe_idle(&self, idle_cores: f64) -> bool {
        let now = Instant::now();
        let strained = self.shared.govern.observe(now, idle_cores);
        let worker_cores = self.shared.processes.cores(now);
        let mut admission = self.shared.admission();
        admission.observe(idle_cores, worker_cores);
        admission.set_strained(strained);
        admission.available(now)
    }

    /// The ids of the ingresses that have a session here.
    pub fn active(&self) -> Vec<String> {
        let mut ids: Vec<String> = self.sessions.all().into_iter().map(|(id, _)| id).collect();
        ids.sort_unstable();
        ids
    }

    /// Takes URLs to play from livekit-server, until what is returned is dropped. While the server drains, only those that it
    /// plays already.
    ///
    /// # Errors
    /// Redis does not confirm the subscription.
    pub async fn serve_pulls(&self) -> Result<bus::Pulls, psrpc::BusError> {
        self.shared.handlers.serve_pulls(self.clone()).await
    }

    /// No session begins any more; those that run go on ([`Shutdown::Drain`]) or end now. Returns when that is told.
    pub async fn shut_down(&self, how: Shutdown) {
        self.shared.admission().close();
        for (_, mail) in self.sessions.all() {
            mail.shut_down(how).await;
        }
    }

    /// Returns when no session and no request is left. Call after [`Supervisor::shut_down`].
    pub async fn finished(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Waits until livekit-server has the final state of every session, for at most `within`. Gives the number of those that
    /// it has not. Call after [`Supervisor::finished`].
    pub async fn deliver_last_states(&self, within: Duration) -> usize {
        self.shared.reporters.shutdown(within).await
    }
}

/// What a worker is to make of a source, from what the ingress asks for, by these encoders.
fn plan(media: &bus::Media, encoders: &[String]) -> Plan {
    let video = match &media.video.encoding {
        bus::Encoding::Preset(name) => ladder::preset(name)
            .or_else(|| ladder::preset(ladder::DEFAULT_PRESET))
            .expect("the default preset is data of ours"),
        bus::Encoding::Custom(ladder) => ladder.clone(),
    };
    let audio = Audio::custom(media.audio.channels.into(), media.audio.bitrate_bps, media.audio.dtx);
    Plan { video, audio, encoders: encoders.to_vec() }
}
