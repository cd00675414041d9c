//! The limits of a relay. Each is counted per model, so that one model cannot use up what the others
//! need.

use std::collections::BTreeMap;

use crate::config::relay::Relay;
use crate::metric::Timestamp;
use crate::notify::retrain::{GateKey, Gates, Hourly};

/// Most gates of all models together.
pub(super) const MAX_GATES: usize = 10_000;

/// The limits during one notification.
#[derive(Debug)]
pub(super) struct Limits<'a> {
    relay: &'a Relay,
    at: Timestamp,
    max_gates: usize,
    /// By rule and model.
    hourly: BTreeMap<(String, String), Hourly>,
    /// The gates of each model, counted when there is no room for another gate.
    gates: Option<BTreeMap<String, usize>>,
}

impl<'a> Limits<'a> {
    pub(super) fn new(relay: &'a Relay, at: Timestamp, max_gates: usize) -> Self {
        Self {
            relay,
            at,
            max_gates,
            hourly: BTreeMap::new(),
            gates: None,
        }
    }

    /// The hourly limit of a rule and model.
    pub(super) fn hourly(&mut self, gates: &Gates, rule: &str, model: &str) -> &mut Hourly {
        let limit = usize::try_from(self.relay.retraining.hourly_limit).unwrap_or(usize::MAX);
        let (relay, at) = (self.relay, self.at);
        let key = (rule.to_owned(), model.to_owned());
        self.hourly.entry(key).or_insert_with(|| {
            Hourly::new(gates, rule, limit, at, |key| model_of(relay, key) == model)
        })
    }

    /// Makes room for a new gate of a model. At the limit, the model with most gates loses the one
    /// with the oldest request. Returns whether there is room: not if that model is this one.
    pub(super) fn make_room(&mut self, gates: &mut Gates, model: &str) -> bool {
        if gates.len() >= self.max_gates {
            let counts = self.gates.get_or_insert_with(|| count(self.relay, gates));
            let largest = counts.iter().max_by_key(|(_, count)| **count);
            let Some((largest, most)) = largest.map(|(model, count)| (model.clone(), *count))
            else {
                return false;
            };
            if counts.get(model).copied().unwrap_or(0) >= most {
                return false;
            }
            self.evict_oldest(gates, &largest);
        }
        if let Some(counts) = &mut self.gates {
            *counts.entry(model.to_owned()).or_default() += 1;
        }
        true
    }

    fn evict_oldest(&mut self, gates: &mut Gates, model: &str) {
        let of_model = gates
            .iter()
            .filter(|(key, _)| model_of(self.relay, key) == model);
        let oldest = of_model.min_by_key(|(_, gate)| gate.last_request());
        if let Some(key) = oldest.map(|(key, _)| key.clone()) {
            gates.remove(&key);
        }
        if let Some(count) = self.gates.as_mut().and_then(|all| all.get_mut(model)) {
            *count = count.saturating_sub(1);
        }
    }
}

/// The gates of each model.
fn count(relay: &Relay, gates: &Gates) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (key, _) in gates.iter() {
        *counts.entry(model_of(relay, key).to_owned()).or_default() += 1;
    }
    counts
}

fn model_of<'a>(relay: &Relay, key: &'a GateKey) -> &'a str {
    key.series.get(&relay.labels.model).unwrap_or("")
}
