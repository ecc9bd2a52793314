//! The server from its start to its end: what is opened, in which order, and how it is closed again.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use axum::Router;
use intake::rtmp::{Limits, Listener};
use livekit::{bus, room::Network, token::Keys};
use pipeline::Launch;
use psrpc::Bus;
use session::{Admission, Costs, Shutdown, Work};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Config, UdpPorts},
    cpu::Sampler,
    encoders,
    health::Health,
    http::Server,
    metrics::Metrics,
    srt,
    supervise::{Counted, Govern, Shared, SrtCaller, Supervisor},
    urls, whip,
};

/// How often the machine's load is looked at.
const SAMPLE: Duration = Duration::from_secs(1);

/// How long final states may still be delivered when all sessions are over.
const LAST_STATES: Duration = Duration::from_secs(5);

/// Serves until a signal ends it: SIGTERM and SIGQUIT drain, SIGINT or a second one ends sessions now.
///
/// # Errors
/// What cannot be opened at start, with what to look at.
pub async fn serve(config: Config, worker: PathBuf) -> Result<()> {
    let mut signals = Signals::listen()?;
    let health = Health::new();
    let id = crate::id::random("NE_");
    let metrics = Metrics::new(&id, health.clone());
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let folder = tempfile::Builder::new()
        .prefix("sluicegate-")
        .tempdir()
        .context("make a folder for the plugin registry")?;
    let launch = Launch::new(worker, folder.path().join("registry.bin"));
    // The two slow starts do not wait for each other.
    let (encoders, bus) =
        tokio::join!(encoders::prepare(&launch, &config.encoders), Bus::connect(config.redis.clone()));
    let encoders = encoders?;
    let bus = bus.context("unable to connect to redis")?;
    let publishers = whip::listen(&config, &health).await?;
    let mut shared = shared(&config, &bus, (launch, encoders), &metrics).await?;
    shared.whip = publishers.as_ref().map(intake::whip::Listener::resources);
    let srt_program = shared.srt.program.clone();
    let (io, reporters) = (shared.io.clone(), shared.reporters.clone());
    let wills = Arc::new(bus::Wills::new(bus.clone(), io, reporters, id, unix_nanos));
    let supervisor = Supervisor::new(shared);
    open_pages(&config, &health, &metrics, &supervisor, &stop, &mut tasks).await?;
    let listener = listen(&config)?;
    tasks.spawn({
        let (wills, stop) = (wills.clone(), stop.clone());
        async move { wills.run(stop).await }
    });
    tasks.spawn(sample(supervisor.clone(), health.clone(), metrics.clone(), stop.clone()));
    tasks.spawn(watch_redis(bus.clone(), health.clone(), metrics.clone(), stop.clone()));
    if let Some(listener) = listener {
        tracing::info!(address = %listener.local_addr(), "listening for RTMP");
        tasks.spawn(admit(listener, supervisor.clone(), stop.clone()));
    }
    if let Some(listener) = srt::listen(&config, &srt_program)? {
        tasks.spawn(srt::admit(listener, supervisor.clone(), stop.clone()));
    }
    if let Some(listener) = publishers {
        tasks.spawn(whip::admit(listener, supervisor.clone(), stop.clone()));
    }
    let pulls = supervisor.serve_pulls().await.context("serve livekit-server's requests")?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "ready");
    drain(&mut signals, &health, &supervisor).await;
    drop(pulls);
    stop.cancel();
    while tasks.join_next().await.is_some() {}
    close(supervisor, &wills).await;
    bus.close().await;
    tracing::info!("ended");
    Ok(())
}

/// Waits for the first signal, then for the last session or the second signal.
async fn drain(signals: &mut Signals, health: &Health, supervisor: &Supervisor) {
    let mut how = signals.next().await;
    health.set_draining();
    loop {
        tracing::info!(?how, sessions = supervisor.active().len(), "shutting down");
        supervisor.shut_down(how).await;
        tokio::select! {
            () = supervisor.finished() => return,
            _ = signals.next() => how = Shutdown::Now,
        }
    }
}

async fn close(supervisor: Supervisor, wills: &bus::Wills<Counted>) {
    let undelivered = supervisor.deliver_last_states(LAST_STATES).await;
    if undelivered > 0 {
        tracing::error!(
            undelivered,
            "final states could not be delivered to livekit-server; other servers will"
        );
    } else {
        wills.withdraw().await;
    }
}

async fn shared(
    config: &Config,
    bus: &Bus,
    (launch, encoders): (Launch, Vec<String>),
    metrics: &Metrics,
) -> Result<Shared> {
    let io = bus::IoInfo::connect(bus).await.context("subscribe to livekit-server's answers")?;
    let handlers = bus::Handlers::serve(bus).await.context("serve livekit-server's requests")?;
    let (_, cores) = sampler()?;
    let admission = Admission::new(costs(config), served(config), cores);
    for (work, cost, most) in admission.never_met() {
        tracing::warn!(
            ?work,
            cost,
            most,
            "this machine can never take such a session: its cpu_cost is more than it has"
        );
    }
    Ok(Shared {
        reporters: Arc::new(bus::Reporters::new(
            Arc::new(Counted::new(io.clone(), metrics.clone())),
            unix_nanos,
        )),
        io,
        handlers,
        peers: bus::whip::Peers::connect(bus).await.context("subscribe to other servers' answers")?,
        whip: None,
        srt: SrtCaller { program: srt::program(&launch.worker), latency: config.srt.latency },
        launch,
        encoders,
        keys: Keys { api_key: config.api_key.clone(), api_secret: config.api_secret.reveal().to_owned() },
        sfu: sfu(config)?,
        ws_url: config.ws_url.clone(),
        network: network(config),
        metrics: metrics.clone(),
        passthrough: config.passthrough,
        admission: Mutex::new(admission),
        processes: Arc::default(),
        govern: Arc::new(Govern::new(cores, metrics.clone())),
        fetcher: urls::fetcher(&config.url)?,
        aliases: urls::aliases(&config.url)?,
    })
}

