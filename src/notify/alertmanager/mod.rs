//! Alertmanager's API v2: every peer hears everything, each through its own queue and loop.
//!
//! What counts is the current state: of one alert only the newest state waits in a queue, so an outage ends with what
//! is true then, and a dead peer neither holds up another nor grows without bound.

mod discovery;
mod payload;
mod peer;
mod queue;
mod stats;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::alert::Alert;
use crate::metric::Labels;
use crate::runtime::dns::{self, Resolve};

use super::relabel::{self, Relabel};
use super::{Clock, Transport};

pub use discovery::Discovery;
pub use stats::Stats;

use peer::Peer;
use queue::Item;

/// One Alertmanager, or one name that stands for several.
#[derive(Clone)]
pub struct PeerSettings {
    /// Base URL, path prefix included: `http://alertmanager:9093`.
    pub url: String,
    /// Time for one POST.
    pub timeout: Duration,
    /// Relabelling for this peer, after the global one.
    pub relabel: Vec<Relabel>,
    /// Sends the requests, with this peer's TLS and authorization.
    pub transport: Arc<dyn Transport>,
    /// Every address of the URL's host is a peer of its own, looked up again and again.
    pub discovery: Option<Discovery>,
}

impl fmt::Debug for PeerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerSettings")
            .field("url", &stats::redacted(&self.url))
            .field("timeout", &self.timeout)
            .field("discovery", &self.discovery)
            .finish_non_exhaustive()
    }
}

/// Everything that shapes delivery to Alertmanager.
#[derive(Clone)]
pub struct Settings {
    /// The peers; each gets every alert.
    pub peers: Vec<PeerSettings>,
    /// Labels added where an alert lacks them.
    pub external_labels: Labels,
    /// `alert_relabel_configs` for all peers.
    pub relabel: Vec<Relabel>,
    /// Most alerts waiting per peer.
    pub capacity: usize,
    /// Most alerts in one POST.
    pub batch: usize,
    /// Time to empty the queues when stopping.
    pub grace: Duration,
    /// The wall clock.
    pub clock: Clock,
    /// Knows the addresses of names.
    pub resolver: Arc<dyn Resolve>,
}

