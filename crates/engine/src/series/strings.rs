//! Interns label names and values, so that each is stored once.

use std::collections::HashSet;
use std::sync::Arc;

use crate::metric::Labels;

/// The strings of the label sets of a block.
#[derive(Debug, Default)]
pub(super) struct Strings {
    seen: HashSet<Arc<str>>,
}

impl Strings {
    /// The same labels, made of interned strings.
    pub(super) fn intern(&mut self, labels: &Labels) -> Labels {
        labels
            .as_slice()
            .iter()
            .map(|label| (self.share(&label.name), self.share(&label.value)))
            .collect()
    }

    fn share(&mut self, text: &Arc<str>) -> Arc<str> {
        if let Some(found) = self.seen.get(text) {
            return Arc::clone(found);
        }
        self.seen.insert(Arc::clone(text));
        Arc::clone(text)
    }

    /// Drops the strings that are no longer in use.
    pub(super) fn sweep(&mut self) {
        self.seen.retain(|text| Arc::strong_count(text) > 1);
    }
}
