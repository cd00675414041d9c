//! The progress of a backfill, and its events for the tick loop.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::metric::Timestamp;
use crate::monitor::{ByRule, Counted, Knowledge, Learnt};
use crate::publish;
use crate::state::{Batch, Kind as Record, Store};

/// The record of the progress.
const RECORD: &str = "backfill";

/// An event of a backfill for the tick loop.
#[derive(Debug)]
pub(crate) enum BackfillEvent {
    /// Its progress.
    Progress(publish::Backfill),
    /// It is complete.
    Done(Box<Progress>),
}

/// The progress of a backfill, and the learned state up to that time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub(super) model_version: Option<String>,
    pub(super) reached: Timestamp,
    pub(super) done: bool,
    /// The rules that it covers.
    pub(super) rules: BTreeSet<String>,
    pub(super) learnt: ByRule<Learnt>,
    pub(super) counted: ByRule<Counted>,
}

impl Progress {
    /// The progress that an earlier process stored.
    pub(super) fn read(store: &Store) -> Option<Self> {
        store.get(Record::Meta, RECORD).filter(|_| store.is_kept())
    }

    /// The learned state.
    pub(crate) fn knowledge(&self) -> Knowledge {
        Knowledge {
            learnt: self.learnt.clone(),
            counted: self.counted.clone(),
        }
    }

    /// Stores that it is complete. The monitor stores the learned state by now.
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
            warn!(%error, "the progress of the backfill could not be stored");
        }
    }
}
