//! How far a backfill came, and what it tells the tick loop.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::metric::Timestamp;
use crate::monitor::{ByRule, Counted, Knowledge, Learnt};
use crate::publish;
use crate::state::{Batch, Kind as Record, Store};

/// The one record of how far it came.
const RECORD: &str = "backfill";

/// What a backfill tells the tick loop.
#[derive(Debug)]
pub(crate) enum BackfillEvent {
    /// How far it is.
    Progress(publish::Backfill),
    /// It is through.
    Learnt(Box<Progress>),
}

/// How far a backfill came, and what was learnt up to there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub(super) model_version: Option<String>,
    pub(super) reached: Timestamp,
    pub(super) done: bool,
    /// The rules that it was about.
    pub(super) rules: BTreeSet<String>,
    pub(super) learnt: ByRule<Learnt>,
    pub(super) counted: ByRule<Counted>,
}

impl Progress {
    /// What an earlier process wrote.
    pub(super) fn read(store: &Store) -> Option<Self> {
        store.get(Record::Meta, RECORD).filter(|_| store.is_kept())
    }

    /// What was learnt.
    pub(crate) fn knowledge(&self) -> Knowledge {
        Knowledge {
            learnt: self.learnt.clone(),
            counted: self.counted.clone(),
        }
    }

    /// Writes that it is through; what was learnt is where all that is learnt is.
    pub(crate) fn finish(mut self, store: &Store) {
        self.done = true;
        self.learnt.clear();
        self.counted.clear();
        self.write(store);
    }

    pub(super) fn write(&self, store: &Store) {
        if !store.is_kept() {
            return;
        }
        let mut batch = Batch::lazy();
        let written = batch.put(Record::Meta, RECORD, self);
        if let Err(error) = written.map(|_| ()).and_then(|()| store.commit(batch)) {
            warn!(%error, "how far the backfill is could not be stored");
        }
    }
}
