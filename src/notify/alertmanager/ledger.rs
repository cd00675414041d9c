//! Which alerts fire for one Alertmanager, by the labels that it receives.
//!
//! External labels and relabelling can give several alerts the same labels. For Alertmanager they
//! are one alert, which fires as long as one of them does.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use crate::alert::{Alert, AlertState};
use crate::metric::{Labels, Timestamp};

/// The lease of an alert without an end: Alertmanager's default `resolve_timeout`.
const DEFAULT_LEASE: Duration = Duration::from_secs(300);
/// Number of leases below which expired ones are not looked for.
const FEW: usize = 64;

/// The firing alerts, by the labels that are sent and then by their labels before relabelling.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    firing: BTreeMap<(Labels, Labels), Lease>,
    /// Expired leases are evicted when there are this many.
    evict_at: usize,
}

/// An alert as it was last sent, and until when it fires without a repetition.
#[derive(Debug)]
struct Lease {
    alert: Alert,
    until: Timestamp,
    /// The alert ended, and its end was held back: Alertmanager believes in it until the lease is
    /// over or an end is sent.
    has_ended: bool,
}

impl Lease {
    /// Whether the alert fires.
    fn fires(&self, now: Timestamp) -> bool {
        !self.has_ended && self.until >= now
    }
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
        let before = std::mem::take(&mut self.firing).into_iter();
        let mut ended: Vec<(Labels, Alert)> = Vec::new();
        for ((labels, origin), lease) in before.filter(|(_, lease)| lease.until >= now) {
            match ended.last_mut() {
                Some((last, alert)) if *last == labels => *alert = lease.alert.clone(),
                _ => ended.push((labels, lease.alert.clone())),
            }
            let believed = ended.last().map(|(labels, _)| labels);
            if let Some(new) = relabel(&origin)
                && (!lease.has_ended || believed == Some(&new))
            {
                self.firing.insert((new, origin), lease);
            }
        }
        ended.retain(|(labels, _)| self.is_over(labels, now));
        ended
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.firing.len()
    }

    /// The firing alerts with these labels.
    fn of<'a>(
        &'a self,
        labels: &'a Labels,
    ) -> impl Iterator<Item = (&'a (Labels, Labels), &'a Lease)> {
        let from = self.firing.range((labels.clone(), Labels::empty())..);
        from.take_while(move |((sent, _), _)| sent == labels)
    }

    fn begin(&mut self, alert: &Alert, labels: &Labels, now: Timestamp) {
        let until = alert.ends_at.unwrap_or(now + DEFAULT_LEASE).max(now);
        let lease = Lease {
            alert: alert.clone(),
            until,
            has_ended: false,
        };
        self.firing
            .insert((labels.clone(), alert.labels.clone()), lease);
    }

    /// Records an end and returns whether no other alert with these labels fires.
    fn end(&mut self, origin: &Labels, labels: &Labels, now: Timestamp) -> bool {
        let own = (labels.clone(), origin.clone());
        if let Some(lease) = self.firing.get_mut(&own) {
            lease.has_ended = true;
        }
        self.is_over(labels, now)
    }

    /// Whether no alert with these labels fires. If so, forgets their leases: an end is to be sent.
    fn is_over(&mut self, labels: &Labels, now: Timestamp) -> bool {
        if self.of(labels).any(|(_, lease)| lease.fires(now)) {
            return false;
        }
        let expired: Vec<_> = self.of(labels).map(|(key, _)| key.clone()).collect();
        for key in expired {
            self.firing.remove(&key);
        }
        true
    }

    /// Removes expired leases, now and then.
    fn evict(&mut self, now: Timestamp) {
        if self.firing.len() < self.evict_at.max(FEW) {
            return;
        }
        self.firing.retain(|_, lease| lease.until >= now);
        self.evict_at = self.firing.len() * 2;
    }
}
