//! Alertmanager's memory of alerts: a post replaces what is known, or is merged with it when both
//! overlap, and an alert ends at its last end.

use std::collections::{BTreeMap, BTreeSet};

use sidewatch_engine::metric::{Labels, Timestamp};

/// The times of an alert in a post.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Posted {
    pub(super) starts: Timestamp,
    pub(super) ends: Timestamp,
}

#[derive(Debug, Default)]
pub(super) struct Alertmanager(BTreeMap<Labels, Posted>);

impl Alertmanager {
    pub(super) fn post(&mut self, labels: Labels, new: Posted, now: Timestamp) {
        let merged = match self.0.get(&labels) {
            Some(old) if overlap(*old, new) => merge(*old, new, now),
            Some(_) | None => new,
        };
        self.0.insert(labels, merged);
    }

    /// The alerts that fire.
    pub(super) fn firing(&self, now: Timestamp) -> BTreeSet<Labels> {
        let firing = self.0.iter().filter(|(_, alert)| alert.ends > now);
        firing.map(|(labels, _)| bare(labels)).collect()
    }
}

/// Labels without the identity of the process, which is the same in every alert.
pub(super) fn bare(labels: &Labels) -> Labels {
    labels.retain(|name| name != "model_id")
}

fn overlap(old: Posted, new: Posted) -> bool {
    let inside = |at: Timestamp| at > old.starts && at < old.ends;
    inside(new.starts) || inside(new.ends)
}

fn merge(old: Posted, new: Posted, now: Timestamp) -> Posted {
    let is_resolved = |alert: Posted| alert.ends <= now;
    let latest = !is_resolved(new) || is_resolved(old);
    Posted {
        starts: old.starts.min(new.starts),
        ends: if latest {
            old.ends.max(new.ends)
        } else {
            new.ends
        },
    }
}
