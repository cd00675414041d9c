//! The listener: accepts connections until it is stopped.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{FutureExt as _, ready};
use hyper::Request;
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::super::Error;
use super::super::shared::Shared;
use super::body::{Bodies, Handler};
use super::connection::Connections;
use super::counters::Http;
use super::gate::{Gate, Service};
use super::hosts::Hosts;
use super::renderer::Renderer;
use super::reply::Reply;
use super::routes::at_once;
use super::serve::serve;
use super::web::{Load, Passwords, Reloader, Web};
use crate::metric::Labels;
use crate::runtime::host_name;

/// Time for open connections to finish when stopping.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);
/// Time to wait when no connection can be accepted, most likely for want of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A listener that is not yet serving.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    web: Option<(Web, Load)>,
    name: String,
    hosts: Hosts,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Opens the listener; `:9755` means every interface.
    ///
    /// # Errors
    /// When the address is malformed or in use.
    pub async fn bind(address: &str) -> Result<Self, Error> {
        let failed = |source: io::Error| {
            let address = address.to_owned();
            if source.kind() == io::ErrorKind::AddrInUse {
                Error::InUse(address)
            } else if source.kind() == io::ErrorKind::InvalidInput {
                Error::Address(address)
            } else {
                Error::Listen { address, source }
            }
        };
        let hosts = Hosts::new("", &[]).with_listen_address(address);
        let name = address.to_owned();
        let listener = match address.strip_prefix(':') {
            Some(port) => TcpListener::bind(format!("0.0.0.0:{port}")).await,
            None => TcpListener::bind(address).await,
        };
        let listener = listener.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        info!(%address, "listening");
        Ok(Self {
            listener,
            address,
            web: None,
            name,
            hosts,
        })
    }

    /// Serves with the TLS, users, headers and rate limit of a web configuration, and reads it
    /// again with `load` when its files change.
    #[must_use]
    pub fn with_web(mut self, web: Web, load: Load) -> Self {
        self.web = Some((web, load));
        self
    }

    /// Accepts requests that change something for these names too.
    #[must_use]
    pub(crate) fn with_hosts(mut self, hosts: Hosts) -> Self {
        self.hosts = hosts.with_listen_address(&self.name);
        self
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where users reach it unless a proxy stands before it: the address that it listens on, or
    /// the name of the machine when it listens on all of them.
    #[must_use]
    pub fn url(&self) -> String {
        let has_tls = self.web.as_ref().is_some_and(|(web, _)| web.tls.is_some());
        let scheme = if has_tls { "https" } else { "http" };
        if self.address.ip().is_unspecified() {
            return format!("{scheme}://{}:{}", host_name(), self.address.port());
        }
        format!("{scheme}://{}", self.address)
    }

    /// Serves the routes until stopped, then gives open connections a moment to finish.
    pub async fn run(self, shared: Arc<Shared>, stop: CancellationToken) {
        let counters = shared.http().clone();
        let bodies = Bodies::new(counters.clone());
        let renderer = Arc::new(Renderer::new(Arc::clone(&shared)));
        let service = move |request: Request<Incoming>| match shared.control(request.uri().path()) {
            Some(control) => control.call(bodies.call(request)).map(Into::into).boxed(),
            None => Arc::clone(&renderer).answer(request).boxed(),
        };
        self.accept(Box::new(service), counters, stop).await;
    }

    /// Serves a handler of the caller's instead of the routes, such as the demo's model server.
    pub async fn run_with(mut self, handler: Handler, stop: CancellationToken) {
        self.hosts = Hosts::any();
        let counters = Http::new(&Labels::empty());
        let bodies = Bodies::new(counters.clone());
        let service = move |request| {
            let (handler, call) = (Arc::clone(&handler), bodies.call(request));
            let answer = async move {
                let reply = match call.body.read().await {
                    Ok(body) => handler(&call.method, &call.path, &body),
                    Err(refused) => refused,
                };
                reply.into()
            };
            answer.boxed()
        };
        self.accept(Box::new(service), counters, stop).await;
    }

    /// Serves only `/-/healthy` and `/-/ready`, so that the kubelet needs neither password nor
    /// certificate.
    pub async fn run_health(self, shared: Arc<Shared>, stop: CancellationToken) {
        let service = move |request: Request<Incoming>| {
            let answer = match request.uri().path() {
                "/-/healthy" | "/-/ready" => at_once(&request, &shared),
                _ => None,
            };
            let not_found =
                || Reply::text(404, "only /-/healthy and /-/ready are served here\n").into();
            ready(answer.unwrap_or_else(not_found)).boxed()
        };
        let counters = Http::new(&Labels::empty());
        self.accept(Box::new(service), counters, stop).await;
    }

    async fn accept(self, service: Service, counters: Http, stop: CancellationToken) {
        let web = Arc::new(Reloader::new(self.web, counters.clone(), stop.clone()));
        let mut reloading = JoinSet::new();
        reloading.spawn(Arc::clone(&web).follow_files());
        let mut connections = Connections::new(counters.clone());
        let gate = Arc::new(Gate {
            service,
            web,
            hosts: self.hosts,
            passwords: Passwords::new(),
            counters,
        });
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(_) = tasks.join_next() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, from)) => {
                        if let Some(connection) = connections.admit().await {
                            tasks.spawn(serve(stream, from, connection, Arc::clone(&gate)));
                        }
                        // A client that has sent its request is served before another takes its
                        // place.
                        yield_now().await;
                    }
                    Err(error) => {
                        warn!(%error, "cannot accept a connection");
                        sleep(ACCEPT_RETRY).await;
                    }
                }
            }
        }
        let finished = async { while tasks.join_next().await.is_some() {} };
        if timeout(SHUTDOWN_TIMEOUT, finished).await.is_err() {
            debug!("connections cut off");
        }
    }
}
