//! The evidence of recorded values, for the watches that judge them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::metric::{Evidence, Labels, MetricSample};

/// The evidence of every recorded series that has some. The window keeps numbers only, so it
/// travels beside it.
#[derive(Debug, Default)]
pub(super) struct EvidenceBook {
    pages: HashMap<Labels, (u64, Arc<Evidence>)>,
}

impl EvidenceBook {
    /// Replaces the evidence of a rule.
    pub(super) fn keep(&mut self, owner: u64, samples: &[MetricSample]) {
        if self.pages.is_empty() && samples.iter().all(|sample| sample.evidence.is_none()) {
            return;
        }
        self.pages.retain(|_, (by, _)| *by != owner);
        let with = samples.iter().filter_map(|sample| {
            let evidence = Arc::clone(sample.evidence.as_ref()?);
            Some((sample.labels.clone(), (owner, evidence)))
        });
        self.pages.extend(with);
    }

    /// The evidence of the present value of a series.
    pub(super) fn of(&self, labels: &Labels) -> Option<Arc<Evidence>> {
        self.pages
            .get(labels)
            .map(|(_, evidence)| Arc::clone(evidence))
    }

    /// Drops the evidence of removed rules.
    pub(super) fn retain(&mut self, is_alive: impl Fn(u64) -> bool) {
        self.pages.retain(|_, (owner, _)| is_alive(*owner));
    }
}
