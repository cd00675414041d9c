//! What counters rose by between two evaluations, grouped into distributions.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::DriftRule;
use super::histogram::Rises;
use crate::metric::{Labels, Timestamp};
use crate::promql::InstantSample;

/// Distributions of one rule.
const MAX_GROUPS: usize = 1000;
/// Buckets or categories of one distribution.
const MAX_BUCKETS: usize = 300;

/// A server's counters of one distribution: all that agree in everything but the bucket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Server {
    seen: Timestamp,
    /// The last value by bucket.
    values: BTreeMap<String, f64>,
}

/// A bucket and its count.
type Counter<'a> = (&'a str, f64);

/// What one distribution rose by.
#[derive(Debug, Default)]
pub(super) struct Risen {
    pub(super) rises: Rises,
    /// Why what was counted before must not be added to this: the buckets are others now.
    pub(super) broken: Option<String>,
}

/// The last values of counters, and how they become rises: a reset is no drop, and a counter that appears at a server that was
/// seen before has counted from 0.
#[derive(Debug, Clone, Default)]
pub(super) struct Counting {
    servers: HashMap<Labels, Server>,
    /// Counters that are seen first have counted from 0 too.
    from_start: bool,
}

impl Counting {
    /// Counts what counters say when they are seen first: everything since their server's start.
    pub(super) fn from_start() -> Self {
        Self {
            from_start: true,
            ..Self::default()
        }
    }

    /// What every distribution rose by since the last time.
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
                // After a reset the counter itself is what was counted since.
                Some(_) => *value,
                None if is_known && risen.broken.is_none() => *value,
                None => 0.0,
            };
            *risen.rises.entry((*bucket).to_owned()).or_default() += rise;
            values.insert((*bucket).to_owned(), *value);
        }
        self.servers.insert(labels, Server { seen: at, values });
    }

    /// A server that was gone for longer than the window has nothing to do with the one that comes back.
    fn forget(&mut self, at: Timestamp, window: Duration) {
        self.servers
            .retain(|_, server| at.since(server.seen) <= window);
    }

    pub(super) fn store(&self) -> Vec<(Labels, Server)> {
        let servers = self.servers.iter();
        servers
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
