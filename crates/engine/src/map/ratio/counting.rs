//! The increases of counters between two evaluations.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::map::counter::rise;
use crate::metric::{Labels, Timestamp};

/// The labels that tell servers apart.
const IDENTITY: [&str; 4] = ["instance", "job", "namespace", "pod"];
/// Most counters of one rule.
const MAX_COUNTERS: usize = 20_000;

/// The counters of one server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::map) struct Server {
    since: Timestamp,
    seen: Timestamp,
    values: Vec<(Labels, f64)>,
}

/// Keeps the last values of counters and computes their increases. A new server brings no past; a
/// counter that appears at a known server started at 0.
#[derive(Debug, Clone, Default)]
pub(in crate::map) struct Counting {
    servers: HashMap<Labels, Known>,
    counters: usize,
}

#[derive(Debug, Clone)]
struct Known {
    since: Timestamp,
    seen: Timestamp,
    values: HashMap<Labels, f64>,
}

impl Counting {
    /// The increase of a counter since the last evaluation; `None` if there are too many counters.
    pub(in crate::map) fn rise(
        &mut self,
        series: &Labels,
        value: f64,
        at: Timestamp,
    ) -> Option<f64> {
        let server = series.retain(|name| IDENTITY.contains(&name));
        let known = self.servers.entry(server).or_insert_with(|| Known {
            since: at,
            seen: at,
            values: HashMap::new(),
        });
        known.seen = at;
        let from_zero = known.since < at;
        if let Some(last) = known.values.get_mut(series) {
            let risen = rise(Some(*last), value, from_zero);
            *last = value;
            return Some(risen);
        }
        if self.counters >= MAX_COUNTERS {
            return None;
        }
        self.counters += 1;
        known.values.insert(series.clone(), value);
        Some(rise(None, value, from_zero))
    }

    /// Drops servers that were absent for longer; if one returns, it is a new server.
    pub(in crate::map) fn forget(&mut self, at: Timestamp, after: Duration) {
        let counters = &mut self.counters;
        self.servers.retain(|_, server| {
            let keep = at.since(server.seen) <= after;
            if !keep {
                *counters -= server.values.len();
            }
            keep
        });
    }

    pub(in crate::map) fn store(&self) -> Vec<(Labels, Server)> {
        let servers = self.servers.iter().map(|(labels, known)| {
            let values = known.values.iter();
            let server = Server {
                since: known.since,
                seen: known.seen,
                values: values
                    .map(|(labels, value)| (labels.clone(), *value))
                    .collect(),
            };
            (labels.clone(), server)
        });
        servers.collect()
    }

    pub(in crate::map) fn restored(servers: Vec<(Labels, Server)>) -> Self {
        let counters = servers.iter().map(|(_, server)| server.values.len()).sum();
        let servers = servers.into_iter().map(|(labels, server)| {
            let known = Known {
                since: server.since,
                seen: server.seen,
                values: server.values.into_iter().collect(),
            };
            (labels, known)
        });
        Self {
            servers: servers.collect(),
            counters,
        }
    }
}
