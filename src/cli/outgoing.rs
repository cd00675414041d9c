//! What a replay would have sent, to whom and how often, as the configuration says.

use std::collections::HashMap;

use crate::alert::Alert;
use crate::config::settings::{Mode, Settings};
use crate::metric::{Labels, Matcher, Timestamp};
use crate::monitor::Tick;
use crate::notify::RetrainRequest;
use crate::notify::relabel::{Relabel, relabel, with_external};

/// Something that would have been sent.
#[derive(Debug, Clone)]
pub enum Delivery {
    /// A state of an alert, to every Alertmanager.
    Alert {
        /// The alert as it was first sent in this state, with the labels that Alertmanager sees.
        alert: Box<Alert>,
        /// When that was.
        at: Timestamp,
        /// How often it was sent: a firing alert is repeated, and so is its end for a while.
        times: u32,
        /// When it was sent last.
        last_at: Timestamp,
    },
    /// A request for a new model.
    Retrain {
        /// The request.
        request: Box<RetrainRequest>,
        /// The name of the webhook.
        to: String,
    },
}

impl Delivery {
    /// When it would have been sent first.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Alert { at, .. } => *at,
            Self::Retrain { request, .. } => request.requested_at,
        }
    }

    /// Who would have got it.
    #[must_use]
    pub fn receiver(&self) -> &str {
        match self {
            Self::Alert { .. } => "alertmanager",
            Self::Retrain { to, .. } => to,
        }
    }
}

/// Keeps what ticks would have sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    deliveries: Vec<Delivery>,
    /// Where the last delivery of an alert is.
    last: HashMap<Labels, usize>,
    posts: bool,
    external: Labels,
    relabel: Vec<Relabel>,
    webhooks: Vec<(String, Vec<Matcher>)>,
}

impl Outgoing {
    pub(super) fn new(settings: &Settings) -> Self {
        let alerting = &settings.alerting;
        let webhooks = settings.retraining.webhooks.iter();
        // Every step was checked when the configuration was read.
        let steps = alerting.relabel.iter().cloned().map(Relabel::try_new);
        Self {
            deliveries: Vec::new(),
            last: HashMap::new(),
            posts: alerting.mode == Mode::Direct && !alerting.alertmanagers.is_empty(),
            external: settings.global.external_labels.clone(),
            relabel: steps.filter_map(Result::ok).collect(),
            webhooks: webhooks
                .map(|webhook| (webhook.name.clone(), webhook.matchers.clone()))
                .collect(),
        }
    }

    /// What the tick would have sent; repetitions count with what they repeat.
    pub(super) fn take(&mut self, tick: Tick, at: Timestamp) {
        let posts = self.posts;
        for alert in tick.alerts.into_iter().filter(|_| posts) {
            let labels = with_external(&alert.labels, &self.external);
            if let Some(labels) = relabel(&labels, &self.relabel) {
                self.post(Alert { labels, ..alert }, at);
            }
        }
        for request in tick.requests {
            let wanting = self.webhooks.iter();
            let wanting = wanting.filter(|(_, matchers)| request.matches(matchers));
            self.deliveries
                .extend(wanting.map(|(name, _)| Delivery::Retrain {
                    request: Box::new(request.clone()),
                    to: name.clone(),
                }));
        }
    }

    fn post(&mut self, alert: Alert, now: Timestamp) {
        let known = self.last.get(&alert.labels).copied();
        if let Some(Delivery::Alert {
            alert: before,
            times,
            last_at,
            ..
        }) = known.and_then(|index| self.deliveries.get_mut(index))
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

    /// Everything, in order.
    pub(super) fn finish(self) -> Vec<Delivery> {
        self.deliveries
    }
}
