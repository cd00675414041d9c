//! The gates of each model as queues, so that room for another is found without a look at all gates.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::metric::Timestamp;
use crate::notify::retrain::GateKey;

/// When a gate last requested; `None` if it never did.
type Requested = Option<Timestamp>;

/// The order in which models lose a gate, last first: the one with most gates, and of several such
/// models the one whose oldest request is the oldest.
type Rank = (usize, Reverse<Requested>, String);

/// The gates of a model, oldest request first.
type Queue = VecDeque<(Requested, GateKey)>;

/// The gates of all models.
#[derive(Debug, Default)]
pub(super) struct Places {
    queues: BTreeMap<String, Queue>,
    ranks: BTreeSet<Rank>,
}

impl Places {
    /// Sorts gates, each with its model and its last request.
    pub(super) fn new<'a>(gates: impl Iterator<Item = (&'a str, GateKey, Requested)>) -> Self {
        let mut gates: Vec<_> = gates.collect();
        gates.sort_by_key(|(_, _, requested)| *requested);
        let mut places = Self::default();
        for (model, key, requested) in gates {
            places.add(model, key, requested);
        }
        places
    }

    /// Adds a gate whose request is as recent as all others.
    pub(super) fn add(&mut self, model: &str, key: GateKey, requested: Requested) {
        self.change(model, |queue| queue.push_back((requested, key)));
    }

    /// Takes the gate with the oldest request from the model with most gates. `None` if no model has
    /// more gates than this one.
    pub(super) fn take_oldest_of_largest(&mut self, model: &str) -> Option<GateKey> {
        let (most, _, largest) = self.ranks.last()?.clone();
        if self.queues.get(model).map_or(0, VecDeque::len) >= most {
            return None;
        }
        let mut taken = None;
        self.change(&largest, |queue| taken = queue.pop_front());
        taken.map(|(_, key)| key)
    }

    fn change(&mut self, model: &str, change: impl FnOnce(&mut Queue)) {
        let queue = self.queues.entry(model.to_owned()).or_default();
        if let Some(rank) = rank(model, queue) {
            self.ranks.remove(&rank);
        }
        change(queue);
        match rank(model, queue) {
            Some(rank) => drop(self.ranks.insert(rank)),
            None => drop(self.queues.remove(model)),
        }
    }
}

/// The rank of a model; `None` if it has no gate.
fn rank(model: &str, queue: &Queue) -> Option<Rank> {
    let (oldest, _) = queue.front()?;
    Some((queue.len(), Reverse(*oldest), model.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::Places;
    use crate::metric::{Labels, Timestamp};
    use crate::notify::retrain::GateKey;

    fn gate(model: &str, second: i64) -> (&str, GateKey, Option<Timestamp>) {
        let series = Labels::new([("user", second.to_string()), ("m", model.to_owned())]);
        let at = Timestamp::from_millis(second * 1000);
        (model, GateKey::new("Drift", &series), Some(at))
    }

    #[test]
    fn the_model_with_most_gates_loses_its_oldest_and_of_equals_the_one_that_requested_first() {
        let of_a = [gate("a", 5), gate("a", 3), gate("a", 4)];
        let all = of_a.into_iter().chain([gate("b", 1), gate("c", 2)]);
        let mut places = Places::new(all);
        let mut taken = Vec::new();
        while let Some(key) = places.take_oldest_of_largest("new") {
            taken.push(key);
        }
        let expected = [("a", 3), ("a", 4), ("b", 1), ("c", 2), ("a", 5)];
        assert_eq!(taken, expected.map(|(model, second)| gate(model, second).1));
    }

    #[test]
    fn a_model_takes_no_gate_from_one_that_has_no_more() {
        let mut places = Places::new([gate("a", 1), gate("b", 2)].into_iter());
        assert_eq!(places.take_oldest_of_largest("a"), None);
        let (model, key, at) = gate("b", 3);
        places.add(model, key, at);
        assert_eq!(places.take_oldest_of_largest("a"), Some(gate("b", 2).1));
    }
}
