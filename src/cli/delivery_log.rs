//! Records what a replay would have sent, to which receiver and how often.

use std::collections::HashMap;

use crate::alert::Alert;
use crate::config::settings::{Mode, Settings};
use crate::metric::{Labels, Matcher, Timestamp};
use crate::monitor::Tick;
use crate::notify::RetrainRequest;
use crate::notify::relabel::{Relabel, relabel, with_external};
use crate::notify::retrain::Format;

/// Something that would have been sent.
#[derive(Debug, Clone)]
pub(crate) enum Delivery {
    /// An alert in one state, to every Alertmanager.
    Alert {
        /// The alert as first sent in this state, with the labels that Alertmanager receives.
        alert: Box<Alert>,
        /// When it was first sent.
        at: Timestamp,
        /// How often it was sent. Firing alerts are re-sent, and resolved ones for a while.
        times: u32,
        /// When it was last sent.
        last_at: Timestamp,
    },
    /// A retraining request.
    Retrain {
        /// The request.
        request: Box<RetrainRequest>,
        /// The name of the webhook.
        to: String,
    },
}

impl Delivery {
    /// When it would have been sent first.
    pub(crate) fn at(&self) -> Timestamp {
        match self {
            Self::Alert { at, .. } => *at,
            Self::Retrain { request, .. } => request.requested_at,
        }
    }
}

/// A webhook for retraining requests.
#[derive(Debug)]
struct Webhook {
    name: String,
    format: Format,
    matchers: Vec<Matcher>,
}

/// Collects the deliveries of all ticks.
#[derive(Debug)]
pub(super) struct DeliveryLog {
    deliveries: Vec<Delivery>,
    /// Index of the last delivery for the labels of an alert.
    last: HashMap<Labels, usize>,
    /// Whether alerts are posted to Alertmanager.
    posts: bool,
    external: Labels,
    relabel: Vec<Relabel>,
    webhooks: Vec<Webhook>,
}

impl DeliveryLog {
    pub(super) fn new(settings: &Settings) -> Self {
        let alerting = &settings.alerting;
        Self {
            deliveries: Vec::new(),
            last: HashMap::new(),
            posts: alerting.mode == Mode::Direct && !alerting.alertmanagers.is_empty(),
            external: settings.global.external_labels.clone(),
            // Every step was checked when the configuration was read.
            relabel: alerting
                .relabel
                .iter()
                .cloned()
                .filter_map(|step| Relabel::try_new(step).ok())
                .collect(),
            webhooks: settings
                .retraining
                .webhooks
                .iter()
                .map(|webhook| Webhook {
                    name: webhook.name.clone(),
                    format: webhook.format.clone(),
                    matchers: webhook.matchers.clone(),
                })
                .collect(),
        }
    }

    /// Records what the tick would have sent. A repetition only raises the count of the first one.
    pub(super) fn record(&mut self, tick: Tick, at: Timestamp) {
        if self.posts {
            for alert in tick.alerts {
                let labels = with_external(&alert.labels, &self.external);
                if let Some(labels) = relabel(&labels, &self.relabel) {
                    self.record_alert(Alert { labels, ..alert }, at);
                }
            }
        }
        for request in tick.requests {
            for webhook in &self.webhooks {
                if webhook.format.takes(request.kind) && request.matches(&webhook.matchers) {
                    self.deliveries.push(Delivery::Retrain {
                        request: Box::new(request.clone()),
                        to: webhook.name.clone(),
                    });
                }
            }
        }
    }

    fn record_alert(&mut self, alert: Alert, now: Timestamp) {
        let previous = self.last.get(&alert.labels).copied();
        if let Some(Delivery::Alert {
            alert: before,
            times,
            last_at,
            ..
        }) = previous.and_then(|index| self.deliveries.get_mut(index))
            && (before.state, before.fired_at) == (alert.state, alert.fired_at)
        {
            *times += 1;
            *last_at = now;
            return;
        }
        self.last
            .insert(alert.labels.clone(), self.deliveries.len());
        self.deliveries.push(Delivery::Alert {
            alert: Box::new(alert),
            at: now,
            times: 1,
            last_at: now,
        });
    }

    /// All deliveries, in order.
    pub(super) fn into_deliveries(self) -> Vec<Delivery> {
        self.deliveries
    }
}
