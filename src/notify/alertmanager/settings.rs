//! Settings of delivery to Alertmanager.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::super::relabel::{self, Relabel};
use crate::metric::Labels;
use crate::runtime::dns::{self, Record, Resolve};
use crate::runtime::http::{Client, bare_url};

/// One Alertmanager, or one name that stands for several.
#[derive(Clone)]
pub struct PeerSettings {
    /// Base URL, including a path prefix: `http://alertmanager:9093`.
    pub url: String,
    /// Time limit of one POST.
    pub timeout: Duration,
    /// Relabelling for this peer, after that for all peers.
    pub relabel: Vec<Relabel>,
    /// The HTTP client with TLS and authorization of this peer.
    pub client: Arc<Client>,
    /// How to look up the host of the URL. Every address is then a peer of its own.
    pub discovery: Option<Discovery>,
}

impl fmt::Debug for PeerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerSettings")
            .field("url", &bare_url(&self.url))
            .field("timeout", &self.timeout)
            .field("discovery", &self.discovery)
            .finish_non_exhaustive()
    }
}

/// Settings of delivery to Alertmanager.
#[derive(Clone)]
pub struct Settings {
    /// The peers; each receives every alert.
    pub peers: Vec<PeerSettings>,
    /// Labels that are added to alerts without a label of that name.
    pub external_labels: Labels,
    /// `alert_relabel_configs` for all peers.
    pub relabel: Vec<Relabel>,
    /// Capacity of the queue of each peer, in alerts.
    pub capacity: usize,
    /// Maximum number of alerts in one POST.
    pub batch: usize,
    /// Time limit for emptying the queues when stopping.
    pub grace: Duration,
    /// Resolves the names of discovered peers.
    pub resolver: Arc<dyn Resolve>,
}

impl Settings {
    /// Prometheus' defaults: 10,000 alerts per queue, 256 per POST.
    #[must_use]
    pub fn new(peers: Vec<PeerSettings>) -> Self {
        Self {
            peers,
            external_labels: Labels::empty(),
            relabel: Vec::new(),
            capacity: 10_000,
            batch: 256,
            grace: Duration::from_secs(10),
            resolver: Arc::new(dns::Resolver),
        }
    }

    /// The labels of an alert after external labels and the relabelling for all peers; `None` if a
    /// step drops it.
    pub(super) fn labels(&self, labels: &Labels) -> Option<Labels> {
        let labels = relabel::with_external(labels, &self.external_labels);
        relabel::relabel(&labels, &self.relabel)
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

/// How the host name of a peer is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Discovery {
    /// The type of the records. With SRV, the host of the URL is the full name of the service and
    /// the port of the URL is not used.
    pub record: Record,
    /// The DNS server to query instead of those of the system.
    pub server: Option<SocketAddr>,
    /// Longest time between look-ups. Records with a shorter time to live are looked up sooner, but
    /// not more often than every 5 s.
    pub refresh: Duration,
}

impl Default for Discovery {
    fn default() -> Self {
        Self {
            record: Record::Address,
            server: None,
            refresh: Duration::from_secs(30),
        }
    }
}
