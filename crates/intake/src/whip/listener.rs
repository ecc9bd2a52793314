use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{
    Error, context::Context, endpoint, http::Http, net::Net, options::Options, reply, request::Call,
    resources::Resources,
};
use crate::{socket, waiting::Waiting, wrong_keys::WrongKeys};

/// Calls that wait for [`Listener::accept`]: more publishers than any machine takes in one moment. Past it requests wait, and
/// are told that the server is busy.
const CALLS: usize = 64;

/// Listening sockets and the tasks of their connections and publishers. Dropping it ends them all without waiting;
/// [`Listener::shutdown`] waits.
pub struct Listener {
    http: Option<SocketAddr>,
    https: Option<SocketAddr>,
    calls: mpsc::Receiver<Call>,
    context: Arc<Context>,
    tasks: TaskTracker,
    end: DropGuard,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { http, https, .. } = self;
        f.debug_struct("Listener").field("http", http).field("https", https).finish_non_exhaustive()
    }
}

impl Listener {
    /// Listens. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// What the system says about an address, with its name.
    pub async fn bind(options: Options) -> Result<Listener, Error> {
        let Options { http, https, media, ice_servers, limits, routes } = options;
        if media.addresses.is_empty() {
            return Err(Error::NoAddress);
        }
        let listen =
            |what, address| socket::listen(address).map_err(|error| Error::bind(what, address, error));
        let http = http.map(|address| listen("HTTP", address)).transpose()?;
        let https = match https {
            Some((address, config)) => Some((listen("HTTPS", address)?, config)),
            None => None,
        };
        let (tasks, end) = (TaskTracker::new(), CancellationToken::new());
        let (sender, calls) = mpsc::channel(CALLS);
        let ice_lite = media.ice_lite;
        let context = Arc::new(Context {
            calls: sender,
            net: Net::bind(media, tasks.clone(), end.clone())?,
            resources: Resources::default(),
            wrong_keys: Mutex::new(WrongKeys::new(limits.wrong_keys)),
            limits,
            ice_lite,
            links: ice_servers.iter().filter_map(|url| reply::link(url)).collect(),
            tasks: tasks.clone(),
            end: end.clone(),
        });
        let router = endpoint::router(routes, context.clone());
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let serve = |listener: tokio::net::TcpListener, tls| {
            let addr = listener.local_addr().ok();
            let http = Http { listener, tls, router: router.clone(), waiting: waiting.clone(), limits };
            tasks.spawn(http.run(end.clone()));
            addr
        };
        let http = http.and_then(|listener| serve(listener, None));
        let https = https.and_then(|(listener, config)| serve(listener, Some(TlsAcceptor::from(config))));
        Ok(Listener { http, https, calls, context, tasks, end: end.drop_guard() })
    }

    /// Where HTTP is served.
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Where HTTPS is served.
    pub fn https_addr(&self) -> Option<SocketAddr> {
        self.https
    }

    /// The shared UDP sockets, as bound.
    pub fn udp_addrs(&self) -> Vec<SocketAddr> {
        self.context.net.udp_addrs()
    }

    /// The listeners for ICE over TCP, as advertised.
    pub fn tcp_addrs(&self) -> Vec<SocketAddr> {
        self.context.net.tcp_addrs()
    }

    /// Datagrams that were for no publisher, since the start.
    pub fn unknown_datagrams(&self) -> u64 {
        self.context.net.routes().unknown()
    }

    /// Addresses from which publishers' datagrams come, now.
    pub fn known_addresses(&self) -> usize {
        self.context.net.routes().known()
    }

    /// The next call; `None` after [`Listener::stop`], when no more can come.
    pub async fn accept(&mut self) -> Option<Call> {
        self.calls.recv().await
    }

    /// What lives here, for the bus.
    pub fn resources(&self) -> Resources {
        self.context.resources.clone()
    }

    /// Refuses whoever wants to publish from now on with 503. Publishers go on, and their resources are served.
    pub fn stop(&mut self) {
        self.calls.close();
    }

    /// Closes everything and waits for the tasks.
    pub async fn shutdown(self) {
        drop(self.calls);
        drop(self.end);
        self.tasks.close();
        self.tasks.wait().await;
    }
}
