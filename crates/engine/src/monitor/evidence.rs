//! The evidence of recorded values, for the watches that judge them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::metric::{Evidence, Labels, MetricSample};

/// The evidence of every recorded series that has some. The window keeps numbers only, so it
/// travels beside it.
#[derive(Debug, Default)]
pub(super) struct EvidenceBook {
    chapters: HashMap<u64, Chapter>,
}

/// The evidence of one rule.
#[derive(Debug)]
struct Chapter {
    /// The name of its series.
    name: String,
    pages: HashMap<Labels, Arc<Evidence>>,
}

impl EvidenceBook {
    /// Replaces the evidence of a rule that records under this name.
    pub(super) fn keep(&mut self, owner: u64, name: &str, samples: &[MetricSample]) {
        if samples.iter().all(|sample| sample.evidence.is_none()) {
            self.chapters.remove(&owner);
            return;
        }
        let chapter = self.chapters.entry(owner).or_insert_with(|| Chapter {
            name: name.to_owned(),
            pages: HashMap::new(),
        });
        let with = samples.iter().filter_map(|sample| {
            let evidence = Arc::clone(sample.evidence.as_ref()?);
            Some((sample.labels.clone(), evidence))
        });
        chapter.pages.clear();
        chapter.pages.extend(with);
    }

    /// The evidence of the present value of a series.
    pub(super) fn of(&self, labels: &Labels) -> Option<Arc<Evidence>> {
        let name = labels.name()?;
        let chapters = self
            .chapters
            .values()
            .filter(|chapter| chapter.name == name);
        let mut pages = chapters.filter_map(|chapter| chapter.pages.get(labels));
        pages.next().map(Arc::clone)
    }

    /// Drops the evidence of removed rules.
    pub(super) fn retain(&mut self, is_alive: impl Fn(u64) -> bool) {
        self.chapters.retain(|owner, _| is_alive(*owner));
    }
}
