//! Signatures: the labels by which elements of two vectors are matched.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::ast::Matching;
use super::Table;
use crate::metric::Labels;

/// The labels by which an element is matched.
pub(super) fn signature(labels: &Labels, matching: &Matching) -> Labels {
    let is_listed = |name: &str| {
        matching
            .labels
            .binary_search_by(|l| l.as_str().cmp(name))
            .is_ok()
    };
    if matching.on {
        labels.retain(is_listed)
    } else {
        labels.retain(|name| name != Labels::NAME && !is_listed(name))
    }
}

/// The signatures of the rows of two tables. Rows with the same number belong together.
#[derive(Debug)]
pub(super) struct Signatures {
    /// The number of the signature of each left row.
    pub(super) left: Vec<u32>,
    /// The number of the signature of each right row.
    pub(super) right: Vec<u32>,
    /// The signatures by number.
    pub(super) all: Vec<Labels>,
}

impl Signatures {
    pub(super) fn of(left: &Table, right: &Table, matching: &Matching, delayed: bool) -> Self {
        let mut numbers: HashMap<Labels, u32> = HashMap::new();
        let mut all = Vec::new();
        let mut number = |table: &Table| -> Vec<u32> {
            (0..table.len())
                .map(|row| {
                    let signature = signature(&table.visible(row, delayed), matching);
                    *numbers.entry(signature).or_insert_with_key(|signature| {
                        all.push(signature.clone());
                        all.len() as u32 - 1
                    })
                })
                .collect()
        };
        let (left, right) = (number(left), number(right));
        Self { left, right, all }
    }
}

/// Signatures, cached while both tables are the same.
#[derive(Debug, Default)]
pub(super) struct SignatureCache {
    left: Option<Arc<Table>>,
    right: Option<Arc<Table>>,
    signatures: Option<Arc<Signatures>>,
}

impl SignatureCache {
    /// The signatures of two tables, and whether they are new.
    pub(super) fn get(
        &mut self,
        left: &Arc<Table>,
        right: &Arc<Table>,
        matching: &Matching,
        delayed: bool,
    ) -> (Arc<Signatures>, bool) {
        if let (Some(l), Some(r), Some(signatures)) = (&self.left, &self.right, &self.signatures)
            && Arc::ptr_eq(l, left)
            && Arc::ptr_eq(r, right)
        {
            return (Arc::clone(signatures), false);
        }
        let signatures = Arc::new(Signatures::of(left, right, matching, delayed));
        self.left = Some(Arc::clone(left));
        self.right = Some(Arc::clone(right));
        self.signatures = Some(Arc::clone(&signatures));
        (signatures, true)
    }
}