impl Settings {
    /// Prometheus' defaults: 10,000 alerts per queue, 256 per POST.
    #[must_use]
    pub fn new(peers: Vec<PeerSettings>, clock: Clock) -> Self {
        Self {
            peers,
            external_labels: Labels::empty(),
            relabel: Vec::new(),
            capacity: 10_000,
            batch: 256,
            grace: Duration::from_secs(10),
            clock,
            resolver: Arc::new(dns::Resolver),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("peers", &self.peers)
            .field("external_labels", &self.external_labels)
            .field("capacity", &self.capacity)
            .field("batch", &self.batch)
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}

/// The handle that alerts are given to. Cloning shares the queues.
#[derive(Debug, Clone)]
pub struct Alertmanagers {
    shared: Arc<Shared>,
}

struct Shared {
    /// The settings and how often they were replaced.
    settings: RwLock<(Settings, u64)>,
    peers: RwLock<Vec<Arc<Peer>>>,
    /// Counts changes of the set of peers.
    changed: watch::Sender<u64>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Alertmanagers {
    /// A handle and the loops behind it; nothing is sent until [`Runner::run`] is polled.
    #[must_use]
    pub fn new(settings: Settings) -> (Self, Runner) {
        let (changed, seen) = watch::channel(0);
        let handle = Self {
            shared: Arc::new(Shared {
                settings: RwLock::new((settings, 0)),
                peers: RwLock::new(Vec::new()),
                changed,
            }),
        };
        handle.apply_static();
        let runner = Runner {
            handle: handle.clone(),
            seen,
        };
        (handle, runner)
    }

    /// Queues the state of alerts for every peer. Never blocks; the newest state of an alert replaces an older one.
    pub fn send(&self, alerts: &[Alert]) {
        let settings = self.shared.settings.read();
        let (settings, _) = &*settings;
        let peers = self.peers();
        let mut times = payload::Times::default();
        for alert in alerts {
            let labels = relabel::with_external(&alert.labels, &settings.external_labels);
            let Some(labels) = relabel::relabel(&labels, &settings.relabel) else {
                continue;
            };
            let mut shared: Option<Item> = None;
            for peer in &peers {
                if !peer.settings.relabel.is_empty() {
                    let own = relabel::relabel(&labels, &peer.settings.relabel);
                    if let Some(item) = own.and_then(|own| payload::item(alert, &own, &mut times)) {
                        peer.push(item);
                    }
                    continue;
                }
                if shared.is_none() {
                    shared = payload::item(alert, &labels, &mut times);
                }
                match &shared {
                    Some(item) => peer.push(item.clone()),
                    None => peer.refuse(alert),
                }
            }
        }
        for peer in peers {
            peer.wake();
        }
    }

    /// Replaces the settings after a reload. Peers that stay keep their queues; the others are drained and stopped.
    pub fn reconfigure(&self, settings: Settings) {
        {
            let current = self.shared.settings.write();
            let mut current = current;
            *current = (settings, current.1 + 1);
        }
        self.apply_static();
    }

    /// The counters of every peer.
    #[must_use]
    pub fn stats(&self) -> Vec<Stats> {
        self.peers().iter().map(|peer| peer.stats()).collect()
    }

    /// Whether every queue is empty and nothing is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.peers().iter().all(|peer| peer.is_idle())
    }

    fn settings(&self) -> (Settings, u64) {
        let settings = self.shared.settings.read();
        settings.clone()
    }

    fn peers(&self) -> Vec<Arc<Peer>> {
        let peers = self.shared.peers.read();
        peers.clone()
    }

    /// The peers that need no look-up, beside those found by one before.
    fn apply_static(&self) {
        let (settings, _) = self.settings();
        let mut wanted: Vec<Arc<Peer>> = Vec::new();
        for peer in &settings.peers {
            if peer.discovery.is_none() {
                wanted.push(self.peer(peer.clone(), None));
                continue;
            }
            let found = self
                .peers()
                .into_iter()
                .filter(|p| p.origin.as_deref() == Some(&peer.url));
            wanted.extend(found.map(|p| {
                let settings = PeerSettings {
                    url: p.settings.url.clone(),
                    ..peer.clone()
                };
                self.peer(settings, Some(peer.url.clone()))
            }));
        }
        self.set(wanted);
    }

    /// Replaces the peers found for one discovered URL.
    fn apply_discovered(&self, origin: &PeerSettings, urls: &[String]) {
        let before = self.peers();
        let mut wanted: Vec<Arc<Peer>> = before
            .iter()
            .filter(|peer| peer.origin.as_deref() != Some(&origin.url))
            .cloned()
            .collect();
        for url in urls {
            let settings = PeerSettings {
                url: url.clone(),
                ..origin.clone()
            };
            wanted.push(self.peer(settings, Some(origin.url.clone())));
        }
        let same = wanted.len() == before.len()
            && wanted
                .iter()
                .all(|peer| before.iter().any(|b| Arc::ptr_eq(b, peer)));
        if !same {
            self.set(wanted);
        }
    }

    /// The peer of this URL; when the settings changed, a new one that takes over the queue.
    fn peer(&self, settings: PeerSettings, origin: Option<String>) -> Arc<Peer> {
        let (all, generation) = self.settings();
        let before = self
            .peers()
            .into_iter()
            .find(|peer| peer.settings.url == settings.url && peer.origin == origin);
        match before {
            Some(peer) if peer.generation == generation => peer,
            before => Arc::new(Peer::new(
                settings,
                origin,
                (&all, generation),
                before.as_deref(),
            )),
        }
    }

    fn set(&self, peers: Vec<Arc<Peer>>) {
        *self.shared.peers.write() = peers;
        self.shared.changed.send_modify(|version| *version += 1);
    }
}

/// The loops that post; run it once.
#[derive(Debug)]
pub struct Runner {
    handle: Alertmanagers,
    seen: watch::Receiver<u64>,
}

/// A running loop and how to end it.
struct Running {
    peer: Arc<Peer>,
    stop: CancellationToken,
    task: AbortHandle,
}

impl Runner {
    /// Runs one loop per peer until `stop`, then empties the queues within the grace period.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut loops = JoinSet::new();
        let mut running: Vec<Running> = Vec::new();
        let lookups = discovery::watch(self.handle.clone(), stop.clone());
        tokio::pin!(lookups);
        let mut looking = true;
        loop {
            self.seen.mark_unchanged();
            let wanted = self.handle.peers();
            running.retain(|old| {
                let stays = wanted.iter().any(|peer| Arc::ptr_eq(peer, &old.peer));
                if !stays {
                    old.stop.cancel();
                }
                stays
            });
            for peer in wanted {
                if running.iter().any(|old| Arc::ptr_eq(&peer, &old.peer)) {
                    continue;
                }
                let stop = stop.child_token();
                let task = loops.spawn(Arc::clone(&peer).run(stop.clone()));
                running.push(Running { peer, stop, task });
            }
            tokio::select! {
                () = stop.cancelled() => break,
                changed = self.seen.changed() => {
                    if changed.is_err() {
                        break;
                    }
                }
                () = &mut lookups, if looking => looking = false,
                Some(ended) = loops.join_next(), if !loops.is_empty() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "the loop of an alertmanager ended; it is started again");
                        running.retain(|other| !other.task.is_finished());
                    }
                }
            }
        }
        stop.cancel();
        while loops.join_next().await.is_some() {}
    }
}
