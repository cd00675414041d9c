//! One copy of every label name and value.

use std::collections::HashSet;
use std::sync::Arc;

use crate::metric::Labels;

/// Strings shared by the label sets of a block.
#[derive(Debug, Default)]
pub(super) struct Strings {
    seen: HashSet<Arc<str>>,
}

impl Strings {
    /// The same labels, made of shared strings.
    pub(super) fn intern(&mut self, labels: &Labels) -> Labels {
        let labels = labels.as_slice().iter();
        labels
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

    /// Forgets the strings nobody else holds.
    pub(super) fn sweep(&mut self) {
        self.seen.retain(|text| Arc::strong_count(text) > 1);
    }

    /// Bytes held, headers and table included, roughly.
    pub(super) fn memory(&self) -> usize {
        let text: usize = self.seen.iter().map(|text| text.len() + 16).sum();
        text + self.seen.capacity() * 18
    }
}
