//! The increases of counters between two evaluations, grouped into distributions.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::DriftRule;
use super::histogram::Rises;
use crate::map::counter::rise;
use crate::metric::{Labels, Timestamp};
use crate::promql::InstantSample;

/// Most distributions of one rule.
pub(super) const MAX_GROUPS: usize = 1000;
/// Most buckets or categories of one distribution.
pub(super) const MAX_BUCKETS: usize = 300;

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
    /// Why the distribution is not counted now; the others are.
    pub(super) refused: Option<String>,
}

/// The increases of all distributions.
#[derive(Debug, Default)]
pub(super) struct Risings {
    pub(super) by_group: BTreeMap<Labels, Risen>,
    /// Distributions beyond the limit, which are not counted.
    pub(super) left_out: usize,
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

    /// The increases of every distribution since the last call. One that cannot be counted does not
    /// keep the others from being counted.
    pub(super) fn rises(
        &mut self,
        rule: &DriftRule,
        values: &[InstantSample],
        at: Timestamp,
    ) -> Risings {
        let group_of = |labels: &Labels| labels.retain(|name| rule.by.iter().any(|by| by == name));
        let mut risings = Risings::default();
        let mut servers: BTreeMap<Labels, Vec<Counter<'_>>> = BTreeMap::new();
        for value in values.iter().filter(|value| value.value.is_finite()) {
            let Some(bucket) = value.labels.get(&rule.bucket) else {
                let (labels, bucket) = (&value.labels, &rule.bucket);
                let why = format!("{labels} has no label {bucket}; {}", remedy(bucket));
                risings.refuse(group_of(labels), why);
                continue;
            };
            let server = value.labels.retain(|name| name != rule.bucket);
            servers
                .entry(server)
                .or_default()
                .push((bucket, value.value));
        }
        let counted = self.groups_with_a_place(servers.keys(), &group_of);
        let mut layouts: HashMap<Labels, HashSet<&str>> = HashMap::new();
        let mut left_out: BTreeSet<Labels> = BTreeSet::new();
        for (server, counters) in servers {
            let group = group_of(&server);
            if counted
                .as_ref()
                .is_some_and(|counted| !counted.contains(&group))
            {
                left_out.insert(group);
                continue;
            }
            if counters.len() > MAX_BUCKETS {
                self.servers.remove(&server);
                let why = too_many_buckets(&group, counters.len());
                risings.refuse(group, why);
                continue;
            }
            let risen = risings.by_group.entry(group.clone()).or_default();
            if rule.params.ordered {
                let layout: HashSet<&str> = counters.iter().map(|(bucket, _)| *bucket).collect();
                let other = layouts.get(&group).is_some_and(|known| *known != layout);
                if other {
                    risen.broken = Some("the servers expose different buckets".to_owned());
                }
                layouts.insert(group.clone(), layout);
            }
            let known = self.server(rule, server, &counters, at, risen);
            if known > MAX_BUCKETS {
                let why = too_many_buckets(&group, known);
                risings.refuse(group, why);
            }
        }
        self.forget(at, rule.window);
        risings.left_out = left_out.len();
        risings
    }

    /// The distributions to count if there are more than [`MAX_GROUPS`]: first those that were
    /// counted before, then of every instance equally many. `None` if all have a place.
    fn groups_with_a_place<'s>(
        &self,
        servers: impl Iterator<Item = &'s Labels>,
        group_of: &impl Fn(&Labels) -> Labels,
    ) -> Option<HashSet<Labels>> {
        let mut instances: BTreeMap<Labels, &str> = BTreeMap::new();
        for server in servers {
            let instance = server.get("instance").unwrap_or_default();
            instances.entry(group_of(server)).or_insert(instance);
        }
        if instances.len() <= MAX_GROUPS {
            return None;
        }
        let known: HashSet<Labels> = self.servers.keys().map(group_of).collect();
        let mut of_instance: HashMap<&str, usize> = HashMap::new();
        let mut ranked: Vec<(bool, usize, Labels)> = instances
            .into_iter()
            .map(|(group, instance)| {
                let rank = of_instance.entry(instance).or_default();
                *rank += 1;
                (!known.contains(&group), *rank, group)
            })
            .collect();
        ranked.sort();
        ranked.truncate(MAX_GROUPS);
        Some(ranked.into_iter().map(|(_, _, group)| group).collect())
    }

    /// Adds the increases of one server. Returns how many buckets of it are known; of a server with
    /// too many nothing is kept.
    fn server(
        &mut self,
        rule: &DriftRule,
        labels: Labels,
        counters: &[Counter<'_>],
        at: Timestamp,
        risen: &mut Risen,
    ) -> usize {
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
            let from_zero = is_known && risen.broken.is_none();
            let rise = rise(values.get(*bucket).copied(), *value, from_zero);
            *risen.rises.entry((*bucket).to_owned()).or_default() += rise;
            values.insert((*bucket).to_owned(), *value);
        }
        let known = values.len();
        if known <= MAX_BUCKETS {
            self.servers.insert(labels, Server { seen: at, values });
        }
        known
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

impl Risings {
    fn refuse(&mut self, group: Labels, why: String) {
        self.by_group.entry(group).or_default().refused = Some(why);
    }
}

fn too_many_buckets(group: &Labels, found: usize) -> String {
    format!("{group} has {found} buckets, more than {MAX_BUCKETS}")
}

fn remedy(bucket: &str) -> &'static str {
    if bucket == "le" {
        "drift.histogram must select cumulative buckets, whose names end in _bucket"
    } else {
        "drift.label must be a label of every counter"
    }
}
