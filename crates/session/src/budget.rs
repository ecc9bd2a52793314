use std::time::Duration;

/// Every deadline of a session. [`Budget::default`] is for real; tests shorten what they like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// From `AcceptSource` to its answer: one write to a connection that just spoke. Past it the connection is closed.
    pub accept: Duration,
    /// From `Join` to `RoomJoined`: several tries of the room's own. Past it: `could not connect to the room`.
    pub join: Duration,
    /// From an accepted publisher to playable media; encoders send a keyframe every 2–4 s, some every 10 s.
    /// Past it: `source encoder not ready`.
    pub first_media: Duration,
    /// The same for a publisher whose media goes to the SFU directly: the SFU tells what comes each 10 s, and the first time before
    /// anybody can listen.
    pub proxied_media: Duration,
    /// So long the SFU may say nothing of a publisher that it has itself, as the Go worker allows: the bus may be away, while media
    /// flows. Past it: `room disconnected unexpectedly`.
    pub proxied_silence: Duration,
    /// From the admission of a pull to the description of its first track: name, connection, redirects, and for a file whose index is
    /// at the end all of it from servers without ranges, which may take two minutes. The fetcher's own limits come first, and know the cause. Past it: an
    /// error that says so.
    pub pull_open: Duration,
    /// From an open URL to playable media: the same as for a publisher, and the start of a worker on a machine that starts many,
    /// for which a pull waits before it plays.
    pub pull_media: Duration,
    /// So long a pull may give nothing. The fetcher tries again for less, and then says why.
    pub pull_silence: Duration,
    /// A live publisher may send nothing for this long (fault 21: 30 s of silence survive). Past it: the same.
    pub silence: Duration,
    /// From `StartWorker` to `WorkerReady`: ~0.3 s on a quiet machine, several seconds on one that starts many. Past it the
    /// worker counts as failed. As long may a worker be silent that somebody watches again after nobody did: it decodes all
    /// pictures since the last keyframe first.
    pub worker_start: Duration,
    /// Media goes in and nothing comes out, neither picture nor sound: a stopped or stuck worker. Past it the worker counts as
    /// failed. Both sides are summed up each 200 ms, so it is noticed up to 0.3 s later; with a new start and the decoding of
    /// what was kept (0.4 to 0.8 s) that stays within the 2 s of fault 32. It is no lack of CPU: a starved worker is behind, but
    /// gives a packet of sound each 20 ms and what pictures it can; 40 packets in a row do not fail for want of CPU.
    pub worker_stall: Duration,
    /// Before the second restart in a row; doubles each time. The first is at once.
    pub restart_delay: Duration,
    /// So many failures of workers within `restart_window` are one too many: the fault is in the media or in us.
    pub restart_limit: usize,
    /// See `restart_limit`.
    pub restart_window: Duration,
    /// So many workers in a row that gave out nothing at all: what the source sends cannot be decoded.
    pub fruitless_limit: u32,
    /// How long a kind that is ready waits for the other one that is expected, so that both are published at once
    /// (fault 19: what exists is published within 1 s).
    pub companion: Duration,
    /// From `Publish` to `Published`. Past it: `could not publish to the room`.
    pub publish: Duration,
    /// From `RoomReconnecting` to `RoomResumed`: the room's ten tries with their pauses (publish.md §6), and some more. Past it:
    /// `room disconnected unexpectedly`.
    pub reconnect: Duration,
    /// Keyframes of one layer on request are this far apart at least; a resumed layer's keyframe is often followed by a PLI
    /// at once (publish.md §3).
    pub keyframe: Duration,
    /// A publisher's own key picture that is expected within this time is waited for, where a subscriber needs a keyframe: the
    /// worker's would take about as long (decode what is kept, encode one picture).
    pub near_key: Duration,
    /// States whose description changed (size, first bitrate) are this far apart at least.
    pub describe: Duration,
    /// States of which only the bitrate changed are this far apart at least, as the Go worker's.
    pub refresh: Duration,
    /// How long a worker may give out its last frames when the publisher stopped.
    pub flush: Duration,
    /// From the end of media to `Over`: leave the room, post the final state. Well under the 3 s after which
    /// livekit-server gives up on a `DeleteIngress`.
    pub leave: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            accept: Duration::from_secs(5),
            join: Duration::from_secs(15),
            first_media: Duration::from_secs(10),
            proxied_media: Duration::from_secs(35),
            proxied_silence: Duration::from_secs(180),
            pull_open: Duration::from_secs(160),
            pull_media: Duration::from_secs(20),
            pull_silence: Duration::from_secs(120),
            silence: Duration::from_secs(30),
            worker_start: Duration::from_secs(10),
            worker_stall: Duration::from_millis(800),
            restart_delay: Duration::from_millis(200),
            restart_limit: 5,
            restart_window: Duration::from_secs(60),
            fruitless_limit: 3,
            companion: Duration::from_secs(1),
            publish: Duration::from_secs(10),
            reconnect: Duration::from_secs(60),
            keyframe: Duration::from_millis(300),
            near_key: Duration::from_millis(150),
            describe: Duration::from_secs(1),
            refresh: Duration::from_secs(60),
            flush: Duration::from_secs(1),
            leave: Duration::from_secs(2),
        }
    }
}
