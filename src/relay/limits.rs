//! The limits of a relay on requests within an hour, for each rule and model and for all together.

use std::collections::BTreeMap;

use super::outcome::Outcome;
use super::places::Places;
use crate::config::relay::Relay;
use crate::metric::Timestamp;
use crate::notify::retrain::{Gate, GateKey, Gates, Hourly};

/// Most gates of all models together.
pub(super) const MAX_GATES: usize = 10_000;

/// The limits while the alerts of one notification are decided. The requests of the last hour are
/// counted once, at the beginning.
#[derive(Debug)]
pub(super) struct Limits<'a> {
    relay: &'a Relay,
    at: Timestamp,
    max_gates: usize,
    /// By rule, then by model.
    by_rule: BTreeMap<String, BTreeMap<String, Hourly>>,
    /// The limit over all rules and models.
    total: Hourly,
    /// The gates of each model, sorted when there is no room for another gate.
    places: Option<Places>,
}

impl<'a> Limits<'a> {
    pub(super) fn new(relay: &'a Relay, gates: &Gates, at: Timestamp, max_gates: usize) -> Self {
        let mut limits = Self {
            relay,
            at,
            max_gates,
            by_rule: BTreeMap::new(),
            total: Hourly::new(size(relay.total_hourly_limit)),
            places: None,
        };
        for (key, gate) in gates.iter() {
            if gate.asked_within_hour(at) {
                limits.of_model(&key.rule, model_of(relay, key)).count();
                limits.total.count();
            }
        }
        limits
    }

    /// The limit of a rule and model.
    pub(super) fn of_model(&mut self, rule: &str, model: &str) -> &mut Hourly {
        let limit = size(self.relay.retraining.hourly_limit);
        let models = self.by_rule.entry(rule.to_owned()).or_default();
        models
            .entry(model.to_owned())
            .or_insert_with(|| Hourly::new(limit))
    }

    /// The limit that holds back a request for a model, if any.
    pub(super) fn holding(
        &mut self,
        rule: &str,
        model: &str,
        gate: Option<&Gate>,
    ) -> Option<Outcome> {
        let at = self.at;
        if !self.of_model(rule, model).admits(gate, at) {
            return Some(Outcome::Limited);
        }
        (!self.total.admits(gate, at)).then_some(Outcome::TotalLimited)
    }

    /// The limit over all models.
    pub(super) fn total(&mut self) -> &mut Hourly {
        &mut self.total
    }

    /// Makes room for a new gate of a model. At the limit, the model with most gates loses the one
    /// with the oldest request. Returns whether there is room: not if that model is this one.
    pub(super) fn make_room(&mut self, gates: &mut Gates, key: &GateKey) -> bool {
        let model = model_of(self.relay, key);
        if gates.len() >= self.max_gates {
            let places = self.places.get_or_insert_with(|| {
                let gates = gates.iter();
                Places::new(gates.map(|(key, gate)| {
                    let model = model_of(self.relay, key);
                    (model, key.clone(), gate.last_request())
                }))
            });
            match places.take_oldest_of_largest(model) {
                Some(oldest) => gates.remove(&oldest),
                None => return false,
            }
        }
        if let Some(places) = &mut self.places {
            places.add(model, key.clone(), Some(self.at));
        }
        true
    }
}

fn model_of<'a>(relay: &Relay, key: &'a GateKey) -> &'a str {
    key.series.get(&relay.labels.model).unwrap_or("")
}

fn size(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
