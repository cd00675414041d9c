//! The handle that queues alerts for every peer.

use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::watch;

use super::payload::{Relabelled, TimeCache};
use super::peer::Peer;
use super::settings::{PeerSettings, Settings};
use super::stats::Stats;
use crate::alert::Alert;
use crate::metric::Timestamp;
use crate::runtime::clock;

/// Queues alerts for every peer. Clones share the queues.
#[derive(Debug, Clone)]
pub struct Alertmanagers {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    /// The settings and their generation: how often they were replaced.
    pub(super) settings: RwLock<(Settings, u64)>,
    pub(super) peers: RwLock<Vec<Arc<Peer>>>,
    /// Counts changes of the set of peers.
    pub(super) changed: watch::Sender<u64>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Alertmanagers {
    /// Queues alert states for every peer. Never blocks; the newest state of an alert replaces an
    /// older one, and a firing alert takes precedence over an end with the same labels.
    pub fn send(&self, alerts: &[Alert]) {
        self.send_at(alerts, clock::now());
    }

    pub(super) fn send_at(&self, alerts: &[Alert], now: Timestamp) {
        let settings = self.shared.settings.read();
        let (settings, _) = &*settings;
        let relabelled = alerts
            .iter()
            .filter_map(|alert| Some(Relabelled::new(alert, settings.labels(&alert.labels)?)));
        let batch: Vec<Relabelled<'_>> = relabelled.collect();
        let mut times = TimeCache::default();
        for peer in self.peers() {
            peer.push_batch(&batch, &mut times, now);
            peer.wake();
        }
    }

    /// Replaces the settings after a reload. Remaining peers keep their queues; the others drain
    /// theirs and stop. Alerts that fire under labels that the new settings do not give them end.
    pub fn reconfigure(&self, settings: Settings) {
        self.reconfigure_at(settings, clock::now());
    }

    pub(super) fn reconfigure_at(&self, settings: Settings, now: Timestamp) {
        {
            let mut current = self.shared.settings.write();
            *current = (settings, current.1 + 1);
        }
        self.apply_static();
        // The lock waits for batches that were relabelled for the peers before.
        let settings = self.shared.settings.write();
        for peer in self.peers() {
            peer.relabel(&settings.0, now);
            peer.wake();
        }
    }

    /// The counters of every peer.
    #[must_use]
    pub fn stats(&self) -> Vec<Stats> {
        self.peers().iter().map(|peer| peer.stats()).collect()
    }

    /// Whether every queue is empty and no request is in flight.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.peers().iter().all(|peer| peer.is_idle())
    }

    pub(super) fn settings(&self) -> (Settings, u64) {
        let settings = self.shared.settings.read();
        settings.clone()
    }

    pub(super) fn peers(&self) -> Vec<Arc<Peer>> {
        let peers = self.shared.peers.read();
        peers.clone()
    }

    /// Applies the configured peers without discovery, and keeps the discovered ones.
    pub(super) fn apply_static(&self) {
        let (settings, _) = self.settings();
        let mut wanted: Vec<Arc<Peer>> = Vec::new();
        for peer in &settings.peers {
            if peer.discovery.is_none() {
                wanted.push(self.peer(peer.clone(), None));
                continue;
            }
            let discovered = self
                .peers()
                .into_iter()
                .filter(|p| p.origin.as_deref() == Some(&peer.url));
            wanted.extend(discovered.map(|p| {
                let settings = PeerSettings {
                    url: p.settings.url.clone(),
                    ..peer.clone()
                };
                self.peer(settings, Some(peer.url.clone()))
            }));
        }
        self.set(wanted);
    }

    /// Replaces the peers that were discovered for one URL.
    pub(super) fn apply_discovered(&self, origin: &PeerSettings, urls: &[String]) {
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

    /// The peer with this URL. If the settings have changed, a new one that takes over the queue.
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
