//! The gates of all rules and series.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::metric::{Labels, Timestamp};

use super::key::GateKey;
use super::taint::Taints;
use super::verification::Verification;
use super::{Gate, Policy, pairs};

/// The gates of all rules and series.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Gates {
    #[serde(with = "pairs")]
    gates: BTreeMap<GateKey, Gate>,
    /// The tainted times of each rule.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    taints: BTreeMap<String, Taints>,
}

impl Gates {
    /// The gate of a key, created if missing.
    pub fn gate(&mut self, key: &GateKey) -> &mut Gate {
        self.gates.entry(key.clone()).or_default()
    }

    /// Drops the verdicts on a series, if there are any.
    pub fn drop_verdicts(&mut self, key: &GateKey, series: &Labels) {
        if let Some(gate) = self.gates.get_mut(key) {
            gate.drop_verdicts(series);
        }
    }

    /// The tainted times of a rule, to note some.
    pub fn taints_mut(&mut self, rule: &str) -> &mut Taints {
        self.taints.entry(rule.to_owned()).or_default()
    }

    /// The tainted times of a rule.
    #[must_use]
    pub fn taints(&self, rule: &str) -> Option<&Taints> {
        self.taints.get(rule)
    }

    /// The verifications of a rule's requests, with the series that each is about.
    pub fn verifications<'a>(
        &'a self,
        rule: &'a str,
    ) -> impl Iterator<Item = (&'a Labels, &'a Verification)> {
        self.of_rule(rule)
            .filter_map(|(key, gate)| Some((&key.series, gate.verification()?)))
    }

    /// The gates of an earlier process. Their keys may name versions; of several versions the one
    /// that requested last counts.
    #[must_use]
    pub fn restored(self) -> Self {
        let mut restored = Self {
            taints: self.taints,
            ..Self::default()
        };
        for (key, gate) in self.gates {
            let key = GateKey::new(&key.rule, &key.series);
            let known = restored.gates.get(&key);
            if known.is_none_or(|known| known.last_request < gate.last_request) {
                restored.gates.insert(key, gate);
            }
        }
        restored
    }

    /// The gate of a key, if there is one.
    #[must_use]
    pub fn get(&self, key: &GateKey) -> Option<&Gate> {
        self.gates.get(key)
    }

    /// Drops the gate of a key.
    pub fn remove(&mut self, key: &GateKey) {
        self.gates.remove(key);
    }

    /// The gates of a rule.
    pub(super) fn of_rule<'a>(
        &'a self,
        rule: &'a str,
    ) -> impl Iterator<Item = (&'a GateKey, &'a Gate)> {
        let first = GateKey {
            rule: rule.to_owned(),
            series: Labels::empty(),
        };
        let from = self.gates.range(first..);
        from.take_while(move |(key, _)| key.rule == rule)
    }

    /// Every gate, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&GateKey, &Gate)> {
        self.gates.iter()
    }

    /// Adjusts the gates after the wall clock went back: cool-downs and requests under way end that
    /// much earlier.
    pub fn set_back(&mut self, by: Duration) {
        for gate in self.gates.values_mut() {
            gate.last_request = gate.last_request.map(|at| at - by);
            if let Some(flight) = &mut gate.in_flight {
                flight.since = flight.since - by;
            }
            if let Some(verification) = &mut gate.verification {
                verification.set_back(by);
            }
        }
        for taints in self.taints.values_mut() {
            taints.set_back(by);
        }
    }

    /// Puts a stored gate back.
    pub fn insert(&mut self, key: GateKey, gate: Gate) {
        self.gates.insert(key, gate);
    }

    /// Reports a request as done: its series may request again after its cool-down. Returns the
    /// gate's key, `None` if no such request is under way.
    pub fn done(&mut self, id: &str) -> Option<GateKey> {
        let gates = self.gates.iter_mut();
        let mut found = None;
        for (key, gate) in gates.filter(|(_, gate)| gate.in_flight() == Some(id)) {
            gate.in_flight = None;
            if let Some(verification) = &mut gate.verification {
                verification.done();
            }
            found.get_or_insert_with(|| key.clone());
        }
        found
    }

    /// Ends the request under way for this key, because its cause has ended. Returns its key, if
    /// any.
    pub fn finish(&mut self, key: &GateKey) -> Option<String> {
        let flight = self.gates.get_mut(key)?.in_flight.take();
        flight.map(|flight| flight.id)
    }

    /// Drops the gates that hold no request back at `at` under any policy up to these lengths, and
    /// whose last epoch is over.
    pub fn forget(&mut self, cooldown: Duration, in_flight_timeout: Duration, at: Timestamp) {
        self.gates.retain(|_, gate| {
            let busy_until = gate.busy_until(cooldown, in_flight_timeout);
            busy_until.is_some_and(|until| at < until)
        });
    }

    /// Every series of a rule that a gate knows.
    pub fn series<'a>(&'a self, rule: &'a str) -> impl Iterator<Item = &'a Labels> {
        self.of_rule(rule).flat_map(|(_, gate)| gate.series())
    }

    /// Drops the verdicts of a rule on these series, and the gates that hold nothing any more: no
    /// verdicts, no cool-down, no active epoch and no request under way.
    pub fn sweep(
        &mut self,
        rule: &str,
        policy: &Policy,
        at: Timestamp,
        is_gone: impl Fn(&Labels) -> bool,
    ) {
        self.gates.retain(|key, gate| {
            if key.rule != rule {
                return true;
            }
            gate.drop_replicas(&is_gone);
            let busy_until = gate.busy_until(policy.cooldown, policy.in_flight_timeout);
            gate.series().next().is_some() || busy_until.is_some_and(|until| at < until)
        });
    }

    /// Gives the gates of rules their new names, all at once; a rule without a name in the answer
    /// keeps its own. A gate that keeps its name takes precedence over one that gets it.
    pub fn rename<'a>(&mut self, names: impl Fn(&str) -> Option<Vec<&'a str>>) {
        let mut moved = Vec::new();
        self.gates.retain(|key, gate| {
            let Some(names) = names(&key.rule) else {
                return true;
            };
            moved.extend(names.into_iter().map(|rule| {
                let series = key.series.clone();
                let rule = rule.to_owned();
                (GateKey { rule, series }, gate.clone())
            }));
            false
        });
        for (key, gate) in moved {
            self.gates.entry(key).or_insert(gate);
        }
        for (rule, taints) in std::mem::take(&mut self.taints) {
            let names = names(&rule).unwrap_or_else(|| vec![&rule]);
            for name in names {
                self.taints
                    .entry(name.to_owned())
                    .or_insert_with(|| taints.clone());
            }
        }
    }

    /// A digest of all gates, by which a change is noticed without a copy of them.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    /// How many gates there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.gates.len()
    }

    /// Whether there is no gate.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.gates.is_empty()
    }

    /// Drops the gates of removed rules, and those without useful state at `at`.
    pub fn retain(&mut self, at: Timestamp, mut keep: impl FnMut(&GateKey) -> bool) {
        self.gates
            .retain(|key, gate| keep(key) || gate.is_cooling(at));
    }
}