/// livekit-server's own WHIP endpoint, where it is to be used.
fn sfu(config: &Config) -> Result<Option<livekit::whip::Endpoint>> {
    let enabled = config.whip_proxy_enabled;
    let endpoint = enabled.then(|| livekit::whip::Endpoint::new(&config.ws_url)).transpose();
    endpoint.context("whip_proxy_enabled: prepare requests to livekit-server (ws_url)")
}

fn costs(config: &Config) -> Costs {
    let cost = &config.cpu_cost;
    Costs {
        rtmp: cost.rtmp,
        whip: cost.whip,
        whip_bypass: cost.whip_bypass,
        url: cost.url,
        min_idle_ratio: cost.min_idle_ratio,
    }
}

/// What may come: `/availability` and the metric mean room for the dearest of these.
fn served(config: &Config) -> Vec<Work> {
    let whip = config.whip_port.or(config.whip_tls_port).map(|_| [Work::Whip, Work::WhipBypass]);
    let rtmp = config.rtmp_port.or(config.srt_port).map(|_| Work::Rtmp);
    rtmp.into_iter().chain(whip.into_iter().flatten()).chain([Work::Url]).collect()
}

fn network(config: &Config) -> Network {
    let ports = match &config.rtc.udp {
        UdpPorts::PerSession(ports) => Some(ports.clone()),
        // Those are for publishers that come over WebRTC.
        UdpPorts::Shared(_) => None,
    };
    Network { ports, addresses: Vec::new() }
}

/// Unix time; 0 before 1970.
fn unix_nanos() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

fn listen(config: &Config) -> Result<Option<Listener>> {
    let Some(port) = config.rtmp_port else { return Ok(None) };
    let address = SocketAddr::new(config.bind_address, port);
    let listener = Listener::bind(address, Limits::default());
    listener
        .map(Some)
        .with_context(|| format!("listen for RTMP at {address}: is another server there (rtmp_port)?"))
}

/// Hands publishers to the supervisor; closes the listener and its connections once told to stop.
async fn admit(mut listener: Listener, supervisor: Supervisor, stop: CancellationToken) {
    loop {
        tokio::select! {
            request = listener.accept() => match request {
                Some(request) => supervisor.admit(request.into()),
                None => break,
            },
            () = stop.cancelled() => break,
        }
    }
    listener.shutdown().await;
}

async fn open_pages(
    config: &Config,
    health: &Health,
    metrics: &Metrics,
    supervisor: &Supervisor,
    stop: &CancellationToken,
    tasks: &mut JoinSet<()>,
) -> Result<()> {
    let sessions = {
        let supervisor = supervisor.clone();
        move || async move { serde_json::json!({ "ingress_ids": supervisor.active() }).to_string() }
    };
    let pages = [
        ("health_port", config.health_port, health.router()),
        ("prometheus_port", config.prometheus_port, metrics.router()),
        ("debug_handler_port", config.debug_handler_port, Router::new().fallback(sessions)),
    ];
    for (key, port, router) in pages {
        let Some(port) = port else { continue };
        let address = SocketAddr::new(config.bind_address, port);
        let server =
            Server::bind(address, router).await.with_context(|| format!("listen at {address} ({key})"))?;
        let stop = stop.clone();
        tasks.spawn(async move {
            if let Err(error) = server.run(stop).await {
                tracing::error!(%error, key, "page server ended");
            }
        });
    }
    Ok(())
}

/// A sampler, and the cores that it counts.
fn sampler() -> Result<(Sampler, f64)> {
    let mut sampler = Sampler::new(Instant::now()).context("read the machine's CPU times from /proc")?;
    let cores = sampler.sample(Instant::now()).context("read the machine's CPU times from /proc")?.cores;
    Ok((sampler, cores))
}

async fn sample(supervisor: Supervisor, health: Health, metrics: Metrics, stop: CancellationToken) {
    let Ok((mut sampler, _)) = sampler().inspect_err(|error| tracing::error!("{error:#}")) else { return };
    let mut tick = tokio::time::interval(SAMPLE);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        match sampler.sample(Instant::now()) {
            Ok(usage) => {
                metrics.set_cpu_load(usage.load());
                health.set_accepting(supervisor.observe_idle(usage.idle_cores));
            }
            Err(error) => tracing::warn!(%error, "cannot read the machine's CPU times"),
        }
    }
}

async fn watch_redis(bus: Bus, health: Health, metrics: Metrics, stop: CancellationToken) {
    let mut status = bus.status();
    let mut before = true;
    loop {
        let connected = *status.borrow_and_update() == psrpc::Status::Connected;
        health.set_redis_connected(connected);
        if connected && !before {
            metrics.reconnected("redis");
            tracing::info!("connected to redis again");
        } else if before && !connected {
            tracing::error!(
                "connection to redis is lost; sessions go on, new ones are refused until it is back"
            );
        }
        before = connected;
        tokio::select! {
            changed = status.changed() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
    }
}

/// The signals that end the process.
struct Signals {
    drain: [Signal; 2],
    now: Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        let on = |kind| signal(kind).context("listen for signals");
        Ok(Self {
            drain: [on(SignalKind::terminate())?, on(SignalKind::quit())?],
            now: on(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Shutdown {
        let [terminate, quit] = &mut self.drain;
        tokio::select! {
            _ = terminate.recv() => Shutdown::Drain,
            _ = quit.recv() => Shutdown::Drain,
            _ = self.now.recv() => Shutdown::Now,
        }
    }
}
