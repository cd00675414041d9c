//! Sends alerts and retraining requests to Alertmanagers, webhooks and custom notifiers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tracing::info;

use super::error::MonitorError;
use crate::alert::Alert;
use crate::config::Config;
use crate::config::settings::{Mode, Retraining, Settings};
use crate::notify::alertmanager::{self, PeerSettings, Stats};
use crate::notify::relabel::{self, Relabel};
use crate::notify::retrain::{Deliveries, Entry, Receiver, ReceiverStats, Webhook};
use crate::notify::{Alertmanagers, Clock, RetrainRequest, RetrainingNotifier};
use crate::runtime::http::Client;
use crate::runtime::{Stage, clock};
use crate::state::{Store, StoreOutbox};

/// How long a request to a custom notifier is retried before it counts as dead.
const NOTIFIER_EXPIRY: Duration = Duration::from_secs(3 * 24 * 3600);

/// Queues in front of Alertmanager and the receivers of retraining requests.
#[derive(Debug)]
pub(super) struct Dispatcher {
    delivery: Delivery,
    notifiers: Notifiers,
    grace: Duration,
}

/// Accepts alerts and requests for delivery. Clones share the queues.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) alertmanagers: Alertmanagers,
    pub(super) deliveries: Deliveries,
}

impl Delivery {
    /// Queues without waiting for the network; the entries are in the outbox already.
    pub(super) fn deliver(&self, alerts: &[Alert], entries: Vec<Entry>) {
        self.alertmanagers.send(alerts);
        if !entries.is_empty() {
            self.deliveries.enqueue(entries);
        }
    }
}

/// Custom notifiers.
struct Notifiers(Vec<Arc<dyn RetrainingNotifier>>);

impl fmt::Debug for Notifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Notifiers").field(&self.0.len()).finish()
    }
}

impl Dispatcher {
    /// Prepares the queues and spawns the loops that empty them.
    pub(super) fn new(
        config: &Config,
        notifiers: Vec<Arc<dyn RetrainingNotifier>>,
        store: Arc<Store>,
        mut stage: Stage<'_>,
        grace: Duration,
    ) -> Result<Self, MonitorError> {
        let clock: Clock = Arc::new(clock::now);
        let (alertmanagers, runner) = Alertmanagers::new(peers(config, grace));
        stage.spawn("alertmanager", runner.run(stage.token()));
        let outbox = Arc::new(StoreOutbox::new(store));
        let receivers = receivers(config, &notifiers);
        let (deliveries, runner) = Deliveries::new(receivers, outbox, clock, grace)?;
        stage.spawn("retraining", runner.run(stage.token()));
        Ok(Self {
            delivery: Delivery {
                alertmanagers,
                deliveries,
            },
            notifiers: Notifiers(notifiers),
            grace,
        })
    }

    /// Applies the receivers of a new configuration; those that stay keep their queues.
    pub(super) fn reconfigure(&self, config: &Config) {
        self.delivery
            .alertmanagers
            .reconfigure(peers(config, self.grace));
        self.delivery
            .deliveries
            .reconfigure(receivers(config, &self.notifiers.0));
    }

    /// The requests in delivery.
    pub(super) fn deliveries(&self) -> &Deliveries {
        &self.delivery.deliveries
    }

    /// A handle for the writer, which delivers after writing.
    pub(super) fn delivery(&self) -> Delivery {
        self.delivery.clone()
    }

    /// The outbox entries to store before these requests are delivered.
    pub(super) fn route(&self, requests: &[RetrainRequest]) -> Vec<Entry> {
        let mut entries = Vec::new();
        for request in requests {
            let routed = self.deliveries().route(request);
            let (id, rule, receivers) = (&request.id, &request.rule, routed.len());
            info!(id, rule, receivers, "asking for retraining");
            entries.extend(routed);
        }
        entries
    }

    /// The state of deliveries to Alertmanager, per peer.
    pub(super) fn alertmanagers(&self) -> Vec<Stats> {
        self.delivery.alertmanagers.stats()
    }

    /// The state of retraining requests, per receiver.
    pub(super) fn receivers(&self) -> Vec<ReceiverStats> {
        self.deliveries().stats()
    }
}

/// The Alertmanagers; none if Prometheus owns the alerts.
fn peers(config: &Config, grace: Duration) -> alertmanager::Settings {
    let Settings {
        alerting, global, ..
    } = &config.settings;
    let direct = alerting.alertmanagers.iter();
    let peers = direct
        .filter(|_| alerting.mode == Mode::Direct)
        .map(|peer| PeerSettings {
            url: peer.url.clone(),
            timeout: peer.timeout,
            relabel: steps(&peer.relabel),
            client: Arc::new(Client::new(peer.http.clone())),
            discovery: peer.discovery,
        });
    let mut settings = alertmanager::Settings::new(peers.collect());
    settings.external_labels = global.external_labels.clone();
    settings.relabel = steps(&alerting.relabel);
    settings.capacity = alerting.queue_capacity;
    settings.grace = grace;
    settings
}

fn steps(specs: &[relabel::Spec]) -> Vec<Relabel> {
    let checked = specs.iter().cloned().map(Relabel::try_new);
    // The configuration was checked, so every step is valid.
    checked.filter_map(Result::ok).collect()
}

fn receivers(config: &Config, notifiers: &[Arc<dyn RetrainingNotifier>]) -> Vec<Receiver> {
    let webhooks = webhooks(&config.settings.retraining);
    let own = notifiers
        .iter()
        .cloned()
        .enumerate()
        .map(|(index, notifier)| Receiver {
            name: format!("notifier-{index}"),
            matchers: Vec::new(),
            notifier,
            expiry: NOTIFIER_EXPIRY,
        });
    webhooks.into_iter().chain(own).collect()
}

/// The webhooks of a configuration as receivers.
pub(crate) fn webhooks(retraining: &Retraining) -> Vec<Receiver> {
    let webhooks = retraining.webhooks.iter();
    webhooks
        .map(|webhook| Receiver {
            name: webhook.name.clone(),
            matchers: webhook.matchers.clone(),
            notifier: Arc::new(Webhook {
                url: webhook.url.as_str().into(),
                format: webhook.format.clone(),
                secret: webhook.secret.clone(),
                headers: Vec::new(),
                timeout: webhook.timeout,
                client: Arc::new(Client::new(webhook.http.clone())),
            }),
            expiry: webhook.expiry,
        })
        .collect()
}
