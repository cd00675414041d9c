//! The increases of counters between two evaluations, grouped into distributions.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::DriftRule;
use super::histogram::Rises;
use crate::metric::{Labels, Timestamp};
use crate::promql::InstantSample;

/// Most distributions of one rule.
const MAX_GROUPS: usize = 1000;
/// Most buckets or categories of one distribution.
const MAX_BUCKETS: usize = 300;

/// One server's counters of one distribution: those whose labels differ only in the bucket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Server {
    seen: Timestamp,
    /// The last values by bucket.
    values: BTreeMap<String, f64>,
}

/// A bucket and its count.
type Counter<'a> = (&'a str, f64);

/// The increases of one distribution.
#[derive(Debug, Default)]
pub(super) struct Risen {
    pub(super) rises: Rises,
    /// Why earlier counts must not be added to these increases: the buckets are different now.
    pub(super) broken: Option<String>,
}

/// Keeps the last values of counters and computes their increases. A reset is not a decrease, and a
/// counter that appears at a known server is assumed to have started at 0.
#[derive(Debug, Clone, Default)]
pub(super) struct Counting {
    servers: HashMap<Labels, Server>,
    /// Whether the counters of new servers have started at 0 too.
    from_start: bool,
}

impl Counting {
    /// Also counts the first values of new servers: everything since their start.
    pub(super) fn from_start() -> Self {
        Self {
            from_start: true,
            ..Self::default()
        }
    }

    /// The increases of every distribution since the last call.
    ///
    /// # Errors
    /// A counter without the bucket label, or too many distributions or buckets.
    pub(super) fn rises(
        &mut self,
        rule: &DriftRule,
        values: &[InstantSample],
        at: Timestamp,
    ) -> Result<BTreeMap<Labels, Risen>, String> {
        let mut servers: BTreeMap<Labels, Vec<Counter<'_>>> = BTreeMap::new();
        for value in values.iter().filter(|value| value.value.is_finite()) {
            let Some(bucket) = value.labels.get(&rule.bucket) else {
                return Err(format!(
                    "{} has no label {}; {}",
                    value.labels,
                    rule.bucket,
                    remedy(&rule.bucket)
                ));
            };
            let server = value.labels.retain(|name| name != rule.bucket);
            servers
                .entry(server)
                .or_default()
                .push((bucket, value.value));
        }
        let mut groups: BTreeMap<Labels, Risen> = BTreeMap::new();
        let mut layouts: HashMap<Labels, HashSet<&str>> = HashMap::new();
        for (server, counters) in servers {
            let group = server.retain(|name| rule.by.iter().any(|by| by == name));
            if !groups.contains_key(&group) && groups.len() >= MAX_GROUPS {
                return Err(format!(
                    "more than {MAX_GROUPS} distributions; name fewer labels in drift.by"
                ));
            }
            if counters.len() > MAX_BUCKETS {
                return Err(format!(
                    "{group} has {} buckets, more than {MAX_BUCKETS}",
                    counters.len()
                ));
            }
            let risen = groups.entry(group.clone()).or_default();
            if rule.params.ordered {
                let layout: HashSet<&str> = counters.iter().map(|(bucket, _)| *bucket).collect();
                let other = layouts.get(&group).is_some_and(|known| *known != layout);
                if other {
                    risen.broken = Some("the servers expose different buckets".to_owned());
                }
                layouts.insert(group.clone(), layout);
            }
            self.server(rule, server, &counters, at, risen);
        }
        self.forget(at, rule.window);
        Ok(groups)
    }

    /// Adds the increases of one server.
    fn server(
        &mut self,
        rule: &DriftRule,
        labels: Labels,
        counters: &[Counter<'_>],
        at: Timestamp,
        risen: &mut Risen,
    ) {
        let before = self.servers.remove(&labels);
        let is_known = before.is_some() || self.from_start;
        let mut values = before.map(|server| server.values).unwrap_or_default();
        let gone = values
            .keys()
            .any(|name| counters.iter().all(|(bucket, _)| bucket != name));
        let new = counters
            .iter()
            .any(|(bucket, _)| !values.contains_key(*bucket));
        if rule.params.ordered && !values.is_empty() && (gone || new) {
            risen.broken = Some("the buckets changed".to_owned());
            values.clear();
        }
        for (bucket, value) in counters {
            let rise = match values.get(*bucket) {
                Some(last) if value >= last => value - last,
                // After a reset the value is the increase since the reset.
                Some(_) => *value,
                None if is_known && risen.broken.is_none() => *value,
                None => 0.0,
            };
            *risen.rises.entry((*bucket).to_owned()).or_default() += rise;
            values.insert((*bucket).to_owned(), *value);
        }
        self.servers.insert(labels, Server { seen: at, values });
    }

    /// Drops servers that were absent for longer than the window; if one returns, it is a new
    /// server.
    fn forget(&mut self, at: Timestamp, window: Duration) {
        self.servers
            .retain(|_, server| at.since(server.seen) <= window);
    }

    pub(super) fn store(&self) -> Vec<(Labels, Server)> {
        self.servers
            .iter()
            .map(|(labels, server)| (labels.clone(), server.clone()))
            .collect()
    }

    pub(super) fn restored(servers: Vec<(Labels, Server)>) -> Self {
        Self {
            servers: servers.into_iter().collect(),
            from_start: false,
        }
    }
}

fn remedy(bucket: &str) -> &'static str {
    if bucket == "le" {
        "drift.histogram must select cumulative buckets, whose names end in _bucket"
    } else {
        "drift.label must be a label of every counter"
    }
}
