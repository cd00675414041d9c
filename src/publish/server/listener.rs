//! The listener and its connections, whatever they are asked.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hyper::Request;
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::super::Error;
use super::super::shared::Shared;
use super::connections::Connections;
use super::counters::Http;
use super::embedded::{Handler, controlled, embedded, health};
use super::gate::{Gate, Respond};
use super::routes::{Answer, answer};
use super::serve::serve;
use super::web::{Live, Load, Reread, Web};
use crate::metric::Labels;

/// Time between looks at every connection's clock.
const SWEEP: Duration = Duration::from_millis(500);
/// Time between looks at the web configuration and its certificates.
const LOOK: Duration = Duration::from_secs(1);
/// Time for open connections to finish when stopping.
const DRAIN: Duration = Duration::from_secs(2);

/// A listener that serves what is shared.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    web: Option<(Web, Load)>,
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
        let all = address
            .strip_prefix(':')
            .map(|port| format!("0.0.0.0:{port}"));
        let target = all.as_deref().unwrap_or(address);
        let listener = TcpListener::bind(target).await.map_err(|source| {
            let address = address.to_owned();
            if source.kind() == io::ErrorKind::AddrInUse {
                Error::InUse(address)
            } else if source.kind() == io::ErrorKind::InvalidInput {
                Error::Address(address)
            } else {
                Error::Listen { address, source }
            }
        })?;
        let address = listener.local_addr().map_err(|source| Error::Listen {
            address: address.to_owned(),
            source,
        })?;
        info!(%address, "listening");
        Ok(Self {
            listener,
            address,
            web: None,
        })
    }

    /// Asks for what a web configuration asks for, and reads it again with `load` when its files change.
    #[must_use]
    pub fn with_web(mut self, web: Web, load: Load) -> Self {
        self.web = Some((web, load));
        self
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves the routes until stopped, then lets open connections finish for a moment.
    pub async fn run(self, shared: Arc<Shared>, stop: CancellationToken) {
        let counters = shared.http().clone();
        let respond = move |request: Request<Incoming>| -> BoxFuture<'static, Answer> {
            if let Some(control) = shared.control(request.uri().path()) {
                return Box::pin(controlled(request, control));
            }
            let answer = answer(&request, &shared);
            Box::pin(std::future::ready(answer))
        };
        self.accept(Arc::new(respond), counters, stop).await;
    }

    /// Serves a handler of the caller's instead of the routes: for embedded servers such as the demo's.
    pub async fn run_with(self, handler: Handler, stop: CancellationToken) {
        let respond = move |request: Request<Incoming>| -> BoxFuture<'static, Answer> {
            Box::pin(embedded(request, Arc::clone(&handler)))
        };
        let counters = Http::new(&Labels::empty());
        self.accept(Arc::new(respond), counters, stop).await;
    }

    /// Serves only `/-/healthy` and `/-/ready`, so that the kubelet needs neither password nor certificate.
    pub async fn run_health(self, shared: Arc<Shared>, stop: CancellationToken) {
        let handler: Handler = Arc::new(move |_, path, _| health(path, &shared));
        self.run_with(handler, stop).await;
    }

    async fn accept(self, respond: Arc<Respond>, counters: Http, stop: CancellationToken) {
        let live = self
            .web
            .map(|(web, load)| Arc::new(Live::new(web, load, counters.clone())));
        let connections = Arc::new(Connections::new(counters.clone()));
        let gate = Gate::new(respond, live.clone(), Arc::clone(&connections), counters);
        let gate = Arc::new(gate);
        let mut accepting = Accepting {
            connections,
            tasks: JoinSet::new(),
            next: 0,
            gate,
            stop: stop.clone(),
        };
        let mut looks: JoinSet<Reread> = JoinSet::new();
        let (mut sweep, mut look) = (interval(SWEEP), interval(LOOK));
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                // Nobody there costs nothing.
                _ = sweep.tick(), if !accepting.tasks.is_empty() => accepting.sweep(),
                Some(found) = looks.join_next() => {
                    if matches!(found, Ok(Reread::OtherTls)) {
                        accepting.connections.retire();
                    }
                }
                _ = look.tick(), if live.is_some() && looks.is_empty() => {
                    if let Some(live) = live.clone() {
                        looks.spawn_blocking(move || live.reread());
                    }
                }
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, from)) => {
                        accepting.take(stream, from);
                        // Whoever has already asked is heard before the next one takes the place.
                        yield_now().await;
                    }
                    Err(error) => {
                        // Out of file descriptors, most likely; others may be closed meanwhile.
                        warn!(%error, "cannot accept a connection");
                        sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        }
        accepting.drain().await;
    }
}

/// The connections of a listener and their tasks.
struct Accepting {
    connections: Arc<Connections>,
    tasks: JoinSet<()>,
    next: u64,
    gate: Arc<Gate>,
    stop: CancellationToken,
}

impl Accepting {
    fn take(&mut self, stream: TcpStream, from: SocketAddr) {
        self.next += 1;
        let admitted = self
            .connections
            .admit(self.next, from.ip().to_canonical(), Instant::now());
        if let Some(member) = admitted {
            let (gate, stop) = (Arc::clone(&self.gate), self.stop.clone());
            self.tasks.spawn(serve(stream, member, gate, stop));
        }
        while self.tasks.try_join_next().is_some() {}
    }

    fn sweep(&mut self) {
        self.connections.sweep(Instant::now());
        while self.tasks.try_join_next().is_some() {}
    }

    async fn drain(mut self) {
        let drained = timeout(DRAIN, async {
            while self.tasks.join_next().await.is_some() {}
        })
        .await;
        if drained.is_err() {
            debug!("connections cut off");
        }
    }
}
