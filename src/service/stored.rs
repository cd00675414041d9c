//! Reads the monitor's records from the store.

use std::collections::BTreeSet;

use super::writer::GATES;
use crate::monitor::{Counted, Knowledge, Learnt, StoredState};
use crate::state::{Kind as Record, Store};

/// The records of an earlier process.
pub(super) fn stored_state(store: &Store) -> StoredState {
    let all = |kind| store.names(kind).into_iter();
    StoredState {
        alerts: store.all(Record::Alerts).into_iter().collect(),
        learnt: all(Record::Strategy)
            .map(|name| {
                let learned = store.get::<Learnt>(Record::Strategy, &name);
                (name, learned)
            })
            .collect(),
        counted: all(Record::Baseline)
            .map(|name| {
                let counted = store.get::<Counted>(Record::Baseline, &name);
                (name, counted)
            })
            .collect(),
        gates: store.get(Record::Gates, GATES),
    }
}

/// The learned state of these rules from an earlier process.
pub(super) fn stored_knowledge(store: &Store, rules: &BTreeSet<String>) -> Knowledge {
    let learnt = |key: &String| Some((key.clone(), store.get(Record::Strategy, key)?));
    let counted = |key: &String| Some((key.clone(), store.get(Record::Baseline, key)?));
    Knowledge {
        learnt: rules.iter().filter_map(learnt).collect(),
        counted: rules.iter().filter_map(counted).collect(),
    }
}
