//! Which alerts fire for one Alertmanager, by the labels that it receives.
//!
//! External labels and relabelling can give several alerts the same labels. For Alertmanager they
//! are one alert, which fires as long as one of them does.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::alert::{Alert, AlertState};
use crate::metric::{Labels, Timestamp};

/// The lease of an alert without an end: Alertmanager's default `resolve_timeout`.
const DEFAULT_LEASE: Duration = Duration::from_secs(300);
/// Number of leases below which expired ones are not looked for.
const FEW: usize = 64;

/// The firing alerts, by the labels that are sent and by their labels before relabelling.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    firing: HashMap<Labels, HashMap<Labels, Lease>>,
    /// How many leases there are.
    size: usize,
    /// Expired leases are evicted when there are this many.
    evict_at: usize,
}

/// An alert as it was last sent, and until when it fires without a repetition.
#[derive(Debug)]
struct Lease {
    alert: Alert,
    until: Timestamp,
}

impl Ledger {
    /// Records a batch of alerts with the labels to send, and returns for each one whether it is to
    /// be sent. The end of an alert is not, while another alert with the same labels fires.
    pub(super) fn admit(&mut self, batch: &[(&Alert, Labels)], now: Timestamp) -> Vec<bool> {
        let mut fire_now: HashSet<&Labels> = HashSet::new();
        for (alert, labels) in batch {
            if alert.state == AlertState::Firing {
                fire_now.insert(&alert.labels);
                self.begin(alert, labels, now);
            }
        }
        let admitted = batch.iter().map(|(alert, labels)| {
            alert.state != AlertState::Resolved
                || !fire_now.contains(&alert.labels) && self.end(&alert.labels, labels, now)
        });
        let admitted = admitted.collect();
        self.evict(now);
        admitted
    }

    /// Applies other labels to every firing alert. Returns, with the labels that were sent, an alert
    /// for each of those labels that no firing alert has any more.
    pub(super) fn relabel(
        &mut self,
        now: Timestamp,
        relabel: impl Fn(&Labels) -> Option<Labels>,
    ) -> Vec<(Labels, Alert)> {
        let before = std::mem::take(&mut self.firing);
        let mut ended = Vec::new();
        for (labels, leases) in before {
            let mut last = None;
            for (origin, lease) in leases.into_iter().filter(|(_, lease)| lease.until >= now) {
                last = Some(lease.alert.clone());
                if let Some(new) = relabel(&origin) {
                    self.firing.entry(new).or_default().insert(origin, lease);
                }
            }
            ended.extend(last.map(|alert| (labels, alert)));
        }
        ended.retain(|(labels, _)| !self.firing.contains_key(labels));
        self.size = self.firing.values().map(HashMap::len).sum();
        ended
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.size
    }

    fn begin(&mut self, alert: &Alert, labels: &Labels, now: Timestamp) {
        let until = alert.ends_at.unwrap_or(now + DEFAULT_LEASE).max(now);
        let lease = Lease {
            alert: alert.clone(),
            until,
        };
        let leases = self.firing.entry(labels.clone()).or_default();
        if leases.insert(alert.labels.clone(), lease).is_none() {
            self.size += 1;
        }
    }

    /// Records an end and returns whether no other alert with these labels fires.
    fn end(&mut self, origin: &Labels, labels: &Labels, now: Timestamp) -> bool {
        let Some(leases) = self.firing.get_mut(labels) else {
            return true;
        };
        if leases.remove(origin).is_some() {
            self.size -= 1;
        }
        if leases.values().any(|lease| lease.until >= now) {
            return false;
        }
        let expired = self.firing.remove(labels);
        self.size -= expired.map_or(0, |leases| leases.len());
        true
    }

    /// Removes expired leases, now and then.
    fn evict(&mut self, now: Timestamp) {
        if self.size < self.evict_at.max(FEW) {
            return;
        }
        self.firing.retain(|_, leases| {
            leases.retain(|_, lease| lease.until >= now);
            !leases.is_empty()
        });
        self.size = self.firing.values().map(HashMap::len).sum();
        self.evict_at = self.size * 2;
    }
}
